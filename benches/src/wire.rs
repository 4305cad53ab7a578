//! What the little programs share: an epoll with a word per descriptor, sockets with a chosen source, and the bytes
//! that the yardsticks answer with.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
    process::ExitCode,
    time::Duration,
};

use rustix::{
    event::{Timespec, epoll},
    net::{AddressFamily, SocketFlags, SocketType, sockopt},
    process::Signal,
};

/// An edge-triggered epoll over descriptors that each carry a word.
pub struct Epoll {
    fd: OwnedFd,
    events: Vec<epoll::Event>,
}

impl std::fmt::Debug for Epoll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Epoll").field("fd", &self.fd).finish_non_exhaustive()
    }
}

impl Epoll {
    /// A new one that reports at most `batch` descriptors at a time.
    pub fn new(batch: usize) -> io::Result<Epoll> {
        Ok(Epoll { fd: epoll::create(epoll::CreateFlags::CLOEXEC)?, events: Vec::with_capacity(batch) })
    }

    /// Reports `word` whenever `source` becomes readable or is closed by its peer. Closing the descriptor ends it.
    pub fn add(&self, source: impl AsFd, word: u64) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        Ok(epoll::add(&self.fd, source, epoll::EventData::new_u64(word), flags)?)
    }

    /// The same, and when there is room to write again: the registration of the event loop's own sockets.
    pub fn add_duplex(&self, source: impl AsFd, word: u64) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        Ok(epoll::add(&self.fd, source, epoll::EventData::new_u64(word), flags)?)
    }

    /// Waits at most `limit` (forever without one) and gives the words of what is ready: none when time is up or a
    /// signal came.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<impl Iterator<Item = u64>> {
        Ok(self.wait_closing(limit)?.map(|(word, _)| word))
    }

    /// The same, each with whether its peer has closed.
    pub fn wait_closing(&mut self, limit: Option<Duration>) -> io::Result<impl Iterator<Item = (u64, bool)>> {
        let limit = limit.map(|limit| Timespec {
            tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        });
        self.events.clear();
        match epoll::wait(&self.fd, rustix::buffer::spare_capacity(&mut self.events), limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let closing = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        Ok(self.events.iter().map(move |event| {
            let flags = event.flags;
            (event.data.u64(), flags.intersects(closing))
        }))
    }
}

/// The word of the listener.
pub const LISTENER: u64 = u64::MAX;

/// Begins a little server: it ends with its parent, listens on `address`, says where that is, and has its listener watched.
pub fn listening(address: SocketAddr) -> io::Result<(TcpListener, Epoll)> {
    end_with_parent()?;
    let listener = TcpListener::bind(address)?;
    unpaced(&listener, address.ip());
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);
    let epoll = Epoll::new(1024)?;
    epoll.add(&listener, LISTENER)?;
    Ok((listener, epoll))
}

/// Takes BBR's pace from a socket on loopback, as our programs do: a yardstick is as bare as it can be. Like theirs it keeps it where the
/// system does not let it choose.
fn unpaced(socket: impl AsFd, address: IpAddr) {
    if address.is_loopback() && sockopt::tcp_congestion(&socket).is_ok_and(|name| name.starts_with("bbr")) {
        let _ = sockopt::set_tcp_congestion(&socket, "reno");
    }
}

/// A connection to a server, without blocking from then on and without delay.
///
/// # Errors
/// The system's.
pub fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    unpaced(&socket, to.ip());
    rustix::net::connect(&socket, &to)?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// How a little program ends: why, if it failed.
pub fn ended(program: &str, result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Connections by a number that is given again once one is gone.
#[derive(Debug)]
pub struct Slots<T> {
    slots: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// The number that `value` has from now on.
    pub fn insert(&mut self, value: T) -> usize {
        match self.free.pop() {
            Some(n) => {
                self.slots[n] = Some(value);
                n
            }
            None => {
                self.slots.push(Some(value));
                self.slots.len() - 1
            }
        }
    }

    /// What has that number, if it is still there.
    pub fn get(&mut self, n: usize) -> Option<&mut T> {
        self.slots.get_mut(n)?.as_mut()
    }

    /// Drops what has that number.
    pub fn remove(&mut self, n: usize) {
        if self.slots[n].take().is_some() {
            self.free.push(n);
        }
    }
}

/// How many loopback source addresses clients use, so that many thousands of connections to one server do not run
/// out of ports.
pub const SOURCES: usize = 16;

/// The next connection that waits, without blocking and without delay; none when no more wait.
///
/// # Errors
/// The listener's, and of the socket's options.
pub fn accept(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    let stream = match listener.accept() {
        Ok((stream, _)) => stream,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error),
    };
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    Ok(Some(stream))
}

/// Connects to `to` from the `n`-th loopback source address, and gives a non-blocking stream.
pub fn connect_from(n: usize, to: SocketAddr) -> io::Result<TcpStream> {
    let SocketAddr::V4(to) = to else { return Err(io::Error::other("the benches speak IPv4 only")) };
    let last = u8::try_from(2 + n % SOURCES).unwrap_or(2);
    let source = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), 0);
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &source)?;
    rustix::net::connect(&socket, &to)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Ends this program when the one that started it ends, so that a killed bench leaves nothing running.
pub fn end_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?)
}

/// A complete answer with a body of `length` bytes and a head like a static file server's: what the yardsticks send.
pub fn canned_answer(length: usize) -> Vec<u8> {
    let mut answer = canned_head(length);
    answer.extend(body(length));
    answer
}

/// Its head.
pub fn canned_head(length: usize) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nServer: bare\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n\
         Content-Length: {length}\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nETag: \"0123456789abcdef-400\"\r\n\
         Accept-Ranges: bytes\r\n\r\n"
    )
    .into_bytes()
}

/// The body that every server in the benches sends: lines of text, so that a compressing peer would show itself.
pub fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| if at % 64 == 63 { b'\n' } else { b'a' + u8::try_from(at % 26).unwrap_or(0) }).collect()
}

/// So many addresses with one port, from the first on.
pub fn addresses(first: SocketAddr, count: u32) -> Vec<SocketAddr> {
    let ip = |i: u32| match first.ip() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() + i).into(),
        v6 => v6,
    };
    (0..count).map(|i| SocketAddr::new(ip(i), first.port())).collect()
}
