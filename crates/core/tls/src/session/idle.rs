//! A session that may go to another thread.

use std::fmt;

use rustls::client::UnbufferedClientConnection;

use super::{Session, Side};

/// The client's side of an established connection of which nothing is on its way: no buffer, and so nothing that belongs to a
/// thread.
pub struct IdleSession {
    connection: UnbufferedClientConnection,
    peer_until: u64,
}

impl fmt::Debug for IdleSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdleSession")
    }
}

impl Session {
    /// The session without its buffers. None when it is not the client's side, when its handshake is not over, when something is
    /// left to be read or written, and when it has ended.
    pub fn into_idle(self) -> Option<IdleSession> {
        let is_empty = self.incoming.is_empty() && self.flight.is_empty() && self.left.is_empty();
        let is_open = !self.is_handshaking() && !self.peer_closed && !self.closed && self.failed.is_none();
        match self.side {
            Side::Client(connection) if is_empty && is_open => {
                Some(IdleSession { connection, peer_until: self.peer_until })
            }
            Side::Client(_) | Side::Server(_) => None,
        }
    }
}

impl From<IdleSession> for Session {
    fn from(IdleSession { connection, peer_until }: IdleSession) -> Session {
        // It has shaken hands: there is no doubt any more that its peer speaks TLS.
        Session { recognised: true, peer_until, ..Session::new(Side::Client(connection)) }
    }
}
