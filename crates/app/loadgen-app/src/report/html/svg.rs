//! What all pictures share: the frame, the scales, the axes.

use std::fmt::Write;

use load::words;

use super::escape::escape;

/// Units of a picture's width; the page shows it at about this many pixels.
pub(super) const WIDTH: f64 = 1_000.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 26.0;

/// How values lie along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// From 0 to `top`.
    Linear { top: f64 },
    /// From `low` to `high`, both above 0, by ratio.
    Log { low: f64, high: f64 },
}

impl Scale {
    /// A scale from 0 to a round figure at or above `top`.
    pub(super) fn linear(top: f64) -> Scale {
        let top = if top.is_finite() && top > 0.0 { top } else { 1.0 };
        let step = round_step(top / 5.0, &HALVES);
        Scale::Linear { top: (top / step - 1e-9).ceil() * step }
    }

    /// A scale by ratio that holds both, and at least half a decade.
    pub(super) fn log(low: f64, high: f64) -> Scale {
        let low = low.max(1.0);
        let high = high.max(low * 3.2);
        Scale::Log { low, high }
    }

    /// Where a value lies, from 0 to 1.
    pub(super) fn share(&self, value: f64) -> f64 {
        let share = match *self {
            Scale::Linear { top } => value / top,
            Scale::Log { low, high } => (value.max(low) / low).ln() / (high / low).ln(),
        };
        share.clamp(0.0, 1.0)
    }

    /// The values to write beside the axis.
    pub(super) fn ticks(&self) -> Vec<f64> {
        match *self {
            Scale::Linear { top } => {
                let step = round_step(top / 5.0, &HALVES);
                (0..=(top / step).round() as u32).map(|n| f64::from(n) * step).collect()
            }
            Scale::Log { low, high } => {
                let decades = (high / low).log10();
                let steps: &[f64] = if decades < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let first = low.log10().floor() as i32;
                let all =
                    (first..=high.log10().ceil() as i32).flat_map(|d| steps.iter().map(move |s| s * 10f64.powi(d)));
                all.filter(|v| (low..=high).contains(v)).collect()
            }
        }
    }
}

/// Steps between 1 and 10 along an axis of counts.
const HALVES: [f64; 4] = [1.0, 2.0, 2.5, 5.0];
/// Steps between 1 and 10 along an axis of seconds.
const WHOLES: [f64; 3] = [1.0, 2.0, 5.0];

/// The figure nearest above `step` that is one of `leads` times a power of ten.
fn round_step(step: f64, leads: &[f64]) -> f64 {
    let power = 10f64.powf(step.max(1e-9).log10().floor());
    let lead = step / power;
    let round = leads.iter().copied().find(|r| lead <= r * (1.0 + 1e-9)).unwrap_or(10.0);
    round * power
}

/// A round time beside an axis: `10 ms`, not `10.0 ms`.
pub(super) fn tick(ns: f64) -> String {
    let text = words::time(ns.round() as u64);
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

/// A picture under way.
pub(super) struct Picture {
    out: String,
    height: f64,
    pub(super) y: Scale,
}

impl Picture {
    /// An empty picture of so many units' height; `label` says what it shows to those who cannot see it.
    pub(super) fn new(height: f64, y: Scale, label: &str) -> Picture {
        let label = escape(label);
        let out = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\">\n");
        Picture { out, height, y }
    }

    /// The horizontal place of a share (0 to 1) of the width.
    pub(super) fn across(&self, share: f64) -> f64 {
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    /// The vertical place of a share (0 at the bottom, 1 at the top) of the height.
    pub(super) fn up(&self, share: f64) -> f64 {
        TOP + (1.0 - share) * (self.height - TOP - BOTTOM)
    }

    /// The vertical place of a value.
    pub(super) fn at(&self, value: f64) -> f64 {
        self.up(self.y.share(value))
    }

    /// Lines and figures of the vertical axis.
    pub(super) fn y_axis(&mut self, show: impl Fn(f64) -> String) {
        for value in self.y.ticks() {
            let y = self.at(value);
            let (x0, x1) = (self.across(0.0), self.across(1.0));
            self.add(format_args!("<path class=\"grid\" d=\"M{x0:.1} {y:.1}H{x1:.1}\"/>"));
            let text = escape(&show(value));
            self.add(format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                x0 - 8.0,
                y + 4.0
            ));
        }
    }

    /// A figure below the horizontal axis, with a line above it.
    pub(super) fn x_tick(&mut self, share: f64, text: &str) {
        let (x, top, bottom) = (self.across(share), self.up(1.0), self.up(0.0));
        self.add(format_args!("<path class=\"grid\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>"));
        // The last figure would else stand out of the picture.
        let anchor = if share > 0.98 { "end" } else { "middle" };
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            bottom + 17.0,
            escape(text)
        ));
    }

    /// The horizontal axis as time, from 0 to `seconds`.
    pub(super) fn time_axis(&mut self, seconds: f64) {
        let step = match seconds / 8.0 {
            s if s <= 20.0 => round_step(s, &WHOLES),
            s => [30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0]
                .into_iter()
                .find(|t| s <= *t)
                .unwrap_or(round_step(s, &WHOLES)),
        };
        let ticks = (seconds / step + 1e-9).floor() as u32;
        for tick in 0..=ticks {
            let at = f64::from(tick) * step;
            let text = if step >= 30.0 { words::time((at * 1e9) as u64) } else { format!("{} s", words::figure(at)) };
            let text = if tick == 0 { "0 s" } else { &text };
            self.x_tick(at / seconds.max(1e-9), text);
        }
        self.baseline();
    }

    /// The line at the bottom.
    pub(super) fn baseline(&mut self) {
        let (x0, x1, y) = (self.across(0.0), self.across(1.0), self.up(0.0));
        self.add(format_args!("<path class=\"axis\" d=\"M{x0:.1} {y:.1}H{x1:.1}\"/>"));
    }

    /// A line through points given as shares of the width and values; a gap where a value is missing.
    pub(super) fn line(&mut self, class: &str, points: impl Iterator<Item = (f64, Option<f64>)>) {
        let mut path = String::new();
        let mut pen = 'M';
        for (share, value) in points {
            match value {
                Some(value) => {
                    let _ = write!(path, "{pen}{:.1} {:.1}", self.across(share), self.at(value));
                    pen = 'L';
                }
                None => pen = 'M',
            }
        }
        if !path.is_empty() {
            self.add(format_args!("<path class=\"line {class}\" d=\"{path}\"/>"));
        }
    }

    /// Adds markup; what comes from outside must be escaped by then.
    pub(super) fn add(&mut self, markup: std::fmt::Arguments<'_>) {
        let _ = self.out.write_fmt(markup);
        self.out.push('\n');
    }

    /// The whole as markup.
    pub(super) fn end(self) -> String {
        self.out + "</svg>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_scales_end_at_round_figures() {
        assert_eq!(
            [9_995.0, 10_000.0, 1.0, 0.07].map(Scale::linear),
            [10_000.0, 10_000.0, 1.0, 0.08].map(|top| Scale::Linear { top })
        );
        assert_eq!(Scale::linear(9_995.0).ticks(), [0.0, 2_000.0, 4_000.0, 6_000.0, 8_000.0, 10_000.0]);
        assert_eq!(Scale::linear(0.0), Scale::Linear { top: 1.0 });
        assert_eq!([1e3, 2e7, 5e8, 500.0].map(tick), ["1 µs", "20 ms", "500 ms", "500 ns"]);
        assert_eq!(Scale::linear(f64::NAN), Scale::Linear { top: 1.0 });
    }

    #[test]
    fn scales_by_ratio_have_ticks_inside() {
        assert_eq!(Scale::log(300.0, 4_000.0).ticks(), [500.0, 1_000.0, 2_000.0]);
        assert_eq!(Scale::log(0.0, 1e5).ticks(), [1.0, 10.0, 100.0, 1e3, 1e4, 1e5]);
        let scale = Scale::log(1.0, 100.0);
        assert!(
            [(1.0, 0.0), (10.0, 0.5), (100.0, 1.0), (1e9, 1.0), (0.0, 0.0)]
                .iter()
                .all(|(v, s)| (scale.share(*v) - s).abs() < 1e-12)
        );
        assert!(!Scale::log(7.0, 7.0).ticks().is_empty(), "a single value has a scale too");
    }
}
