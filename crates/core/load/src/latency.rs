//! Distributions of times: recorded densely, kept and merged as sparse buckets.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Significant decimal digits that a recorded time keeps: a percentile is within 0.1 % of the true one.
pub const PRECISION_DIGITS: u8 = 3;

/// The longest time that is told apart from longer ones in the buckets: an hour. Minimum, maximum and mean stay exact.
pub const TIME_NS_MAX: u64 = 3_600_000_000_000;

/// Takes single times, on the hot path.
///
/// Recording costs some 10 ns and allocates nothing; the buckets take 132 KiB. Call [`Recorder::take`] now and
/// then (once a second) to get what has been recorded and start afresh.
#[derive(Clone, Debug)]
pub struct Recorder {
    histogram: Histogram<u32>,
    count: u64,
    min_ns: u64,
    max_ns: u64,
    sum_ns: u64,
}

impl Recorder {
    /// An empty recorder.
    pub fn new() -> Recorder {
        let histogram = Histogram::new_with_bounds(1, TIME_NS_MAX, PRECISION_DIGITS)
            .expect("the bounds are constants in the range that hdrhistogram takes");
        Recorder { histogram, count: 0, min_ns: u64::MAX, max_ns: 0, sum_ns: 0 }
    }

    /// Records one time.
    #[inline]
    pub fn record(&mut self, time_ns: u64) {
        self.histogram.saturating_record(time_ns);
        self.count += 1;
        self.min_ns = self.min_ns.min(time_ns);
        self.max_ns = self.max_ns.max(time_ns);
        self.sum_ns = self.sum_ns.saturating_add(time_ns);
    }

    /// How many have been recorded since the last [`Recorder::take`].
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What has been recorded since the last call; the recorder is empty afterwards. Reads all buckets: some 100 µs.
    pub fn take(&mut self) -> Latency {
        if self.count == 0 {
            return Latency::default();
        }
        let buckets = self.histogram.iter_recorded().map(|step| {
            let middle = self.histogram.median_equivalent(step.value_iterated_to());
            Bucket(middle, u64::from(step.count_at_value()))
        });
        let taken = Latency {
            count: self.count,
            min_ns: self.min_ns,
            max_ns: self.max_ns,
            sum_ns: self.sum_ns as f64,
            buckets: buckets.collect(),
        };
        self.histogram.reset();
        (self.count, self.min_ns, self.max_ns, self.sum_ns) = (0, u64::MAX, 0, 0);
        taken
    }
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder::new()
    }
}

/// The middle of a bucket in nanoseconds, and how many times fell into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket(
    /// The middle of the bucket, in nanoseconds.
    pub u64,
    /// How many times fell into it; never 0.
    pub u64,
);

/// A distribution of times: what percentiles, averages and pictures are made from.
///
/// Buckets that hold nothing are not stored. Count, minimum, maximum and mean are exact; percentiles are as precise as
/// the buckets ([`PRECISION_DIGITS`], or the coarser [`Latency::coarsen`]).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Latency {
    count: u64,
    min_ns: u64,
    max_ns: u64,
    sum_ns: f64,
    buckets: Vec<Bucket>,
}

impl Latency {
    /// The distribution of these times.
    pub fn of(times_ns: impl IntoIterator<Item = u64>) -> Latency {
        let mut recorder = Recorder::new();
        times_ns.into_iter().for_each(|time| recorder.record(time));
        recorder.take()
    }

    /// How many times there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The shortest, exactly; 0 when there are none.
    pub fn min_ns(&self) -> u64 {
        self.min_ns
    }

    /// The longest, exactly; 0 when there are none.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The average, exactly; 0 when there are none.
    pub fn mean_ns(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_ns / self.count as f64 }
    }

    /// The standard deviation, from the buckets; 0 when there are none.
    pub fn deviation_ns(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let mean = self.mean_ns();
        let squares: f64 = self.buckets.iter().map(|b| (b.0 as f64 - mean).powi(2) * b.1 as f64).sum();
        (squares / self.count as f64).sqrt()
    }

    /// The least time that at least `percent` of all times do not exceed; 100 gives the maximum, and an empty
    /// distribution gives 0.
    pub fn percentile_ns(&self, percent: f64) -> u64 {
        self.rank_ns(rank(percent, self.count))
    }

    /// The least time that at least `percent` of `total` requests do not exceed, where those of them that are not in
    /// this distribution never had an answer; `None` when too few had one.
    ///
    /// This is the percentile to hold a promise against: a request that failed was not answered in time.
    pub fn percentile_of_all_ns(&self, percent: f64, total: u64) -> Option<u64> {
        let rank = rank(percent, total.max(self.count));
        (rank <= self.count && self.count > 0).then(|| self.rank_ns(rank))
    }

    /// The share (0 to 1) of times that do not exceed `time_ns`, as precise as the buckets; 1 when there are none.
    pub fn share_within(&self, time_ns: u64) -> f64 {
        if self.count == 0 || time_ns >= self.max_ns {
            return 1.0;
        }
        let within: u64 = self.buckets.iter().take_while(|b| b.0 <= time_ns).map(|b| b.1).sum();
        within as f64 / self.count as f64
    }

    /// The buckets, from the shortest time to the longest.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// Adds another's times. Costs a pass over both.
    pub fn merge(&mut self, other: &Latency) {
        if other.is_empty() {
            return;
        }
        if self.is_empty() {
            *self = other.clone();
            return;
        }
        self.count = self.count.saturating_add(other.count);
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.sum_ns += other.sum_ns;
        self.buckets = merged(&self.buckets, &other.buckets);
    }

    /// Joins buckets until each holds 1/64 of its octave: percentiles are then within 0.8 %, and the whole takes
    /// a few KiB at most.
    pub fn coarsen(&mut self) {
        let mut joined: Vec<Bucket> = Vec::new();
        for bucket in &self.buckets {
            let middle = coarse_middle(bucket.0);
            match joined.last_mut() {
                Some(last) if last.0 == middle => last.1 += bucket.1,
                _ => joined.push(Bucket(middle, bucket.1)),
            }
        }
        joined.shrink_to_fit();
        self.buckets = joined;
    }

    fn rank_ns(&self, rank: u64) -> u64 {
        if rank >= self.count {
            return self.max_ns;
        }
        let mut seen = 0;
        let found = self.buckets.iter().find(|b| {
            seen += b.1;
            seen >= rank
        });
        found.map_or(self.max_ns, |b| b.0).clamp(self.min_ns, self.max_ns)
    }
}

/// The place, from 1, of the time at `percent` among `count` times in order.
fn rank(percent: f64, count: u64) -> u64 {
    // Without the small step back, 99.9 % of 1000 would be the place 1000: the binary number nearest to 99.9 is above it.
    let exact = percent / 100.0 * count as f64;
    ((exact - exact * 1e-12).ceil() as u64).max(1)
}

/// Bits below the leading one that a coarse bucket keeps.
const COARSE_BITS: u32 = 6;

fn coarse_middle(time_ns: u64) -> u64 {
    let bits = u64::BITS - time_ns.leading_zeros();
    let dropped = bits.saturating_sub(COARSE_BITS + 1);
    ((time_ns >> dropped) << dropped) + ((1 << dropped) >> 1)
}

fn merged(a: &[Bucket], b: &[Bucket]) -> Vec<Bucket> {
    let mut out = Vec::with_capacity(a.len().max(b.len()));
    let (mut i, mut j) = (0, 0);
    loop {
        match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) if x.0 == y.0 => {
                out.push(Bucket(x.0, x.1.saturating_add(y.1)));
                (i, j) = (i + 1, j + 1);
            }
            (Some(x), Some(y)) if x.0 < y.0 => {
                out.push(*x);
                i += 1;
            }
            (_, Some(y)) => {
                out.push(*y);
                j += 1;
            }
            (Some(x), None) => {
                out.push(*x);
                i += 1;
            }
            (None, None) => return out,
        }
    }
}

/// What a saved distribution looks like before it is believed.
#[derive(Deserialize)]
struct Unchecked {
    count: u64,
    min_ns: u64,
    max_ns: u64,
    sum_ns: f64,
    buckets: Vec<Bucket>,
}

impl TryFrom<Unchecked> for Latency {
    type Error = &'static str;

    fn try_from(saved: Unchecked) -> Result<Latency, &'static str> {
        let Unchecked { count, min_ns, max_ns, sum_ns, buckets } = saved;
        let total =
            buckets.iter().try_fold(0u64, |sum, b| sum.checked_add(b.1)).ok_or("more times than can be counted")?;
        if total != count {
            return Err("the buckets of a distribution do not add up to its count");
        }
        if !buckets.is_sorted_by(|a, b| a.0 < b.0) || buckets.iter().any(|b| b.1 == 0) {
            return Err("the buckets of a distribution are out of order");
        }
        if min_ns > max_ns || !sum_ns.is_finite() || sum_ns < 0.0 {
            return Err("the bounds of a distribution contradict each other");
        }
        Ok(Latency { count, min_ns, max_ns, sum_ns, buckets })
    }
}

#[cfg(test)]
mod tests;
