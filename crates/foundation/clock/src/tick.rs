//! Milliseconds of a worker's life.

use std::time::Duration;

/// A point in time: milliseconds since the worker began, wrapping after 49 days. Two ticks are compared by
/// their distance, which is right while they lie less than 24 days apart; no deadline is that far away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tick(pub u32);

/// The longest time ahead that is told apart from the past: 2^30 ms, about 12 days.
const FAR: u32 = 1 << 30;

impl Tick {
    /// This time and `duration` more, rounded up to a whole millisecond and capped at 12 days.
    #[inline]
    pub fn after(self, duration: Duration) -> Tick {
        // No 128-bit division: this is done several times a request.
        let ms = match u32::try_from(duration.as_secs()) {
            Ok(secs) if secs < FAR / 1000 => secs * 1000 + duration.subsec_nanos().div_ceil(1_000_000),
            _ => FAR,
        };
        Tick(self.0.wrapping_add(ms))
    }

    /// Whether this time has come at `now`.
    pub fn is_due(self, now: Tick) -> bool {
        (now.0.wrapping_sub(self.0) as i32) >= 0
    }

    /// Whether this lies before `other`.
    pub fn is_before(self, other: Tick) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// The earlier of two.
    pub fn min(self, other: Tick) -> Tick {
        if other.is_before(self) { other } else { self }
    }

    /// How many milliseconds after `earlier` this is; zero when it is not after it.
    #[inline]
    pub fn millis_since(self, earlier: Tick) -> u32 {
        (self.0.wrapping_sub(earlier.0) as i32).max(0) as u32
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_millis((self.0.wrapping_sub(earlier.0) as i32).max(0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_survives_the_wrap() {
        let before = Tick(u32::MAX - 5);
        let after = before.after(Duration::from_millis(10));
        assert!(before.is_before(after) && !after.is_before(before));
        assert!(!after.is_due(before) && after.is_due(after) && before.is_due(after));
        assert_eq!(after.since(before), Duration::from_millis(10));
        assert_eq!(before.since(after), Duration::ZERO);
        assert_eq!(before.min(after), before);
    }

    #[test]
    fn part_of_a_millisecond_is_a_whole_one() {
        assert_eq!(Tick(0).after(Duration::from_micros(1)), Tick(1));
        assert_eq!(Tick(0).after(Duration::from_nanos(1_999_999_999)), Tick(2000));
        assert_eq!(Tick(0).after(Duration::from_secs(u64::from(FAR / 1000) + 1)), Tick(FAR));
        assert_eq!(Tick(0).after(Duration::MAX), Tick(FAR));
    }
}
