//! What one worker counts while it drives load.

use crate::error_kind::ErrorKind;
use crate::latency::Recorder;
use crate::second::{Counts, Health, Second, TargetCounts};

/// The gauges of a worker at the end of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Connections open.
    pub open: u64,
    /// Connections open at once in that second, at most.
    pub open_max: u64,
    /// Requests sent and not yet answered.
    pub in_flight: u64,
    /// Requests due that wait for a free connection.
    pub backlog: u64,
}

/// The counters of one worker.
///
/// Call [`Tally::planned`], [`Tally::sent`], [`Tally::answered`] and [`Tally::failed`] as things happen, and
/// [`Tally::take`] at the end of each second. It knows no clock: times come in as differences. Nothing here allocates
/// but a new status, the first example of an error, and `take`; an open-loop request costs some 40 ns in all.
#[derive(Clone, Debug)]
pub struct Tally {
    open_loop: bool,
    counts: Counts,
    service: Recorder,
    response: Recorder,
    connect: Recorder,
    send_lag: Recorder,
    /// By target: right answers, failures, and the times of the former.
    targets: Vec<(u64, u64, Recorder)>,
}

impl Tally {
    /// A worker's counters; `open_loop` says whether there is a plan to measure from. Takes 530 KiB.
    pub fn new(open_loop: bool) -> Tally {
        Tally {
            open_loop,
            counts: Counts::default(),
            service: Recorder::new(),
            response: Recorder::new(),
            connect: Recorder::new(),
            send_lag: Recorder::new(),
            targets: Vec::new(),
        }
    }

    /// The same, telling so many targets apart; 132 KiB for each.
    pub fn with_targets(self, targets: usize) -> Tally {
        Tally { targets: (0..targets).map(|_| (0, 0, Recorder::new())).collect(), ..self }
    }

    /// What [`Tally::answered`] counted came from this target. Targets that are not told apart are passed over.
    #[inline]
    pub fn target_answered(&mut self, target: usize, service_ns: u64, response_ns: u64) {
        if let Some((answered, _, times)) = self.targets.get_mut(target) {
            *answered += 1;
            times.record(if self.open_loop { response_ns } else { service_ns });
        }
    }

    /// What [`Tally::failed`] counted was this target's.
    pub fn target_failed(&mut self, target: usize) {
        if let Some((_, failed, _)) = self.targets.get_mut(target) {
            *failed += 1;
        }
    }

    /// The schedule asked for so many requests more. Not to be called in a closed loop.
    #[inline]
    pub fn planned(&mut self, requests: u64) {
        debug_assert!(self.open_loop, "a closed loop has no plan");
        self.counts.planned += requests;
    }

    /// A request is being sent. `lag_ns` is how much later than it could have been: now less the planned time, or less
    /// the moment when a connection came free for it if that was later. A closed loop passes 0, which is ignored.
    #[inline]
    pub fn sent(&mut self, lag_ns: u64) {
        self.counts.sent += 1;
        if self.open_loop {
            self.send_lag.record(lag_ns);
        } else {
            self.counts.planned += 1;
        }
    }

    /// A whole and right answer came: `service_ns` after its send and `response_ns` after its planned send (a closed
    /// loop passes anything there). An echo has no status.
    #[inline]
    pub fn answered(&mut self, status: Option<u16>, service_ns: u64, response_ns: u64) {
        self.counts.answered += 1;
        if let Some(status) = status {
            self.counts.statuses.count(status);
        }
        self.service.record(service_ns);
        if self.open_loop {
            self.response.record(response_ns);
        }
    }

    /// A request failed, or a connection could not be made for it. `status` where a whole answer came and was wrong;
    /// `text` is asked for the exact words, the first time only.
    #[inline]
    pub fn failed(&mut self, kind: ErrorKind, status: Option<u16>, text: impl FnOnce() -> String) {
        self.counts.errors.count(kind);
        if let Some(status) = status {
            self.counts.statuses.count(status);
        }
        self.counts.keep_example(kind, text);
    }

    /// A connection is established, in so long.
    #[inline]
    pub fn connected(&mut self, connect_ns: u64) {
        self.counts.connected += 1;
        self.connect.record(connect_ns);
    }

    /// A TLS handshake was made; `resumed` says whether it resumed a session.
    pub fn shook_hands(&mut self, resumed: bool) {
        self.counts.handshakes += 1;
        self.counts.resumed += u64::from(resumed);
    }

    /// Bytes were received.
    #[inline]
    pub fn received(&mut self, bytes: u64) {
        self.counts.bytes_in += bytes;
    }

    /// Bytes were sent.
    #[inline]
    pub fn wrote(&mut self, bytes: u64) {
        self.counts.bytes_out += bytes;
    }

    /// The counts so far in this second; its distributions are still empty.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Ends a second that began at `at_ns` and was `width_ns` long; the counters start afresh. Some 200 µs.
    pub fn take(&mut self, at_ns: u64, width_ns: u64, gauges: Gauges, health: Health) -> Second {
        let mut counts = std::mem::take(&mut self.counts);
        counts.service = self.service.take();
        counts.response = self.response.take();
        counts.connect = self.connect.take();
        counts.send_lag = self.send_lag.take();
        let take = |(answered, failed, times): &mut (u64, u64, Recorder)| TargetCounts {
            answered: std::mem::take(answered),
            failed: std::mem::take(failed),
            time: times.take(),
        };
        counts.targets = self.targets.iter_mut().map(take).collect();
        let Gauges { open, open_max, in_flight, backlog } = gauges;
        Second { at_ns, width_ns, counts, open, open_max, in_flight, backlog, health, marks: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_measures_from_the_plan_and_a_closed_one_has_none() {
        let mut open = Tally::new(true);
        open.planned(3);
        open.sent(10);
        open.answered(Some(200), 1_000, 5_000);
        open.failed(ErrorKind::Reset, None, || "reset by peer".to_owned());
        open.failed(ErrorKind::Reset, None, || unreachable!("one example is enough"));
        let gauges = Gauges { open: 7, open_max: 9, in_flight: 1, backlog: 2 };
        let second = open.take(0, 1_000_000_000, gauges, Health::default());
        let counts = &second.counts;
        assert_eq!((counts.planned, counts.sent, counts.answered, counts.errors.total()), (3, 1, 1, 2));
        assert_eq!((counts.service.max_ns(), counts.response.max_ns(), counts.send_lag.max_ns()), (1_000, 5_000, 10));
        assert_eq!(counts.headline().max_ns(), 5_000);
        assert_eq!(counts.examples.len(), 1);
        assert_eq!((second.open, second.open_max, second.in_flight, second.backlog), (7, 9, 1, 2));
        assert_eq!(open.take(0, 1, gauges, Health::default()).counts, Counts::default());

        let mut closed = Tally::new(false).with_targets(2);
        closed.target_answered(1, 1_000, 9_000);
        closed.target_failed(1);
        closed.target_answered(2, 1, 1);
        closed.sent(10);
        closed.answered(None, 1_000, 9_000);
        [true, false, true].into_iter().for_each(|resumed| closed.shook_hands(resumed));
        let counts = closed.take(0, 1, gauges, Health::default()).counts;
        assert_eq!((counts.planned, counts.sent, counts.handshakes, counts.resumed), (1, 1, 3, 2));
        assert!(counts.response.is_empty() && counts.send_lag.is_empty());
        assert_eq!(counts.headline().max_ns(), 1_000);
        let of = |n: usize| (counts.targets[n].answered, counts.targets[n].failed, counts.targets[n].time.max_ns());
        assert_eq!((of(0), of(1)), ((0, 0, 0), (1, 1, 1_000)));
    }
}
