//! A whole run: what is saved, compared and rendered.

use serde::{Deserialize, Serialize};

use crate::second::{Counts, Second, per_second};
use crate::validity::{Rules, Verdict, judge};

/// The version of the saved form. It rises when a field changes its meaning or goes; new fields do not raise it.
pub const SCHEMA: u32 = 1;

/// Rows that a timeline holds at most; beyond, each two neighbours are joined.
pub const TIMELINE_ROWS_MAX: usize = 1_200;

/// What a run was asked to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The targets as they were given. From outside: escape them where they are shown.
    pub targets: Vec<String>,
    /// Whether requests went out by a schedule (true), or each when the one before was answered (false).
    pub open_loop: bool,
    /// Whether the connections are slow peers, of which the target ends each when it has had enough.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slow: bool,
    /// Connections asked for.
    pub connections: u64,
    /// Requests that could be under way at once: connections times pipelining.
    pub concurrency: u64,
    /// Worker threads in all processes.
    pub workers: u32,
    /// The rest in words, in the order in which to show it: ("rate", "20,000/s, Poisson"), ("warm-up", "2 s").
    pub words: Vec<(String, String)>,
}

/// A run, finished or under way.
///
/// Make it with [`Run::new`], give it each second with [`Run::push`], and call [`Run::finish`] at the end. Counts and
/// distributions of the whole keep three digits; the rows of the timeline are coarser (0.8 %), so that a run of any
/// length stays within a few MiB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`SCHEMA`] of the program that saved it.
    pub schema: u32,
    /// Name and version of the program that made it.
    pub program: String,
    /// When the measuring began, in milliseconds since 1970 (UTC).
    pub started_unix_ms: u64,
    /// What it was asked to do.
    pub settings: Settings,
    /// How long was measured: the sum of the rows.
    pub elapsed_ns: u64,
    /// The whole.
    pub totals: Counts,
    /// Connections open at once, at most.
    pub open_max: u64,
    /// Requests that were due and never sent when the run ended, for want of a free connection.
    pub backlog_at_end: u64,
    /// Requests sent and unanswered when the run ended: neither successes nor errors.
    pub in_flight_at_end: u64,
    /// CPU time of the generator, user and system, in nanoseconds.
    pub cpu_ns: u64,
    /// What befell the generator, a sentence each: a worker process that was killed. Any makes the run INVALID.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mishaps: Vec<String>,
    /// How far it had come when somebody ended it, if somebody did: "3.20 s of 60.0 s".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<String>,
    /// Rows in order of time.
    pub timeline: Vec<Second>,
    /// Whether the figures may be believed, and why not. Empty until [`Run::finish`].
    pub verdict: Verdict,
    #[serde(skip, default = "one")]
    seconds_per_row: u32,
    #[serde(skip)]
    seconds_in_last_row: u32,
}

fn one() -> u32 {
    1
}

impl Run {
    /// A run that is about to be measured.
    pub fn new(program: impl Into<String>, started_unix_ms: u64, settings: Settings) -> Run {
        Run {
            schema: SCHEMA,
            program: program.into(),
            started_unix_ms,
            settings,
            elapsed_ns: 0,
            totals: Counts::default(),
            open_max: 0,
            backlog_at_end: 0,
            in_flight_at_end: 0,
            cpu_ns: 0,
            mishaps: Vec::new(),
            interrupted: None,
            timeline: Vec::new(),
            verdict: Verdict::default(),
            seconds_per_row: 1,
            seconds_in_last_row: 0,
        }
    }

    /// Adds a second, all workers' views joined ([`Second::merge_worker`]).
    pub fn push(&mut self, mut second: Second) {
        self.elapsed_ns += second.width_ns;
        self.totals.merge(&second.counts);
        self.open_max = self.open_max.max(second.open).max(second.open_max);
        self.backlog_at_end = second.backlog;
        self.in_flight_at_end = second.in_flight;
        self.cpu_ns += second.health.cpu_ns;
        // Told apart for the whole only: a row holds what is drawn over time.
        second.counts.targets.clear();
        second.counts.coarsen();
        match self.timeline.last_mut() {
            Some(row) if self.seconds_in_last_row < self.seconds_per_row => {
                row.append(&second);
                self.seconds_in_last_row += 1;
            }
            _ => {
                self.timeline.push(second);
                self.seconds_in_last_row = 1;
            }
        }
        if self.timeline.len() > TIMELINE_ROWS_MAX {
            self.join_rows();
        }
    }

    /// Ends the run: judges it by `rules`.
    pub fn finish(&mut self, rules: &Rules) {
        self.verdict = judge(self, rules);
    }

    /// Whether it was never meant to be answered: connections that are held idle.
    pub fn asked_nothing(&self) -> bool {
        self.totals.planned == 0 && self.totals.sent == 0 && self.totals.connected > 0
    }

    /// Whether there is nothing to report: no right answer where answers were wanted.
    pub fn measured_nothing(&self) -> bool {
        self.totals.answered == 0 && !self.asked_nothing() && self.suffered_to_the_end() == 0
    }

    /// Slow peers that the target still suffered at the end: that it has so much patience is the answer.
    pub fn suffered_to_the_end(&self) -> u64 {
        if self.settings.slow { self.in_flight_at_end } else { 0 }
    }

    /// How long was measured, in seconds.
    pub fn seconds(&self) -> f64 {
        self.elapsed_ns as f64 / 1e9
    }

    /// Right answers per second.
    pub fn answered_per_second(&self) -> f64 {
        per_second(self.totals.answered, self.elapsed_ns)
    }

    /// Right answers per second of the generator's own CPU time; `None` when that was not measured.
    pub fn answered_per_cpu_second(&self) -> Option<f64> {
        (self.cpu_ns > 0).then(|| per_second(self.totals.answered, self.cpu_ns))
    }

    /// Joins each two neighbouring rows into one.
    fn join_rows(&mut self) {
        let rows = std::mem::take(&mut self.timeline);
        // With an even number of rows the last one is joined to a full one; else it stands alone, and is filled up.
        if rows.len().is_multiple_of(2) {
            self.seconds_in_last_row += self.seconds_per_row;
        }
        self.seconds_per_row *= 2;
        let mut rows = rows.into_iter();
        while let Some(mut row) = rows.next() {
            if let Some(next) = rows.next() {
                row.append(&next);
                row.counts.coarsen();
            }
            self.timeline.push(row);
        }
    }
}

#[cfg(test)]
mod tests;
