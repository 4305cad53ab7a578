//! Taking servers out of use for what came of requests.

use std::fmt;
use std::time::Duration;

use clock::Tick;

use crate::ServerId;

/// The longest ejection.
const LONGEST: Duration = Duration::from_secs(300);

/// A share of fewer results than this says nothing.
const RESULTS_LEAST: u32 = 10;

/// When a server is ejected, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EjectionPolicy {
    /// After so many failures in a row; 0: not for that.
    pub consecutive: u32,
    /// At this share of failures among at least ten results of a window; above 1: not for that.
    pub share: f64,
    /// What `share` is counted over.
    pub window: Duration,
    /// The first ejection's time. Each further one doubles it, up to five minutes; five minutes of service forget it.
    pub time: Duration,
    /// Never more than this share of the servers at a time.
    pub max_ejected: f64,
}

/// Counts results and says which server to eject. Feed it with [`Ejector::result`]; ask [`Ejector::release`] now and then.
/// It only says so: what follows is the caller's.
#[derive(Clone, Debug)]
pub struct Ejector {
    policy: EjectionPolicy,
    records: Vec<Record>,
    /// Those that are ejected, and until when.
    ejected: Vec<(ServerId, Tick)>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    in_a_row: u32,
    window_began: Tick,
    good: u32,
    bad: u32,
    times: u32,
    back_since: Tick,
    is_out: bool,
}

impl Ejector {
    /// For so many servers, none of which is ejected.
    pub fn new(policy: EjectionPolicy, servers: usize, now: Tick) -> Ejector {
        let record =
            Record { in_a_row: 0, window_began: now, good: 0, bad: 0, times: 0, back_since: now, is_out: false };
        Ejector { policy, records: vec![record; servers], ejected: Vec::new() }
    }

    /// A try on `server` ended. Gives the time for which it is ejected, if it is now. `others`: whether there would be a server
    /// left; asked when it matters.
    pub fn result(
        &mut self,
        server: ServerId,
        good: bool,
        now: Tick,
        others: impl FnOnce() -> bool,
    ) -> Option<Duration> {
        let record = self.records.get_mut(server.index()).filter(|record| !record.is_out)?;
        if now.since(record.window_began) >= self.policy.window {
            (record.good, record.bad, record.window_began) = (0, 0, now);
        }
        if good {
            record.in_a_row = 0;
            record.good = record.good.saturating_add(1);
            return None;
        }
        record.in_a_row = record.in_a_row.saturating_add(1);
        record.bad = record.bad.saturating_add(1);
        let results = record.good.saturating_add(record.bad);
        let in_a_row = self.policy.consecutive > 0 && record.in_a_row >= self.policy.consecutive;
        let share = results >= RESULTS_LEAST && f64::from(record.bad) >= self.policy.share * f64::from(results);
        if (in_a_row || share) && self.may_eject() && others() { Some(self.eject(server, now)) } else { None }
    }

    /// The next server whose time is over; it is back with a clean record.
    pub fn release(&mut self, now: Tick) -> Option<ServerId> {
        let at = self.ejected.iter().position(|(_, until)| until.is_due(now))?;
        let (server, _) = self.ejected.swap_remove(at);
        let record = &mut self.records[server.index()];
        *record = Record {
            in_a_row: 0,
            good: 0,
            bad: 0,
            window_began: now,
            back_since: now,
            times: record.times,
            is_out: false,
        };
        self.check_invariants();
        Some(server)
    }

    /// `server` is `old` of another ejector: what it did counts on, and so does its ejection, unless too many would be out. True when
    /// it is out. For a server of which nothing is known here yet.
    pub fn inherit(&mut self, server: ServerId, from: &Ejector, old: ServerId) -> bool {
        let until = from.ejected.iter().find(|(other, _)| *other == old).map(|(_, until)| *until);
        let until = until.filter(|_| self.may_eject());
        let (Some(record), Some(known)) = (self.records.get_mut(server.index()), from.records.get(old.index())) else {
            return false;
        };
        *record = Record { is_out: until.is_some(), ..*known };
        self.ejected.extend(until.map(|until| (server, until)));
        self.check_invariants();
        until.is_some()
    }

    /// Why `server` was ejected; for the log, behind [`Ejector::result`].
    pub fn why(&self, server: ServerId) -> impl fmt::Display {
        let EjectionPolicy { consecutive, window, .. } = self.policy;
        let record = self.records.get(server.index()).map(|r| (r.in_a_row, r.bad, r.good.saturating_add(r.bad)));
        let (in_a_row, bad, results) = record.unwrap_or_default();
        fmt::from_fn(move |f| match in_a_row {
            1 if consecutive == 1 => f.write_str("its latest answer was a failure"),
            n if consecutive > 0 && n >= consecutive => write!(f, "{n} failures in a row"),
            _ => write!(f, "{bad} of its {results} answers within {window:?} were failures"),
        })
    }

    /// How long it is until an ejected server is back.
    pub fn next_release(&self, now: Tick) -> Option<Duration> {
        self.ejected.iter().map(|(_, until)| until.since(now)).min()
    }

    /// How many servers are ejected.
    pub fn ejected(&self) -> usize {
        self.ejected.len()
    }

    fn may_eject(&self) -> bool {
        (self.ejected.len() + 1) as f64 <= self.policy.max_ejected * self.records.len() as f64
    }

    fn eject(&mut self, server: ServerId, now: Tick) -> Duration {
        let record = &mut self.records[server.index()];
        if now.since(record.back_since) >= LONGEST {
            record.times = 0;
        }
        let time = LONGEST.min(self.policy.time.saturating_mul(1 << record.times.min(16)));
        record.times = record.times.saturating_add(1);
        record.is_out = true;
        self.ejected.push((server, now.after(time)));
        self.check_invariants();
        time
    }

    /// The list holds those that are out, each once, and no more than the policy allows.
    fn check_invariants(&self) {
        if cfg!(debug_assertions) {
            assert_eq!(self.records.iter().filter(|r| r.is_out).count(), self.ejected.len());
            assert!(self.ejected.iter().all(|(server, _)| self.records[server.index()].is_out));
            assert!(self.ejected.len() as f64 <= self.policy.max_ejected * self.records.len() as f64);
        }
    }
}

/// Whether a server is up, going by checks: `rise` good ones in a row bring it up, `fall` bad ones take it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    rise: u32,
    fall: u32,
    up: bool,
    /// No check has ended yet, now or in another's time.
    unproven: bool,
    /// Checks in a row that speak against the present state.
    against: u32,
}

impl Checks {
    /// Begins with a state that earlier checks have found.
    pub fn new(rise: u32, fall: u32, up: bool) -> Checks {
        Checks { rise, fall, up, unproven: false, against: 0 }
    }

    /// Begins with a server of which nothing is known: it is taken for up, and its first check alone decides.
    pub fn unproven(rise: u32, fall: u32) -> Checks {
        Checks { unproven: true, ..Checks::new(rise, fall, true) }
    }

    /// A check ended. When that changed the state: by how many checks in a row.
    pub fn result(&mut self, good: bool) -> Option<u32> {
        let is_first = std::mem::take(&mut self.unproven);
        if good == self.up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        if !is_first && self.against < if self.up { self.fall } else { self.rise } {
            return None;
        }
        self.up = good;
        Some(std::mem::take(&mut self.against))
    }

    /// The state.
    pub fn is_up(&self) -> bool {
        self.up
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: EjectionPolicy = EjectionPolicy {
        consecutive: 3,
        share: 0.5,
        window: Duration::from_secs(10),
        time: Duration::from_secs(10),
        max_ejected: 0.5,
    };

    fn at(seconds: u64) -> Tick {
        Tick(u32::MAX - 50_000).after(Duration::from_secs(seconds))
    }

    #[test]
    fn failures_in_a_row_eject_and_the_time_doubles_up_to_five_minutes() {
        let mut ejector = Ejector::new(POLICY, 2, at(0));
        let mut now = 0;
        for expected in [10, 20, 40, 80, 160, 300, 300] {
            assert_eq!(ejector.result(ServerId(0), false, at(now), || true), None);
            assert_eq!(ejector.result(ServerId(0), false, at(now), || true), None);
            assert_eq!(ejector.result(ServerId(0), false, at(now), || true), Some(Duration::from_secs(expected)));
            assert_eq!(ejector.result(ServerId(0), false, at(now), || true), None, "late results change nothing");
            assert_eq!(ejector.release(at(now + expected - 1)), None);
            assert_eq!(ejector.next_release(at(now + expected - 3)), Some(Duration::from_secs(3)));
            now += expected;
            assert_eq!(ejector.release(at(now)), Some(ServerId(0)));
        }
        now += 300;
        (0..2).for_each(|_| assert_eq!(ejector.result(ServerId(0), false, at(now), || true), None));
        assert_eq!(
            ejector.result(ServerId(0), false, at(now), || true),
            Some(Duration::from_secs(10)),
            "it served long enough"
        );
    }

    #[test]
    fn a_success_ends_a_row_and_a_share_needs_ten_results() {
        let mut ejector = Ejector::new(POLICY, 4, at(0));
        for i in 0..9 {
            assert_eq!(ejector.result(ServerId(1), i % 2 == 0, at(1), || true), None);
        }
        assert!(ejector.result(ServerId(1), false, at(1), || true).is_some());
        assert_eq!(ejector.why(ServerId(1)).to_string(), "5 of its 10 answers within 10s were failures");
        for i in 0..100 {
            assert_eq!(ejector.result(ServerId(2), i % 3 != 0, at(2), || true), None, "a third is no half");
        }
    }

    #[test]
    fn the_last_server_stays() {
        let mut ejector = Ejector::new(POLICY, 4, at(0));
        let results = [false; 4].map(|good| ejector.result(ServerId(0), good, at(1), || false));
        assert_eq!(results, [None; 4]);
        assert!(ejector.result(ServerId(0), false, at(1), || true).is_some(), "as soon as there is another");
        assert_eq!(ejector.why(ServerId(0)).to_string(), "5 failures in a row");
    }

    #[test]
    fn checks_rise_and_fall() {
        let mut checks = Checks::new(2, 3, true);
        let results = [false, false, true, false, false, false].map(|good| checks.result(good));
        assert_eq!(results, [None, None, None, None, None, Some(3)]);
        assert!(!checks.is_up());
        assert_eq!([true, false, true, true].map(|good| checks.result(good)), [None, None, None, Some(2)]);
        assert!(checks.is_up());
    }

    #[test]
    fn the_first_check_of_all_decides_alone() {
        let mut checks = Checks::unproven(2, 3);
        assert!(checks.is_up());
        assert_eq!(checks.result(false), Some(1));
        assert_eq!([true, true].map(|good| checks.result(good)), [None, Some(2)]);
        let mut checks = Checks::unproven(2, 3);
        assert_eq!([true, false, false, false].map(|good| checks.result(good)), [None, None, None, Some(3)]);
    }

    proptest! {
        #[test]
        fn never_more_than_the_share(
            servers in 1usize..12, max in 0.0f64..=1.0, results in proptest::collection::vec((0u32..12, 0u8..4), 0..400),
        ) {
            let mut ejector = Ejector::new(EjectionPolicy { max_ejected: max, ..POLICY }, servers, at(0));
            for (i, (server, what)) in results.into_iter().enumerate() {
                let now = at(i as u64 / 4);
                ejector.result(ServerId(server), what == 0, now, || true);
                while ejector.release(now).is_some() {}
                prop_assert!(ejector.ejected() as f64 <= max * servers as f64);
            }
        }
    }
}
