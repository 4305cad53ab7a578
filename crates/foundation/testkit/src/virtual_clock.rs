//! Time that only a test moves.

use std::time::Duration;

use clock::Tick;

/// A clock that stands still until it is advanced, and never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtualClock {
    now: Tick,
}

impl VirtualClock {
    /// A clock at tick 0.
    pub fn new() -> VirtualClock {
        VirtualClock::default()
    }

    /// A clock at `now`; one shortly before `Tick(u32::MAX)` tests the wrap.
    pub fn at(now: Tick) -> VirtualClock {
        VirtualClock { now }
    }

    /// What time it is.
    pub fn now(&self) -> Tick {
        self.now
    }

    /// Moves on by `by`, rounded up to a whole millisecond, and says what time it is then.
    pub fn advance(&mut self, by: Duration) -> Tick {
        self.now = self.now.after(by);
        self.now
    }

    /// Moves on to `to`, if that lies ahead, and says what time it is then.
    pub fn advance_to(&mut self, to: Tick) -> Tick {
        if self.now.is_before(to) {
            self.now = to;
        }
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_moves_only_forward() {
        let mut clock = VirtualClock::at(Tick(u32::MAX - 1));
        assert_eq!(clock.advance(Duration::from_millis(3)), Tick(1));
        assert_eq!(clock.advance_to(Tick(u32::MAX)), Tick(1));
        assert_eq!(clock.advance_to(Tick(9)), Tick(9));
        assert_eq!(clock.now(), Tick(9));
    }
}
