//! Pictures made of characters: bars, sparklines, and the classes of a histogram.

use load::{Latency, words};

use super::text::right;

/// A bar of `share` (0 to 1) of `width` characters, in steps of an eighth of one.
pub(super) fn bar(share: f64, width: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut out = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        out.push(['▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8 - 1]);
    }
    if out.is_empty() && share > 0.0 {
        out.push('▏');
    }
    out
}

/// A character for each value, its height the value's share of the greatest.
pub(super) fn sparkline(values: impl Iterator<Item = f64> + Clone) -> String {
    let top = values.clone().filter(|v| v.is_finite()).fold(0.0, f64::max);
    let step = |value: f64| match value {
        v if v.is_finite() && v > 0.0 => ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][(v / top * 7.0).round() as usize],
        _ => ' ',
    };
    values.map(step).collect()
}

/// A class of a histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Class {
    pub(super) from_ns: f64,
    pub(super) to_ns: f64,
    pub(super) count: u64,
}

/// The distribution in at most `classes_max` classes of equal ratio, from the shortest to the longest time.
pub(super) fn classes(latency: &Latency, classes_max: usize) -> Vec<Class> {
    if latency.is_empty() {
        return Vec::new();
    }
    let low = (latency.min_ns() as f64).max(1.0);
    let high = (latency.max_ns() as f64).max(low * 1.01);
    // Below 5 % a class is finer than anyone reads.
    let steps = ((high / low).ln() / 1.05f64.ln()).ceil().clamp(1.0, classes_max.max(1) as f64) as usize;
    let ratio = (high / low).powf(1.0 / steps as f64);
    let edge = |place: usize| low * ratio.powi(place as i32);
    let class = |place| Class { from_ns: edge(place), to_ns: edge(place + 1), count: 0 };
    let mut classes: Vec<Class> = (0..steps).map(class).collect();
    for bucket in latency.buckets() {
        let place = ((bucket.0 as f64 / low).ln() / ratio.ln()).floor().clamp(0.0, steps as f64 - 1.0) as usize;
        classes[place].count += bucket.1;
    }
    classes
}

/// The distribution as lines of text, a class each.
pub(super) fn histogram(latency: &Latency, classes_max: usize, width: usize) -> Vec<String> {
    let classes = classes(latency, classes_max);
    let top = classes.iter().map(|c| c.count).max().unwrap_or(0).max(1) as f64;
    let line = |class: &Class| {
        let edges = [class.from_ns, class.to_ns].map(|ns| right(&words::time(ns.round() as u64), 9));
        let share = right(&words::percent(class.count as f64 / latency.count() as f64), 7);
        let bar = bar(class.count as f64 / top, width);
        format!("{} to {}  {share}  {bar}", edges[0], edges[1]).trim_end().to_owned()
    };
    classes.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_eighths_and_what_is_there_is_seen() {
        assert_eq!([0.0, 0.5, 1.0, 7.0].map(|s| bar(s, 4)), ["", "██", "████", "████"]);
        assert_eq!([0.03, 0.0001, 0.53].map(|s| bar(s, 4)), ["▏", "▏", "██▏"]);
    }

    #[test]
    fn sparklines_stand_on_their_greatest_value() {
        assert_eq!(sparkline([0.0, 1.0, 4.0, 8.0].into_iter()), " ▂▅█");
        assert_eq!(sparkline([0.0, f64::NAN].into_iter()), "  ");
    }

    #[test]
    fn classes_hold_every_time_once() {
        let latency = Latency::of((1..=10_000).map(|n| n * 1_000));
        let classes = classes(&latency, 12);
        assert_eq!(classes.len(), 12);
        assert_eq!(classes.iter().map(|c| c.count).sum::<u64>(), 10_000);
        assert!(classes.windows(2).all(|w| (w[0].to_ns - w[1].from_ns).abs() < 1e-6 * w[1].from_ns));
        // Each class of equal ratio holds as many of these as it is wide.
        let last = classes[11];
        assert!((last.count as f64 / ((last.to_ns - last.from_ns) / 1_000.0) - 1.0).abs() < 0.01, "{last:?}");
        let equal = super::classes(&Latency::of([5_000; 10]), 12);
        assert_eq!((equal.len(), equal[0].count), (1, 10));
        assert!(super::classes(&Latency::default(), 12).is_empty());
    }

    #[test]
    fn a_histogram_is_lines_with_shares() {
        let lines = histogram(&Latency::of([1_000, 1_000, 1_000, 2_000]), 2, 8);
        assert_eq!(lines, ["  1.00 µs to   1.41 µs     75 %  ████████", "  1.41 µs to   2.00 µs     25 %  ██▋"]);
    }
}
