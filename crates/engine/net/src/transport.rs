//! What a connection may do with a stream.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use buf::{FileRange, ReadBuf};
use clock::Tick;
use event_loop::{Direction, Ready, Registration};

/// What became of a piece of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSend {
    /// So many bytes went out.
    Sent(usize),
    /// The piece is not in memory: reading it would stall the worker. Have it read on the blocking pool, then call
    /// again.
    Cold,
}

/// A byte stream on a worker's reactor, edge-triggered. All operations take `&self`, so that the two directions can be
/// driven side by side by one task; one task reads and one (the same or another) writes.
///
/// Every operation answers `TimedOut` once the stream's deadline has passed.
pub trait Transport {
    /// Its place in the reactor.
    fn registration(&self) -> &Registration;

    /// Reads what there is into the window, leasing its buffer only when there is something to read. Zero is the end, or
    /// a window that is full.
    fn poll_read(&self, cx: &mut Context<'_>, into: &mut ReadBuf) -> Poll<io::Result<usize>>;

    /// Writes from `slices` what fits. `more` says that further bytes follow at once, so that the last
    /// segment may wait for them.
    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>], more: bool) -> Poll<io::Result<usize>>;

    /// Sends the beginning of `range`, at most 256 KiB of it at a time. With `check`, refuses ([`FileSend::Cold`]) what is not in
    /// memory.
    fn poll_send_file(&self, cx: &mut Context<'_>, range: &FileRange, check: bool) -> Poll<io::Result<FileSend>>;

    /// Says that no byte follows; the other direction stays open.
    fn shutdown_write(&self) -> io::Result<()>;

    /// The same where bytes are missing: TLS says no close_notify then (RFC 8446 §6.1).
    fn break_off_write(&self) -> io::Result<()> {
        self.shutdown_write()
    }

    /// Makes the coming close a reset, which no peer can take for a clean end.
    fn reset_on_close(&self);

    /// Waits for something to read (or the end), holding no buffer.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.registration().poll_ready(cx, Direction::Read)
    }

    /// Waits until the connection breaks in both directions, or its deadline passes. A half-close does not count.
    fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.registration().poll_broken(cx)
    }

    /// Whether, by all that was reported, a read would find something (or the end, or an error).
    fn maybe_readable(&self) -> bool {
        self.registration().ready().has(Ready::READ.and(Ready::READ_CLOSED).and(Ready::ERROR))
    }

    /// Drops the assumption that a short read emptied the socket: the next read makes the call. For a parser that
    /// holds part of a message (urgent data ends a read early without a further edge).
    fn reread_on_partial(&self) {
        self.registration().assume(Ready::READ);
    }

    /// Sets the one deadline of the stream; see [`Registration::set_deadline`].
    fn set_deadline(&self, at: Tick, kind: u8) {
        self.registration().set_deadline(at, kind);
    }

    /// Takes the deadline away, fired or not.
    fn clear_deadline(&self) {
        self.registration().clear_deadline();
    }
}
