//! The listener that a connection came through.

use std::cell::Cell;
use std::rc::Rc;

use net::Address;

/// A listener on one worker, as its connections know it. What a reload changes holds from the next request on.
#[derive(Debug)]
pub struct Local {
    address: Address,
    reasons: Cell<bool>,
}

impl Local {
    /// The listener with that address. `reasons`: whether its clients are told the reasons of failures.
    pub fn new(address: Address, reasons: bool) -> Rc<Local> {
        Rc::new(Local { address, reasons: Cell::new(reasons) })
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
}
