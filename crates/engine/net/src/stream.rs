//! The closed set of streams there are.

use std::cell::Ref;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buf::{FileRange, ReadBuf};
use event_loop::Registration;
use tls::Session;

use crate::acknowledged::unacknowledged_for;
use crate::addr::Peer;
use crate::memory::MemoryStream;
use crate::parcel::{Loose, Parcel, loosen};
use crate::probes::probe;
use crate::socket::{Socket, send_flags};
use crate::tls_stream::Established;
use crate::transport::{FileSend, Transport};

/// A connection of any kind. A closed set instead of a type parameter: the code above is compiled once, and the
/// branch is never mispredicted in practice.
#[derive(Debug)]
pub struct Stream(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(Socket<mio::net::TcpStream>),
    Unix(Socket<mio::net::UnixStream>),
    /// Boxed, since it is the largest by far and the rarest: every idle connection has room for the largest.
    Memory(Box<MemoryStream>),
    Tls(Established),
}

impl Stream {
    pub(crate) fn tcp(io: mio::net::TcpStream) -> io::Result<Stream> {
        Socket::new(io).map(|s| Stream(Kind::Tcp(s)))
    }

    pub(crate) fn unix(io: mio::net::UnixStream) -> io::Result<Stream> {
        Socket::new(io).map(|s| Stream(Kind::Unix(s)))
    }

    /// The error that a connection attempt ended with, if any (SO_ERROR).
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match &self.0 {
            Kind::Tcp(s) => s.io().take_error(),
            Kind::Unix(s) => s.io().take_error(),
            Kind::Memory(_) => Ok(None),
            Kind::Tls(s) => s.inner().take_error(),
        }
    }

    pub(crate) fn tls_over(stream: Established) -> Stream {
        Stream(Kind::Tls(stream))
    }

    /// Takes an idle stream off this worker, so that another one can have it. What cannot go there is closed: streams in memory, and
    /// those over TLS of which something is still on its way.
    ///
    /// # Errors
    /// `Unsupported`, or why the system does not give it free.
    pub fn pack(self) -> io::Result<Parcel> {
        let (socket, session) = match self.0 {
            Kind::Tcp(s) => (Loose::Tcp(loosen(s)?), None),
            Kind::Unix(s) => (Loose::Unix(loosen(s)?), None),
            Kind::Memory(_) => return Err(io::ErrorKind::Unsupported.into()),
            Kind::Tls(s) => {
                let (session, inner) = s.into_inner().into_idle().ok_or(io::ErrorKind::Unsupported)?;
                (inner.pack()?.socket(), Some(Box::new(session)))
            }
        };
        Ok(Parcel::new(socket, session))
    }

    /// What was agreed on over TLS: protocol, server name, certificates; none on a plain stream. Do not keep it over an
    /// operation on the stream.
    pub fn tls(&self) -> Option<Ref<'_, Session>> {
        match &self.0 {
            Kind::Tls(s) => Some(s.session()),
            _ => None,
        }
    }

    /// The address of the other end, asked of the system: for those who do not keep it.
    pub fn peer(&self) -> Option<Peer> {
        match &self.0 {
            Kind::Tcp(s) => s.io().peer_addr().ok().map(Peer::of),
            Kind::Unix(_) => Some(Peer::Unix),
            Kind::Memory(_) => None,
            Kind::Tls(s) => s.inner().peer(),
        }
    }

    /// Looks at what has arrived, and leaves it there. Zero is the end. Plain streams only.
    ///
    /// Nothing tells when more than was seen has come: take what was seen before the next look.
    pub fn poll_peek(&self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_receive(cx, into, true)
    }

    /// Takes what has arrived, at most as much as fits into `into`. Zero is the end. Plain streams only.
    pub fn poll_take(&self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_receive(cx, into, false)
    }

    fn poll_receive(&self, cx: &mut Context<'_>, into: &mut [u8], peek: bool) -> Poll<io::Result<usize>> {
        match &self.0 {
            Kind::Tcp(s) => s.poll_receive(cx, into, peek),
            Kind::Unix(s) => s.poll_receive(cx, into, peek),
            Kind::Memory(s) => s.poll_receive(cx, into, peek),
            Kind::Tls(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Whether its bytes are those of a socket, so that a [`crate::Pipe`] can take them as they are.
    pub fn is_socket(&self) -> bool {
        matches!(self.0, Kind::Tcp(_) | Kind::Unix(_))
    }

    /// Has the kernel move what has arrived into a pipe that is empty. Zero is the end. The stream is ready to be read.
    pub(crate) fn splice_into(
        &self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        match &self.0 {
            Kind::Tcp(s) => s.splice_into(cx, pipe, most),
            Kind::Unix(s) => s.splice_into(cx, pipe, most),
            Kind::Memory(_) | Kind::Tls(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Has the kernel send `held` bytes of a pipe. The stream is ready to be written.
    pub(crate) fn splice_from(
        &self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        held: usize,
    ) -> Poll<io::Result<usize>> {
        match &self.0 {
            Kind::Tcp(s) => s.splice_from(cx, pipe, held),
            Kind::Unix(s) => s.splice_from(cx, pipe, held),
            Kind::Memory(_) | Kind::Tls(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Our own address on it; none where there is no IP below.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(s) => s.io().local_addr().ok(),
            Kind::Tls(s) => s.inner().local_addr(),
            Kind::Unix(_) | Kind::Memory(_) => None,
        }
    }

    /// For how long the other end's system has acknowledged nothing, while something that was sent is not acknowledged yet. Systems do that by
    /// themselves, however busy the program is that the bytes are for. `None` where all is, and where there is no TCP below.
    #[cold]
    pub fn unacknowledged_for(&self) -> Option<Duration> {
        match &self.0 {
            Kind::Tcp(s) => unacknowledged_for(s.io().as_fd()),
            Kind::Tls(s) => s.inner().unacknowledged_for(),
            Kind::Unix(_) | Kind::Memory(_) => None,
        }
    }

    /// Has the system ask the other end, when nothing has passed for [`crate::PROBED_AFTER`], whether it is still there: one that vanished without a
    /// word, as behind a cut cable, is an error two minutes after the last of it. Not while something is on its way there: that the
    /// system sends again, for a quarter of an hour, and asks nothing meanwhile. For connections on which nobody may send for long: four calls of
    /// the system's. Nothing where there is no TCP below.
    pub fn probe_peer(&self) {
        match &self.0 {
            Kind::Tcp(s) => probe(s.io().as_fd()),
            Kind::Tls(s) => s.inner().probe_peer(),
            Kind::Unix(_) | Kind::Memory(_) => {}
        }
    }

    /// Sends what the system takes at once, asking neither readiness nor the deadline; gives how much that was. For last
    /// words, where nobody waits any more. `more`: the end follows, and goes with it.
    pub(crate) fn send_now(&self, bytes: &[u8], more: bool) -> usize {
        let fd = match &self.0 {
            Kind::Tcp(s) => s.io().as_fd(),
            Kind::Unix(s) => s.io().as_fd(),
            Kind::Memory(s) => {
                let wrote = s.poll_write(&mut Context::from_waker(Waker::noop()), &[IoSlice::new(bytes)], false);
                return if let Poll::Ready(Ok(n)) = wrote { n } else { 0 };
            }
            // They go with what the stream sends next.
            Kind::Tls(_) => return 0,
        };
        if bytes.is_empty() {
            return 0;
        }
        rustix::net::send(fd, bytes, send_flags(more)).unwrap_or(0)
    }
}

impl From<MemoryStream> for Stream {
    fn from(stream: MemoryStream) -> Stream {
        Stream(Kind::Memory(Box::new(stream)))
    }
}

macro_rules! each {
    ($stream:expr, $s:ident => $call:expr) => {
        match &$stream.0 {
            Kind::Tcp($s) => $call,
            Kind::Unix($s) => $call,
            Kind::Memory($s) => $call,
            Kind::Tls($s) => $call,
        }
    };
}

impl Transport for Stream {
    fn registration(&self) -> &Registration {
        each!(self, s => s.registration())
    }

    fn poll_read(&self, cx: &mut Context<'_>, into: &mut ReadBuf) -> Poll<io::Result<usize>> {
        each!(self, s => s.poll_read(cx, into))
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>], more: bool) -> Poll<io::Result<usize>> {
        each!(self, s => s.poll_write(cx, slices, more))
    }

    fn poll_send_file(&self, cx: &mut Context<'_>, range: &FileRange, check: bool) -> Poll<io::Result<FileSend>> {
        each!(self, s => s.poll_send_file(cx, range, check))
    }

    fn shutdown_write(&self) -> io::Result<()> {
        each!(self, s => s.shutdown_write())
    }

    fn break_off_write(&self) -> io::Result<()> {
        each!(self, s => s.break_off_write())
    }

    fn reset_on_close(&self) {
        each!(self, s => s.reset_on_close())
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, s => s.poll_readable(cx))
    }

    fn maybe_readable(&self) -> bool {
        each!(self, s => s.maybe_readable())
    }
}
