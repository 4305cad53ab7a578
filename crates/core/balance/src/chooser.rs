//! How one of the servers that are fit for it is chosen.

use std::time::Duration;

use clock::Tick;

use crate::heap::LeastLoaded;
use crate::members::Members;
use crate::ring::{Ring, mix};
use crate::rotation::Rotation;
use crate::{Choice, ServerId, ServerSetup, Tried};

/// How a server is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// The one with the fewest requests under way for its weight; equals take turns by weight.
    LeastConnections,
    /// Of two at random, by weight, the one with fewer requests under way for its weight; of equals the first that was drawn.
    RandomTwo,
    /// Of two at random, by weight, the one that would answer sooner, going by its latest times to the head of an answer; the first
    /// that was drawn unless the other is quicker by more than [`EQUAL`].
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

/// Waits that differ by less than this factor are no reason to depart from the weights: they are times of single requests, and fade
/// by as much within a second or two.
const EQUAL: f64 = 1.1;

/// Milliseconds that are no different from none: the clock counts them whole, and may turn during the shortest answer.
const NOTHING: f64 = 1.0;

/// What a stride is for a weight of 1. Weights end at 1,000.
const STRIDE: u32 = 1 << 24;

/// What the times of the past are worth: after this long about a third.
const DECAY: Duration = Duration::from_secs(10);

/// What one server has to do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// Requests under way.
    pub(crate) active: u32,
    /// Its weight; 0: it gets no request.
    pub(crate) weight: u32,
    /// How far apart its turns are among equals.
    stride: u32,
    /// Milliseconds to the head of an answer: at once when it grows, slowly when it falls. 0: not known.
    latency: f64,
    measured: Tick,
}

impl Load {
    pub(crate) fn of_weight(weight: u32) -> Load {
        Load { weight, stride: STRIDE / weight.max(1), ..Load::default() }
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

    /// Requests under way for its weight. The one that would come does not count: idle servers of any weights are equals, and all of
    /// them get requests that come one after another.
    fn crowd(&self) -> u64 {
        u64::from(self.active) * u64::from(STRIDE) / u64::from(self.weight.max(1))
    }

    fn is_less_crowded(&self, than: &Load) -> bool {
        u64::from(self.active) * u64::from(than.weight) < u64::from(than.active) * u64::from(self.weight)
    }

    /// How long a request would wait, where an average server has `weight`.
    fn wait(&self, now: Tick, weight: f64) -> f64 {
        let turns = 1.0 + f64::from(self.active) * weight / f64::from(self.weight.max(1));
        self.present_latency(now).max(NOTHING) * turns
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
    Hash(Ring),
}

impl Chooser {
    /// All those of `servers` that are backups, or all that are not.
    pub(crate) fn new(policy: Policy, servers: &[ServerSetup], backup: bool, start: u16) -> Chooser {
        let weight = |s: &ServerSetup| if s.backup == backup { s.weight } else { 0 };
        let weights: Vec<u32> = servers.iter().map(weight).collect();
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let before = u64::from(start).checked_rem(total).unwrap_or(0);
        let other = |way| {
            let random = mix(u64::from(start)) | 1;
            Chooser::Other(Box::new(Other { members: Members::all_of(&weights), way, random }))
        };
        match policy {
            Policy::RoundRobin => {
                let mut rotation = Rotation::full(&weights);
                (0..before).for_each(|_| _ = rotation.next());
                Chooser::Rotation(rotation)
            }
            Policy::LeastConnections => Chooser::Least(least_loaded(&weights, before)),
            Policy::RandomTwo => other(Way::RandomTwo),
            Policy::Ewma => other(Way::Ewma),
            Policy::First => other(Way::First),
            Policy::Hash => {
                let identified = weights.iter().zip(servers).enumerate().filter(|(_, (weight, _))| **weight > 0);
                let points = identified.map(|(i, (weight, server))| (ServerId(i as u32), *weight, server.identity));
                other(Way::Hash(Ring::new(points)))
            }
        }
    }

    /// Takes a server in.
    pub(crate) fn insert(&mut self, server: ServerId) -> bool {
        match self {
            Chooser::Rotation(rotation) => rotation.insert(server),
            Chooser::Least(heap) => heap.insert(server),
            Chooser::Other(other) => other.members.insert(server),
        }
    }

    /// Takes a server out.
    pub(crate) fn remove(&mut self, server: ServerId) -> bool {
        match self {
            Chooser::Rotation(rotation) => rotation.remove(server),
            Chooser::Least(heap) => heap.remove(server),
            Chooser::Other(other) => other.members.remove(server),
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

    /// `server` has got a request, which makes its load this.
    #[inline]
    pub(crate) fn begun(&mut self, server: ServerId, load: &Load, choice: Choice) {
        let Chooser::Least(heap) = self else { return };
        match choice {
            Choice::Turn => heap.take_turn(server, load.crowd(), load.stride),
            Choice::Insisted => heap.put_off(server, load.crowd(), load.stride),
        }
    }

    /// A request to `server` has ended, which makes its load this.
    #[inline]
    pub(crate) fn ended(&mut self, server: ServerId, load: &Load) {
        if let Chooser::Least(heap) = self {
            heap.set_load(server, load.crowd());
        }
    }
}

/// All servers of these weights at rest, after so many turns.
fn least_loaded(weights: &[u32], turns: u64) -> LeastLoaded {
    let mut heap = LeastLoaded::none_of(weights.len());
    let stride = |server: ServerId| Load::of_weight(weights[server.index()]).stride;
    for server in (0..weights.len() as u32).map(ServerId).filter(|server| weights[server.index()] > 0) {
        heap.take_turn(server, 0, stride(server));
        heap.insert(server);
    }
    for _ in 0..turns {
        let Some(server) = heap.least() else { break };
        heap.take_turn(server, 0, stride(server));
    }
    heap
}

impl Other {
    fn next(&mut self, ask: &Ask<'_>) -> Option<ServerId> {
        if self.members.len() < 2 {
            return self.members.first();
        }
        match &self.way {
            Way::First => self.members.first(),
            Way::Hash(ring) => hashed(ring, ask, &self.members, |_| true),
            Way::RandomTwo | Way::Ewma => {
                let random = &mut self.random;
                match self.members.two(|bound| below(random, bound)) {
                    Some((one, two)) => Some(self.better(ask, one, two)),
                    None => self.members.first(),
                }
            }
        }
    }

    fn next_untried(&mut self, ask: &Ask<'_>, tried: &Tried) -> Option<ServerId> {
        let untried = |server: &ServerId| !tried.contains(*server);
        match &self.way {
            Way::First => self.members.iter().filter(untried).min(),
            Way::Hash(ring) => hashed(ring, ask, &self.members, untried),
            Way::RandomTwo | Way::Ewma => {
                // From anywhere, or else the first of equals would get all.
                let count = self.members.len();
                let from = below(&mut self.random, count as u64) as usize;
                let all = self.members.iter().cycle().skip(from).take(count);
                all.filter(untried).reduce(|one, two| self.better(ask, one, two))
            }
        }
    }

    fn better(&self, ask: &Ask<'_>, one: ServerId, two: ServerId) -> ServerId {
        let (a, b) = (&ask.loads[one.index()], &ask.loads[two.index()]);
        let second = match self.way {
            Way::Ewma => {
                let weight = self.members.total_weight() as f64 / self.members.len() as f64;
                b.wait(ask.now, weight) * EQUAL < a.wait(ask.now, weight)
            }
            _ => b.is_less_crowded(a),
        };
        if second { two } else { one }
    }
}

/// A number below `bound`, not 0; `random` (xorshift64*) goes on.
fn below(random: &mut u64, bound: u64) -> u64 {
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    let high = random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
    (high * bound) >> 32
}

/// The key's server among `members`; the next one on the ring when that has more than its bounded share under way:
/// those that are down have none.
fn hashed(ring: &Ring, ask: &Ask<'_>, members: &Members, may: impl Fn(&ServerId) -> bool) -> Option<ServerId> {
    let fit = |server: ServerId| members.contains(server) && may(&server);
    let share = BOUND * (f64::from(ask.active) + 1.0) / members.total_weight().max(1) as f64;
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
    members.iter().filter(may).max_by(better)
}
