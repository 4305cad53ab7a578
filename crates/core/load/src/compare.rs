//! Whether one target is faster than another, by how much, and how sure that is.

mod differences;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::random::Random;
use crate::run::Run;
use crate::second::{Counts, Second, per_second};
use crate::student;
use crate::words;

pub use self::differences::{Difference, differences};

/// One of the two that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The first one.
    A,
    /// The second one.
    B,
}

/// In which order the two are measured in `round` (from 0): each goes first in every other round, so that a machine
/// that warms up or slows down during a round favours neither. `seed` says who begins.
pub fn order(round: u32, seed: u64) -> [Side; 2] {
    let first = Random::new(seed).next_u64();
    if (u64::from(round) + first).is_multiple_of(2) { [Side::A, Side::B] } else { [Side::B, Side::A] }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Right answers per second.
    Throughput,
    /// The average time ([`Counts::headline`]).
    Mean,
    /// A percentile of the time, above 0 to 100.
    Percentile(f64),
}

impl Metric {
    /// The value of a run; `None` when nothing was answered.
    pub fn of(self, run: &Run) -> Option<f64> {
        self.value(&run.totals, run.elapsed_ns)
    }

    /// The value of some rows of a timeline together.
    fn of_rows(self, rows: &[Second]) -> Option<f64> {
        let mut counts = Counts::default();
        rows.iter().for_each(|row| counts.merge(&row.counts));
        self.value(&counts, rows.iter().map(|row| row.width_ns).sum())
    }

    fn value(self, counts: &Counts, width_ns: u64) -> Option<f64> {
        let value = match self {
            Metric::Throughput => per_second(counts.answered, width_ns),
            Metric::Mean => counts.headline().mean_ns(),
            Metric::Percentile(percent) => counts.headline().percentile_ns(percent) as f64,
        };
        (value > 0.0).then_some(value)
    }

    /// Its name in a sentence: "requests per second", "average time", "p99".
    pub fn words(self) -> String {
        match self {
            Metric::Throughput => "requests per second".to_owned(),
            Metric::Mean => "average time".to_owned(),
            Metric::Percentile(100.0) => "maximum time".to_owned(),
            Metric::Percentile(percent) => format!("p{percent}"),
        }
    }

    /// A value with its unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Metric::Throughput => format!("{}/s", words::figure(value)),
            Metric::Mean | Metric::Percentile(_) => words::time(value.round() as u64),
        }
    }

    fn more(self) -> &'static str {
        if self == Metric::Throughput { "faster" } else { "slower" }
    }

    fn less(self) -> &'static str {
        if self == Metric::Throughput { "slower" } else { "faster" }
    }
}

/// Where the values of a comparison come from, and so what its interval covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Rounds in which both were measured in turn: a paired t interval of the logarithms of B / A.
    AlternatedRounds,
    /// Two runs, each cut into stretches: Welch's t interval of the logarithms of their values. Covers what varied
    /// within each run, not what changed on the machine between the two.
    Stretches,
}

/// The effect of taking B instead of A, with its 95 % interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What is compared.
    pub metric: Metric,
    /// What A is called. From outside: escape it where it is shown.
    pub a: String,
    /// What B is called. From outside: escape it where it is shown.
    pub b: String,
    /// How the values were won.
    pub method: Method,
    /// Rounds, or stretches of the run that has fewer.
    pub rounds: u32,
    /// The median value of A.
    pub a_median: f64,
    /// The median value of B.
    pub b_median: f64,
    /// B / A: the geometric mean of the rounds' ratios.
    pub ratio: f64,
    /// The lower end of the 95 % interval of `ratio`.
    pub low: f64,
    /// The upper end of the 95 % interval of `ratio`.
    pub high: f64,
    /// The relative difference that four of five such comparisons would have shown.
    pub detectable: f64,
}

/// Why two cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Undecidable {
    /// Fewer than two rounds, or than four rows of a timeline.
    #[error(
        "{name} is too short to compare: it has {have} of the {need} {what} that are needed to tell a difference from chance"
    )]
    TooFew {
        /// The run, or the comparison.
        name: String,
        /// How many there are.
        have: usize,
        /// How many there must be.
        need: usize,
        /// Of what.
        what: &'static str,
    },
    /// A round or a stretch in which nothing was answered.
    #[error("{name}: nothing was answered in {part} {place}, so that there is nothing to compare")]
    NoValue {
        /// The target.
        name: String,
        /// "round" or "stretch".
        part: &'static str,
        /// Which one, from 1.
        place: usize,
    },
}

/// Stretches that a saved run is cut into, at most.
const STRETCHES_MAX: usize = 20;
/// Stretches that a saved run must give.
const STRETCHES_MIN: usize = 4;

impl Comparison {
    /// Compares by alternated rounds: `rounds` holds the values of A and B of each. The runs of a round stand close in
    /// time, so that what changes slowly on the machine cancels in their ratio.
    pub fn paired(metric: Metric, a: &str, b: &str, rounds: &[(f64, f64)]) -> Result<Comparison, Undecidable> {
        if rounds.len() < 2 {
            return Err(Undecidable::TooFew {
                name: "the comparison".to_owned(),
                have: rounds.len(),
                need: 2,
                what: "whole rounds",
            });
        }
        let of_a: Vec<f64> = rounds.iter().map(|r| r.0).collect();
        let of_b: Vec<f64> = rounds.iter().map(|r| r.1).collect();
        check(&of_a, a, "round")?;
        check(&of_b, b, "round")?;
        let logs: Vec<f64> = rounds.iter().map(|(a, b)| (b / a).ln()).collect();
        let (mean, variance) = moments(&logs);
        let estimate = Estimate {
            log_ratio: mean,
            error: (variance / logs.len() as f64).sqrt(),
            degrees: logs.len() as f64 - 1.0,
        };
        Ok(estimate.comparison(metric, Method::AlternatedRounds, (a, &of_a), (b, &of_b)))
    }

    /// Compares two finished runs by the stretches of their timelines ([`Method::Stretches`]).
    pub fn of_runs(
        metric: Metric,
        (a, run_a): (&str, &Run),
        (b, run_b): (&str, &Run),
    ) -> Result<Comparison, Undecidable> {
        let of_a = stretches(metric, a, run_a)?;
        let of_b = stretches(metric, b, run_b)?;
        let part = |values: &[f64]| {
            let logs: Vec<f64> = values.iter().map(|v| v.ln()).collect();
            let (mean, variance) = moments(&logs);
            (mean, variance / logs.len() as f64, logs.len() as f64 - 1.0)
        };
        let ((mean_a, square_a, free_a), (mean_b, square_b, free_b)) = (part(&of_a), part(&of_b));
        let square = square_a + square_b;
        // Welch and Satterthwaite; two runs that do not vary at all have the degrees of both.
        let degrees = if square > 0.0 {
            square * square / (square_a * square_a / free_a + square_b * square_b / free_b)
        } else {
            free_a + free_b
        };
        let estimate = Estimate { log_ratio: mean_b - mean_a, error: square.sqrt(), degrees };
        Ok(estimate.comparison(metric, Method::Stretches, (a, &of_a), (b, &of_b)))
    }

    /// Whether the interval excludes "no difference".
    pub fn is_shown(&self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }

    /// The verdict: "B is 7 % slower than A by p99 (95 %: 3 % to 11 %).", or that none could be shown and what would have
    /// been.
    pub fn sentence(&self) -> String {
        let Comparison { metric, a, b, .. } = self;
        let by = metric.words();
        if !self.is_shown() {
            return format!(
                "No difference between {a} and {b} could be shown by {by} (95 %: {b} from {} to {}); \
                 a difference of {} would have been seen in 4 of 5 such comparisons.",
                self.signed(self.low),
                self.signed(self.high),
                words::percent(self.detectable),
            );
        }
        // The ends in the order of their size, whichever way the effect goes.
        let (least, most) = if self.ratio > 1.0 { (self.low, self.high) } else { (self.high, self.low) };
        let size = |ratio: f64| words::percent((ratio - 1.0).abs());
        let way = self.way(self.ratio);
        format!("{b} is {} {way} than {a} by {by} (95 %: {} to {}).", size(self.ratio), size(least), size(most))
    }

    /// What the interval covers and how it was made, for the small print.
    pub fn method_sentence(&self) -> String {
        match self.method {
            Method::AlternatedRounds => format!(
                "{} alternated rounds; the interval is Student's t of the logarithms of the rounds' ratios.",
                self.rounds
            ),
            Method::Stretches => format!(
                "Two runs, cut into {} or more stretches; the interval is Welch's t of their logarithms. It covers what \
                 varied within the runs, not what changed on the machine between them: alternated rounds do both.",
                self.rounds
            ),
        }
    }

    fn way(&self, ratio: f64) -> &'static str {
        if ratio >= 1.0 { self.metric.more() } else { self.metric.less() }
    }

    fn signed(&self, ratio: f64) -> String {
        format!("{} {}", words::percent((ratio - 1.0).abs()), self.way(ratio))
    }
}

struct Estimate {
    log_ratio: f64,
    error: f64,
    degrees: f64,
}

impl Estimate {
    fn comparison(&self, metric: Metric, method: Method, a: (&str, &[f64]), b: (&str, &[f64])) -> Comparison {
        let reach = student::quantile(0.975, self.degrees) * self.error;
        // The effect whose estimate falls outside the interval around 0 with a power of 80 %.
        let detectable = reach + student::quantile(0.8, self.degrees) * self.error;
        Comparison {
            metric,
            a: a.0.to_owned(),
            b: b.0.to_owned(),
            method,
            rounds: a.1.len().min(b.1.len()) as u32,
            a_median: median(a.1),
            b_median: median(b.1),
            ratio: self.log_ratio.exp(),
            low: (self.log_ratio - reach).exp(),
            high: (self.log_ratio + reach).exp(),
            detectable: detectable.exp() - 1.0,
        }
    }
}

fn check(values: &[f64], name: &str, part: &'static str) -> Result<(), Undecidable> {
    match values.iter().position(|v| !(v.is_finite() && *v > 0.0)) {
        Some(place) => Err(Undecidable::NoValue { name: name.to_owned(), part, place: place + 1 }),
        None => Ok(()),
    }
}

fn stretches(metric: Metric, name: &str, run: &Run) -> Result<Vec<f64>, Undecidable> {
    // A short last row would weigh as much as a whole one.
    let whole = run.timeline.first().map_or(0, |row| row.width_ns);
    let rows: &[Second] = match run.timeline.split_last() {
        Some((last, before)) if last.width_ns < whole => before,
        _ => &run.timeline,
    };
    let count = rows.len().min(STRETCHES_MAX);
    if count < STRETCHES_MIN {
        return Err(Undecidable::TooFew {
            name: name.to_owned(),
            have: rows.len(),
            need: STRETCHES_MIN,
            what: "whole seconds",
        });
    }
    let cut = |place: usize| place * rows.len() / count;
    let value = |place: usize| metric.of_rows(&rows[cut(place)..cut(place + 1)]).unwrap_or(0.0);
    let values: Vec<f64> = (0..count).map(value).collect();
    check(&values, name, "stretch")?;
    Ok(values)
}

/// The mean and the unbiased variance of two values or more.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + sorted[middle]) / 2.0 } else { sorted[middle] }
}

#[cfg(test)]
mod tests;
