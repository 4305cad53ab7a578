//! Turns that take too long, and the task that is to blame.
//!
//! While a turn lasts, everybody else on the worker waits. Its length comes from the two looks at the clock that a turn
//! makes anyway. Timing every task would cost more than many of them do, so that begins only after a long turn, and ends
//! when the worker has been well for a while.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A turn longer than this is told. Far above what the budgets of a turn allow, far below what a client would notice as
/// an outage.
const LONG: Duration = Duration::from_millis(100);

/// So many turns after a long one, each task is timed.
const SUSPICIOUS_TURNS: u32 = 10_000;

/// A turn of a worker that took longer than 100 ms: nobody else was served meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongTurn {
    /// How long it took, its wait for events not counted.
    pub took: Duration,
    /// The slowest of its tasks and what it took; not known of the first long turn after a time without.
    pub slowest: Option<(&'static str, Duration)>,
}

#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) long_turns: Cell<u64>,
    pub(crate) longest: Cell<Duration>,
    suspicious: Cell<u32>,
    slowest: Cell<Option<(&'static str, Duration)>>,
}

impl Watch {
    /// Whether the tasks of this turn are timed.
    #[inline]
    pub(crate) fn is_suspicious(&self) -> bool {
        self.suspicious.get() > 0
    }

    /// Runs a task and times it; `run` says what it was.
    #[cold]
    pub(crate) fn time(&self, run: impl FnOnce() -> &'static str) {
        let begun = Instant::now();
        let name = run();
        let took = begun.elapsed();
        if self.slowest.get().is_none_or(|(_, longest)| took > longest) {
            self.slowest.set(Some((name, took)));
        }
    }

    /// Takes note of the length of a turn; says what is worth saying.
    #[inline]
    pub(crate) fn turn_ended(&self, took: Duration) -> Option<LongTurn> {
        if took <= LONG && !self.is_suspicious() { None } else { self.judge(took) }
    }

    #[cold]
    fn judge(&self, took: Duration) -> Option<LongTurn> {
        let slowest = self.slowest.take();
        self.suspicious.set(self.suspicious.get().saturating_sub(1));
        if took <= LONG {
            return None;
        }
        self.suspicious.set(SUSPICIOUS_TURNS);
        self.long_turns.set(self.long_turns.get() + 1);
        self.longest.set(self.longest.get().max(took));
        Some(LongTurn { took, slowest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_suspected_until_enough_good_ones_followed() {
        let watch = Watch::default();
        assert_eq!(watch.turn_ended(LONG), None);
        assert!(!watch.is_suspicious());
        let long = LONG + Duration::from_nanos(1);
        assert_eq!(watch.turn_ended(long), Some(LongTurn { took: long, slowest: None }));
        watch.time(|| "quick");
        watch.time(|| {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(20) {}
            "slow"
        });
        let told = watch.turn_ended(2 * long).and_then(|turn| turn.slowest);
        assert_eq!(told.map(|(name, _)| name), Some("slow"));
        assert_eq!((watch.long_turns.get(), watch.longest.get()), (2, 2 * long));
        for _ in 0..SUSPICIOUS_TURNS {
            assert!(watch.is_suspicious());
            watch.time(|| "of an earlier turn");
            assert_eq!(watch.turn_ended(Duration::ZERO), None);
        }
        assert!(!watch.is_suspicious());
        assert_eq!(watch.turn_ended(long).and_then(|turn| turn.slowest), None);
    }
}
