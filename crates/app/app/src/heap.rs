//! When the heap's free pages are given back.

use std::sync::Arc;

use observe::{Counters, Kind};

use crate::facts::{failures_of, sum};

/// Handshakes since the last time that are worth it. Each leaves up to a kilobyte in holes between the sessions that stay, which
/// the allocator keeps for later.
const WORTH_IT: u64 = 500;

/// What stands for quiet between two looks: giving back makes whoever allocates wait for some milliseconds.
const QUIET: u64 = 20;

/// What handshakes are counted as that come to nothing.
const FAILED: [Kind; 2] = [Kind::TlsHandshake, Kind::TlsRefused];

/// Gives back what a burst of handshakes has left behind, once it is over.
pub(crate) struct Heap {
    counters: Vec<Arc<Counters>>,
    /// The handshakes there had been when pages were given back.
    given_back_at: u64,
    /// And at the last look.
    seen: u64,
}

impl Heap {
    /// Looks at the counters of all workers.
    pub(crate) fn new(counters: Vec<Arc<Counters>>) -> Heap {
        Heap { counters, given_back_at: 0, seen: 0 }
    }

    /// Gives back if it is worth it and nobody is in the middle of it. For every few seconds.
    pub(crate) fn look(&mut self) {
        // Those that failed have taken memory too: the larger their hello, the more.
        let failed: u64 = FAILED.iter().map(|kind| failures_of(&self.counters, *kind)).sum();
        let handshakes = sum(&self.counters, |counters| &counters.handshakes) + failed;
        if self.is_due(handshakes) {
            process::give_back_free_pages();
        }
    }

    fn is_due(&mut self, handshakes: u64) -> bool {
        let is_quiet = handshakes - self.seen < QUIET;
        self.seen = handshakes;
        let is_due = is_quiet && handshakes - self.given_back_at >= WORTH_IT;
        if is_due {
            self.given_back_at = handshakes;
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
        heap.look();
        assert_eq!(heap.seen, 600);
        heap.look();
        assert_eq!(heap.given_back_at, 600);
    }

    #[test]
    fn once_after_each_burst_and_never_within() {
        let mut heap = Heap::new(Vec::new());
        let mut due = |handshakes| heap.is_due(handshakes);
        assert_eq!([0, 400, 400].map(&mut due), [false; 3], "too few");
        assert_eq!([5_000, 9_000, 9_010, 9_010].map(&mut due), [false, false, true, false]);
        assert_eq!([9_600, 9_600, 9_600].map(&mut due), [false, true, false]);
    }
}
