//! What goes wrong on a simulated link, and at which byte.

use std::collections::VecDeque;
use std::time::Duration;

use clock::Tick;

use crate::random::Rng;

/// One kind of trouble in one direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The link ends here.
    Cut(CutKind),
    /// Nothing moves for so long; once.
    Stall {
        /// How long.
        ms: u32,
    },
    /// From here on every byte arrives so much later than it was written.
    Latency {
        /// How much later.
        ms: u32,
    },
    /// From here on a write takes at most so many bytes (at least 1).
    ShortWrite {
        /// The most a write takes.
        bytes_max: usize,
    },
    /// From here on a read gives at most so many bytes (at least 1).
    ShortRead {
        /// The most a read gives.
        bytes_max: usize,
    },
}

/// How a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutKind {
    /// An orderly end: what was written before still arrives, then the reader sees the end.
    Close,
    /// A reset: both sides get an error, and what was not yet read is lost.
    Reset,
}

/// A fault and the byte of the direction before which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultEvent {
    /// How many bytes have passed when it happens.
    pub at_byte: u64,
    /// What happens.
    pub fault: Fault,
}

/// What a random schedule may hold ([`FaultSchedule::random`]).
#[derive(Clone, Copy, Debug)]
pub struct FaultProfile {
    /// The events fall among so many first bytes.
    pub bytes: u64,
    /// At most so many events.
    pub events_max: usize,
    /// Whether the link may be cut.
    pub cuts: bool,
    /// The longest stall; 0 for none.
    pub stall_ms_max: u32,
    /// The longest latency; 0 for none.
    pub latency_ms_max: u32,
}

/// What a link does with a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteStep {
    /// It takes so many bytes; the reader may have them from `arrives` on.
    Take {
        /// How many; 0 only when none were offered.
        bytes: usize,
        /// When they arrive; never before what was taken earlier.
        arrives: Tick,
    },
    /// It takes nothing before then.
    Wait {
        /// When to try again.
        until: Tick,
    },
    /// It has ended.
    Cut(CutKind),
}

/// The faults of one direction of a link, in the order of their bytes.
///
/// The simulated transport asks [`FaultSchedule::write`] for every write (with 0 bytes to learn of a cut while
/// nothing is written) and [`FaultSchedule::read_limit`] for every read. Nothing here holds the bytes.
#[derive(Clone, Debug)]
pub struct FaultSchedule {
    events: VecDeque<FaultEvent>,
    passed: u64,
    stalled_until: Option<Tick>,
    last_arrival: Option<Tick>,
    latency_ms: u32,
    write_max: usize,
    read_max: usize,
    cut: Option<CutKind>,
}

impl FaultSchedule {
    /// A link without trouble.
    pub fn none() -> FaultSchedule {
        FaultSchedule::new(Vec::new())
    }

    /// A link with these events; they need not be in order.
    pub fn new(mut events: Vec<FaultEvent>) -> FaultSchedule {
        events.sort_by_key(|e| e.at_byte);
        FaultSchedule {
            events: events.into(),
            passed: 0,
            stalled_until: None,
            last_arrival: None,
            latency_ms: 0,
            write_max: usize::MAX,
            read_max: usize::MAX,
            cut: None,
        }
    }

    /// A link with the trouble that `rng` draws within `profile`.
    pub fn random(rng: &mut Rng, profile: &FaultProfile) -> FaultSchedule {
        let count = rng.index(profile.events_max + 1);
        let events = (0..count).filter_map(|_| {
            let at_byte = rng.below(profile.bytes);
            random_fault(rng, profile).map(|fault| FaultEvent { at_byte, fault })
        });
        FaultSchedule::new(events.collect())
    }

    /// What becomes of a write of `wanted` bytes at `now`.
    pub fn write(&mut self, wanted: usize, now: Tick) -> WriteStep {
        self.apply_due(now);
        if let Some(kind) = self.cut {
            return WriteStep::Cut(kind);
        }
        if let Some(until) = self.stalled_until {
            if !until.is_due(now) {
                return WriteStep::Wait { until };
            }
            self.stalled_until = None;
            // What lies behind the stall on the same byte happens now.
            return self.write(wanted, now);
        }
        let until_next = self.events.front().map_or(u64::MAX, |e| e.at_byte - self.passed);
        let bytes = wanted.min(self.write_max).min(usize::try_from(until_next).unwrap_or(usize::MAX));
        self.passed += bytes as u64;
        WriteStep::Take { bytes, arrives: self.arrival(now) }
    }

    /// How many of `available` bytes the next read gives.
    pub fn read_limit(&self, available: usize) -> usize {
        available.min(self.read_max)
    }

    /// How many bytes have passed.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// The events that have not happened yet.
    pub fn pending(&self) -> impl Iterator<Item = FaultEvent> {
        self.events.iter().copied()
    }

    fn apply_due(&mut self, now: Tick) {
        while self.cut.is_none() && self.stalled_until.is_none() {
            let Some(event) = self.events.pop_front_if(|e| e.at_byte <= self.passed) else { return };
            match event.fault {
                Fault::Cut(kind) => self.cut = Some(kind),
                Fault::Stall { ms } => self.stalled_until = Some(now.after(millis(ms))),
                Fault::Latency { ms } => self.latency_ms = ms,
                Fault::ShortWrite { bytes_max } => self.write_max = bytes_max.max(1),
                Fault::ShortRead { bytes_max } => self.read_max = bytes_max.max(1),
            }
        }
    }

    /// A stream never overtakes itself, even when its latency falls.
    fn arrival(&mut self, now: Tick) -> Tick {
        let mut arrives = now.after(millis(self.latency_ms));
        if let Some(last) = self.last_arrival
            && arrives.is_before(last)
        {
            arrives = last;
        }
        self.last_arrival = Some(arrives);
        arrives
    }
}

fn random_fault(rng: &mut Rng, profile: &FaultProfile) -> Option<Fault> {
    let up_to = |rng: &mut Rng, max: u32| 1 + rng.below(u64::from(max)) as u32;
    match rng.below(5) {
        0 if profile.cuts => Some(Fault::Cut(if rng.chance(1, 2) { CutKind::Close } else { CutKind::Reset })),
        1 if profile.stall_ms_max > 0 => Some(Fault::Stall { ms: up_to(rng, profile.stall_ms_max) }),
        2 if profile.latency_ms_max > 0 => Some(Fault::Latency { ms: up_to(rng, profile.latency_ms_max) }),
        3 => Some(Fault::ShortWrite { bytes_max: 1 + rng.index(64) }),
        4 => Some(Fault::ShortRead { bytes_max: 1 + rng.index(64) }),
        _ => None,
    }
}

fn millis(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(at_byte: u64, fault: Fault) -> FaultEvent {
        FaultEvent { at_byte, fault }
    }

    fn take(bytes: usize, arrives: u32) -> WriteStep {
        WriteStep::Take { bytes, arrives: Tick(arrives) }
    }

    #[test]
    fn a_link_without_trouble_takes_everything_at_once() {
        let mut link = FaultSchedule::none();
        assert_eq!(link.write(70_000, Tick(5)), take(70_000, 5));
        assert_eq!(link.read_limit(70_000), 70_000);
        assert_eq!(link.passed(), 70_000);
    }

    #[test]
    fn events_happen_at_their_byte_and_in_order() {
        let mut link = FaultSchedule::new(vec![
            at(10, Fault::Cut(CutKind::Reset)),
            at(4, Fault::Stall { ms: 50 }),
            at(4, Fault::ShortWrite { bytes_max: 3 }),
        ]);
        assert_eq!(link.write(100, Tick(0)), take(4, 0));
        assert_eq!(link.write(100, Tick(1)), WriteStep::Wait { until: Tick(51) });
        assert_eq!(link.write(100, Tick(50)), WriteStep::Wait { until: Tick(51) });
        assert_eq!(link.write(100, Tick(51)), take(3, 51));
        assert_eq!(link.write(100, Tick(51)), take(3, 51));
        assert_eq!(link.pending().count(), 1);
        assert_eq!(link.write(0, Tick(52)), WriteStep::Cut(CutKind::Reset));
        assert_eq!(link.write(1, Tick(99)), WriteStep::Cut(CutKind::Reset));
    }

    #[test]
    fn bytes_never_overtake_each_other() {
        let mut link = FaultSchedule::new(vec![at(0, Fault::Latency { ms: 100 }), at(1, Fault::Latency { ms: 1 })]);
        assert_eq!(link.write(5, Tick(0)), take(1, 100));
        assert_eq!(link.write(4, Tick(10)), take(4, 100));
        assert_eq!(link.write(4, Tick(200)), take(4, 201));
    }

    #[test]
    fn reads_are_short_but_never_empty() {
        let mut link = FaultSchedule::new(vec![at(0, Fault::ShortRead { bytes_max: 0 })]);
        assert_eq!(link.write(9, Tick(0)), take(9, 0));
        assert_eq!(link.read_limit(9), 1);
        assert_eq!(link.read_limit(0), 0);
    }

    #[test]
    fn random_schedules_keep_to_their_profile_and_always_get_through_without_cuts() {
        let profile = FaultProfile { bytes: 500, events_max: 8, cuts: false, stall_ms_max: 30, latency_ms_max: 0 };
        for seed in 0..100 {
            let mut link = FaultSchedule::random(&mut Rng::new(seed), &profile);
            assert!(
                link.pending()
                    .all(|e| { e.at_byte < 500 && !matches!(e.fault, Fault::Cut(_) | Fault::Latency { .. }) })
            );
            let (mut now, mut steps) = (Tick(0), 0);
            while link.passed() < 1000 {
                let left = (1000 - link.passed()) as usize;
                if let WriteStep::Wait { until } = link.write(left, now) {
                    assert!(now.is_before(until));
                    now = until;
                }
                steps += 1;
                assert!(steps < 2000, "seed {seed} makes progress");
            }
        }
    }
}
