//! Upstreams as the plan has them, for the workers.

use std::sync::Arc;

use balance::hash_of;
use config::{Address, Statuses};
use upstream::{HandOver, HandOverOptions, HashKey, Health, HealthOptions, HealthPolicy, Probe, StickyOptions, Target};

use crate::prepared::PrepareError;
use crate::tls_back::Back;

/// What the checks of each upstream come to. Where nothing has changed that they depend on they go on as they are; else
/// servers that stay keep their standing, as long as they are checked.
pub(crate) fn healths(
    new: &config::Plan,
    old: Option<(&config::Plan, &[Option<Arc<Health>>])>,
) -> Vec<Option<Arc<Health>>> {
    let of = |upstream: &config::Upstream| {
        let policy = upstream.health.as_ref()?;
        let before = old.and_then(|(plan, healths)| {
            let at = plan.upstreams.iter().position(|u| u.name == upstream.name)?;
            Some((&plan.upstreams[at], healths[at].as_ref()?))
        });
        let is_same = |a: &config::Server, b: &config::Server| a.address == b.address && a.tls == b.tls;
        if let Some((plan, health)) = before
            && plan.health.as_ref() == Some(policy)
            && plan.servers.len() == upstream.servers.len()
            && plan.servers.iter().zip(&upstream.servers).all(|(a, b)| is_same(a, b))
        {
            return Some(Arc::clone(health));
        }
        let standing = |i: usize| {
            let (plan, health) = before?;
            Some((&**health, plan.servers.iter().position(|s| is_same(s, &upstream.servers[i]))?))
        };
        Some(Health::new(health_policy(policy), upstream.servers.len(), standing))
    };
    new.upstreams.iter().map(of).collect()
}

fn health_policy(plan: &config::Health) -> HealthPolicy {
    let range = |statuses: &Statuses| match *statuses {
        Statuses::One(status) => status..=status,
        Statuses::Class(class) => u16::from(class) * 100..=u16::from(class) * 100 + 99,
    };
    let probe = plan.path.as_ref().map(|path| Probe {
        path: path.clone(),
        host: plan.host.clone(),
        statuses: plan.expect.iter().map(range).collect(),
        body: plan.body.clone(),
    });
    HealthPolicy {
        probe,
        interval: plan.interval,
        jitter: plan.jitter,
        timeout: plan.timeout,
        rise: plan.rise,
        fall: plan.fall,
    }
}

/// A worker and how many there are: figures of a process are shared out over them.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) worker: u16,
    pub(crate) workers: usize,
}

impl Place {
    /// This worker's part of `figure`; the parts add up to it.
    pub(crate) fn part_of(self, figure: usize) -> usize {
        figure / self.workers + usize::from(usize::from(self.worker) < figure % self.workers)
    }

    /// The part of what each worker needs one of. What remains of the figure for the `nth` server goes to other workers than
    /// that of the one before, or the first of them could do more than the rest with all of them.
    fn part_of_nth(self, figure: u64, nth: usize) -> usize {
        let worker = (usize::from(self.worker) + nth) % self.workers;
        let figure = figure.min(u64::from(u32::MAX)) as usize;
        Place { worker: worker as u16, ..self }.part_of(figure).max(1)
    }
}

/// An upstream of the plan as one worker is to have it.
///
/// # Errors
/// A name that no certificate can carry.
pub(crate) fn upstream_options(
    plan: &config::Upstream,
    back: Option<&Back>,
    health: Option<&Arc<Health>>,
    hand_over: &Arc<HandOver>,
    place: Place,
) -> Result<upstream::Options, PrepareError> {
    let keep = &plan.keep_alive;
    let workers = place.workers;
    let server = |(nth, s): (usize, &config::Server)| {
        let tls = back.filter(|_| s.tls).map(|back| back.to(&s.address)).transpose();
        let tls = tls.map_err(|e| PrepareError::new(format!("upstream {}: {e}", plan.name)))?;
        let max_active = s.max_connections.map_or(0, |max| place.part_of_nth(max, nth)) as u32;
        Ok(upstream::ServerOptions { target: target(&s.address), tls, weight: s.weight, backup: s.backup, max_active })
    };
    Ok(upstream::Options {
        name: plan.name.clone(),
        servers: plan.servers.iter().enumerate().map(server).collect::<Result<_, _>>()?,
        timeouts: upstream::Timeouts {
            connect: plan.timeouts.connect,
            header: plan.timeouts.header,
            body: plan.timeouts.body,
            tunnel: plan.timeouts.tunnel,
        },
        keep_alive: upstream::KeepAlive {
            idle: if keep.idle == 0 { 0 } else { place.part_of(keep.idle).max(1) },
            idle_timeout: keep.idle_timeout,
            max_requests: keep.max_requests.min(u64::from(u32::MAX)) as u32,
            max_age: keep.max_age,
        },
        proxy_protocol: plan.proxy_protocol,
        retry: plan.retry.clone(),
        retries_per_second_min: balance::RETRIES_PER_SECOND_MIN.div_ceil(workers as u32),
        resolve: plan.resolve,
        balancing: balancing(plan, place),
        health: health.map(|shared| HealthOptions {
            shared: Arc::clone(shared),
            here: hash_of(plan.name.as_bytes()) % workers as u64 == u64::from(place.worker),
        }),
        hand_over: (keep.hand_over && workers > 1).then(|| HandOverOptions {
            shared: Arc::clone(hand_over),
            worker: place.worker,
            workers: workers as u16,
        }),
    })
}

fn balancing(plan: &config::Upstream, place: Place) -> upstream::Balancing {
    let (policy, key) = match &plan.balance {
        config::Balance::RoundRobin => (balance::Policy::RoundRobin, HashKey::Client),
        config::Balance::LeastConnections => (balance::Policy::LeastConnections, HashKey::Client),
        config::Balance::RandomTwo => (balance::Policy::RandomTwo, HashKey::Client),
        config::Balance::Ewma => (balance::Policy::Ewma, HashKey::Client),
        config::Balance::First => (balance::Policy::First, HashKey::Client),
        config::Balance::Hash(key) => (balance::Policy::Hash, hash_key(key)),
    };
    upstream::Balancing {
        policy,
        key,
        queue: if plan.queue == 0 { 0 } else { place.part_of_nth(plan.queue, 0) },
        queue_timeout: plan.timeouts.queue,
        slow_start: plan.slow_start,
        ejection: plan.ejection,
        sticky: plan.sticky.as_ref().map(|sticky| StickyOptions {
            cookie: sticky.cookie.clone(),
            ttl: sticky.ttl,
            secret: sticky.secret.clone(),
        }),
    }
}

fn hash_key(key: &config::HashKey) -> HashKey {
    match key {
        config::HashKey::Client => HashKey::Client,
        config::HashKey::Header(name) => HashKey::Header(name.clone()),
        config::HashKey::Cookie(name) => HashKey::Cookie(name.clone()),
        config::HashKey::Path => HashKey::Path,
        config::HashKey::Query => HashKey::Query,
    }
}

fn target(address: &Address) -> Target {
    match address {
        Address::Tcp(addr) => Target::Fixed(net::Address::Tcp(*addr)),
        Address::Unix(path) => Target::Fixed(net::Address::Unix(path.clone())),
        Address::Name { host, port } => match memory_number(host) {
            Some(number) => Target::Fixed(net::Address::Memory(number)),
            None => Target::Name { host: host.clone(), port: *port },
        },
    }
}

/// In a simulation there are no names to look up; servers are called `N.memory`.
fn memory_number(host: &str) -> Option<u32> {
    event_loop::is_simulated().then(|| host.strip_suffix(".memory")?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(workers: usize, part: impl Fn(Place) -> usize) -> Vec<usize> {
        (0..workers).map(|worker| part(Place { worker: worker as u16, workers })).collect()
    }

    #[test]
    fn figures_are_shared_out_exactly() {
        for (total, workers) in [(1, 1), (7, 4), (8, 4), (3, 3), (20_000, 7), (0, 2)] {
            let parts = parts(workers, |place| place.part_of(total));
            assert_eq!(parts.iter().sum::<usize>(), total, "{parts:?}");
            assert!(parts[0] - parts[workers - 1] <= 1, "{parts:?}");
        }
    }

    #[test]
    fn each_worker_has_one_and_none_has_the_rest_of_all_servers() {
        for (max, workers, each) in
            [(3, 2, 3), (10, 4, 10), (1, 4, 4), (200, 16, 200), (u64::MAX, 1, u32::MAX as usize)]
        {
            for nth in 0..workers {
                assert_eq!(parts(workers, |place| place.part_of_nth(max, nth)).iter().sum::<usize>(), each);
            }
            let of_all = |place: Place| (0..workers).map(|nth| place.part_of_nth(max, nth)).sum::<usize>();
            assert_eq!(parts(workers, of_all), vec![each; workers], "as many servers as workers: as much for each");
        }
    }
}
