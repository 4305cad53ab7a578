//! Picking a server of one upstream.

use std::time::Duration;

use clock::Tick;

use crate::chooser::{Ask, Chooser, Load, Policy};
use crate::{ServerId, Tried};

/// How long a server is passed over after its first failed connect; each further one doubles it.
const MARK_FIRST: Duration = Duration::from_secs(1);

/// The longest time a server is passed over without a further try.
const MARK_MAX: Duration = Duration::from_secs(10);

/// So many failed connects in a row, a window apart at least, leave clients with a server that is kept for them alone.
const FORGIVEN: u8 = 2;

/// The least share of its turns that a server gets while it starts slowly.
const SLOW_LEAST: f64 = 0.1;

/// What is known of one server beforehand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerSetup {
    /// Its share of the requests; 0: it gets none but those that insist on it.
    pub weight: u32,
    /// It is used only when no other server is left.
    pub backup: bool,
    /// Requests under way at a time; 0: any number.
    pub max_active: u32,
    /// What it is told from others by when keys are hashed; of its address, for example.
    pub identity: u64,
}

/// Picks servers by a [`Policy`]; one for each upstream and worker.
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
/// request for each further window until one succeeds, so that a dead server costs few requests a delay. Only what comes of those doubles
/// its mark.
///
/// Contract: [`Balancer::pick`] for each try, then [`Balancer::connect_failed`] when no connection came about, or
/// [`Balancer::succeeded`] when one did; a try that ends otherwise need not be reported.
/// [`Balancer::set_available`] follows health checks. Ids out of range are ignored.
///
/// Policies that look at loads, and limits of requests under way, need two calls more: [`Balancer::begin`] behind each pick or take and
/// [`Balancer::end`] when that try is over. A full server is out of the choice until then. A backup is picked only when every
/// other server is down, ejected or marked.
#[derive(Clone, Debug)]
pub struct Balancer {
    servers: Vec<Server>,
    loads: Vec<Load>,
    /// Requests under way, as far as they are counted.
    active: u32,
    /// The healthy ones and those on trial that have room.
    chooser: Chooser,
    /// The same of the backups.
    backups: Option<Box<Chooser>>,
    /// Servers that would be in `chooser` if they had room.
    full: u32,
    slow_start: Duration,
    /// Those that came back a short time ago, and since when.
    warming: Vec<(ServerId, Tick, f64)>,
    /// The marked ones, picked in turn when nobody else is left.
    marked: Vec<ServerId>,
    next_marked: usize,
    /// When the first mark runs out; means nothing while there is none.
    release_at: Tick,
}

/// How a request came to its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It was the server's turn ([`Balancer::pick`]).
    Turn,
    /// It insisted on that server ([`Balancer::take`]): no turn, so that it changes nothing in how the others are shared.
    Insisted,
}

#[derive(Clone, Copy, Debug)]
struct Server {
    weight: u32,
    backup: bool,
    max_active: u32,
    /// Failed its checks.
    down: bool,
    /// Answered too badly.
    ejected: bool,
    /// Connects that failed since the last that succeeded. Not 0 and in rotation: on trial.
    failures: u8,
    /// A request is on its way to it although it has failed: what comes of that counts.
    trial_under_way: bool,
    /// When its mark runs out; means nothing while it is not marked.
    marked_until: Tick,
}

impl Balancer {
    /// A balancer over servers 0, 1, 2... of these weights, all available, in turn. One of weight 0 is never picked.
    /// `start` is how many picks to begin after; each worker should pass its own number, or else all of them begin
    /// with the same server.
    pub fn new(weights: &[u32], start: u16) -> Balancer {
        let setup = |weight: &u32| ServerSetup { weight: *weight, ..ServerSetup::default() };
        let servers: Vec<ServerSetup> = weights.iter().map(setup).collect();
        Balancer::with(&servers, Policy::RoundRobin, Duration::ZERO, start)
    }

    /// A balancer with all there is. A server that comes back takes `slow_start` to get its full share.
    pub fn with(servers: &[ServerSetup], policy: Policy, slow_start: Duration, start: u16) -> Balancer {
        let server = |s: &ServerSetup| Server {
            weight: s.weight,
            backup: s.backup,
            max_active: s.max_active,
            down: false,
            ejected: false,
            failures: 0,
            trial_under_way: false,
            marked_until: Tick(0),
        };
        let backups = servers.iter().any(|s| s.backup).then(|| Chooser::new(policy, servers, true, start));
        Balancer {
            servers: servers.iter().map(server).collect(),
            loads: servers.iter().map(|s| Load::of_weight(s.weight)).collect(),
            active: 0,
            chooser: Chooser::new(policy, servers, false, start),
            backups: backups.map(Box::new),
            full: 0,
            slow_start,
            warming: Vec::new(),
            marked: Vec::new(),
            next_marked: 0,
            release_at: Tick(0),
        }
    }

    /// The server for the next try of a request that has been tried on `tried`. Preferred, in this order: untried
    /// ones in rotation, untried ones that are marked, then tried ones likewise. `None` only when every server is
    /// down. Costs the same for few servers and many, unless all have different weights.
    #[inline(always)]
    pub fn pick(&mut self, now: Tick, tried: &Tried) -> Option<ServerId> {
        self.pick_for(now, tried, 0)
    }

    /// [`Balancer::pick`] for a key, which [`Policy::Hash`] goes by. `None` also while all that could be picked are full.
    #[inline(always)]
    pub fn pick_for(&mut self, now: Tick, tried: &Tried, key: u64) -> Option<ServerId> {
        if !self.marked.is_empty() && self.release_at.is_due(now) {
            self.release(now);
        }
        let server = if tried.is_empty() {
            let next = match &mut self.chooser {
                // It asks nothing.
                Chooser::Rotation(rotation) => rotation.next(),
                chooser => chooser.next(&Ask { now, key, loads: &self.loads, active: self.active }),
            };
            match next {
                Some(server) => server,
                None => self.last_resort(now, key)?,
            }
        } else {
            self.pick_again(now, tried, key)?
        };
        let server = if self.warming.is_empty() { server } else { self.slowly(server, now, tried, key) };
        if self.servers[server.index()].failures > 0 {
            self.begin_trial(server, now);
        }
        self.check_invariants();
        Some(server)
    }

    /// Whether `server` can take a request that insists on it, whatever its weight: nothing speaks against it and it has room. One of
    /// weight 0 that failed gets such a request for each window, since nobody else would ever find out that it is back.
    pub fn take(&mut self, server: ServerId, now: Tick) -> bool {
        let Some(state) = self.servers.get(server.index()) else { return false };
        if !state.is_in_use() || self.lacks_room(server) {
            return false;
        }
        let state = &mut self.servers[server.index()];
        if state.failures == 0 {
            return true;
        }
        let is_due = state.weight == 0 && state.marked_until.is_due(now);
        if is_due {
            state.trial_under_way = true;
            state.marked_until = now.after(state.mark());
        }
        is_due
    }

    /// Whether clients of `server` should stay with it, though it may be full. A single failed connect is no reason to leave one of
    /// weight 0: it gets no others, and who leaves it cannot come back.
    pub fn is_well(&self, server: ServerId) -> bool {
        let is_well = |s: &Server| s.is_in_use() && s.failures <= if s.weight == 0 { FORGIVEN } else { 0 };
        self.servers.get(server.index()).is_some_and(is_well)
    }

    /// Whether a server that is fit is left out only because it is full.
    pub fn is_full(&self) -> bool {
        // Of those that are marked for a failed connect, too: the time to wait for one is shorter than a mark lasts.
        self.full > 0 || self.marked.iter().any(|server| self.lacks_room(*server))
    }

    /// A request goes to `server`, which came to it by `choice`.
    pub fn begin(&mut self, server: ServerId, choice: Choice) {
        let Some(load) = self.loads.get_mut(server.index()) else { return };
        load.active += 1;
        self.active += 1;
        let state = self.servers[server.index()];
        if state.max_active != 0 && load.active == state.max_active && self.leave(server) {
            self.full += 1;
        }
        let load = self.loads[server.index()];
        self.chooser_of(server).begun(server, &load, choice);
        self.check_invariants();
    }

    /// A request to `server` that was begun has ended; `took` is the time to its answer's head, where there was one.
    pub fn end(&mut self, server: ServerId, took: Option<Duration>, now: Tick) {
        let Some(load) = self.loads.get_mut(server.index()).filter(|load| load.active > 0) else { return };
        let was_full = load.active == self.servers[server.index()].max_active;
        load.active -= 1;
        self.active -= 1;
        if let Some(took) = took {
            load.measure(took, now);
        }
        let load = *load;
        if was_full && self.belongs(server) {
            self.full -= 1;
            self.put_in(server);
        }
        self.chooser_of(server).ended(server, &load);
        self.check_invariants();
    }

    /// Whether `server` can take another request, as far as its limit goes.
    pub fn has_room(&self, server: ServerId) -> bool {
        server.index() >= self.servers.len() || !self.lacks_room(server)
    }

    /// How many requests are under way to `server`, as far as they are counted.
    pub fn active(&self, server: ServerId) -> u32 {
        self.loads.get(server.index()).map_or(0, |load| load.active)
    }

    /// No connection to `server` came about: refused, unreachable, timed out.
    pub fn connect_failed(&mut self, server: ServerId, now: Tick) {
        let Some(state) = self.servers.get_mut(server.index()) else { return };
        // Many requests may have been on their way when a server died: their failures tell nothing more.
        let told_before = state.failures > 0 && !state.trial_under_way;
        if state.down || state.ejected || told_before {
            return;
        }
        state.failures = state.failures.saturating_add(1);
        state.trial_under_way = false;
        if state.weight == 0 {
            // It is never picked; only who insists on it goes elsewhere meanwhile.
            state.marked_until = now.after(state.mark());
            return;
        }
        self.mark(server, now);
        self.check_invariants();
    }

    /// A connection to `server` came about. Costs next to nothing for a healthy server.
    pub fn succeeded(&mut self, server: ServerId, now: Tick) {
        let Some(state) = self.servers.get_mut(server.index()) else { return };
        if state.failures == 0 {
            return;
        }
        state.failures = 0;
        state.trial_under_way = false;
        if self.unmark(server) {
            self.enter(server);
        }
        self.warm(server, now);
        self.check_invariants();
    }

    /// Takes a server out of use, or back into it with a clean record.
    pub fn set_available(&mut self, server: ServerId, available: bool, now: Tick) {
        self.change(server, now, |state| state.down = !available);
    }

    /// Ejects a server, or takes it back with a clean record. One that is down stays down.
    pub fn set_ejected(&mut self, server: ServerId, ejected: bool, now: Tick) {
        self.change(server, now, |state| state.ejected = ejected);
    }

    fn change(&mut self, server: ServerId, now: Tick, change: impl FnOnce(&mut Server)) {
        let Some(state) = self.servers.get_mut(server.index()) else { return };
        let was_in_use = state.is_in_use();
        let mut changed = *state;
        change(&mut changed);
        if was_in_use == changed.is_in_use() {
            *state = changed;
            return;
        }
        // Out of its place by the old state, into its place by the new one.
        if was_in_use && !self.unmark(server) {
            self.exit(server);
        }
        self.servers[server.index()] = Server { failures: 0, trial_under_way: false, ..changed };
        if !was_in_use {
            self.enter(server);
            self.warm(server, now);
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
        self.servers.iter().filter(|s| s.is_in_use() && s.weight > 0).count()
    }

    /// How long it is until one of the servers that are passed over for failed connects has its turn. None while a server is in the
    /// choice or full, and when all are out of use.
    pub fn next_turn(&self, now: Tick) -> Option<Duration> {
        let all_are_marked = !self.marked.is_empty() && self.available() == self.marked.len();
        all_are_marked.then(|| self.release_at.since(now))
    }

    /// Whether no connection to `server` came about of late, and none has since.
    pub fn has_failed(&self, server: ServerId) -> bool {
        self.servers.get(server.index()).is_some_and(|state| state.failures > 0)
    }

    /// Whether `server` is passed over for failed connects.
    pub fn is_marked(&self, server: ServerId) -> bool {
        self.marked.contains(&server)
    }

    /// A further try: rare, so the order of preference may cost a look at every server.
    #[cold]
    fn pick_again(&mut self, now: Tick, tried: &Tried, key: u64) -> Option<ServerId> {
        let ask = Ask { now, key, loads: &self.loads, active: self.active };
        let backups = self.backups.as_mut().filter(|_| self.full == 0);
        let untried = self.chooser.next_untried(&ask, tried).or_else(|| backups?.next_untried(&ask, tried));
        if let Some(server) = untried.or_else(|| self.turn_of_marked(tried)) {
            return Some(server);
        }
        // All were tried: once more, then.
        let ask = Ask { now, key, loads: &self.loads, active: self.active };
        let again = self.chooser.next(&ask);
        let backups = self.backups.as_mut().filter(|_| self.full == 0);
        again.or_else(|| backups?.next(&ask)).or_else(|| self.turn_of_marked(&Tried::none()))
    }

    /// Nobody is in the choice. Better to wait for a full server than to ask a backup, or one that failed.
    #[cold]
    fn last_resort(&mut self, now: Tick, key: u64) -> Option<ServerId> {
        if self.full > 0 {
            return None;
        }
        let ask = Ask { now, key, loads: &self.loads, active: self.active };
        let backup = self.backups.as_mut().and_then(|backups| backups.next(&ask));
        backup.or_else(|| self.turn_of_marked(&Tried::none()))
    }

    /// The server, or another in its place for its turns that do not count yet.
    #[cold]
    fn slowly(&mut self, server: ServerId, now: Tick, tried: &Tried, key: u64) -> ServerId {
        let slow_start = self.slow_start;
        self.warming.retain(|(_, since, _)| now.since(*since) < slow_start);
        let Some((_, since, credit)) = self.warming.iter_mut().find(|(other, ..)| *other == server) else {
            return server;
        };
        *credit += (now.since(*since).as_secs_f64() / slow_start.as_secs_f64()).max(SLOW_LEAST);
        if *credit >= 1.0 {
            *credit -= 1.0;
            return server;
        }
        let mut others = *tried;
        others.add(server);
        let ask = Ask { now, key, loads: &self.loads, active: self.active };
        self.chooser.next_untried(&ask, &others).unwrap_or(server)
    }

    fn turn_of_marked(&mut self, tried: &Tried) -> Option<ServerId> {
        let count = self.marked.len();
        let has_room = |s: ServerId| {
            let max = self.servers[s.index()].max_active;
            max == 0 || self.loads[s.index()].active < max
        };
        let fits = |i: &usize| !tried.contains(self.marked[*i]) && has_room(self.marked[*i]);
        let at = (0..count).map(|i| (self.next_marked + i) % count).find(fits)?;
        self.next_marked = (at + 1) % count;
        Some(self.marked[at])
    }

    /// `server` has failed and gets a request all the same; it gets no other by preference in this window. Who is asked before its mark
    /// has run out, since nobody else is left, is on no trial: requests that come by the hundred would make seconds of its mark, and one
    /// that is repeated two.
    #[cold]
    fn begin_trial(&mut self, server: ServerId, now: Tick) {
        if self.chooser.contains(server) || self.backups.as_ref().is_some_and(|b| b.contains(server)) {
            self.servers[server.index()].trial_under_way = true;
            self.mark(server, now);
        }
    }

    fn mark(&mut self, server: ServerId, now: Tick) {
        let state = &mut self.servers[server.index()];
        state.marked_until = now.after(state.mark());
        if !self.marked.contains(&server) {
            self.exit(server);
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

    fn chooser_of(&mut self, server: ServerId) -> &mut Chooser {
        match &mut self.backups {
            Some(backups) if self.servers[server.index()].backup => backups,
            _ => &mut self.chooser,
        }
    }

    fn put_in(&mut self, server: ServerId) {
        self.chooser_of(server).insert(server);
    }

    fn leave(&mut self, server: ServerId) -> bool {
        self.chooser_of(server).remove(server)
    }

    /// Whether a server is to be chosen from as soon as it has room.
    fn belongs(&self, server: ServerId) -> bool {
        let state = &self.servers[server.index()];
        state.is_in_use() && state.weight > 0 && !self.marked.contains(&server)
    }

    fn lacks_room(&self, server: ServerId) -> bool {
        let max = self.servers[server.index()].max_active;
        max != 0 && self.loads[server.index()].active >= max
    }

    /// Into the choice, or among those that are full.
    fn enter(&mut self, server: ServerId) {
        if !self.belongs(server) {
            return;
        }
        if self.lacks_room(server) {
            self.full += 1;
        } else {
            self.put_in(server);
        }
    }

    /// Out of the choice, or from among those that are full; while it still belongs there.
    fn exit(&mut self, server: ServerId) {
        if !self.leave(server) && self.belongs(server) {
            self.full -= 1;
        }
    }

    fn warm(&mut self, server: ServerId, now: Tick) {
        if !self.slow_start.is_zero() {
            self.warming.retain(|(other, ..)| *other != server);
            self.warming.push((server, now, 0.0));
        }
    }

    #[cold]
    fn release(&mut self, now: Tick) {
        let due: Vec<ServerId> =
            self.marked.iter().copied().filter(|s| self.servers[s.index()].marked_until.is_due(now)).collect();
        for server in due {
            self.unmark(server);
            self.enter(server);
        }
    }

    fn note_release(&mut self) {
        let first = self.marked.iter().map(|s| self.servers[s.index()].marked_until).reduce(Tick::min);
        self.release_at = first.unwrap_or(self.release_at);
        if self.next_marked >= self.marked.len() {
            self.next_marked = 0;
        }
    }

    /// Every server that can be picked is in the choice, full, or marked, never two of them; the others are in none.
    fn check_invariants(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        let mut full = 0;
        for (i, state) in self.servers.iter().enumerate() {
            let id = ServerId(i as u32);
            let backup = self.backups.as_ref().is_some_and(|b| b.contains(id));
            let chosen = self.chooser.contains(id) || backup;
            let is_full = self.belongs(id) && self.lacks_room(id);
            full += u32::from(is_full);
            let marked = self.marked.iter().filter(|s| **s == id).count();
            let places = usize::from(chosen) + usize::from(is_full) + marked;
            assert_eq!(places, usize::from(state.is_in_use() && state.weight > 0), "{id:?}");
            assert!(!backup || state.backup, "{id:?}");
            assert!(marked == 0 || state.failures > 0, "{id:?}");
        }
        assert_eq!(full, self.full);
        assert_eq!(self.loads.iter().map(|load| load.active).sum::<u32>(), self.active);
        assert!(self.next_marked == 0 || self.next_marked < self.marked.len());
    }
}

impl Server {
    /// How long it is passed over now.
    fn mark(&self) -> Duration {
        let doublings = u32::from(self.failures.saturating_sub(1)).min(8);
        MARK_MAX.min(MARK_FIRST * (1 << doublings))
    }

    fn is_in_use(&self) -> bool {
        !self.down && !self.ejected
    }
}

mod inherit;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod policies;
