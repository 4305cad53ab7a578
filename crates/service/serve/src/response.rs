//! The answer of an exchange, as its handler writes it.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Poll};

use buf::{FileRange, Shared};
use http1::{HeadTooLarge, Hsts, ResponseEncoder, Whole};
use message::{BodyLength, Fields, HeadWriter, RequestHead, ResponseHead};
use net::Pipe;
use observe::{Failure, Kind as Fault};

use crate::error_pages::ErrorPages;
use crate::page;
use crate::wire::{Body, Wire};

/// A piece of an answer's body.
#[derive(Debug)]
pub enum Chunk {
    /// Text that lives as long as the program.
    Static(&'static [u8]),
    /// Pooled bytes.
    Shared(Shared),
    /// A part of bytes that a cache also holds.
    Cached(Rc<[u8]>, Range<usize>),
    /// A part of a file, sent without passing through user space where the transport can.
    File(FileRange),
}

/// The answer: any number of [`Response::inform`], one [`Response::start`], the chunks, [`Response::finish`].
/// What is queued goes out when the connection would wait, or above 64 KiB.
pub struct Response<'c> {
    wire: &'c Wire<'c>,
    encoder: ResponseEncoder,
    close: bool,
    /// Raised when a drain begins, perhaps while the handler is at work.
    draining: &'c Cell<bool>,
    /// How the connection ends behind half of it is somebody's business already.
    given_up: bool,
    error_pages: Option<Rc<ErrorPages>>,
}

impl<'c> Response<'c> {
    pub(crate) fn new(wire: &'c Wire<'c>, request: &RequestHead, draining: &'c Cell<bool>) -> Response<'c> {
        let encoder = ResponseEncoder::new(request);
        Response { wire, encoder, close: false, draining, given_up: false, error_pages: None }
    }

    /// Passes on an interim (1xx) head, whose fields `fields` writes in at most `fields_max` bytes; HTTP/1.0 clients get none.
    ///
    /// # Errors
    /// What `fields` says, or the head exceeds 64 KiB. Nothing is queued then.
    pub fn inform<E: From<HeadTooLarge>>(
        &mut self,
        status: u16,
        fields_max: usize,
        fields: impl FnOnce(&mut HeadWriter<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.encoder.interim_with(&mut self.wire.out.borrow_mut(), status, fields_max, fields)
    }

    /// Queues a 101, behind which HTTP is over.
    pub(crate) fn switch<E: From<HeadTooLarge>>(
        &mut self,
        fields_max: usize,
        fields: impl FnOnce(&mut HeadWriter<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.encoder.switching_with(&mut self.wire.out.borrow_mut(), fields_max, fields)?;
        self.wire.status.set(101);
        self.wire.ends_by_close.set(true);
        self.wire.body.set(Body::whole(0));
        Ok(())
    }

    /// Queues the head. The version's encoder adds Date, the framing and Connection.
    pub fn start(&mut self, head: &ResponseHead) {
        self.wire.status.set(head.status);
        self.decide_close();
        let date = event_loop::date();
        self.encoder.head(&mut self.wire.out.borrow_mut(), head, date.as_bytes(), self.close);
        self.wire.body.set(Body::from(self.wire.queued()));
    }

    /// Queues a whole answer, from its head to its end: the cheapest way, for one that a cache holds.
    #[inline]
    pub fn whole(&mut self, answer: &Whole) {
        self.wire.status.set(answer.head().status);
        self.wire.body.set(Body::whole(answer.body().len()));
        self.decide_close();
        let date = event_loop::date();
        self.encoder.whole(&mut self.wire.out.borrow_mut(), answer, date.as_bytes(), self.close);
    }

    /// Queues a head whose fields `fields` writes where they are sent from, in at most `fields_max` bytes: the cheapest way,
    /// for a head that is passed on.
    ///
    /// # Errors
    /// What `fields` says, or the head exceeds 64 KiB. Nothing is queued then, and another head may be.
    pub fn start_with<E: From<HeadTooLarge>>(
        &mut self,
        status: u16,
        body: BodyLength,
        fields_max: usize,
        fields: impl FnOnce(&mut HeadWriter<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.decide_close();
        if self.close {
            self.encoder.close();
        }
        let date = || *event_loop::date().as_bytes();
        self.encoder.head_with(&mut self.wire.out.borrow_mut(), status, body, date, fields_max, fields)?;
        self.wire.status.set(status);
        self.wire.body.set(Body::from(self.wire.queued()));
        Ok(())
    }

    /// Like [`Response::start_with`], with the whole body, and the end: the cheapest way for a small one.
    ///
    /// # Errors
    /// What `fields` says, or head and body exceed 64 KiB. Nothing is queued then, and another head may be.
    pub fn answer_with<E: From<HeadTooLarge>>(
        &mut self,
        status: u16,
        body: &[u8],
        fields_max: usize,
        fields: impl FnOnce(&mut HeadWriter<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.decide_close();
        if self.close {
            self.encoder.close();
        }
        let date = || *event_loop::date().as_bytes();
        self.encoder.head_and_body_with(&mut self.wire.out.borrow_mut(), status, body, date, fields_max, fields)?;
        self.wire.status.set(status);
        self.wire.body.set(Body::whole(body.len()));
        Ok(())
    }

    fn decide_close(&mut self) {
        self.close |= self.draining.get() || self.wire.body_in_the_way.get();
    }

    /// Queues a piece of the body; dropped where the answer has none (HEAD, 304).
    ///
    /// # Errors
    /// More bytes than the head declared.
    pub fn push(&mut self, chunk: Chunk) -> Result<(), Failure> {
        let out = &mut self.wire.out.borrow_mut();
        let pushed = match chunk {
            Chunk::Static(bytes) => self.encoder.data_static(out, bytes),
            Chunk::Shared(bytes) => self.encoder.data(out, bytes),
            Chunk::Cached(bytes, range) => self.encoder.data_cached(out, &bytes, range),
            Chunk::File(range) => self.encoder.file(out, range),
        };
        pushed.map_err(|_| too_long())
    }

    /// How many bytes of the body may go past the queue, by [`Response::poll_send_piped`]: all that are left, or none where the
    /// connection's protocol puts something around them.
    #[inline]
    pub fn pipeable(&self) -> u64 {
        if self.wire.stream.is_socket() { self.encoder.unframed() } else { 0 }
    }

    /// Takes note that the next `len` bytes of the body are in a pipe. Everything before them was flushed.
    ///
    /// # Errors
    /// More bytes than the head declared.
    pub fn push_piped(&mut self, len: usize) -> Result<(), Failure> {
        self.encoder.pass(len as u64).map_err(|_| too_long())
    }

    /// Sends what is in the pipe. Ready when all is sent.
    ///
    /// # Errors
    /// As [`Response::poll_ready`].
    pub fn poll_send_piped(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<Result<(), Failure>> {
        self.wire.poll_send_piped(cx, pipe)
    }

    /// Writes what is queued without waiting for the end of the turn: before bytes that go past the queue.
    ///
    /// # Errors
    /// As [`Response::poll_ready`].
    pub fn poll_flush_now(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.wire.poll_flush_now(cx)
    }

    /// Ends the answer.
    ///
    /// # Errors
    /// Fewer bytes than the head declared.
    pub fn finish(&mut self, trailers: Option<&Fields>) -> Result<(), Failure> {
        self.wire.ends_by_close.set(self.ends_by_close());
        let ended = self.encoder.end(&mut self.wire.out.borrow_mut(), trailers);
        ended.map_err(|_| Failure::because(Fault::Internal, "An answer had fewer bytes than its head declared."))
    }

    /// Ready when another chunk may be pushed: fewer than 64 KiB wait.
    ///
    /// # Errors
    /// The client has gone, or does not read.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.wire.poll_room(cx)
    }

    /// Waits until another chunk may be pushed.
    ///
    /// # Errors
    /// As [`Response::poll_ready`].
    pub async fn ready(&mut self) -> Result<(), Failure> {
        std::future::poll_fn(|cx| self.wire.poll_room(cx)).await
    }

    /// Writes what is queued. Ready when all is written.
    ///
    /// # Errors
    /// As [`Response::poll_ready`].
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.wire.poll_flush(cx)
    }

    /// Whether the head was queued.
    pub fn is_started(&self) -> bool {
        self.wire.is_answered()
    }

    /// Whether the answer is complete.
    pub fn is_finished(&self) -> bool {
        self.encoder.finished()
    }

    /// Whether a body will be sent (not for HEAD, 204, 304). Known after the start.
    pub fn wants_body(&self) -> bool {
        self.encoder.wants_body()
    }

    /// Whether trailers can follow a body of unknown length. Before the start.
    pub fn takes_trailers(&self) -> bool {
        self.encoder.chunks()
    }

    /// Has failures of this exchange answered with these pages, where there is one for the status, and with their fields.
    pub fn error_pages(&mut self, pages: &Rc<ErrorPages>) {
        self.error_pages = Some(Rc::clone(pages));
    }

    /// Has the connection closed after this answer. Before the start.
    pub fn close_after(&mut self) {
        self.close = true;
    }

    /// Has the answer say Strict-Transport-Security. Before the start.
    #[inline(always)]
    pub(crate) fn strict_transport_security(&mut self, hsts: Option<Hsts>) {
        self.encoder.strict_transport_security(hsts);
    }

    pub(crate) fn keep_alive(&self) -> bool {
        self.encoder.keep_alive() && !self.close
    }

    /// Whether the answer's end is the connection's end.
    pub(crate) fn ends_by_close(&self) -> bool {
        self.encoder.ends_by_close()
    }

    /// Takes note that it stays incomplete, and that the connection ends accordingly.
    pub(crate) fn give_up(&mut self) {
        self.given_up = true;
    }

    /// Answers with the page of a failure: what happened, in a sentence; with `reasons` the whole verdict.
    #[cold]
    pub(crate) fn refuse(&mut self, failure: &Failure, request: Option<&RequestHead>, reasons: bool) {
        if failure.kind.closes() {
            self.close = true;
        }
        let pages = self.error_pages.take().unwrap_or_default();
        if let Some(page) = pages.page(failure.status) {
            let length = page.body.len();
            self.start(&page::head(failure, page.content_type.as_bytes(), length, reasons, pages.fields()));
            // The lengths agree by construction.
            let _ = self.push(Chunk::Cached(Rc::clone(&page.body), 0..length));
            let _ = self.finish(None);
            return;
        }
        let page = page::of(failure, request, reasons, &pages);
        self.start(&page.head);
        // The lengths agree by construction.
        let _ = self.push(Chunk::Shared(page.body));
        let _ = self.finish(None);
    }
}

/// A panic of its handler, or the end of its worker, leaves half an answer behind: no client may take it for a whole one.
impl Drop for Response<'_> {
    fn drop(&mut self) {
        if self.is_finished() {
            return;
        }
        self.wire.ends_by_close.set(self.ends_by_close());
        if !self.given_up && self.is_started() {
            self.wire.abandon();
        }
    }
}

#[cold]
fn too_long() -> Failure {
    Failure::because(Fault::Internal, "An answer had more bytes than its head declared.")
}
