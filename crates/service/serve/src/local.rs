//! The listener that a connection came through.

use std::cell::{Cell, Ref, RefCell};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

use client_address::Networks;
use net::{Address, Peer};

/// A listener on one worker, as its connections know it. What a reload changes holds from the next request on.
#[derive(Debug)]
pub struct Local {
    address: Address,
    reasons: Cell<bool>,
    /// Whether anybody is trusted.
    believes: Cell<bool>,
    proxy_protocol: Cell<bool>,
    trusted: RefCell<Networks>,
    /// What its clients connected to, where a balancer's header told that.
    reached_at: Option<SocketAddr>,
    /// The same listener for clients that connected elsewhere.
    elsewhere: RefCell<Vec<Weak<Local>>>,
}

/// So many addresses of balancers are told apart at a time; clients that came by another are said to have connected to us.
const ELSEWHERE_MAX: usize = 64;

impl Local {
    /// The listener with that address, which believes nobody. `reasons`: whether its clients are told the reasons of failures.
    pub fn new(address: Address, reasons: bool) -> Rc<Local> {
        Rc::new(Local {
            address,
            reasons: Cell::new(reasons),
            believes: Cell::new(false),
            proxy_protocol: Cell::new(false),
            trusted: RefCell::default(),
            reached_at: None,
            elsewhere: RefCell::default(),
        })
    }

    /// This listener, for a client that connected to `destination`, as a balancer's header told. Connections share it.
    pub(crate) fn reached_at(self: &Rc<Local>, destination: SocketAddr) -> Rc<Local> {
        let mut elsewhere = self.elsewhere.borrow_mut();
        let known = elsewhere.iter().filter_map(Weak::upgrade).find(|other| other.reached_at == Some(destination));
        if let Some(known) = known {
            return known;
        }
        elsewhere.retain(|other| other.strong_count() > 0);
        if elsewhere.len() >= ELSEWHERE_MAX {
            return Rc::clone(self);
        }
        let local = Rc::new(Local {
            address: self.address.clone(),
            reasons: self.reasons.clone(),
            believes: self.believes.clone(),
            proxy_protocol: self.proxy_protocol.clone(),
            trusted: self.trusted.clone(),
            reached_at: Some(destination),
            elsewhere: RefCell::default(),
        });
        elsewhere.push(Rc::downgrade(&local));
        local
    }

    /// What its clients connected to, where a balancer's header told that.
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        self.reached_at
    }

    fn each_elsewhere(&self, change: impl Fn(&Local)) {
        self.elsewhere.borrow().iter().filter_map(Weak::upgrade).for_each(|other| change(&other));
    }

    /// Its address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether clients are told the whole verdict of a failure, with the names and addresses of servers.
    pub fn tells_reasons(&self) -> bool {
        self.reasons.get()
    }

    /// Changes that.
    pub fn tell_reasons(&self, reasons: bool) {
        self.reasons.set(reasons);
        self.each_elsewhere(|other| other.tell_reasons(reasons));
    }

    /// Believes these from now on about whom they speak for; and requires a PROXY header of new connections, or not.
    pub fn trust(&self, trusted: Networks, proxy_protocol: bool) {
        self.each_elsewhere(|other| other.trust(trusted.clone(), proxy_protocol));
        self.believes.set(!trusted.is_empty());
        self.proxy_protocol.set(proxy_protocol);
        self.trusted.replace(trusted);
    }

    /// Whether anybody is believed at all.
    #[inline]
    pub(crate) fn believes(&self) -> bool {
        self.believes.get()
    }

    /// Whether each connection begins with a PROXY header.
    pub(crate) fn requires_header(&self) -> bool {
        self.proxy_protocol.get()
    }

    /// Whether this peer is believed.
    pub(crate) fn trusts(&self, peer: &Peer) -> bool {
        let trusted = self.trusted();
        peer.ip().map_or(trusted.contains_unix(), |address| trusted.contains(address))
    }

    pub(crate) fn trusted(&self) -> Ref<'_, Networks> {
        self.trusted.borrow()
    }
}
