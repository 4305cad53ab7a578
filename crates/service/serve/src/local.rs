//! The listener that a connection came through.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;

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
}

impl Local {
    /// The listener with that address, which believes nobody. `reasons`: whether its clients are told the reasons of failures.
    pub fn new(address: Address, reasons: bool) -> Rc<Local> {
        Rc::new(Local {
            address,
            reasons: Cell::new(reasons),
            believes: Cell::new(false),
            proxy_protocol: Cell::new(false),
            trusted: RefCell::default(),
        })
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
    }

    /// Believes these from now on about whom they speak for; and requires a PROXY header of new connections, or not.
    pub fn trust(&self, trusted: Networks, proxy_protocol: bool) {
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
