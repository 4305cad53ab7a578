//! A connection on loan.

use balance::ServerId;
use net::Stream;

use crate::pool::Connection;
use crate::upstream::Upstream;

/// A connection to a server, on loan to one exchange. Closed on drop, unless [`Checkout::give_back`] was called.
pub struct Checkout<'u> {
    upstream: &'u Upstream,
    server: ServerId,
    connection: Box<Connection>,
}

impl<'u> Checkout<'u> {
    #[inline]
    pub(crate) fn new(upstream: &'u Upstream, server: ServerId, connection: Box<Connection>) -> Checkout<'u> {
        Checkout { upstream, server, connection }
    }

    /// The upstream it belongs to.
    #[inline]
    pub fn upstream(&self) -> &'u Upstream {
        self.upstream
    }

    /// The stream.
    #[inline]
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

    /// Both messages ended cleanly, no byte is left unread and no deadline is set: the next exchange may use it.
    pub fn give_back(mut self) {
        self.connection.uses = self.connection.uses.saturating_add(1);
        self.upstream.keep(self.server, self.connection);
    }
}
