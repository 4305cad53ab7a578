//! How long a read takes to be written back: which reads are measured, and what came of it.

use std::cell::Cell;

use event_loop::now;
use observe::Counter;

/// Buckets per power of two: a value is known to within 1/32, about 3 %.
const SUB_BITS: u32 = 5;
const SUBS: usize = 1 << SUB_BITS;
/// The longest time told apart, 2^37 ns: 137 s. Longer ones count as that.
const MAX_BITS: u32 = 37;
const BUCKETS: usize = (MAX_BITS - SUB_BITS + 1) as usize * SUBS;

/// A histogram that one worker writes and any thread reads. 8 KiB.
#[derive(Debug)]
pub struct Latency {
    buckets: Box<[Counter]>,
}

impl Default for Latency {
    fn default() -> Latency {
        Latency { buckets: (0..BUCKETS).map(|_| Counter::default()).collect() }
    }
}

impl Latency {
    /// Counts `nanos` as `weight` values. From the owning worker only.
    fn record(&self, nanos: u64, weight: u64) {
        self.buckets[bucket(nanos)].add(weight);
    }

    /// What was counted so far.
    pub fn snapshot(&self) -> Distribution {
        Distribution { counts: self.buckets.iter().map(Counter::value).collect() }
    }
}

/// Counts of a [`Latency`] at some moment, of a stretch of time, or of several workers together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    counts: Vec<u64>,
}

impl Distribution {
    /// Adds those of another worker.
    pub fn add(&mut self, other: &Distribution) {
        self.counts.resize(BUCKETS, 0);
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
    }

    /// What was counted since `earlier`.
    pub fn since(&self, earlier: &Distribution) -> Distribution {
        let before = earlier.counts.iter().copied().chain(std::iter::repeat(0));
        Distribution { counts: self.counts.iter().zip(before).map(|(now, then)| now.saturating_sub(then)).collect() }
    }

    /// The time in nanoseconds that a `share` (0 to 1) of the values do not exceed, to within 3 %; none when there is no value.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let total: u64 = self.counts.iter().sum();
        let wanted = ((total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let at = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(middle(at))
    }
}

/// Values below 32 have a bucket each; from there on each power of two has 32.
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.min((1 << MAX_BITS) - 1);
    if nanos < SUBS as u64 {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - SUB_BITS;
    (shift as usize + 1) * SUBS + (nanos >> shift) as usize - SUBS
}

fn middle(bucket: usize) -> u64 {
    let (row, column) = (bucket / SUBS, bucket % SUBS);
    if row == 0 {
        return column as u64;
    }
    let shift = row - 1;
    let low = ((SUBS + column) as u64) << shift;
    low + (1 << shift >> 1)
}

/// Nanoseconds since some moment, to be asked for a share of the reads.
pub type Clock = fn() -> u64;

/// Above this many reads a second only every eighth turn is measured.
const BUSY_READS: u64 = 20_000;
const BUSY_EVERY: u64 = 8;

/// Chooses the turns that are measured, so that the clock is not read for each read.
///
/// A read becomes readable when the poll reports it, and the reads of one turn are reported together: the clock is read before
/// the first read of a turn that is measured, and after each write of that turn. A busy worker measures one turn in eight, chosen
/// at random and not by the clock, which would prefer long turns; its values count eightfold. What is not seen is the time that bytes lie
/// in the socket before the poll reports them, while the worker is busy with its last turn.
#[derive(Debug)]
pub(crate) struct Sampler {
    clock: Clock,
    turn: Cell<u64>,
    /// When the turn began, in nanoseconds; 0 when it is not measured.
    begun: Cell<u64>,
    every: Cell<u64>,
    random: Cell<u64>,
    second: Cell<u32>,
    reads_before: Cell<u64>,
}

impl Sampler {
    pub(crate) fn new(clock: Clock) -> Sampler {
        Sampler {
            clock,
            turn: Cell::new(0),
            begun: Cell::new(0),
            every: Cell::new(0),
            random: Cell::new(0),
            second: Cell::new(0),
            reads_before: Cell::new(0),
        }
    }

    /// When the read that is about to be echoed was reported readable; 0 when it is not measured. `reads` is how many there were so far.
    pub(crate) fn begin(&self, reads: u64) -> u64 {
        let turn = event_loop::stats().turns;
        if self.turn.replace(turn) != turn {
            let measured = self.is_chosen(reads);
            self.begun.set(if measured { (self.clock)() } else { 0 });
        }
        self.begun.get()
    }

    /// Counts a read that was reported at `begun` and is written now.
    pub(crate) fn end(&self, begun: u64, latency: &Latency) {
        latency.record((self.clock)().saturating_sub(begun), self.every.get());
    }

    fn is_chosen(&self, reads: u64) -> bool {
        let second = now().0 / 1000;
        if self.second.replace(second) != second || self.every.get() == 0 {
            let busy = reads - self.reads_before.replace(reads) > BUSY_READS;
            self.every.set(if busy { BUSY_EVERY } else { 1 });
        }
        self.every.get() == 1 || self.next_random().is_multiple_of(BUSY_EVERY)
    }

    /// A linear congruence (Knuth's MMIX); its upper bits are random enough for a choice.
    fn next_random(&self) -> u64 {
        let next = self.random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random.set(next);
        next >> 40
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_found_within_three_percent() {
        for value in (0..2000).chain((11..37).map(|bits| (1 << bits) + 12_345 % (1 << bits))) {
            let found = middle(bucket(value));
            assert!(found.abs_diff(value) <= value / 32, "{value} became {found}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert!((1..BUCKETS).all(|at| middle(at) > middle(at - 1) && bucket(middle(at)) == at));
    }

    #[test]
    fn quantiles_of_workers_and_of_stretches() {
        let (one, two) = (Latency::default(), Latency::default());
        assert_eq!(one.snapshot().quantile(0.5), None);
        (0..90).for_each(|_| one.record(10, 1));
        let earlier = one.snapshot();
        two.record(20, 10);
        let mut both = Distribution::default();
        both.add(&one.snapshot());
        both.add(&two.snapshot());
        assert_eq!([0.0, 0.5, 0.9, 0.91, 1.0].map(|share| both.quantile(share)), [10, 10, 10, 20, 20].map(Some));
        one.record(30, 1);
        assert_eq!(one.snapshot().since(&earlier).quantile(0.5), Some(30));
        assert_eq!(one.snapshot().since(&Distribution::default()).quantile(0.5), Some(10));
    }
}
