//! An upstream that changed with a reload: what is known of the servers that stay goes over to its new form.

use std::cell::OnceCell;
use std::rc::{Rc, Weak};

use balance::ServerId;
use event_loop::now;

use crate::server::Server;
use crate::upstream::Upstream;

/// Who goes on in the place of an upstream, and where its servers stand there. Requests that are still under way are counted by
/// both.
pub(crate) struct Heir {
    upstream: Weak<Upstream>,
    places: Vec<Option<ServerId>>,
    /// Who goes on in its place in turn: it may have gone before requests that are older than it.
    next: Rc<OnceCell<Heir>>,
}

impl Heir {
    /// Where `server` stands with the first one that is still there.
    pub(crate) fn of(&self, mut server: ServerId) -> Option<(Rc<Upstream>, ServerId)> {
        let mut heir = self;
        loop {
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
        let _ = before.heir.set(Heir { upstream, places, next });
        let mut all = before.before.take();
        all.retain(|earlier| earlier.strong_count() > 0);
        all.push(Rc::downgrade(before));
        self.before.replace(all);
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
