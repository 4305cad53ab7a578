//! How many retries an upstream can bear.

use clock::Tick;

/// How many retries are allowed in every second, however few requests there are.
pub const RETRIES_PER_SECOND_MIN: u32 = 3;

const WINDOW_SECONDS: usize = 10;
const SECOND_MS: u32 = 1000;

/// Keeps retries to a share of the requests of the last 10 s, so that they cannot multiply the load on servers
/// that already fail; at least some in every second are allowed.
///
/// Contract: [`RetryBudget::request`] once for each request (not for its retries), [`RetryBudget::take`] before
/// each retry. `now` never goes back. The window moves in steps of a second.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    share: f64,
    per_second_min: u32,
    seconds: [Second; WINDOW_SECONDS],
    /// Which of them is the current one, and when it began.
    current: usize,
    began: Tick,
    /// The sums of all seconds.
    total: Second,
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    requests: u32,
    retries: u32,
}

impl RetryBudget {
    /// A budget of `share` retries for each request (0.2: one for five), and `per_second_min` in every second
    /// whatever the share. [`RETRIES_PER_SECOND_MIN`] is meant for a whole process: its workers share it out.
    pub fn new(share: f64, per_second_min: u32, now: Tick) -> RetryBudget {
        RetryBudget {
            share: if share.is_finite() { share.max(0.0) } else { 0.0 },
            per_second_min,
            seconds: [Second::default(); WINDOW_SECONDS],
            current: 0,
            began: now,
            total: Second::default(),
        }
    }

    /// Counts a request.
    pub fn request(&mut self, now: Tick) {
        self.roll(now);
        let second = &mut self.seconds[self.current].requests;
        *second = second.saturating_add(1);
        self.total.requests = self.total.requests.saturating_add(1);
    }

    /// Takes one retry, if it can be afforded.
    pub fn take(&mut self, now: Tick) -> bool {
        self.roll(now);
        let within_floor = self.seconds[self.current].retries < self.per_second_min;
        let within_share = f64::from(self.total.retries) + 1.0 <= self.share * f64::from(self.total.requests);
        if !within_floor && !within_share {
            return false;
        }
        self.seconds[self.current].retries += 1;
        self.total.retries += 1;
        true
    }

    fn roll(&mut self, now: Tick) {
        let elapsed = now.0.wrapping_sub(self.began.0);
        if elapsed >= SECOND_MS {
            self.move_on(elapsed / SECOND_MS);
        }
    }

    #[cold]
    fn move_on(&mut self, seconds: u32) {
        self.began = Tick(self.began.0.wrapping_add(seconds * SECOND_MS));
        for _ in 0..(seconds as usize).min(WINDOW_SECONDS) {
            self.current = (self.current + 1) % WINDOW_SECONDS;
            self.seconds[self.current] = Second::default();
        }
        let sum = |of: fn(&Second) -> u32| self.seconds.iter().map(of).fold(0, u32::saturating_add);
        self.total = Second { requests: sum(|s| s.requests), retries: sum(|s| s.retries) };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at_second(s: u64) -> Tick {
        Tick(u32::MAX - 4_321).after(Duration::from_secs(s))
    }

    /// How many retries are granted one after the other.
    fn drain(budget: &mut RetryBudget, now: Tick) -> u32 {
        (0..10_000).take_while(|_| budget.take(now)).count() as u32
    }

    fn requests(budget: &mut RetryBudget, n: u32, now: Tick) {
        (0..n).for_each(|_| budget.request(now));
    }

    #[test]
    fn the_least_is_granted_in_every_second_without_any_request() {
        let mut budget = RetryBudget::new(0.2, 3, at_second(0));
        for s in 0..30 {
            assert_eq!(drain(&mut budget, at_second(s)), 3, "second {s}");
        }
    }

    #[test]
    fn the_share_is_of_the_last_ten_seconds() {
        let mut budget = RetryBudget::new(0.2, 3, at_second(0));
        requests(&mut budget, 1_000, at_second(0));
        assert_eq!(drain(&mut budget, at_second(5)), 200);
        assert_eq!(drain(&mut budget, at_second(9)), 3, "the share is spent, the least is not");
        assert_eq!(drain(&mut budget, at_second(10)), 3, "the requests have left the window");
        requests(&mut budget, 2_000, at_second(11));
        assert_eq!(drain(&mut budget, at_second(11)), 400 - 206, "the retries of second 5 still count");
        assert_eq!(drain(&mut budget, at_second(15)), 200, "and no more");
    }

    #[test]
    fn a_long_silence_forgets_everything() {
        let mut budget = RetryBudget::new(1.0, 0, at_second(0));
        requests(&mut budget, 50, at_second(0));
        assert_eq!(drain(&mut budget, at_second(1_000_000)), 0);
        requests(&mut budget, 50, at_second(1_000_000));
        assert_eq!(drain(&mut budget, at_second(1_000_009)), 50);
    }

    #[test]
    fn a_share_that_is_no_number_is_none() {
        for share in [f64::NAN, f64::INFINITY, -1.0] {
            let mut budget = RetryBudget::new(share, 1, Tick(0));
            requests(&mut budget, 100, Tick(0));
            assert_eq!(drain(&mut budget, Tick(0)), 1, "{share}");
        }
    }
}
