//! A connection on loan.

use std::rc::Rc;

use balance::ServerId;
use net::Stream;

use crate::pool::Connection;
use crate::upstream::Upstream;

/// A connection to a server, on loan to one exchange. Closed on drop, unless [`Checkout::give_back`] was called.
pub struct Checkout {
    upstream: Rc<Upstream>,
    server: ServerId,
    connection: Connection,
}

impl Checkout {
    pub(crate) fn new(upstream: &Rc<Upstream>, server: ServerId, connection: Connection) -> Checkout {
        Checkout { upstream: Rc::clone(upstream), server, connection }
    }

    /// The stream.
    pub fn stream(&self) -> &Stream {
        &self.connection.stream
    }

    /// The server it leads to.
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// Whether it carried an exchange before: then its server may have closed it meanwhile.
    pub fn is_reused(&self) -> bool {
        self.connection.uses > 0
    }

    /// Both messages ended cleanly and no byte is left unread: the next exchange may use it.
    pub fn give_back(mut self) {
        self.connection.uses = self.connection.uses.saturating_add(1);
        let upstream = self.upstream;
        upstream.keep(self.server, self.connection);
    }
}
