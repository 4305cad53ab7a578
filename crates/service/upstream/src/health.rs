//! Active checks: what they ask of a server, and what they came to, for all workers.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Acquire, Ordering::Release};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use balance::{Checks, ServerId};

/// How the servers of an upstream are checked.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthPolicy {
    /// What is asked; none: it is enough that a connection comes about.
    pub probe: Option<Probe>,
    /// From the end of a check to the next.
    pub interval: Duration,
    /// The interval is shorter or longer by up to this share, so that checks of many servers do not stay in step.
    pub jitter: f64,
    /// How long a check may take, from the connection to the last byte that is looked at.
    pub timeout: Duration,
    /// Good checks in a row that bring a server up.
    pub rise: u32,
    /// Bad checks in a row that take it down.
    pub fall: u32,
}

/// A request that tells whether a server is well.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The target of a GET.
    pub path: String,
    /// The Host field; none: the server's own address.
    pub host: Option<String>,
    /// The statuses that are good.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// What the first 64 KiB of the answer's body must hold.
    pub body: Option<String>,
}

impl Probe {
    pub(crate) fn accepts(&self, status: u16) -> bool {
        self.statuses.iter().any(|range| range.contains(&status))
    }

    /// The good statuses, as they are configured.
    pub(crate) fn expected(&self) -> impl fmt::Display {
        let text = |range: &RangeInclusive<u16>| match range.start() == range.end() {
            true => range.start().to_string(),
            false => format!("{}xx", range.start() / 100),
        };
        self.statuses.iter().map(text).collect::<Vec<_>>().join(", ")
    }
}

/// What the checks of an upstream came to. One worker writes it, all of them read it, and it outlives a reload.
#[derive(Debug)]
pub struct Health {
    policy: HealthPolicy,
    servers: Box<[Standing]>,
    /// Moves with every change: so long as it stands still there is nothing to look at.
    generation: AtomicU32,
}

#[derive(Debug, Default)]
struct Standing {
    state: AtomicU8,
    /// Why it is down.
    why: ArcSwapOption<String>,
}

/// Not checked yet: taken for well, until the first check fails.
const UNPROVEN: u8 = 0;
const UP: u8 = 1;
const DOWN: u8 = 2;

impl Health {
    /// For so many servers. `before` says where a server stood until now: in another such value, at that place.
    pub fn new<'a>(
        policy: HealthPolicy,
        servers: usize,
        before: impl Fn(usize) -> Option<(&'a Health, usize)>,
    ) -> Arc<Health> {
        let standing = |i| match before(i).and_then(|(health, at)| health.servers.get(at)) {
            Some(old) => {
                Standing { state: AtomicU8::new(old.state.load(Acquire)), why: ArcSwapOption::new(old.why.load_full()) }
            }
            None => Standing::default(),
        };
        Arc::new(Health { policy, servers: (0..servers).map(standing).collect(), generation: AtomicU32::new(1) })
    }

    /// How they are checked.
    pub fn policy(&self) -> &HealthPolicy {
        &self.policy
    }

    /// Whether `server` is up, or not known to be down.
    pub fn is_up(&self, server: ServerId) -> bool {
        self.servers.get(server.index()).is_none_or(|s| s.state.load(Acquire) != DOWN)
    }

    /// Why `server` is down.
    pub fn why_down(&self, server: ServerId) -> Option<Arc<String>> {
        self.servers.get(server.index())?.why.load_full()
    }

    /// Moves when a server goes up or down. Cheap: an ordinary read of memory that hardly ever changes.
    #[inline]
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Acquire)
    }

    /// Where the checks of `server` begin.
    pub(crate) fn checks(&self, server: ServerId) -> Checks {
        let HealthPolicy { rise, fall, .. } = self.policy;
        match self.servers[server.index()].state.load(Acquire) {
            UNPROVEN => Checks::unproven(rise, fall),
            state => Checks::new(rise, fall, state == UP),
        }
    }

    /// Notes where `server` stands after a check. `why`: what was wrong, when it is down.
    pub(crate) fn note(&self, server: ServerId, up: bool, why: &str) {
        let standing = &self.servers[server.index()];
        let state = if up { UP } else { DOWN };
        let old = standing.state.load(Acquire);
        let has_other_reason = || standing.why.load().as_ref().is_none_or(|old| ***old != *why);
        if !up && !why.is_empty() && has_other_reason() {
            standing.why.store(Some(Arc::new(why.to_owned())));
        }
        if old != state {
            if up {
                standing.why.store(None);
            }
            standing.state.store(state, Release);
            // Release: who sees the new generation sees the new state.
            self.generation.fetch_add(u32::from(old != UNPROVEN || !up), Release);
        }
    }
}

/// An upstream's checks on one worker.
#[derive(Clone, Debug)]
pub struct HealthOptions {
    /// What they come to.
    pub shared: Arc<Health>,
    /// Whether this worker makes them; one does.
    pub here: bool,
}

impl PartialEq for HealthOptions {
    fn eq(&self, other: &HealthOptions) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) && self.here == other.here
    }
}

#[cfg(test)]
mod tests {
    use balance::RetryPolicy;
    use event_loop::{Driver, Worker, WorkerConfig};
    use net::Address;

    use super::*;
    use crate::{KeepAlive, Options, ServerOptions, Target, Timeouts, Upstream};

    #[test]
    fn the_reason_is_the_latest_ones() {
        let second = Duration::from_secs(1);
        let policy = HealthPolicy { probe: None, interval: second, jitter: 0.0, timeout: second, rise: 2, fall: 1 };
        let health = Health::new(policy, 1, |_| None);
        let server = ServerId(0);
        let why = || health.why_down(server).map(|why| why.to_string());
        health.note(server, false, "refused");
        let generation = health.generation();
        health.note(server, false, "status 500");
        assert_eq!((why().as_deref(), health.generation()), (Some("status 500"), generation));
        // A good check that does not bring it up yet tells no other reason.
        health.note(server, false, "");
        assert_eq!(why().as_deref(), Some("status 500"));
        health.note(server, true, "");
        assert!(why().is_none() && health.is_up(server) && health.generation() != generation);
    }

    #[test]
    fn of_many_that_are_down_three_are_named() {
        let second = Duration::from_secs(1);
        let policy = HealthPolicy { probe: None, interval: second, jitter: 0.0, timeout: second, rise: 1, fall: 1 };
        let health = Health::new(policy, 1_000, |_| None);
        let server = |number| ServerOptions {
            target: Target::Fixed(Address::Memory(number)),
            tls: None,
            weight: 1,
            backup: false,
            max_active: 0,
        };
        let keep_alive = KeepAlive { idle: 1, idle_timeout: second, max_requests: 1, max_age: second };
        let options = Options {
            proxy_protocol: None,
            name: "api".into(),
            servers: (0..1_000).map(server).collect(),
            timeouts: Timeouts { connect: second, header: second, body: second, tunnel: second },
            keep_alive,
            retry: RetryPolicy::default(),
            retries_per_second_min: 3,
            resolve: second,
            balancing: crate::Balancing::default(),
            health: Some(HealthOptions { shared: Arc::clone(&health), here: false }),
            hand_over: None,
        };
        let driver = Driver::Simulated { seed: 1 };
        let (worker, _) = Worker::new(WorkerConfig { driver, ..WorkerConfig::default() }).unwrap();
        let test = async {
            let upstream = Upstream::start(options, 0);
            (0..999).for_each(|number| health.note(ServerId(number), false, "refused"));
            assert!(upstream.no_server().sentence.ends_with("has no server that could take the request"));
            health.note(ServerId(999), false, "refused");
            assert!(upstream.pick_first().is_none());
            let sentence = upstream.no_server().sentence;
            assert!(sentence.ends_with("; and 997 more") && sentence.len() < 200, "{sentence}");
        };
        worker.block_on(test).unwrap();
    }
}
