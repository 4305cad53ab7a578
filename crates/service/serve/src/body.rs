//! The body of a request, as its handler reads it.

use std::io;
use std::task::{Context, Poll, ready};

use buf::{Class, ReadBuf, Shared};
use event_loop::now;
use http1::{BodyEvent, Limits, RequestDecoder};
use message::{Fields, RequestHead};
use net::{Filled, Pipe, Stream, Transport};
use observe::{Failure, Kind as Fault};

use crate::active::HEAD;
use crate::deadlines::Kind;
use crate::pace::Pace;
use crate::wire::Wire;

/// Of a body that nobody wanted, so much is skipped to keep the connection.
const SKIP_BYTES: u64 = 64 << 10;

/// Whether much of a body is to be read at once: the last read came to much, and more is `left` (`None`: nobody knows how much). Over TLS it comes
/// by records of 16 KiB anyhow.
#[inline]
pub fn is_bulky(last_read: u32, left: impl FnOnce() -> Option<u64>, stream: &Stream) -> bool {
    const LITTLE: u64 = Class::K16.bytes() as u64;
    u64::from(last_read) >= LITTLE && left().is_none_or(|left| left > LITTLE) && stream.tls().is_none()
}

/// A piece of a request body.
#[derive(Debug)]
pub enum BodyChunk {
    /// Bytes, without their framing.
    Data(Shared),
    /// The trailer fields; the end follows.
    Trailers(Fields),
    /// The body is complete.
    End,
}

/// The request's body. The first poll sends 100 Continue where the client waits for it.
pub struct RequestBody<'c> {
    wire: &'c Wire<'c>,
    decoder: &'c mut RequestDecoder,
    input: &'c mut ReadBuf,
    limits: Limits,
    /// Zero: none.
    bytes_max: u64,
    received: u64,
    touched: bool,
    awaits_continue: bool,
    failed: bool,
    /// How much the last read brought; before the first, anything.
    last_read: u32,
    pace: Pace,
}

impl<'c> RequestBody<'c> {
    pub(crate) fn new(
        wire: &'c Wire<'c>,
        decoder: &'c mut RequestDecoder,
        input: &'c mut ReadBuf,
        head: &RequestHead,
        limits: Limits,
        bytes_max: u64,
    ) -> RequestBody<'c> {
        let body = RequestBody {
            wire,
            decoder,
            input,
            limits,
            bytes_max,
            received: 0,
            touched: false,
            awaits_continue: head.expect_continue,
            failed: false,
            last_read: u32::MAX,
            pace: Pace::new(),
        };
        body.wire.body_in_the_way.set(head.expect_continue || body.is_far());
        body
    }

    /// Whether more is left than is skipped, as far as can be known: of a body in chunks that was long so far, more is expected. An
    /// answer that begins now says that the connection will close, even if the rest comes while the answer does.
    #[inline]
    fn is_far(&self) -> bool {
        self.decoder.body_left().map_or(self.received > SKIP_BYTES, |left| left > SKIP_BYTES)
    }

    /// Whether the whole body was read (or there is none).
    pub fn is_done(&self) -> bool {
        self.decoder.body_done()
    }

    /// How many of its connection's bytes are here, unread.
    #[inline]
    pub fn at_hand(&self) -> usize {
        self.input.len()
    }

    /// What would have held the whole request, with `head` bytes of head: the usual class for one without a body, and for one too large for any.
    #[inline]
    pub(crate) fn class_of_whole(&self, head: usize) -> Class {
        if self.received == 0 { HEAD } else { self.class_of(self.received.saturating_add(head as u64)) }
    }

    #[inline(never)]
    fn class_of(&self, bytes: u64) -> Class {
        // Over TLS it comes by records of 16 KiB anyhow.
        match bytes as usize {
            _ if self.wire.stream.tls().is_some() || bytes > Class::K68.bytes() as u64 => HEAD,
            bytes => Class::for_bytes(bytes),
        }
    }

    /// What has come of the connection's bytes and was not read yet.
    pub(crate) fn input(&mut self) -> &mut ReadBuf {
        self.input
    }

    /// Whether the client has sent nothing of its body and waits to be told to.
    #[inline]
    pub fn awaits_continue(&self) -> bool {
        self.awaits_continue && self.input.is_empty()
    }

    /// Whether nothing of the body was given out yet, so that the request could still be sent elsewhere.
    pub fn is_untouched(&self) -> bool {
        !self.touched
    }

    /// Changes the largest body accepted; 0: any. Fails at once when the declared length is larger.
    ///
    /// # Errors
    /// 413.
    pub fn limit(&mut self, bytes_max: u64) -> Result<(), Failure> {
        self.bytes_max = bytes_max;
        match self.decoder.body_left() {
            Some(left) if bytes_max > 0 && left.saturating_add(self.received) > bytes_max => self.too_large(),
            _ => Ok(()),
        }
    }

    fn too_large(&mut self) -> Result<(), Failure> {
        self.failed = true;
        let sentence = format!("The request's body is larger than the {} bytes accepted here.", self.bytes_max);
        Err(Failure::because(Fault::BodyTooLarge, sentence))
    }

    /// The next piece. While it waits, answers that gathered are flushed, and silence and rate are watched.
    ///
    /// # Errors
    /// 400 for broken framing or an early end, 408 for silence, 413 for too much; then the connection closes.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyChunk, Failure>> {
        self.wire.body_in_the_way.set(self.is_far());
        loop {
            match self.decoder.body(self.input, &self.limits) {
                Ok(BodyEvent::Data(bytes)) => {
                    // Whoever has the bytes has the buffer: it is there for the next read as soon as they are written.
                    self.input.release();
                    self.touched = true;
                    self.received += bytes.len() as u64;
                    self.wire.body_in_the_way.set(self.is_far());
                    if self.bytes_max > 0 && self.received > self.bytes_max {
                        self.too_large()?;
                    }
                    return Poll::Ready(Ok(BodyChunk::Data(bytes)));
                }
                Ok(BodyEvent::Trailers(fields)) => {
                    self.touched = true;
                    self.wire.body_in_the_way.set(false);
                    return Poll::Ready(Ok(BodyChunk::Trailers(fields)));
                }
                Ok(BodyEvent::End) => {
                    self.wire.body_in_the_way.set(false);
                    return Poll::Ready(Ok(BodyChunk::End));
                }
                Ok(BodyEvent::More) => ready!(self.poll_fill(cx))?,
                Err(reject) => {
                    self.failed = true;
                    let failure = Failure::refused(reject.status(), reject.sentence());
                    return Poll::Ready(Err(Failure { kind: Fault::BodyBroken, ..failure }));
                }
            }
        }
    }

    /// The next piece; see [`RequestBody::poll_chunk`].
    pub async fn chunk(&mut self) -> Result<BodyChunk, Failure> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// How many bytes of the body can be taken past the buffer, by [`RequestBody::poll_pipe`]: all that are left of a declared length,
    /// once the buffer was read out; none where the connection's protocol puts something around them.
    #[inline]
    pub fn pipeable(&self) -> u64 {
        let can = self.input.is_empty() && !self.awaits_continue && self.wire.stream.is_socket();
        if can { self.decoder.body_left().unwrap_or(0) } else { 0 }
    }

    /// Moves the next bytes of the body into `pipe`, which is empty, and says how many; none when there is no pipe to be had: take a
    /// chunk then. Waits as [`RequestBody::poll_chunk`] does.
    ///
    /// # Errors
    /// As [`RequestBody::poll_chunk`].
    pub fn poll_pipe(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<Result<Option<usize>, Failure>> {
        self.wire.body_in_the_way.set(self.is_far());
        let filled = match pipe.poll_fill(cx, self.wire.stream, self.pipeable()) {
            Poll::Ready(Ok(Filled::NoPipe)) => return Poll::Ready(Ok(None)),
            other => other.map_ok(|filled| if let Filled::Bytes(n) = filled { n } else { 0 }),
        };
        let n = ready!(self.came(cx, filled))?;
        self.touched = true;
        self.received += n as u64;
        self.decoder.pass(n as u64);
        self.wire.body_in_the_way.set(self.is_far());
        Poll::Ready(Ok(Some(n)))
    }

    /// Reads more of the connection's bytes.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if std::mem::take(&mut self.awaits_continue) && !self.wire.is_answered() && self.input.is_empty() {
            self.wire.out.borrow_mut().put(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let bulky = is_bulky(self.last_read, || self.decoder.body_left(), self.wire.stream);
        let class = if bulky { Class::K64 } else { Class::K16 };
        self.input.lease_next(class, Class::K64);
        let read = self.wire.stream.poll_read(cx, self.input);
        let n = ready!(self.came(cx, read))?;
        self.last_read = n as u32;
        Poll::Ready(Ok(()))
    }

    /// What it means that so many bytes came, or none, or that there is a wait for them.
    fn came(&mut self, cx: &mut Context<'_>, read: Poll<io::Result<usize>>) -> Poll<Result<usize, Failure>> {
        let failure = match read {
            Poll::Pending => {
                self.wait();
                // What gathered must not wait for the client while the client waits for it.
                if let Poll::Ready(Err(failure)) = self.wire.poll_flush(cx) {
                    self.failed = true;
                    return Poll::Ready(Err(failure));
                }
                return Poll::Pending;
            }
            Poll::Ready(Ok(n)) if n > 0 => {
                self.moved(n as u64);
                return Poll::Ready(Ok(n));
            }
            Poll::Ready(Ok(_)) => {
                Failure::because(Fault::BodyBroken, "The connection was closed in the middle of the request's body.")
            }
            Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::TimedOut => self.wire.deadlines.failure(),
            Poll::Ready(Err(_)) => Failure::new(Fault::ClientGone),
        };
        self.failed = true;
        Poll::Ready(Err(failure))
    }

    fn wait(&mut self) {
        if self.pace.is_waiting() {
            return;
        }
        let deadlines = &self.wire.deadlines;
        deadlines.set(Kind::Body, now().after(self.wire.timeouts.body));
        if let Some(at) = self.pace.wait(now(), self.wire.timeouts.min_rate) {
            deadlines.set(Kind::BodyRate, at);
        }
    }

    fn moved(&mut self, n: u64) {
        if self.pace.is_waiting() {
            self.wire.deadlines.clear(Kind::Body);
            self.wire.deadlines.clear(Kind::BodyRate);
        }
        self.pace.moved(now(), n);
    }

    /// We stop waiting for the client although it has not moved: back-pressure is ours now.
    pub fn pause(&mut self) {
        if self.pace.is_waiting() {
            self.moved(0);
        }
    }

    /// What is left of the body after an early answer: skips at most 64 KiB. False when there is more, or the
    /// client does not send it: the connection must close.
    pub(crate) async fn skip(&mut self) -> bool {
        // A client that was never told to continue may send the body or not: nobody can know where the next
        // request begins (RFC 9110 §10.1.1).
        if self.failed || (self.awaits_continue && !self.is_done()) {
            return false;
        }
        if self.decoder.body_left().is_some_and(|left| left > SKIP_BYTES) {
            return false;
        }
        self.bytes_max = self.received + SKIP_BYTES;
        while !self.is_done() {
            if !matches!(self.chunk().await, Ok(chunk) if !matches!(chunk, BodyChunk::End) || self.is_done()) {
                return false;
            }
        }
        true
    }
}
