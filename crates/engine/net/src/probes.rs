//! Whether the other end of a connection on which nothing passes is still there: TCP keepalive (RFC 9293 §3.8.4).

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::net::sockopt;

/// After so long without a byte the system asks a probed peer whether it is there. Routers between the two forget connections
/// on which nothing passes, most of them later than this.
pub const PROBED_AFTER: Duration = Duration::from_secs(60);

/// How long it waits for the answer before it asks again.
const EVERY: Duration = Duration::from_secs(15);

/// How often it asks a peer that does not answer: one that has vanished is known after two minutes.
const TIMES: u32 = 4;

/// Has the system probe the peer of a TCP socket.
pub(crate) fn probe(socket: BorrowedFd<'_>) {
    // What cannot be had is done without: without it the connection ends as it did before.
    let _ = sockopt::set_tcp_keepidle(socket, PROBED_AFTER);
    let _ = sockopt::set_tcp_keepintvl(socket, EVERY);
    let _ = sockopt::set_tcp_keepcnt(socket, TIMES);
    let _ = sockopt::set_socket_keepalive(socket, true);
}
