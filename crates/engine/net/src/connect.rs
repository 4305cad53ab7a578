//! Connecting out.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::Path;

use event_loop::Direction;
use socket2::{Domain, Protocol, Socket, Type};

use crate::addr::Address;
use crate::memory;
use crate::pacing::unpaced;
use crate::stream::Stream;
use crate::transport::Transport;

/// What a connection attempt may be given besides its goal. Unix sockets and memory have none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The address to connect from; otherwise the system's choice. Each one has its own local ports, some 28,000.
    pub source: Option<IpAddr>,
    /// Bytes the system may hold for us unread; otherwise its own choice. Makes a slow reader felt soon.
    pub receive_buffer: Option<usize>,
    /// Over loopback nothing is sent at a pace, even where the system's congestion control has one (BBR): for who answers for the cost.
    pub unpaced_loopback: bool,
}

/// Connects to `address`, and over loopback without a pace. Bound it with `event_loop::within`: the system's own patience is minutes. Dropping the
/// future gives up the attempt.
///
/// # Errors
/// The system's: `ConnectionRefused`, `HostUnreachable`, `NotFound` (no such Unix socket), ...
pub async fn connect(address: &Address) -> io::Result<Stream> {
    connect_with(address, &ConnectOptions { unpaced_loopback: true, ..ConnectOptions::default() }).await
}

/// Connects to `address` as `options` say. See [`connect`].
///
/// # Errors
/// As for [`connect`]; `AddrNotAvailable` when the source is none of ours, `AddrInUse` or that when it has no port left.
pub async fn connect_with(address: &Address, options: &ConnectOptions) -> io::Result<Stream> {
    match address {
        Address::Tcp(addr) => {
            let io = begin_tcp(*addr, options)?;
            io.set_nodelay(true)?;
            finish(Stream::tcp(io)?).await
        }
        Address::Unix(path) => {
            let io = connect_unix(path)?;
            finish(Stream::unix(io)?).await
        }
        Address::Memory(number) if memory::is_silent(*number) => std::future::pending().await,
        Address::Memory(number) => memory::connect(*number).map(Stream::from),
    }
}

fn begin_tcp(addr: SocketAddr, options: &ConnectOptions) -> io::Result<mio::net::TcpStream> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if let Some(bytes) = options.receive_buffer {
        // Before connecting: the window's scale is agreed on then.
        socket.set_recv_buffer_size(bytes)?;
    }
    if options.unpaced_loopback {
        unpaced(&socket, addr.ip());
    }
    if let Some(source) = options.source {
        port_with_the_destination(&socket)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&addr.into()) {
        Err(e) if e.kind() != io::ErrorKind::WouldBlock && e.raw_os_error() != Some(IN_PROGRESS) => Err(e),
        _ => Ok(mio::net::TcpStream::from_std(socket.into())),
    }
}

/// Leaves the choice of the local port to `connect`, which knows the destination: connections to different ones may then share
/// a port. Without it `bind` looks for a port that nobody uses at all, which takes milliseconds when most are taken.
fn port_with_the_destination(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value lives for the call, and its size is the one that is passed; the descriptor is the socket's.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The attempt has begun; whether it succeeds is told later.
const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();

fn connect_unix(path: &Path) -> io::Result<mio::net::UnixStream> {
    // A Unix socket whose backlog is full answers EAGAIN instead of waiting; that is a refusal for the caller.
    mio::net::UnixStream::connect(path).map_err(|e| match e.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::ConnectionRefused, "its queue is full"),
        _ => e,
    })
}

/// Waits until the attempt is decided: writable, or broken.
async fn finish(stream: Stream) -> io::Result<Stream> {
    std::future::poll_fn(|cx| stream.registration().poll_ready(cx, Direction::Write)).await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::pacing::is_paced;

    #[test]
    fn over_loopback_connections_are_paced_only_for_who_wants_it() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let to = listener.local_addr().expect("it is bound");
        let is_paced_with = |unpaced_loopback| {
            let options = ConnectOptions { unpaced_loopback, ..ConnectOptions::default() };
            is_paced(begin_tcp(to, &options).expect("somebody listens"))
        };
        assert!(!is_paced_with(true));
        let system = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket is given");
        assert_eq!(is_paced_with(false), is_paced(&system));
    }
}
