//! When the heap's free pages are given back.

use std::sync::Arc;

use observe::{Counters, Kind};

use crate::facts::{failures_of, sum};

/// What has been done, or is to be done before something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Work {
    /// TLS handshakes, failed ones too. Each leaves up to a kilobyte in holes between the sessions that stay, which the allocator keeps
    /// for later.
    handshakes: u64,
    /// Requests. Those that were under way at once on connections that are idle now have left their buffers.
    requests: u64,
}

/// Work since the last time of which either part makes it worth it.
const WORTH_IT: Work = Work { handshakes: 500, requests: 5_000 };

/// What stands for quiet between two looks, both parts below it: giving back makes whoever allocates wait for some milliseconds.
const QUIET: Work = Work { handshakes: 20, requests: 200 };

/// What handshakes are counted as that come to nothing.
const FAILED: [Kind; 2] = [Kind::TlsHandshake, Kind::TlsRefused];

impl Work {
    fn since(self, before: Work) -> Work {
        Work { handshakes: self.handshakes - before.handshakes, requests: self.requests - before.requests }
    }
}

/// Gives back what a burst of handshakes or requests has left behind, once it is over.
pub(crate) struct Heap {
    counters: Vec<Arc<Counters>>,
    /// The work there had been when pages were given back.
    given_back_at: Work,
    /// And at the last look.
    seen: Work,
    /// Since then there was a look in the middle of much work: what comes to as much over hours is no burst.
    was_busy: bool,
}

impl Heap {
    /// Looks at the counters of all workers.
    pub(crate) fn new(counters: Vec<Arc<Counters>>) -> Heap {
        Heap { counters, given_back_at: Work::default(), seen: Work::default(), was_busy: false }
    }

    /// Gives back if it is worth it and nobody is in the middle of it. For every few seconds.
    pub(crate) fn look(&mut self) {
        // Those that failed have taken memory too: the larger their hello, the more.
        let failed: u64 = FAILED.iter().map(|kind| failures_of(&self.counters, *kind)).sum();
        let handshakes = sum(&self.counters, |counters| &counters.handshakes) + failed;
        let requests = sum(&self.counters, |counters| &counters.requests);
        if self.is_due(Work { handshakes, requests }) {
            process::give_back_free_pages();
        }
    }

    fn is_due(&mut self, work: Work) -> bool {
        let last = work.since(self.seen);
        let all = work.since(self.given_back_at);
        self.seen = work;
        let is_quiet = last.handshakes < QUIET.handshakes && last.requests < QUIET.requests;
        self.was_busy |= !is_quiet;
        let is_due =
            is_quiet && self.was_busy && (all.handshakes >= WORTH_IT.handshakes || all.requests >= WORTH_IT.requests);
        if is_due {
            self.given_back_at = work;
            self.was_busy = false;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_fail_count() {
        let counters = Arc::<Counters>::default();
        let mut heap = Heap::new(vec![Arc::clone(&counters)]);
        for _ in 0..300 {
            counters.failed(Kind::TlsHandshake);
            counters.failed(Kind::TlsRefused);
        }
        counters.requests.add(7);
        heap.look();
        assert_eq!(heap.seen, Work { handshakes: 600, requests: 7 });
        heap.look();
        assert_eq!(heap.given_back_at, heap.seen);
    }

    #[test]
    fn once_after_each_burst_of_handshakes_and_never_within() {
        let mut heap = Heap::new(Vec::new());
        let mut due = |handshakes| heap.is_due(Work { handshakes, requests: 0 });
        assert_eq!([0, 400, 400].map(&mut due), [false; 3], "too few");
        assert_eq!([5_000, 9_000, 9_010, 9_010].map(&mut due), [false, false, true, false]);
        assert_eq!([9_600, 9_600, 9_600].map(&mut due), [false, true, false]);
    }

    #[test]
    fn steady_light_work_is_no_burst() {
        let mut heap = Heap::new(Vec::new());
        assert!((1..1000).all(|look| !heap.is_due(Work { handshakes: 19 * look, requests: 199 * look })));
        let all = Work { handshakes: 20_000, requests: 199_000 };
        assert!(!heap.is_due(all), "this look finds much");
        assert!(heap.is_due(all) && !heap.is_due(all));
    }

    #[test]
    fn requests_after_the_handshakes_are_waited_for_and_have_a_time_of_their_own() {
        let mut heap = Heap::new(Vec::new());
        let mut due = |(handshakes, requests)| heap.is_due(Work { handshakes, requests });
        let burst = [(5_000, 0), (5_000, 3_000), (5_000, 6_000), (5_000, 6_002), (5_000, 6_004)];
        assert_eq!(burst.map(&mut due), [false, false, false, true, false]);
        let more = [(5_000, 10_900), (5_000, 10_902), (5_000, 11_150), (5_000, 11_150)];
        assert_eq!(more.map(&mut due), [false, false, false, true], "4,898 are too few");
    }
}
