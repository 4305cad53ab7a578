//! Whether the other end's system still acknowledges what it is sent.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// For how long nothing was acknowledged on a TCP socket of which something waits for that.
pub(crate) fn unacknowledged_for(socket: BorrowedFd<'_>) -> Option<Duration> {
    let info = tcp_info(socket)?;
    (info.tcpi_unacked > 0).then(|| Duration::from_millis(info.tcpi_last_ack_recv.into()))
}

fn tcp_info(socket: BorrowedFd<'_>) -> Option<libc::tcp_info> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut size = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the system writes at most `size` bytes, which is how many there are, and both live for the call; the descriptor is the socket's.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut size)
    };
    // SAFETY: it is integers only, of which any bytes are values, and what the system did not write is zero.
    (result == 0).then(|| unsafe { info.assume_init() })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use socket2::{SockFilter, SockRef};

    use super::*;

    /// A socket whose filter takes no packet is what a firewall that drops them makes of it.
    #[test]
    fn what_no_system_takes_is_not_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let mut near = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("somebody listens");
        let (mut far, _) = listener.accept().expect("it comes");
        near.write_all(b"a").expect("there is room");
        far.read_exact(&mut [0]).expect("it comes");
        let unheard = || unacknowledged_for(near.as_fd());
        // Its system says so within a moment.
        while unheard().is_some() {
            std::thread::yield_now();
        }
        let none = [SockFilter::new(RETURN, 0, 0, 0)];
        SockRef::from(&far).attach_filter(&none).expect("everybody may");
        (&near).write_all(b"b").expect("there is room");
        let first = unheard().expect("nobody takes it");
        while unheard().expect("nobody takes it") <= first {
            std::thread::yield_now();
        }
        SockRef::from(&far).detach_filter().expect("everybody may");
        // It is sent again.
        far.read_exact(&mut [0]).expect("it comes");
        while unheard().is_some() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn sockets_that_are_not_of_tcp_say_nothing() {
        let (socket, _peer) = std::os::unix::net::UnixStream::pair().expect("two are given");
        assert_eq!(unacknowledged_for(socket.as_fd()), None);
    }

    /// BPF_RET: with 0, so many bytes of each packet are taken.
    const RETURN: u16 = 6;
}
