//! Listening sockets.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, ready};

use event_loop::{Direction, Ready, Registration};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::addr::{Address, Peer};
use crate::memory;
use crate::pacing::unpaced;
use crate::stream::Stream;

/// A connection and who made it.
#[derive(Debug)]
pub struct Accepted {
    /// The connection, non-blocking, without delay.
    pub stream: Stream,
    /// Who made it.
    pub peer: Peer,
}

/// A bound socket on its way to the worker that will serve it. `Send`.
#[derive(Debug)]
pub struct Bound {
    socket: BoundSocket,
    address: Address,
}

#[derive(Debug)]
enum BoundSocket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
    Memory(u32),
}

impl BoundSocket {
    fn twin(&self) -> io::Result<Option<OwnedFd>> {
        Ok(Some(match self {
            BoundSocket::Tcp(listener) => listener.try_clone()?.into(),
            BoundSocket::Unix(listener) => listener.try_clone()?.into(),
            BoundSocket::Memory(_) => return Ok(None),
        }))
    }
}

impl Bound {
    /// The address it is bound to; the port the system chose where 0 was asked for.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A listener on a memory address, for simulations.
    pub fn memory(number: u32) -> Bound {
        Bound { socket: BoundSocket::Memory(number), address: Address::Memory(number) }
    }
}

/// Binds `address` once per worker. TCP: `count` sockets share the address by SO_REUSEPORT, so that the kernel spreads
/// connections over the workers. Unix: one socket, duplicated. `backlog` is the queue of connections not yet
/// accepted, per socket.
///
/// # Errors
/// `AddrInUse` when somebody listens there already, us included: sharing is for the workers of one
/// process only. A Unix socket file that nobody listens on any more is replaced.
pub fn bind(address: &Address, count: usize, backlog: u32) -> io::Result<Vec<Bound>> {
    let (bound, reserved) = reserve(address, count, backlog, Share::WithNobody)?;
    reserved.listen().inspect_err(|_| forget_file(address))?;
    Ok(bound)
}

/// Who else may be listening on an address that is to be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Nobody.
    WithNobody,
    /// A listener of this process on an overlapping TCP address (`127.0.0.1:80` and `0.0.0.0:80`), which is about to go. Until then
    /// the narrower one gets what both would.
    WithOurs,
}

/// As [`bind`], but nobody can connect before [`Reserved::listen`]: for a configuration that may still be given up.
///
/// # Errors
/// As [`bind`].
pub fn reserve(address: &Address, count: usize, backlog: u32, share: Share) -> io::Result<(Vec<Bound>, Reserved)> {
    let backlog = backlog.min(i32::MAX as u32) as i32;
    let bound = match address {
        Address::Tcp(addr) => bind_tcp(*addr, count, share),
        Address::Unix(path) => bind_unix(path, count),
        Address::Memory(number) => Ok((0..count).map(|_| Bound::memory(*number)).collect()),
    }?;
    let twins = bound.iter().filter_map(|bound| bound.socket.twin().transpose()).collect::<io::Result<_>>();
    let twins = twins.inspect_err(|_| forget_file(address))?;
    Ok((bound, Reserved { twins, backlog, address: address.clone() }))
}

/// Removes the file of a Unix socket that was just bound and will not be listened on.
fn forget_file(address: &Address) {
    if let Address::Unix(path) = address {
        let _ = std::fs::remove_file(path);
    }
}

/// Sockets that are bound, on which nobody listens yet: who connects is refused, as if nothing had been bound. Holds their
/// duplicates, so that one thread can have them all listened on at once, wherever they have gone.
#[derive(Debug)]
#[must_use = "nobody can connect until it listens"]
pub struct Reserved {
    twins: Vec<OwnedFd>,
    backlog: i32,
    address: Address,
}

impl Reserved {
    /// From here on connections queue.
    ///
    /// # Errors
    /// `AddrInUse` when another process has taken the address meanwhile, which it can until somebody listens.
    pub fn listen(self) -> io::Result<()> {
        self.twins.iter().try_for_each(|twin| Ok(rustix::net::listen(twin, self.backlog)?))
    }

    /// What it is bound to.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

fn bind_tcp(addr: SocketAddr, count: usize, share: Share) -> io::Result<Vec<Bound>> {
    // With SO_REUSEPORT a second server started by mistake would silently take half of the connections: look
    // first whether the address is taken.
    if addr.port() != 0 && share == Share::WithNobody {
        tcp_socket(addr, false)?.bind(&SockAddr::from(addr))?;
    }
    let mut addr = addr;
    let mut bound = Vec::new();
    for _ in 0..count {
        let socket = tcp_socket(addr, true)?;
        socket.bind(&SockAddr::from(addr))?;
        let listener = std::net::TcpListener::from(socket);
        addr = listener.local_addr()?;
        bound.push(Bound { socket: BoundSocket::Tcp(listener), address: Address::Tcp(addr) });
    }
    Ok(bound)
}

fn tcp_socket(addr: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        // `[::]` means IPv6 only: `0.0.0.0` can be listened on beside it, as nginx does.
        socket.set_only_v6(true)?;
    }
    if share {
        socket.set_reuse_port(true)?;
        // Accepted sockets inherit both: no system call per connection.
        socket.set_tcp_nodelay(true)?;
        unpaced(&socket, addr.ip());
    }
    Ok(socket)
}

fn bind_unix(path: &Path, count: usize) -> io::Result<Vec<Bound>> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    if is_socket {
        // Non-blocking: a listener whose queue is full would let this thread wait for ever.
        let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        match probe.connect(&SockAddr::unix(path)?) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    let address = Address::Unix(PathBuf::from(path));
    // Duplicated before it is bound: when no descriptor is left, no file has been made yet.
    let twins = (0..count).map(|_| {
        let twin = std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(socket.try_clone()?));
        Ok(Bound { socket: BoundSocket::Unix(twin), address: address.clone() })
    });
    let twins = twins.collect::<io::Result<_>>()?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(twins)
}

/// Whether the process, or the system, has run out of something that open connections hold: descriptors, memory, places in
/// the poll. Such an error of an accept comes again until some are closed, see [`Listener::shed`].
pub fn is_exhausted(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        // ENOSPC: more descriptors in polls than `fs.epoll.max_user_watches`.
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC)
    )
}

enum Kind {
    Tcp(mio::net::TcpListener),
    Unix(mio::net::UnixListener),
    Memory(memory::MemoryListener),
}

/// A listening socket on this worker's reactor.
pub struct Listener {
    kind: Kind,
    registration: Registration,
    address: Address,
    /// Closed when no descriptor is left, so that a waiting connection can be taken and refused instead of hanging.
    reserve: RefCell<Option<File>>,
}

impl Listener {
    /// Puts a bound socket on this worker's reactor.
    ///
    /// # Errors
    /// The poll's; or that no descriptor is left for the reserve, without which it could not even refuse connections later.
    pub fn new(bound: Bound) -> io::Result<Listener> {
        let reserve = match bound.socket {
            BoundSocket::Memory(_) => None,
            _ => Some(File::open("/dev/null")?),
        };
        let (kind, registration) = match bound.socket {
            BoundSocket::Tcp(listener) => {
                let mut io = mio::net::TcpListener::from_std(listener);
                let registration = Registration::of(&mut io)?;
                (Kind::Tcp(io), registration)
            }
            BoundSocket::Unix(listener) => {
                let mut io = mio::net::UnixListener::from_std(listener);
                let registration = Registration::of(&mut io)?;
                (Kind::Unix(io), registration)
            }
            BoundSocket::Memory(number) => {
                let listener = memory::MemoryListener::new(number)?;
                (Kind::Memory(listener), Registration::detached())
            }
        };
        Ok(Listener { kind, registration, address: bound.address, reserve: RefCell::new(reserve) })
    }

    /// The address it listens on.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Takes one waiting connection. Call it in a loop until it waits, but not for ever: a bounded batch a turn.
    ///
    /// # Errors
    /// Errors of one connection (`ConnectionAborted`) pass by; those of the process (no descriptor left, see
    /// [`Listener::shed`]) stay until something is freed.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        if let Kind::Memory(listener) = &self.kind {
            return listener
                .poll_accept(cx)
                .map(|(stream, number)| Ok(Accepted { stream: stream.into(), peer: Peer::Memory(number) }));
        }
        loop {
            ready!(self.registration.poll_ready(cx, Direction::Read))?;
            match self.accept_now() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.registration.clear(Ready::READING),
                other => return Poll::Ready(other),
            }
        }
    }

    /// Takes a connection that waits already; `None` when the queue is empty, by the system's word and not by what was
    /// reported. For the end of a listener, whose queue would be reset.
    ///
    /// # Errors
    /// As [`Listener::poll_accept`].
    pub fn accept_queued(&self) -> io::Result<Option<Accepted>> {
        if let Kind::Memory(listener) = &self.kind {
            let taken = listener.take();
            return Ok(taken.map(|(stream, number)| Accepted { stream: stream.into(), peer: Peer::Memory(number) }));
        }
        match self.accept_now() {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            other => other.map(Some),
        }
    }

    fn accept_now(&self) -> io::Result<Accepted> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (io, addr) = listener.accept()?;
                Ok(Accepted { stream: Stream::tcp(io)?, peer: Peer::of(addr) })
            }
            Kind::Unix(listener) => {
                let (io, _) = listener.accept()?;
                Ok(Accepted { stream: Stream::unix(io)?, peer: Peer::Unix })
            }
            Kind::Memory(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Out of descriptors: closes the reserve, takes waiting connections and closes them at once, so that their peers learn it
    /// now instead of timing out. Returns how many; at most 64 a call.
    pub fn shed(&self) -> usize {
        let mut reserve = self.reserve.borrow_mut();
        reserve.take();
        let mut shed = 0;
        while shed < 64 {
            // Dropped at once. Its registration may fail as well; it is closed all the same.
            let closed = match &self.kind {
                Kind::Tcp(listener) => listener.accept().map(drop),
                Kind::Unix(listener) => listener.accept().map(drop),
                Kind::Memory(_) => break,
            };
            if closed.is_err() {
                break;
            }
            shed += 1;
        }
        *reserve = File::open("/dev/null").ok();
        shed
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listener({})", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacing::is_paced;

    #[test]
    fn what_listens_on_loopback_alone_is_not_paced() {
        // The listener, and what it accepts.
        let is_paced_at = |ip: &str, reached_at: &str| {
            let address = Address::Tcp(SocketAddr::new(ip.parse().expect("it is an address"), 0));
            let bound = bind(&address, 2, 16).expect("a port is free");
            let listeners = bound.iter().map(|bound| match &bound.socket {
                BoundSocket::Tcp(listener) => listener,
                other => panic!("{other:?} is of TCP"),
            });
            let listeners: Vec<_> = listeners.collect();
            let port = listeners[0].local_addr().expect("it is bound").port();
            let _client = std::net::TcpStream::connect((reached_at, port)).expect("somebody listens");
            // The system has given it to one of them.
            let accepted = loop {
                if let Some((accepted, _)) = listeners.iter().find_map(|listener| listener.accept().ok()) {
                    break accepted;
                }
                std::thread::yield_now();
            };
            assert_eq!(is_paced(listeners[0]), is_paced(listeners[1]));
            (is_paced(listeners[0]), is_paced(&accepted))
        };
        assert_eq!(is_paced_at("127.0.0.1", "127.0.0.1"), (false, false));
        if std::net::TcpListener::bind("[::1]:0").is_ok() {
            assert_eq!(is_paced_at("::1", "::1"), (false, false));
        }
        let system = is_paced(Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket is given"));
        assert_eq!(is_paced_at("0.0.0.0", "127.0.0.1"), (system, system));
    }
}
