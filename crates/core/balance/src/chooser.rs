//! How one of the servers that are fit for it is chosen.

use std::time::Duration;

use clock::Tick;

use crate::heap::LeastLoaded;
use crate::members::Members;
use crate::ring::{Ring, mix};
use crate::rotation::Rotation;
use crate::{ServerId, ServerSetup, Tried};

/// How a server is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// The one with the fewest requests under way for its weight.
    LeastConnections,
    /// Of two at random the one with fewer requests under way for its weight.
    RandomTwo,
    /// Of two at random the one that would answer sooner, going by its latest times to the head of an answer.
    Ewma,
    /// By a key of the request: the same key goes to the same server, unless that has far more than its share to do.
    Hash,
    /// The first in the list that is up and has room.
    First,
}

/// A server may have this much more under way than its share before keys are sent on to the next one.
const BOUND: f64 = 1.25;

/// So many requests under way are always within the bound, or else keys of a quiet upstream would wander.
const BOUND_LEAST: u32 = 4;

/// So many points of the ring are looked at. When hardly a server is left the next one that is fit may be far away.
const POINTS_LOOKED_AT: usize = 256;

/// What the times of the past are worth: after this long about a third.
const DECAY: Duration = Duration::from_secs(10);

/// What one server has to do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// Requests under way.
    pub(crate) active: u32,
    /// Its weight; 0: it gets no request.
    pub(crate) weight: u32,
    /// Milliseconds to the head of an answer: at once when it grows, slowly when it falls. 0: not known.
    latency: f64,
    measured: Tick,
}

impl Load {
    pub(crate) fn of_weight(weight: u32) -> Load {
        Load { weight, ..Load::default() }
    }

    /// Its times so far are those of `other`.
    pub(crate) fn inherit(&mut self, other: &Load) {
        (self.latency, self.measured) = (other.latency, other.measured);
    }

    /// A request took `took` to the head of its answer.
    pub(crate) fn measure(&mut self, took: Duration, now: Tick) {
        // The clock counts milliseconds; what is quicker is not nothing.
        let took = (took.as_millis() as f64).max(0.5);
        let old = self.present_latency(now);
        let share = (-now.since(self.measured).as_secs_f64() / DECAY.as_secs_f64()).exp();
        self.latency =
            if took >= old || self.latency == 0.0 { took } else { self.latency * share + took * (1.0 - share) };
        self.measured = now;
    }

    /// What is not measured any more is forgotten in time, so that a server that was slow once is asked again.
    fn present_latency(&self, now: Tick) -> f64 {
        self.latency * (-now.since(self.measured).as_secs_f64() / DECAY.as_secs_f64()).exp()
    }

    /// Requests under way for its weight, with the one that would come.
    fn crowd(&self) -> u64 {
        (u64::from(self.active) + 1) * 65_536 / u64::from(self.weight.max(1))
    }

    fn wait(&self, now: Tick) -> f64 {
        (self.present_latency(now) + 0.5) * self.crowd() as f64
    }
}

/// What a choice may depend on.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) now: Tick,
    pub(crate) key: u64,
    pub(crate) loads: &'a [Load],
    pub(crate) active: u32,
}

/// Chooses among the servers that are in.
#[derive(Clone, Debug)]
pub(crate) enum Chooser {
    Rotation(Rotation),
    Least(LeastLoaded),
    Other(Box<Other>),
}

#[derive(Clone, Debug)]
pub(crate) struct Other {
    members: Members,
    way: Way,
    random: u64,
}

#[derive(Clone, Debug)]
enum Way {
    RandomTwo,
    Ewma,
    First,
    /// The ring, and the sum of the weights of those that are in.
    Hash(Ring, u64),
}

impl Chooser {
    /// All those of `servers` that are backups, or all that are not.
    pub(crate) fn new(policy: Policy, servers: &[ServerSetup], backup: bool, start: u16) -> Chooser {
        let weight = |s: &ServerSetup| if s.backup == backup { s.weight } else { 0 };
        let ids = || (0..servers.len() as u32).map(ServerId).filter(|id| weight(&servers[id.index()]) > 0);
        let other = |way| {
            let mut members = Members::none_of(servers.len());
            for id in ids() {
                members.insert(id);
            }
            Chooser::Other(Box::new(Other { members, way, random: mix(u64::from(start)) | 1 }))
        };
        match policy {
            Policy::RoundRobin => {
                let weights: Vec<u32> = servers.iter().map(weight).collect();
                let mut rotation = Rotation::full(&weights);
                for _ in 0..u64::from(start).checked_rem(rotation.total_weight()).unwrap_or(0) {
                    rotation.next();
                }
                Chooser::Rotation(rotation)
            }
            Policy::LeastConnections => {
                let mut heap = LeastLoaded::none_of(servers.len());
                let count = servers.len().max(1);
                for i in 0..servers.len() {
                    let id = ServerId(((i + usize::from(start)) % count) as u32);
                    let server = &servers[id.index()];
                    heap.set_load(id, Load::of_weight(server.weight).crowd(), true);
                    if weight(server) > 0 {
                        heap.insert(id);
                    }
                }
                Chooser::Least(heap)
            }
            Policy::RandomTwo => other(Way::RandomTwo),
            Policy::Ewma => other(Way::Ewma),
            Policy::First => other(Way::First),
            Policy::Hash => {
                let points = ids().map(|id| (id, servers[id.index()].weight, servers[id.index()].identity));
                let total = ids().map(|id| u64::from(servers[id.index()].weight)).sum();
                other(Way::Hash(Ring::new(points), total))
            }
        }
    }

    /// Takes a server of that weight in.
    pub(crate) fn insert(&mut self, server: ServerId, weight: u32) -> bool {
        match self {
            Chooser::Rotation(rotation) => rotation.insert(server),
            Chooser::Least(heap) => heap.insert(server),
            Chooser::Other(other) => {
                let is_new = other.members.insert(server);
                other.weigh(|total| if is_new { total + u64::from(weight) } else { total });
                is_new
            }
        }
    }

    /// Takes a server of that weight out.
    pub(crate) fn remove(&mut self, server: ServerId, weight: u32) -> bool {
        match self {
            Chooser::Rotation(rotation) => rotation.remove(server),
            Chooser::Least(heap) => heap.remove(server),
            Chooser::Other(other) => {
                let was_in = other.members.remove(server);
                other.weigh(|total| if was_in { total - u64::from(weight) } else { total });
                was_in
            }
        }
    }

    pub(crate) fn contains(&self, server: ServerId) -> bool {
        match self {
            Chooser::Rotation(rotation) => rotation.contains(server),
            Chooser::Least(heap) => heap.contains(server),
            Chooser::Other(other) => other.members.contains(server),
        }
    }

    /// The next server.
    #[inline]
    pub(crate) fn next(&mut self, ask: &Ask<'_>) -> Option<ServerId> {
        match self {
            Chooser::Rotation(rotation) => rotation.next(),
            Chooser::Least(heap) => heap.least(),
            Chooser::Other(other) => other.next(ask),
        }
    }

    /// The next server that is not among `tried`. May look at all.
    pub(crate) fn next_untried(&mut self, ask: &Ask<'_>, tried: &Tried) -> Option<ServerId> {
        match self {
            Chooser::Rotation(rotation) => rotation.next_untried(tried),
            Chooser::Least(heap) => heap.least_of(|server| !tried.contains(server)),
            Chooser::Other(other) => other.next_untried(ask, tried),
        }
    }

    /// The load of `server` has changed; `chosen`: by a request that goes there.
    #[inline]
    pub(crate) fn loaded(&mut self, server: ServerId, load: &Load, chosen: bool) {
        if let Chooser::Least(heap) = self {
            heap.set_load(server, load.crowd(), chosen);
        }
    }
}

impl Other {
    fn weigh(&mut self, change: impl FnOnce(u64) -> u64) {
        if let Way::Hash(_, total) = &mut self.way {
            *total = change(*total);
        }
    }

    fn next(&mut self, ask: &Ask<'_>) -> Option<ServerId> {
        let count = self.members.list().len();
        if count < 2 {
            return self.members.list().first().copied();
        }
        match &self.way {
            Way::First => self.members.first(),
            Way::Hash(ring, total) => hashed(ring, *total, ask, &self.members, |_| true),
            Way::RandomTwo | Way::Ewma => {
                let one = self.below(count);
                let two = (one + 1 + self.below(count - 1)) % count;
                let list = self.members.list();
                Some(self.better(ask, list[one], list[two]))
            }
        }
    }

    fn next_untried(&self, ask: &Ask<'_>, tried: &Tried) -> Option<ServerId> {
        let untried = |server: &ServerId| !tried.contains(*server);
        match &self.way {
            Way::First => self.members.list().iter().copied().filter(untried).min(),
            Way::Hash(ring, total) => hashed(ring, *total, ask, &self.members, untried),
            _ => self.members.list().iter().copied().filter(untried).reduce(|one, two| self.better(ask, one, two)),
        }
    }

    fn better(&self, ask: &Ask<'_>, one: ServerId, two: ServerId) -> ServerId {
        let (a, b) = (&ask.loads[one.index()], &ask.loads[two.index()]);
        let second = match self.way {
            Way::Ewma => b.wait(ask.now) < a.wait(ask.now),
            _ => b.crowd() < a.crowd(),
        };
        if second { two } else { one }
    }

    /// A number below `bound`, not 0 (xorshift64*).
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let high = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((high * bound as u64) >> 32) as usize
    }
}

/// The key's server among `members`; the next one on the ring when that has more than its bounded share under way. `total` is
/// the sum of their weights: those that are down have no share.
fn hashed(
    ring: &Ring,
    total: u64,
    ask: &Ask<'_>,
    members: &Members,
    may: impl Fn(&ServerId) -> bool,
) -> Option<ServerId> {
    let fit = |server: ServerId| members.contains(server) && may(&server);
    let share = BOUND * (f64::from(ask.active) + 1.0) / total.max(1) as f64;
    let has_room = |server: ServerId| {
        let load = &ask.loads[server.index()];
        load.active < BOUND_LEAST.max((share * f64::from(load.weight)).ceil() as u32)
    };
    let on_ring = ring.find(ask.key, POINTS_LOOKED_AT, |server| fit(server) && has_room(server));
    on_ring.or_else(|| ring.find(ask.key, POINTS_LOOKED_AT, fit)).or_else(|| highest(ask, members, may))
}

/// The one that the key goes with best (rendezvous hashing): the same while the same are left.
#[cold]
fn highest(ask: &Ask<'_>, members: &Members, may: impl Fn(&ServerId) -> bool) -> Option<ServerId> {
    let chance = |server: &ServerId| {
        // A draw for each unit of weight, of which the best counts (as its power).
        let draw = (mix(ask.key ^ mix(u64::from(server.0) + 1)) >> 11) as f64 / (1u64 << 53) as f64;
        draw.powf(1.0 / f64::from(ask.loads[server.index()].weight.max(1)))
    };
    let better = |one: &ServerId, two: &ServerId| chance(one).total_cmp(&chance(two));
    members.list().iter().copied().filter(may).max_by(better)
}
