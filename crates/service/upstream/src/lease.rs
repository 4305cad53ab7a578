//! Requests that are counted: for policies that look at loads, for limits and their queue, for ejection.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Weak;
use std::time::Duration;

use balance::{Choice, EjectionPolicy, Ejector, Policy, ServerId, Tried};
use clock::Tick;
use event_loop::{Footprint, now};
use observe::{Failure, Kind, Level};

use crate::news::{News, Topic};
use crate::queue::Place;
use crate::sticky::StickyOptions;
use crate::upstream::Upstream;

/// How servers are chosen, and what becomes of requests for which there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Balancing {
    /// How one is chosen.
    pub policy: Policy,
    /// What [`Policy::Hash`] goes by.
    pub key: HashKey,
    /// Requests that may wait on this worker while all servers are full.
    pub queue: usize,
    /// How long each of them may.
    pub queue_timeout: Duration,
    /// How long a server that comes back takes to get its full share.
    pub slow_start: Duration,
    /// When servers are ejected.
    pub ejection: Option<EjectionPolicy>,
    /// How clients are kept with their servers; none: they are not.
    pub sticky: Option<StickyOptions>,
}

/// What a request says about where it goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// What [`Policy::Hash`] goes by.
    pub key: u64,
    /// The server that its cookie names.
    pub home: Option<ServerId>,
}

/// What of a request decides where it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    #[default]
    Client,
    /// A field.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// The path.
    Path,
    /// The query.
    Query,
}

impl Balancing {
    /// Whether each request has to be counted.
    pub(crate) fn counts(&self) -> bool {
        self.policy != Policy::RoundRobin || self.ejection.is_some() || self.sticky.is_some()
    }
}

/// A try on a server, counted until it is dropped.
pub struct Lease<'u> {
    upstream: &'u Upstream,
    server: ServerId,
    begun: Tick,
    /// The time to the head of its answer, where that says something about the server.
    took: Cell<Option<Duration>>,
    good: Cell<Option<bool>>,
    /// From now on this is its client's server.
    settles: bool,
}

impl<'u> Lease<'u> {
    pub(crate) fn begun(upstream: &'u Upstream, server: ServerId, wanted: Wanted) -> Lease<'u> {
        let settles = upstream.sticky.is_some() && upstream.settles(server, wanted);
        Lease { upstream, server, begun: now(), took: Cell::new(None), good: Cell::new(None), settles }
    }

    /// Where it goes.
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// The head of an answer came. A status from 500 counts as a failure of the server. `timed`: the time it took was the
    /// server's, not that of a client who sent a body.
    pub fn answered(&self, status: u16, timed: bool) {
        self.took.set(timed.then(|| now().since(self.begun)));
        self.good.set(Some(status < 500));
    }

    /// The Set-Cookie that its answer has to carry, if any. `secure`: the client came over TLS.
    pub fn cookie(&self, secure: bool) -> Option<&'u str> {
        if self.settles { self.upstream.sticky.as_ref().map(|sticky| sticky.line(self.server, secure)) } else { None }
    }

    /// The server failed.
    pub fn failed(&self) {
        self.good.set(Some(false));
    }
}

impl Drop for Lease<'_> {
    #[inline(never)]
    fn drop(&mut self) {
        self.upstream.end(self.server, self.took.get(), self.good.get());
    }
}

impl Upstream {
    /// Counts a new request for the retry budget and leases its first server, if there is one with room and nobody waits for
    /// one.
    #[inline]
    pub fn lease_first(&self, wanted: Wanted) -> Option<Lease<'_>> {
        self.count_request();
        if self.queue.is_empty() { self.lease_now(&Tried::none(), wanted) } else { None }
    }

    /// Joins the queue for a server, where there is one: when [`Upstream::lease_first`] had none. A wait is to last no longer than
    /// [`Balancing::queue_timeout`], and ends in [`Upstream::waited_in_vain`] then. `footprint` is what the task comes back to.
    ///
    /// # Errors
    /// No server could take it, and none will soon.
    pub fn queue_up(&self, wanted: Wanted, footprint: Footprint) -> Result<Place<'_>, Failure> {
        if !self.is_full() {
            return Err(self.no_server());
        }
        let most = self.options().balancing.queue;
        if self.queue.len() >= most {
            return Err(self.refusal(match most {
                0 => "has no server below its max_connections",
                _ => "has no server below its max_connections, and its queue is full",
            }));
        }
        Ok(Place::at_the_end(self, wanted, footprint))
    }

    /// What is told of a request whose turn did not come in time.
    #[cold]
    pub fn waited_in_vain(&self) -> Failure {
        self.refusal("had no server below its max_connections within the queue's time")
    }

    /// Leases a server at once, for another try.
    pub fn lease_now(&self, tried: &Tried, wanted: Wanted) -> Option<Lease<'_>> {
        self.follow_health();
        let server = self.begin(tried, wanted)?;
        Some(Lease::begun(self, server, wanted))
    }

    fn begin(&self, tried: &Tried, wanted: Wanted) -> Option<ServerId> {
        if self.has_heir() {
            let (server, choice) = self.choose_further_on(tried, wanted)?;
            self.count_begun(server, choice);
            return Some(server);
        }
        let (server, choice) = self.choose(tried, wanted)?;
        self.balancer.borrow_mut().begin(server, choice);
        Some(server)
    }

    fn choose(&self, tried: &Tried, Wanted { key, home }: Wanted) -> Option<(ServerId, Choice)> {
        let mut balancer = self.balancer.borrow_mut();
        let home = home.filter(|home| !tried.contains(*home) && balancer.take(*home, now()));
        Some(match home {
            Some(home) => (home, Choice::Insisted),
            None => (balancer.pick_for(now(), tried, key)?, Choice::Turn),
        })
    }

    /// A server that has room here and with those who go on in its place: what began since a reload is counted by them alone.
    #[cold]
    fn choose_further_on(&self, tried: &Tried, wanted: Wanted) -> Option<(ServerId, Choice)> {
        let mut full = Tried::none();
        // As ever those come last that were tried already.
        for tried in [tried, &Tried::none()] {
            let mut avoided = *tried;
            full.iter().for_each(|server| avoided.add(server));
            for _ in self.servers() {
                let (server, choice) = self.choose(&avoided, wanted)?;
                // The balancer is told that those that are full were tried; but a backup stands in only for those that fail.
                let stands_in = self.is_backup(server) && full.iter().any(|full| !self.is_backup(full));
                if !stands_in && self.has_room_further_on(server) {
                    return Some((server, choice));
                }
                if stands_in || full.contains(server) {
                    break;
                }
                full.add(server);
                avoided.add(server);
            }
        }
        None
    }

    fn is_backup(&self, server: ServerId) -> bool {
        self.options().servers.get(server.index()).is_some_and(|options| options.backup)
    }

    fn count_begun(&self, server: ServerId, choice: Choice) {
        self.balancer.borrow_mut().begin(server, choice);
        if let Some((heir, server)) = self.heir_of(server) {
            heir.count_begun(server, choice);
        }
    }

    /// Whether a client goes to `server` from now on. One whose own server is only full comes back to it.
    fn settles(&self, server: ServerId, wanted: Wanted) -> bool {
        wanted.home != Some(server) && !wanted.home.is_some_and(|home| self.balancer.borrow().is_well(home))
    }

    /// The name of the cookie that clients are kept with their servers by.
    #[inline]
    pub fn sticky_cookie(&self) -> Option<&str> {
        self.options().balancing.sticky.as_ref().map(|sticky| &*sticky.cookie)
    }

    /// The server that the value of such a cookie names.
    pub fn home_of(&self, cookie: &[u8]) -> Option<ServerId> {
        self.sticky.as_ref()?.server_of(cookie)
    }

    pub(crate) fn end(&self, server: ServerId, took: Option<Duration>, good: Option<bool>) {
        self.balancer.borrow_mut().end(server, took, now());
        if let Some((heir, server)) = self.heir_of(server) {
            heir.end(server, took, good);
            self.serve_queue();
            return;
        }
        let ejected = self.ejector.as_ref().zip(good).and_then(|(ejector, good)| {
            let mut ejector = ejector.borrow_mut();
            let time = ejector.result(server, good, now(), || self.balancer.borrow().available() > 1)?;
            Some((time, ejector.why(server).to_string()))
        });
        if let Some((time, why)) = ejected {
            self.balancer.borrow_mut().set_ejected(server, true, now());
            self.tell(News::Ejected);
            self.tell_of_ejection(server, Level::Warn, format_args!("is ejected for {time:?}: {why}"));
        }
        self.serve_queue();
    }

    /// Hands servers with room to those who wait. Who has waited since before a reload comes first.
    pub(crate) fn serve_queue(&self) {
        self.before.borrow().iter().filter_map(Weak::upgrade).for_each(|before| before.serve_own_queue());
        self.serve_own_queue();
    }

    fn serve_own_queue(&self) {
        while let Some(wanted) = self.queue.front()
            && let Some((server, choice)) = self.choose_for_next(wanted)
        {
            self.count_begun(server, choice);
            self.queue.call(server);
        }
    }

    fn choose_for_next(&self, wanted: Wanted) -> Option<(ServerId, Choice)> {
        match self.has_heir() {
            false => self.choose(&Tried::none(), wanted),
            true => self.choose_further_on(&Tried::none(), wanted),
        }
    }

    /// Takes back the ejected whose time is over.
    pub(crate) fn release_ejected(&self) {
        let Some(ejector) = &self.ejector else { return };
        while let Some(server) = ejector.borrow_mut().release(now()) {
            self.balancer.borrow_mut().set_ejected(server, false, now());
            self.tell_of_ejection(server, Level::Info, format_args!("is used again after its ejection"));
        }
    }

    #[cold]
    fn tell_of_ejection(&self, server: ServerId, level: Level, what: fmt::Arguments<'_>) {
        let Some(server) = self.server(server) else { return };
        let (name, text) = (&self.options().name, server.text());
        self.say(Topic::Ejection, server, level, format_args!("upstream {name} {text} {what}"));
    }

    #[cold]
    fn refusal(&self, why: &str) -> Failure {
        Failure::because(Kind::NoServer, format!("upstream {} {why}", self.options().name))
    }
}

/// The ejector of an upstream that has one.
pub(crate) fn ejector(balancing: &Balancing, servers: usize) -> Option<RefCell<Ejector>> {
    balancing.ejection.map(|policy| RefCell::new(Ejector::new(policy, servers, now())))
}
