//! What a run found, for people and for programs: pure functions from [`load::Run`] to text.
//!
//! * [`summary`]: for the terminal, at the end. [`Live`]: for the terminal, while it runs.
//! * [`json`] and [`from_json`]: the saved run, with all its distributions. [`csv_seconds`], [`csv_percentiles`]: for a table.
//! * [`html`]: one self-contained page.
//! * [`comparison`] and [`knee`]: the answers of `compare` and `find-max`; [`comparison_html`] and [`knee_html`]: their pages.
//!
//! Texts from outside (targets, error messages, marks) are made harmless where they are put in: no control character
//! reaches a terminal, no markup a page, no formula a table.

mod answers;
mod bars;
mod csv;
mod html;
mod json;
mod live;
mod summary;
mod text;

#[cfg(test)]
mod sample;

use load::{Latency, Outcome, Rate, Run, words};

pub use answers::{comparison, differences, knee};
pub use csv::{csv_percentiles, csv_seconds};
pub use html::{comparison_html, html, knee_html};
pub use json::{from_json, json};
pub use live::{Goal, Live, LiveStyle, Stage};
pub(crate) use summary::counted;
pub use summary::{SummaryStyle, summary};

/// The percentiles that every report shows; 100 is the maximum.
const PERCENTILES: [f64; 7] = [50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 100.0];

/// A step of `find-max`, with what its page shows of it.
pub struct Trial {
    /// At which rate.
    pub rate: Rate,
    /// What came of it.
    pub outcome: Outcome,
    /// Right answers per second.
    pub answered_per_second: f64,
    /// The response time.
    pub time: Latency,
}

impl Trial {
    /// Of a finished step.
    pub fn of(rate: Rate, outcome: Outcome, run: &Run) -> Trial {
        Trial { rate, outcome, answered_per_second: run.answered_per_second(), time: run.totals.headline().clone() }
    }
}

/// The verdict over a run in a word, and the reason in short; and whether its figures may be used.
fn judged(run: &Run) -> (bool, &'static str, &'static str) {
    if !run.verdict.is_valid() && !run.mishaps.is_empty() {
        (false, "INVALID", "a part of the generator was lost; do not use these figures")
    } else if !run.verdict.is_valid() {
        (false, "INVALID", "the generator was the limit; do not use these figures")
    } else if run.measured_nothing() {
        (false, "NOTHING MEASURED", "there is no right answer")
    } else {
        (true, "VALID", "the target was measured, not the generator")
    }
}

/// A moment of the timeline: `7 s`, or `2.5 s` where it is not a whole second.
fn moment(ns: u64) -> String {
    if (1..10_000_000).contains(&ns) {
        return words::time(ns);
    }
    let hundredths = (ns + 5_000_000) / 10_000_000;
    let (whole, part) = (hundredths / 100, hundredths % 100);
    match part {
        0 => format!("{whole} s"),
        _ if part.is_multiple_of(10) => format!("{whole}.{} s", part / 10),
        _ => format!("{whole}.{part:02} s"),
    }
}

/// A percentile's name: `p99.9`, or `max`.
fn percentile_name(percent: f64) -> String {
    if percent == 100.0 { "max".to_owned() } else { format!("p{percent}") }
}

/// A percentile with its unit, or `-` where no answer lies above it: it would be the maximum under another name.
fn percentile_text(latency: &Latency, percent: f64) -> String {
    let above = latency.count() as f64 * (1.0 - percent / 100.0);
    // A hair below 1 is 1: 100 answers have one above their p99.
    if latency.is_empty() || (percent < 100.0 && above < 1.0 - 1e-6) {
        return "-".to_owned();
    }
    words::time(latency.percentile_ns(percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_as_many_decimals_as_it_needs() {
        let shown =
            [0, 1_450_000, 300_000_000, 1_000_000_000, 2_500_000_000, 2_047_000_000, 999_999_000, 61_000_000_000]
                .map(moment);
        assert_eq!(shown, ["0 s", "1.45 ms", "0.3 s", "1 s", "2.5 s", "2.05 s", "1 s", "61 s"]);
    }

    #[test]
    fn a_percentile_is_shown_as_far_as_the_answers_reach() {
        let hundred = Latency::of([1_000_000; 100]);
        let shown = PERCENTILES.map(|percent| percentile_text(&hundred, percent));
        assert_eq!(shown, ["1.00 ms", "1.00 ms", "1.00 ms", "1.00 ms", "-", "-", "1.00 ms"]);
        assert_eq!(percentile_text(&Latency::default(), 100.0), "-");
    }
}
