//! The streams that are descriptors.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use buf::{FileRange, ReadBuf};
use event_loop::{Direction, Ready, Registration};
use mio::event::Source;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use rustix::pipe::{SpliceFlags, splice};

use crate::bulk::looks_behind;
use crate::resident::is_resident;
use crate::transport::{FileSend, Transport};

/// The most one `sendfile` moves. While the call lasts the socket is locked, and what the peer acknowledges piles up for us to take
/// care of, where otherwise the CPU on which it arrives would.
const FILE_PIECE: u64 = 256 << 10;

/// The smallest page there is.
const PAGE: u64 = 4096;

/// Pages change hands instead of being copied, and neither a pipe nor a socket is waited for.
const SPLICE: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// A connected socket, registered once for both directions. 8 bytes.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    io: S,
    registration: Registration,
}

impl<S: Source + AsFd> Socket<S> {
    pub(crate) fn new(mut io: S) -> io::Result<Socket<S>> {
        let registration = Registration::of(&mut io)?;
        Ok(Socket { io, registration })
    }

    pub(crate) fn io(&self) -> &S {
        &self.io
    }

    /// Receives into `into`; with `peek` the bytes stay where they are.
    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>, into: &mut [u8], peek: bool) -> Poll<io::Result<usize>> {
        let flags = if peek { RecvFlags::PEEK } else { RecvFlags::empty() };
        ready!(self.registration.poll_ready(cx, Direction::Read))?;
        self.attempt(cx, Direction::Read, |fd| rustix::net::recv(fd, &mut *into, flags).map(|(n, _)| n))
    }

    /// Moves what has arrived into a pipe that is empty; the socket was found ready.
    pub(crate) fn splice_into(
        &self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        // Less than asked for says nothing here: the pipe may have been full. Only a pipe that stayed empty says that nothing is there.
        self.attempt(cx, Direction::Read, |fd| splice(fd, None, pipe, None, most, SPLICE))
    }

    /// Sends `held` bytes of a pipe; the socket was found ready.
    pub(crate) fn splice_from(
        &self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        held: usize,
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(self.attempt(cx, Direction::Write, |fd| splice(pipe, None, fd, None, held, SPLICE)))?;
        if sent < held && !self.has_room() {
            self.registration.clear(Ready::WRITE);
        }
        Poll::Ready(Ok(sent))
    }

    pub(crate) fn into_parts(self) -> (S, Registration) {
        (self.io, self.registration)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }

    /// Runs a call, the direction being ready (the caller has asked); a would-block clears the bit and waits for the next edge.
    fn attempt<T>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Poll<io::Result<T>> {
        let bit = match direction {
            Direction::Read => Ready::READ,
            Direction::Write => Ready::WRITE,
        };
        loop {
            match call(self.fd()) {
                Err(Errno::WOULDBLOCK) => {
                    if self.registration.ready().has(Ready::ERROR) {
                        // Broken, and the error was taken by an earlier call: no edge will come again.
                        return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                    }
                    self.registration.clear(bit);
                    if direction == Direction::Read && self.registration.ready().has(Ready::READ_CLOSED) {
                        self.registration.clear(Ready::READ_CLOSED);
                    }
                }
                Err(Errno::INTR) => {}
                other => return Poll::Ready(other.map_err(io::Error::from)),
            }
            ready!(self.registration.poll_ready(cx, direction))?;
        }
    }
}

impl<S: Source + AsFd> Transport for Socket<S> {
    fn registration(&self) -> &Registration {
        &self.registration
    }

    // Apart from the read itself, since every second call only finds that nothing is there.
    #[inline]
    fn poll_read(&self, cx: &mut Context<'_>, into: &mut ReadBuf) -> Poll<io::Result<usize>> {
        match self.registration.poll_ready(cx, Direction::Read) {
            Poll::Ready(Ok(())) => self.read(cx, into),
            unready => {
                into.release();
                unready.map_ok(|()| 0)
            }
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>], more: bool) -> Poll<io::Result<usize>> {
        let flags = send_flags(more);
        ready!(self.registration.poll_ready(cx, Direction::Write))?;
        let wrote = ready!(self.attempt(cx, Direction::Write, |fd| match slices {
            [one] => rustix::net::send(fd, one, flags),
            many => rustix::net::sendmsg(fd, many, &mut SendAncillaryBuffer::default(), flags),
        }))?;
        // Less than offered: the socket is full, and room raises an edge.
        let offered = match slices {
            [one] => one.len(),
            many => many.iter().map(|s| s.len()).sum(),
        };
        if wrote < offered {
            self.registration.clear(Ready::WRITE);
        }
        Poll::Ready(Ok(wrote))
    }

    fn poll_send_file(&self, cx: &mut Context<'_>, range: &FileRange, check: bool) -> Poll<io::Result<FileSend>> {
        ready!(self.registration.poll_ready(cx, Direction::Write))?;
        let piece = piece_of(range);
        if check && !is_resident(range, piece) {
            return Poll::Ready(Ok(FileSend::Cold));
        }
        let sent = ready!(self.attempt(cx, Direction::Write, |fd| {
            let mut offset = range.offset;
            rustix::fs::sendfile(fd, range.file.as_fd(), Some(&mut offset), piece as usize)
        }))?;
        if sent == 0 {
            // The file has become shorter than what was promised. The socket is as ready as before: who asks again is told again.
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        // After full pieces, too: filling the socket to the brim costs more, in calls cut short, than waiting until a third of it
        // is free.
        let moved = sent as u64;
        let looks = range.len > moved && (moved < piece || looks_behind(self.fd(), range.offset, moved));
        if looks && !self.has_room() {
            self.registration.clear(Ready::WRITE);
        }
        self.registration.spend(operations(sent));
        Poll::Ready(Ok(FileSend::Sent(sent)))
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(self.fd(), rustix::net::Shutdown::Write)?)
    }

    fn reset_on_close(&self) {
        // On a Unix socket this has no effect, nor has it need of one: its peer sees the missing bytes.
        let _ = rustix::net::sockopt::set_socket_linger(self.fd(), Some(Duration::ZERO));
    }
}

impl<S: Source + AsFd> Socket<S> {
    #[inline(never)]
    fn read(&self, cx: &mut Context<'_>, into: &mut ReadBuf) -> Poll<io::Result<usize>> {
        let mut room = 0;
        let read = self.attempt(cx, Direction::Read, |fd| {
            let spare = into.spare();
            room = spare.len();
            // Not `read`: that goes through the file layer first, which costs more than the copy of a small request.
            rustix::net::recv(fd, spare, RecvFlags::empty()).map(|(n, _)| n)
        });
        match read {
            Poll::Ready(Ok(n)) => {
                into.commit(n);
                // Less than asked for: the socket is empty, and what comes next raises another edge.
                if n < room && n > 0 {
                    self.registration.drained();
                }
                Poll::Ready(Ok(n))
            }
            other => {
                into.release();
                other
            }
        }
    }

    /// Whether the kernel calls the socket writable: a third of its room is free. If not, an edge follows. `sendfile` stops at a
    /// full socket, at the end of a file that was cut short, and when it is interrupted; only the question tells them apart.
    fn has_room(&self) -> bool {
        let mut fds = [PollFd::new(&self.io, PollFlags::OUT)];
        // An error here is the next call's to find.
        !matches!(rustix::event::poll(&mut fds, Some(&Timespec::default())), Ok(0))
    }
}

/// What every send is done with. `more`: further bytes, or the end, follow at once and go with these.
pub(crate) fn send_flags(more: bool) -> SendFlags {
    if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL }
}

/// What bytes count as besides that one call of the kernel's moved: a task would otherwise move 32 MiB, which takes milliseconds, before the
/// others of its worker had their turn.
pub(crate) fn operations(bytes: usize) -> u32 {
    (bytes / (16 << 10)) as u32
}

/// How much of the range goes with one `sendfile`. Where more follows, the piece ends within a page: the kernel moves 16 pages at a time,
/// and from a piece that begins within one the last two of a loopback's segments follow each other so closely that the receiver finds the
/// second when it has read the first. Behind pieces of whole pages it sleeps in between, and is woken at the sender's cost.
fn piece_of(range: &FileRange) -> u64 {
    match range.len > FILE_PIECE && (range.offset + FILE_PIECE).is_multiple_of(PAGE) {
        true => FILE_PIECE - PAGE / 2,
        false => range.len.min(FILE_PIECE),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn all_pieces_but_the_last_end_within_a_page() {
        let file = Rc::new(File::open("/dev/null").expect("it is there"));
        for (offset, len) in [(0, 1 << 20), (1, 1 << 20), (PAGE * 7, FILE_PIECE + 1), (PAGE - 1, FILE_PIECE), (5, 17)] {
            let mut range = FileRange { file: Rc::clone(&file), offset, len };
            while range.len > 0 {
                let piece = piece_of(&range);
                assert!((1..=FILE_PIECE.min(range.len)).contains(&piece));
                range.offset += piece;
                range.len -= piece;
                assert!(range.len == 0 || !range.offset.is_multiple_of(PAGE), "{offset} {len} {}", range.offset);
            }
        }
    }
}
