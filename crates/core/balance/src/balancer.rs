//! Picking a server of one upstream.

use std::time::Duration;

use clock::Tick;

use crate::rotation::Rotation;
use crate::{ServerId, Tried};

/// How long a server is passed over after its first failed connect; each further one doubles it.
const MARK_FIRST: Duration = Duration::from_secs(1);

/// The longest time a server is passed over without a further try.
const MARK_MAX: Duration = Duration::from_secs(10);

/// Picks servers by smooth weighted round robin; one for each upstream and worker.
///
/// A server is in one of four states:
///
/// ```text
///             connect_failed                    mark runs out
///   healthy ------------------> marked (1..10 s) ------------> on trial
///      ^                          ^  |                           |  |
///      |                          |  | succeeded                 |  | succeeded
///      |                          +--|-- picked, or failed ------+  |
///      +-----------------------------+------------------------------+
///
///   any state -- set_available(false) --> down -- set_available(true) --> healthy
/// ```
///
/// A marked server is passed over while another can take the request. When its mark has run out it gets *one*
/// request for each further window until one succeeds, so that a dead server costs few requests a delay.
///
/// Contract: [`Balancer::pick`] for each try, then [`Balancer::connect_failed`] when no connection came about, or
/// [`Balancer::succeeded`] when one did; a try that ends otherwise need not be reported.
/// [`Balancer::set_available`] follows health checks. Ids out of range are ignored.
#[derive(Clone, Debug)]
pub struct Balancer {
    servers: Vec<Server>,
    /// The healthy ones and those on trial.
    rotation: Rotation,
    /// The marked ones, picked in turn when nobody else is left.
    marked: Vec<ServerId>,
    next_marked: usize,
    /// When the first mark runs out; means nothing while there is none.
    release_at: Tick,
}

#[derive(Clone, Copy, Debug)]
struct Server {
    weight: u32,
    down: bool,
    /// Connects that failed since the last that succeeded. Not 0 and in rotation: on trial.
    failures: u8,
    /// A request is on its way to it although it has failed: what comes of that counts.
    trial_under_way: bool,
    /// When its mark runs out; means nothing while it is not marked.
    marked_until: Tick,
}

impl Balancer {
    /// A balancer over servers 0, 1, 2... of these weights, all available. One of weight 0 is never picked.
    /// `start` is how many picks to begin after; each worker should pass its own number, or else all of them begin
    /// with the same server.
    pub fn new(weights: &[u32], start: u16) -> Balancer {
        let server = |weight: &u32| Server {
            weight: *weight,
            down: false,
            failures: 0,
            trial_under_way: false,
            marked_until: Tick(0),
        };
        let mut balancer = Balancer {
            servers: weights.iter().map(server).collect(),
            rotation: Rotation::full(weights),
            marked: Vec::new(),
            next_marked: 0,
            release_at: Tick(0),
        };
        for _ in 0..u64::from(start).checked_rem(balancer.rotation.total_weight()).unwrap_or(0) {
            balancer.rotation.next();
        }
        balancer
    }

    /// The server for the next try of a request that has been tried on `tried`. Preferred, in this order: untried
    /// ones in rotation, untried ones that are marked, then tried ones likewise. `None` only when every server is
    /// down. Costs the same for few servers and many, unless all have different weights.
    #[inline(always)]
    pub fn pick(&mut self, now: Tick, tried: &Tried) -> Option<ServerId> {
        if !self.marked.is_empty() && self.release_at.is_due(now) {
            self.release(now);
        }
        let server = if tried.is_empty() {
            self.rotation.next().or_else(|| self.turn_of_marked(tried))
        } else {
            self.pick_again(tried)
        }?;
        if self.servers[server.index()].failures > 0 {
            self.begin_trial(server, now);
        }
        self.check_invariants();
        Some(server)
    }

    /// No connection to `server` came about: refused, unreachable, timed out.
    pub fn connect_failed(&mut self, server: ServerId, now: Tick) {
        let Some(state) = self.servers.get_mut(server.index()) else { return };
        // Many requests may have been on their way when a server died: their failures tell nothing more.
        let told_before = state.failures > 0 && !state.trial_under_way;
        if state.down || state.weight == 0 || told_before {
            return;
        }
        state.failures = state.failures.saturating_add(1);
        state.trial_under_way = false;
        self.mark(server, now);
        self.check_invariants();
    }

    /// A connection to `server` came about. Costs next to nothing for a healthy server.
    pub fn succeeded(&mut self, server: ServerId) {
        let Some(state) = self.servers.get_mut(server.index()) else { return };
        if state.failures == 0 {
            return;
        }
        state.failures = 0;
        state.trial_under_way = false;
        if self.unmark(server) {
            self.rotation.insert(server);
        }
        self.check_invariants();
    }

    /// Takes a server out of use, or back into it with a clean record.
    pub fn set_available(&mut self, server: ServerId, available: bool) {
        let Some(state) = self.servers.get_mut(server.index()) else { return };
        if state.down != available {
            return;
        }
        state.down = !available;
        state.failures = 0;
        state.trial_under_way = false;
        if available {
            self.rotation.insert(server);
        } else {
            self.unmark(server);
            self.rotation.remove(server);
        }
        self.check_invariants();
    }

    /// How many servers there are, down or not.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Whether there is no server at all.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// How many servers can be picked, marked ones included.
    pub fn available(&self) -> usize {
        self.servers.iter().filter(|s| !s.down && s.weight > 0).count()
    }

    /// Whether `server` is passed over for failed connects.
    pub fn is_marked(&self, server: ServerId) -> bool {
        self.marked.contains(&server)
    }

    /// A further try: rare, so the order of preference may cost a look at every server.
    #[cold]
    fn pick_again(&mut self, tried: &Tried) -> Option<ServerId> {
        let nobody = Tried::none();
        self.rotation
            .next_untried(tried)
            .or_else(|| self.turn_of_marked(tried))
            .or_else(|| self.rotation.next())
            .or_else(|| self.turn_of_marked(&nobody))
    }

    fn turn_of_marked(&mut self, tried: &Tried) -> Option<ServerId> {
        let count = self.marked.len();
        let at = (0..count).map(|i| (self.next_marked + i) % count).find(|i| !tried.contains(self.marked[*i]))?;
        self.next_marked = (at + 1) % count;
        Some(self.marked[at])
    }

    /// `server` has failed and gets a request all the same; it gets no other by preference in this window.
    #[cold]
    fn begin_trial(&mut self, server: ServerId, now: Tick) {
        self.servers[server.index()].trial_under_way = true;
        if self.rotation.contains(server) {
            self.mark(server, now);
        }
    }

    fn mark(&mut self, server: ServerId, now: Tick) {
        let state = &mut self.servers[server.index()];
        let doublings = u32::from(state.failures.saturating_sub(1)).min(8);
        state.marked_until = now.after(MARK_MAX.min(MARK_FIRST * (1 << doublings)));
        self.rotation.remove(server);
        if !self.marked.contains(&server) {
            self.marked.push(server);
        }
        self.note_release();
    }

    fn unmark(&mut self, server: ServerId) -> bool {
        let Some(at) = self.marked.iter().position(|s| *s == server) else { return false };
        self.marked.remove(at);
        if at < self.next_marked {
            self.next_marked -= 1;
        }
        self.note_release();
        true
    }

    #[cold]
    fn release(&mut self, now: Tick) {
        let due: Vec<ServerId> =
            self.marked.iter().copied().filter(|s| self.servers[s.index()].marked_until.is_due(now)).collect();
        for server in due {
            self.unmark(server);
            self.rotation.insert(server);
        }
    }

    fn note_release(&mut self) {
        let first = self.marked.iter().map(|s| self.servers[s.index()].marked_until).reduce(Tick::min);
        self.release_at = first.unwrap_or(self.release_at);
        if self.next_marked >= self.marked.len() {
            self.next_marked = 0;
        }
    }

    /// Every server that can be picked is in rotation or marked, never both; the others are in neither.
    fn check_invariants(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        for (i, state) in self.servers.iter().enumerate() {
            let id = ServerId(i as u32);
            let places = usize::from(self.rotation.contains(id)) + self.marked.iter().filter(|s| **s == id).count();
            assert_eq!(places, usize::from(!state.down && state.weight > 0), "{id:?}");
            assert!(!self.is_marked(id) || state.failures > 0, "{id:?}");
        }
        assert!(self.next_marked == 0 || self.next_marked < self.marked.len());
    }
}

#[cfg(test)]
mod tests;
