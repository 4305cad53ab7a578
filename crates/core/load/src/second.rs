//! One second of the timeline, and the sums over many.

use serde::{Deserialize, Serialize};

use crate::error_kind::{ErrorCounts, ErrorKind};
use crate::latency::Latency;

/// How the generator itself fared during a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// The share of a CPU (0 to 1) that the busiest worker thread used.
    pub cpu_share: f64,
    /// CPU time of all threads and processes of the generator together, user and system, in nanoseconds.
    pub cpu_ns: u64,
    /// How long the worker thread that waited most was ready to run without running, in nanoseconds.
    pub run_queue_delay_ns: u64,
    /// How often that thread was put on a CPU (`/proc/self/task/N/schedstat`, third figure); 0 when not known.
    pub run_queue_turns: u64,
}

impl Health {
    /// Joins another worker's health of the same second: the worst thread counts, CPU time adds up.
    pub fn merge_worker(&mut self, other: &Health) {
        self.cpu_share = self.cpu_share.max(other.cpu_share);
        self.cpu_ns += other.cpu_ns;
        if other.run_queue_delay_ns > self.run_queue_delay_ns {
            self.run_queue_delay_ns = other.run_queue_delay_ns;
            self.run_queue_turns = other.run_queue_turns;
        }
    }

    /// The share of a CPU that the busiest thread used or waited for: near 1 it had no time left.
    pub fn busy_share(&self, width_ns: u64) -> f64 {
        self.cpu_share + self.run_queue_delay_ns as f64 / width_ns.max(1) as f64
    }
}

/// How often each status came. Few differ in one run, so that a look-up is a comparison or two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StatusCounts {
    counts: Vec<(u16, u64)>,
}

impl StatusCounts {
    /// Counts one. Allocates only when the status is new.
    #[inline]
    pub fn count(&mut self, status: u16) {
        self.add(status, 1);
    }

    /// Counts `times`.
    pub fn add(&mut self, status: u16, times: u64) {
        match self.counts.iter_mut().find(|(known, _)| *known == status) {
            Some((_, count)) => *count = count.saturating_add(times),
            None => self.counts.push((status, times)),
        }
    }

    /// How often `status` came.
    pub fn of(&self, status: u16) -> u64 {
        self.counts.iter().find(|(known, _)| *known == status).map_or(0, |(_, count)| *count)
    }

    /// The statuses that came, in ascending order, with their counts.
    pub fn sorted(&self) -> Vec<(u16, u64)> {
        let mut counts = self.counts.clone();
        counts.sort_unstable();
        counts
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &StatusCounts) {
        for (status, count) in &other.counts {
            self.add(*status, *count);
        }
    }
}

/// The exact words of one error, to stand as an example beside its count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Which kind it was counted under.
    pub kind: ErrorKind,
    /// What was said or seen. From outside: escape it where it is shown.
    pub text: String,
}

/// What can be counted in a span of time, by one worker or by all, in one second or in a whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests that the schedule asked for (open loop); in a closed loop, the same as `sent`.
    pub planned: u64,
    /// Requests whose sending began.
    pub sent: u64,
    /// Whole and right answers.
    pub answered: u64,
    /// Requests that had none, and what else went wrong, by kind.
    pub errors: ErrorCounts,
    /// Statuses of whole answers, right or not.
    pub statuses: StatusCounts,
    /// Bytes received, heads included, TLS excluded.
    pub bytes_in: u64,
    /// Bytes sent, heads included, TLS excluded.
    pub bytes_out: u64,
    /// Connections established.
    pub connected: u64,
    /// TLS handshakes that were made.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub handshakes: u64,
    /// Those of them that resumed a session.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resumed: u64,
    /// Time from the send to the whole answer, of right answers.
    pub service: Latency,
    /// Time from the *planned* send to the whole answer, of right answers. Empty in a closed loop, which has no plan.
    pub response: Latency,
    /// Time that establishing a connection took, TLS handshake included.
    pub connect: Latency,
    /// How much later than it could have been each request was sent: from the planned time, or from the moment when a
    /// connection came free for it if that was later, to the send. The generator's own lateness; empty in a closed loop.
    pub send_lag: Latency,
    /// One example of each kind of error.
    pub examples: Vec<Example>,
    /// By target, in the order of the settings; empty where there is one only, or too many to tell apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetCounts>,
}

/// What became of the requests to one of several targets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetCounts {
    /// Right answers.
    pub answered: u64,
    /// Requests that had none, and connections that could not be made for them.
    pub failed: u64,
    /// Times of the right answers, as in [`Counts::headline`].
    pub time: Latency,
}

impl Counts {
    /// Adds another's counts and distributions.
    pub fn merge(&mut self, other: &Counts) {
        self.planned = self.planned.saturating_add(other.planned);
        self.sent = self.sent.saturating_add(other.sent);
        self.answered = self.answered.saturating_add(other.answered);
        self.errors.merge(&other.errors);
        self.statuses.merge(&other.statuses);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.connected = self.connected.saturating_add(other.connected);
        self.handshakes = self.handshakes.saturating_add(other.handshakes);
        self.resumed = self.resumed.saturating_add(other.resumed);
        self.service.merge(&other.service);
        self.response.merge(&other.response);
        self.connect.merge(&other.connect);
        self.send_lag.merge(&other.send_lag);
        for example in &other.examples {
            self.keep_example(example.kind, || example.text.clone());
        }
        if self.targets.len() < other.targets.len() {
            self.targets.resize_with(other.targets.len(), TargetCounts::default);
        }
        for (own, other) in self.targets.iter_mut().zip(&other.targets) {
            own.answered = own.answered.saturating_add(other.answered);
            own.failed = own.failed.saturating_add(other.failed);
            own.time.merge(&other.time);
        }
    }

    /// Keeps `text` if it is the first example of its kind.
    pub fn keep_example(&mut self, kind: ErrorKind, text: impl FnOnce() -> String) {
        if !self.examples.iter().any(|known| known.kind == kind) {
            self.examples.push(Example { kind, text: text() });
        }
    }

    /// The distribution to judge by: from the planned send where there is a plan, else from the send.
    pub fn headline(&self) -> &Latency {
        if self.response.is_empty() { &self.service } else { &self.response }
    }

    /// Makes the distributions small enough to keep thousands of them ([`Latency::coarsen`]).
    pub fn coarsen(&mut self) {
        self.service.coarsen();
        self.response.coarsen();
        self.connect.coarsen();
        self.send_lag.coarsen();
    }
}

/// A row of the timeline: what happened in one second (or a few, in a long run).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// When it began, in nanoseconds since the measuring began (after the warm-up).
    pub at_ns: u64,
    /// How long it was; a second, but for the last one and for rows that were joined.
    pub width_ns: u64,
    /// What happened.
    pub counts: Counts,
    /// Connections open at its end.
    pub open: u64,
    /// Connections open at once in it, at most.
    #[serde(default)]
    pub open_max: u64,
    /// Requests sent and not yet answered at its end.
    pub in_flight: u64,
    /// Requests that were due and waited for a free connection at its end (open loop).
    pub backlog: u64,
    /// How the generator fared.
    pub health: Health,
    /// What happened beside the load, in words: "reload", "step: 20,000/s".
    pub marks: Vec<String>,
}

impl Second {
    /// Joins another worker's view of the same second.
    pub fn merge_worker(&mut self, other: &Second) {
        self.counts.merge(&other.counts);
        self.width_ns = self.width_ns.max(other.width_ns);
        self.open += other.open;
        self.open_max += other.open_max;
        self.in_flight += other.in_flight;
        self.backlog += other.backlog;
        self.health.merge_worker(&other.health);
        self.marks.extend(other.marks.iter().cloned());
    }

    /// Appends the row that follows this one in time: gauges are those of its end.
    pub fn append(&mut self, next: &Second) {
        let (own, other) = (self.width_ns as f64, next.width_ns as f64);
        let health = &mut self.health;
        health.cpu_share = (health.cpu_share * own + next.health.cpu_share * other) / (own + other).max(1.0);
        health.cpu_ns += next.health.cpu_ns;
        health.run_queue_delay_ns += next.health.run_queue_delay_ns;
        health.run_queue_turns += next.health.run_queue_turns;
        self.counts.merge(&next.counts);
        self.width_ns += next.width_ns;
        (self.open, self.in_flight, self.backlog) = (next.open, next.in_flight, next.backlog);
        self.open_max = self.open_max.max(next.open_max);
        self.marks.extend(next.marks.iter().cloned());
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        self.width_ns as f64 / 1e9
    }

    /// Right answers per second.
    pub fn answered_per_second(&self) -> f64 {
        per_second(self.counts.answered, self.width_ns)
    }

    /// Errors per second.
    pub fn errors_per_second(&self) -> f64 {
        per_second(self.counts.errors.total(), self.width_ns)
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// `count` in `width_ns` as a rate; 0 when no time has passed.
pub(crate) fn per_second(count: u64, width_ns: u64) -> f64 {
    if width_ns == 0 { 0.0 } else { count as f64 * 1e9 / width_ns as f64 }
}
