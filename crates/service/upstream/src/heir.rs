//! An upstream that changed with a reload: what is known of the servers that stay goes over to its new form.

use std::cell::OnceCell;
use std::rc::{Rc, Weak};

use balance::ServerId;
use event_loop::now;

use crate::pool::Connection;
use crate::server::Server;
use crate::upstream::Upstream;

/// Who goes on in the place of an upstream, and where its servers stand there. Requests that are still under way are counted by
/// both.
pub(crate) struct Heir {
    upstream: Weak<Upstream>,
    places: Vec<Option<ServerId>>,
    /// Connections serve there, too.
    keeps: bool,
    /// Who goes on in its place in turn: it may have gone before requests that are older than it.
    next: Rc<OnceCell<Heir>>,
}

impl Heir {
    /// Where `server` stands with the first one that is still there.
    pub(crate) fn of(&self, server: ServerId) -> Option<(Rc<Upstream>, ServerId)> {
        self.find(server, |_| true)
    }

    /// The same for a connection to `server`.
    fn of_connection(&self, server: ServerId) -> Option<(Rc<Upstream>, ServerId)> {
        self.find(server, |heir| heir.keeps)
    }

    fn find(&self, mut server: ServerId, fits: impl Fn(&Heir) -> bool) -> Option<(Rc<Upstream>, ServerId)> {
        let mut heir = self;
        loop {
            if !fits(heir) {
                return None;
            }
            server = (*heir.places.get(server.index())?)?;
            match heir.upstream.upgrade() {
                Some(upstream) => return Some((upstream, server)),
                None => heir = heir.next.get()?,
            }
        }
    }
}

impl Upstream {
    /// Who goes on in its place since a reload, and where `server` stands there.
    pub(crate) fn heir_of(&self, server: ServerId) -> Option<(Rc<Upstream>, ServerId)> {
        self.heir.get()?.of(server)
    }

    /// Goes on in the place of `before`, once, before it has served anybody. The same servers keep their idle connections, requests
    /// under way, times, failures and ejections.
    pub fn follow_on(self: &Rc<Upstream>, before: &Rc<Upstream>) {
        let places = places(before.servers(), self.servers());
        let keeps = self.options().proxy_protocol == before.options().proxy_protocol;
        for (old, new) in (0..).map(ServerId).zip(&places).filter_map(|(old, new)| Some((old, (*new)?))) {
            let (Some(from), Some(to)) = (before.server(old), self.server(new)) else { continue };
            to.inherit(from, keeps.then_some(&self.kept));
            let ejected = match (&self.ejector, &before.ejector) {
                (Some(to), Some(from)) => to.borrow_mut().inherit(new, &from.borrow(), old),
                _ => false,
            };
            let mut balancer = self.balancer.borrow_mut();
            balancer.inherit(new, &before.balancer.borrow(), old, now());
            if ejected {
                balancer.set_ejected(new, true, now());
            }
        }
        // Also where requests are not counted: those from before end there, and the next one may count.
        let (upstream, next) = (Rc::downgrade(self), Rc::clone(&self.heir));
        let _ = before.heir.set(Heir { upstream, places, keeps, next });
        let mut all = before.before.take();
        all.retain(|earlier| earlier.strong_count() > 0);
        all.push(Rc::downgrade(before));
        self.before.replace(all);
    }

    /// Passes a connection on that comes back after a reload, where its server stays.
    #[cold]
    pub(crate) fn pass_on(&self, server: ServerId, mut connection: Box<Connection>) {
        if let Some((heir, server)) = self.heir.get().and_then(|heir| heir.of_connection(server)) {
            // It was held against the addresses that another look-up gave.
            connection.era = 0;
            heir.keep(server, connection);
        }
    }

    /// An idle connection of who goes on in its place: a request that has waited since before a reload needs none of its own.
    #[cold]
    pub(crate) fn idle_further_on(&self, server: ServerId) -> Option<Box<Connection>> {
        let (heir, server) = self.heir.get()?.of_connection(server)?;
        let idle = heir.server(server)?.reuse(now(), &heir.kept);
        idle.or_else(|| heir.idle_further_on(server))
    }

    /// Whether somebody goes on in its place.
    #[inline]
    pub(crate) fn has_heir(&self) -> bool {
        self.heir.get().is_some()
    }

    /// Whether a server is left out only because it is full with those who go on in its place.
    pub(crate) fn is_full_further_on(&self) -> bool {
        self.has_heir() && (0..self.servers().len() as u32).any(|number| !self.has_room_further_on(ServerId(number)))
    }

    /// Whether `server` can take another request, here and wherever it is counted since reloads.
    pub(crate) fn has_room(&self, server: ServerId) -> bool {
        self.balancer.borrow().has_room(server) && self.has_room_further_on(server)
    }

    /// The same of those who go on in its place alone.
    pub(crate) fn has_room_further_on(&self, server: ServerId) -> bool {
        self.heir_of(server).is_none_or(|(heir, server)| heir.has_room(server))
    }
}

/// Where each of `old` stands among `new`; of those that are listed twice each has a place of its own.
fn places(old: &[Server], new: &[Server]) -> Vec<Option<ServerId>> {
    let mut taken = vec![false; new.len()];
    // Most often nothing has moved.
    let at_its_place = old.iter().zip(new).take_while(|(a, b)| a.is_same(b)).count();
    taken[..at_its_place].fill(true);
    let find = |(place, server): (usize, &Server)| {
        if place < at_its_place {
            return Some(ServerId(place as u32));
        }
        let found = (at_its_place..new.len()).find(|i| !taken[*i] && new[*i].is_same(server))?;
        taken[found] = true;
        Some(ServerId(found as u32))
    };
    old.iter().enumerate().map(find).collect()
}
