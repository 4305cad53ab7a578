//! The slowest average a client may keep: time counts only while we wait for it.

use std::time::Duration;

use clock::Tick;

/// Time a client may be slow before its average counts.
const GRACE: Duration = Duration::from_secs(5);

/// Bytes and waiting time of one direction of one exchange.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes: u64,
    waited: Duration,
    waiting_since: Option<Tick>,
}

impl Pace {
    pub(crate) const fn new() -> Pace {
        Pace { bytes: 0, waited: Duration::ZERO, waiting_since: None }
    }

    /// We begin to wait; the time by which the client must move to keep `rate` bytes a second (none for 0).
    pub(crate) fn wait(&mut self, now: Tick, rate: u64) -> Option<Tick> {
        if self.waiting_since.is_none() {
            self.waiting_since = Some(now);
        }
        let earned = Duration::from_millis(self.bytes.saturating_mul(1000).checked_div(rate)?);
        Some(now.after((GRACE + earned).saturating_sub(self.waited)))
    }

    /// The client moved `bytes`.
    pub(crate) fn moved(&mut self, now: Tick, bytes: u64) {
        self.bytes += bytes;
        if let Some(since) = self.waiting_since.take() {
            self.waited += now.since(since);
        }
    }

    /// How many bytes moved so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drip_is_caught_and_a_fair_client_is_not() {
        let mut slow = Pace::new();
        let mut now = Tick(0);
        let mut caught = None;
        for _ in 0..100 {
            let by = slow.wait(now, 256).unwrap();
            now = now.after(Duration::from_secs(1));
            if by.is_due(now) {
                caught = Some(now);
                break;
            }
            slow.moved(now, 10);
        }
        // 10 of 256 bytes a second: the grace and what little was earned last a little over 5 s.
        assert_eq!(caught, Some(Tick(6000)));

        let mut fair = Pace::new();
        let mut now = Tick(0);
        for _ in 0..1000 {
            let by = fair.wait(now, 256).unwrap();
            now = now.after(Duration::from_secs(1));
            assert!(!by.is_due(now));
            fair.moved(now, 300);
        }
    }

    #[test]
    fn our_own_pauses_do_not_count() {
        let mut pace = Pace::new();
        pace.wait(Tick(0), 256);
        pace.moved(Tick(100), 10);
        // An hour passes under our own back-pressure.
        let by = pace.wait(Tick(3_600_000), 256).unwrap();
        assert!(!by.is_due(Tick(3_604_800)));
    }

    #[test]
    fn no_rate_no_deadline() {
        assert_eq!(Pace::new().wait(Tick(0), 0), None);
    }
}
