//! The writing side of a client connection, shared by the two directions of its exchange.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use buf::{FileRange, Front, OutQueue};
use event_loop::{Blocking, now};
use net::{FileSend, Pipe, Stream, Transport};
use observe::{Failure, Kind as Fault};

use crate::context::Timeouts;
use crate::deadlines::{Deadlines, Kind};
use crate::pace::Pace;

/// Above this many bytes waiting to be written, answers are flushed and their sources are no longer read.
const HIGH_MARK: u64 = 64 << 10;
/// Slices of one vectored write.
const SLICES: usize = 16;

pub(crate) struct Wire<'c> {
    pub(crate) stream: &'c Stream,
    pub(crate) out: RefCell<OutQueue>,
    pub(crate) deadlines: Deadlines<'c>,
    pub(crate) timeouts: Timeouts,
    /// The status of the present exchange's answer (not of an interim one), once that has begun; 0 before.
    pub(crate) status: Cell<u16>,
    /// How long its body is, where that is known as it begins; else where it begins, see [`Body`].
    pub(crate) body: Cell<Body>,
    /// Whether so much of the request's body is left that the connection closes behind an answer that begins now.
    pub(crate) body_in_the_way: Cell<bool>,
    /// What waits is the last of the connection, whose end follows at once and goes with it.
    last: Cell<bool>,
    /// The connection's end marks that of the present answer, once that is complete or given up; nothing else does.
    pub(crate) ends_by_close: Cell<bool>,
    pace: RefCell<Pace>,
    /// A piece of a file that is being read into memory, so that sending it will not block.
    warming: RefCell<Option<Blocking<()>>>,
}

/// The body of the present answer, for the record of the exchange: in one word, since every answer writes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body(u64);

impl Body {
    /// No body is so long.
    const IS_PLACE: u64 = 1 << 63;

    /// So many bytes, all queued.
    pub(crate) fn whole(length: usize) -> Body {
        Body(length as u64)
    }

    /// What is queued from this place on, counted over all that the connection's active phase wrote.
    pub(crate) fn from(place: u64) -> Body {
        Body(place | Body::IS_PLACE)
    }

    /// Its length, of which so much is queued or written.
    pub(crate) fn length(self, queued: u64) -> u64 {
        match self.0 & Body::IS_PLACE {
            0 => self.0,
            _ => queued.saturating_sub(self.0 ^ Body::IS_PLACE),
        }
    }
}

impl<'c> Wire<'c> {
    /// Whether the answer of the present exchange has begun.
    pub(crate) fn is_answered(&self) -> bool {
        self.status.get() != 0
    }

    /// Whether pipelined requests are parsed no further: their answers pile up. A part of a file is enough, however short, since each holds a
    /// descriptor.
    #[inline]
    pub(crate) fn is_behind(&self) -> bool {
        let out = self.out.borrow();
        out.len() >= HIGH_MARK || out.has_file()
    }

    /// Has the coming close say that bytes are missing. Where it is the end of the body, only a reset does.
    #[cold]
    pub(crate) fn abandon(&self) {
        match self.ends_by_close.get() {
            true => self.stream.reset_on_close(),
            // It is closed anyhow.
            false => _ = self.stream.break_off_write(),
        }
    }

    /// How much was queued in this active phase.
    pub(crate) fn queued(&self) -> u64 {
        self.pace.borrow().bytes() + self.out.borrow().len()
    }

    /// How much of that was written.
    pub(crate) fn written(&self) -> u64 {
        self.pace.borrow().bytes()
    }

    pub(crate) fn new(stream: &'c Stream, timeouts: Timeouts) -> Wire<'c> {
        Wire {
            stream,
            out: RefCell::new(OutQueue::new()),
            deadlines: Deadlines::new(stream),
            timeouts,
            status: Cell::new(0),
            body: Cell::new(Body::whole(0)),
            body_in_the_way: Cell::new(false),
            last: Cell::new(false),
            ends_by_close: Cell::new(false),
            pace: RefCell::new(Pace::new()),
            warming: RefCell::new(None),
        }
    }

    /// Writes what waits, at the end of the turn. Ready when all is written.
    ///
    /// # Errors
    /// What became of the client.
    #[inline]
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.out.borrow().is_empty() {
            Poll::Ready(Ok(()))
        } else if event_loop::put_off(cx) {
            Poll::Pending
        } else {
            self.poll_flush_some(cx)
        }
    }

    #[inline(never)]
    fn poll_flush_some(&self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut empty = false;
        while !empty {
            match self.poll_write_some(cx) {
                Poll::Ready(Ok(n)) => {
                    let mut out = self.out.borrow_mut();
                    out.advance(n);
                    empty = out.is_empty();
                    drop(out);
                    self.moved(n);
                }
                Poll::Ready(Err(e)) => return Poll::Ready(Err(self.failure(&e))),
                Poll::Pending => {
                    if self.warming.borrow().is_none() {
                        self.waiting();
                    }
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when another chunk may be queued; writes while it waits.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.out.borrow().len() < HIGH_MARK {
            return Poll::Ready(Ok(()));
        }
        // Much is gathered already, and would only leave the CPU's caches by the end of the turn.
        match self.poll_flush_now(cx) {
            Poll::Pending if self.out.borrow().len() < HIGH_MARK => Poll::Ready(Ok(())),
            other => other,
        }
    }

    /// Writes what waits, now: nothing is gained by gathering what is large. Ready when all is written.
    pub(crate) fn poll_flush_now(&self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.out.borrow().is_empty() { Poll::Ready(Ok(())) } else { self.poll_flush_some(cx) }
    }

    /// Sends what is in `pipe`, nothing being queued. Ready when all is sent.
    pub(crate) fn poll_send_piped(&self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<Result<(), Failure>> {
        debug_assert!(self.out.borrow().is_empty());
        while pipe.held() > 0 {
            match pipe.poll_drain(cx, self.stream) {
                Poll::Ready(Ok(n)) => self.moved(n as u64),
                Poll::Ready(Err(e)) => return Poll::Ready(Err(self.failure(&e))),
                Poll::Pending => {
                    self.waiting();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until all is written.
    pub(crate) async fn flush(&self) -> Result<(), Failure> {
        if self.out.borrow().is_empty() {
            return Ok(());
        }
        std::future::poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Waits until all is written. The system keeps the last of it for the end of the direction, which whoever calls this sends at once
    /// ([`Transport::shutdown_write`]): so they need one packet, and wake the client once.
    pub(crate) async fn flush_last(&self) -> Result<(), Failure> {
        self.last.set(true);
        self.flush().await
    }

    /// What an error of the client's stream means.
    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::TimedOut => self.deadlines.failure(),
            io::ErrorKind::UnexpectedEof => {
                Failure::because(Fault::FileError, "The file became shorter while it was being sent.")
            }
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => Failure::new(Fault::ClientGone),
            // No socket fails in another way; a disk does.
            _ => Failure::because(Fault::FileError, format!("The file could not be read: {error}")),
        }
    }

    #[cold]
    fn waiting(&self) {
        if !self.deadlines.is_set(Kind::Write) {
            self.deadlines.set(Kind::Write, now().after(self.timeouts.write));
            if let Some(at) = self.pace.borrow_mut().wait(now(), self.timeouts.min_rate) {
                self.deadlines.set(Kind::WriteRate, at);
            }
        }
    }

    fn moved(&self, n: u64) {
        // What was taken without a wait counts as well: a client that took a lot may rest.
        self.pace.borrow_mut().moved(now(), n);
        if self.deadlines.is_set(Kind::Write) {
            self.deadlines.clear(Kind::Write);
            self.deadlines.clear(Kind::WriteRate);
        }
    }

    fn poll_write_some(&self, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        match self.out.borrow().only() {
            Some(bytes) => self.stream.poll_write(cx, &[IoSlice::new(bytes)], self.last.get()).map_ok(|n| n as u64),
            None => self.poll_write_pieces(cx),
        }
    }

    /// Writes from a queue that is not one piece of bytes.
    // A function of its own: the slices and what a file needs would be room on the stack of every write.
    #[inline(never)]
    fn poll_write_pieces(&self, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let out = self.out.borrow();
        let mut slices = [IoSlice::new(&[]); SLICES];
        match out.front(&mut slices) {
            Front::Empty => Poll::Ready(Ok(0)),
            Front::Bytes(n) => {
                let more = self.last.get() || out.has_file();
                self.stream.poll_write(cx, &slices[..n], more).map_ok(|n| n as u64)
            }
            Front::File(range) => self.poll_write_file(cx, range),
        }
    }

    fn poll_write_file(&self, cx: &mut Context<'_>, range: &FileRange) -> Poll<io::Result<u64>> {
        let mut warming = self.warming.borrow_mut();
        let mut check = true;
        if let Some(reading) = warming.as_mut() {
            // Whatever became of the reading: the piece is sent now, at worst by a slower sendfile.
            let _ = ready!(std::pin::Pin::new(reading).poll(cx));
            *warming = None;
            check = false;
        }
        loop {
            match ready!(self.stream.poll_send_file(cx, range, check))? {
                FileSend::Sent(n) => return Poll::Ready(Ok(n as u64)),
                FileSend::Cold => {
                    check = false;
                    if let Some(mut reading) = warm(range)
                        && std::pin::Pin::new(&mut reading).poll(cx).is_pending()
                    {
                        *warming = Some(reading);
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

/// What still waits is lost: its task panicked, or its worker ended.
impl Drop for Wire<'_> {
    fn drop(&mut self) {
        if !self.out.get_mut().is_empty() {
            self.abandon();
        }
    }
}

/// How much of a file is read ahead at once.
const WARM_BYTES: u64 = 1 << 20;

/// Has the beginning of a range read into the page cache on the blocking pool. None where the process has no descriptor left for that.
fn warm(range: &FileRange) -> Option<Blocking<()>> {
    use std::os::unix::fs::FileExt;
    let file = range.file.try_clone().ok()?;
    let (begin, end) = (range.offset, range.offset + range.len.min(WARM_BYTES));
    Some(event_loop::blocking(move || {
        let mut scratch = vec![0; 64 << 10];
        let mut at = begin;
        while at < end {
            let want = scratch.len().min((end - at) as usize);
            match file.read_at(&mut scratch[..want], at) {
                Ok(0) | Err(_) => break,
                Ok(n) => at += n as u64,
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use buf::{Class, ReadBuf};

    use super::*;

    /// What a client reads behind an answer of which a piece still waited when its task was dropped.
    fn behind_a_lost_piece(ends_by_close: bool, lost: &'static [u8]) -> io::Result<usize> {
        let (worker, _) = event_loop::Worker::new(event_loop::WorkerConfig::default()).expect("a worker");
        let read = async {
            let (client, ours) = net::memory::pair(net::memory::Weather::default());
            let ours = Stream::from(ours);
            let wire = Wire::new(&ours, Timeouts::default());
            wire.ends_by_close.set(ends_by_close);
            wire.out.borrow_mut().push_static(lost);
            drop(wire);
            drop(ours);
            let mut input = ReadBuf::new(Class::K16);
            std::future::poll_fn(|cx| client.poll_read(cx, &mut input)).await
        };
        worker.block_on(read).expect("it ran")
    }

    #[test]
    fn a_piece_that_is_lost_is_no_clean_end() {
        let lost = behind_a_lost_piece(true, b"the end of it");
        assert_eq!(lost.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionReset));
        // Its length tells, or the last chunk; and where nothing is lost the end is one.
        assert_eq!(behind_a_lost_piece(false, b"the end of it").expect("an end"), 0);
        assert_eq!(behind_a_lost_piece(true, b"").expect("an end"), 0);
    }
}
