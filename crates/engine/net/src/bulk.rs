//! How often a long file looks whether its socket has room.

use std::cell::Cell;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::pacing;

/// So much of a file is sent between two looks, in bytes.
const STRETCH: u64 = 1 << 20;

/// Sockets of which the answer is kept.
const PLACES: usize = 64;

thread_local! {
    /// The descriptor, and whether it is paced. Another socket may have it meanwhile, of a listener where it is otherwise: at worst for a
    /// [`STRETCH`].
    static PACED: [Cell<(i32, bool)>; PLACES] = const { [const { Cell::new(NOBODY) }; PLACES] };
}

/// Nothing is known.
const NOBODY: (i32, bool) = (-1, false);

/// Whether to look for room behind these bytes of a file, which filled a piece. Who looks after each piece waits more often, and is woken more often. That
/// pays where a timer sends: while we wait, what is queued leaves at its pace, and without us. Otherwise what is queued leaves as the peer acknowledges, and
/// the more there is the less often we are woken.
pub(crate) fn looks_behind(socket: BorrowedFd<'_>, offset: u64, sent: u64) -> bool {
    PACED.with(|places| {
        let fd = socket.as_raw_fd();
        let place = &places[fd as usize % PLACES];
        if offset / STRETCH != (offset + sent) / STRETCH {
            place.set(NOBODY);
            return true;
        }
        match place.get() {
            (known, is_paced) if known == fd => is_paced,
            _ => {
                let is_paced = pacing::is_paced(socket);
                place.set((fd, is_paced));
                is_paced
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use rustix::net::sockopt;

    use super::*;

    #[test]
    fn who_is_not_paced_looks_once_a_mib() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let socket = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("somebody listens");
        // Every system has this one, and lets everybody choose it.
        sockopt::set_tcp_congestion(&socket, "reno").expect("it can be chosen");
        let piece = 200_000;
        let looks = (0..100).filter(|n| looks_behind(socket.as_fd(), n * piece, piece)).count();
        assert_eq!(looks as u64, 100 * piece / STRETCH);
    }

    #[test]
    fn who_is_paced_looks_each_time() {
        let (socket, _peer) = std::os::unix::net::UnixStream::pair().expect("two are given");
        PACED.with(|places| places[socket.as_raw_fd() as usize % PLACES].set((socket.as_raw_fd(), true)));
        assert!(looks_behind(socket.as_fd(), 0, 1000));
    }

    /// A listener on loopback is not paced where one on all addresses is, and their connections have the same descriptors in turn.
    #[test]
    fn what_the_last_socket_of_a_descriptor_was_does_not_stay() {
        let (socket, _peer) = std::os::unix::net::UnixStream::pair().expect("two are given");
        PACED.with(|places| places[socket.as_raw_fd() as usize % PLACES].set((socket.as_raw_fd(), true)));
        assert!(looks_behind(socket.as_fd(), STRETCH - 1, 1));
        assert!(!looks_behind(socket.as_fd(), STRETCH, 1000));
    }

    #[test]
    fn sockets_that_are_not_of_tcp_are_not_paced() {
        let (socket, _peer) = std::os::unix::net::UnixStream::pair().expect("two are given");
        assert!(!looks_behind(socket.as_fd(), 0, 1000));
    }
}
