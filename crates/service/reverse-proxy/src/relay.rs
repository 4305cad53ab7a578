//! One try: a request on its way to a server, and the answer on its way back, both at once.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use balance::Cause;
use buf::{Class, Front, OutQueue, ReadBuf};
use event_loop::now;
use forward::{FieldRules, ResponseOptions};
use http1::{BodyEvent, Garbage, Limits, RequestEncoder, ResponseDecoder};
use message::{BodyLength, Fields, FieldsBuilder, HeadWriter, Method, ResponseHead};
use net::Transport;
use observe::{Failure, Kind};
use serve::{BodyChunk, Chunk, Client, RequestBody, Response};
use upstream::Checkout;

use crate::failure::{TryFailed, Unfit, Who, garbage};

/// Above this many bytes waiting for the server, the client's body is not read.
const HIGH_MARK: u64 = 64 << 10;

/// What the deadline of the server's stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Wait {
    /// The head of its answer.
    Head = 1,
    /// Its next bytes, or its reading of ours.
    Silence,
}

/// The server's side of one try.
pub(crate) struct Relay<'a> {
    pub(crate) checkout: Checkout,
    pub(crate) who: Who<'a>,
    out: OutQueue,
    input: ReadBuf,
    encoder: RequestEncoder,
    decoder: ResponseDecoder,
    limits: Limits,
    header_timeout: Duration,
    silence_timeout: Duration,
    wait: Option<Wait>,
    /// Bytes of the request that the server's socket took.
    pub(crate) written: u64,
    upload: Upload,
    request_trailers: Option<Fields>,
    answer_trailers: Option<Fields>,
}

/// The state of the request's way up.
///
/// ```text
/// Streaming --body read to its end, queue empty--> Sent
///     |
///     +--the server stopped reading--> Broken (its answer may be there already)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    Streaming,
    Sent,
    Broken,
}

static NO_RULES: FieldRules = FieldRules::none();

fn passed_trailers(fields: &Fields) -> Fields {
    let mut passed = FieldsBuilder::new();
    forward::trailers(fields, &NO_RULES, &mut passed);
    passed.finish()
}

/// The two ends of an exchange as the relay needs them.
pub(crate) struct Ends<'e, 'c> {
    pub(crate) body: &'e mut RequestBody<'c>,
    pub(crate) response: &'e mut Response<'c>,
    pub(crate) client: Client<'c>,
}

impl<'a> Relay<'a> {
    pub(crate) fn new(
        checkout: Checkout,
        who: Who<'a>,
        method: Method,
        limits: Limits,
        header_timeout: Duration,
        silence_timeout: Duration,
    ) -> Relay<'a> {
        Relay {
            checkout,
            who,
            out: OutQueue::new(),
            input: ReadBuf::new(Class::for_bytes(limits.header_bytes)),
            encoder: RequestEncoder::new(),
            decoder: ResponseDecoder::new(method),
            limits,
            header_timeout,
            silence_timeout,
            wait: None,
            written: 0,
            upload: Upload::Streaming,
            request_trailers: None,
            answer_trailers: None,
        }
    }

    /// Where the request's head is queued.
    pub(crate) fn head_out(&mut self) -> (&mut RequestEncoder, &mut OutQueue) {
        (&mut self.encoder, &mut self.out)
    }

    /// Whether any byte of the answer was read.
    pub(crate) fn answer_begun(&self) -> bool {
        self.decoder.begun(&self.input)
    }

    /// Sends the request while waiting for the head of the final answer. Interim answers are passed on.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_, '_>,
    ) -> Poll<Result<ResponseHead, TryFailed>> {
        loop {
            self.poll_upload(cx, ends)?;
            // Most often nothing has come when the request has just been sent.
            let head = if self.input.is_empty() { Ok(None) } else { self.decoder.head(&mut self.input, &self.limits) };
            match head {
                Ok(Some(head)) if head.status == 101 => return Poll::Ready(Err(self.unasked_switch())),
                Ok(Some(head)) if head.is_interim() => {
                    // A sign of life: the next head has its time anew.
                    self.stop_waiting();
                    // A 100 was sent by us when the body was asked for; the others are news for the client.
                    if head.status != 100 {
                        self.inform(&head, ends)?;
                    }
                    continue;
                }
                Ok(Some(head)) if head.body == BodyLength::Streamed && self.decoder.transfer_coded() => {
                    return Poll::Ready(Err(self.coded()));
                }
                Ok(Some(head)) => {
                    self.stop_waiting();
                    return Poll::Ready(Ok(head));
                }
                Ok(None) => {}
                Err(e) => return Poll::Ready(Err(garbage(self.who, &e))),
            }
            if ready!(self.poll_read(cx, ends, Wait::Head))? == 0 {
                let end = self.decoder.end_of_input().err().unwrap_or(Garbage::Closed);
                return Poll::Ready(Err(garbage(self.who, &end)));
            }
        }
    }

    /// Relays the answer's body, and what is left of the request's, until the answer is complete.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_, '_>) -> Poll<Result<(), TryFailed>> {
        loop {
            self.poll_upload(cx, ends)?;
            if ends.response.poll_ready(cx).map_err(TryFailed::ours)?.is_pending() {
                // Our client is slow, not the server.
                self.stop_waiting();
                return Poll::Pending;
            }
            match self.decoder.body(&mut self.input, &self.limits) {
                Ok(BodyEvent::Data(bytes)) => ends.response.push(Chunk::Shared(bytes)).map_err(TryFailed::ours)?,
                Ok(BodyEvent::Trailers(fields)) => self.answer_trailers = Some(passed_trailers(&fields)),
                Ok(BodyEvent::End) => {
                    let finished = ends.response.finish(self.answer_trailers.as_ref());
                    return Poll::Ready(finished.map_err(TryFailed::ours));
                }
                Ok(BodyEvent::More) => {
                    if ready!(self.poll_read(cx, ends, Wait::Silence))? == 0 {
                        self.decoder.end_of_input().map_err(|e| garbage(self.who, &e))?;
                    }
                }
                Err(e) => return Poll::Ready(Err(garbage(self.who, &e))),
            }
        }
    }

    /// Whether both messages ended so that the connection can carry another exchange: it may be given back then.
    pub(crate) fn ended_cleanly(&self) -> bool {
        self.upload == Upload::Sent && self.decoder.keep_alive() && self.input.is_empty()
    }

    /// Reads more of the answer. While it waits, what gathered for the client is flushed, and the client is watched.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_, '_>,
        wait: Wait,
    ) -> Poll<Result<usize, TryFailed>> {
        match self.checkout.stream().poll_read(cx, &mut self.input) {
            Poll::Ready(Ok(n)) => {
                // The head has its time as a whole, however it drips.
                if wait == Wait::Silence {
                    self.stop_waiting();
                }
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(self.broken(&e))),
            Poll::Pending => {
                // The head's time begins when the request is sent; before that it is the upload that is waited for.
                if wait == Wait::Silence || self.upload != Upload::Streaming {
                    self.start_waiting(wait);
                }
                if let Poll::Ready(Err(failure)) = ends.response.poll_flush(cx) {
                    return Poll::Ready(Err(TryFailed::ours(failure)));
                }
                ends.client.poll_gone(cx).map(|failure| Err(TryFailed::ours(failure)))
            }
        }
    }

    /// Moves the request's body up as far as it goes now.
    #[inline]
    fn poll_upload(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_, '_>) -> Result<(), TryFailed> {
        if self.upload == Upload::Sent { Ok(()) } else { self.poll_unsent(cx, ends) }
    }

    fn poll_unsent(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_, '_>) -> Result<(), TryFailed> {
        while self.upload == Upload::Streaming {
            if self.encoder.finished() || self.out.len() >= HIGH_MARK {
                match self.poll_flush(cx)? {
                    Poll::Ready(()) if self.encoder.finished() => self.upload = Upload::Sent,
                    Poll::Ready(()) => {}
                    Poll::Pending => {
                        ends.body.pause();
                        self.start_waiting(Wait::Silence);
                        return Ok(());
                    }
                }
                continue;
            }
            match ends.body.poll_chunk(cx) {
                Poll::Ready(Ok(BodyChunk::Data(bytes))) => {
                    self.encoder.data(&mut self.out, bytes).map_err(|_| self.mismatch())?;
                }
                Poll::Ready(Ok(BodyChunk::Trailers(fields))) => self.request_trailers = Some(passed_trailers(&fields)),
                Poll::Ready(Ok(BodyChunk::End)) => {
                    let trailers = self.request_trailers.take();
                    self.encoder.end(&mut self.out, trailers.as_ref()).map_err(|_| self.mismatch())?;
                }
                Poll::Ready(Err(failure)) => return Err(TryFailed::ours(failure)),
                Poll::Pending => {
                    if self.poll_flush(cx)?.is_pending() {
                        self.start_waiting(Wait::Silence);
                    }
                    return Ok(());
                }
            }
        }
        if self.upload == Upload::Broken {
            // The body is not asked for any more, so its silence is nobody's fault.
            ends.body.pause();
        }
        Ok(())
    }

    /// Writes to the server what waits for it. A server that stopped reading is no failure yet: its answer
    /// may be on the way (an early 413).
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, TryFailed> {
        while !self.out.is_empty() {
            match self.poll_write_some(cx) {
                Poll::Ready(Ok(n)) => {
                    self.out.advance(n as u64);
                    self.written += n as u64;
                    self.stop_waiting();
                }
                Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::TimedOut => return Err(self.broken(&e)),
                Poll::Ready(Err(_)) => {
                    self.upload = Upload::Broken;
                    self.out.clear();
                    return Ok(Poll::Pending);
                }
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        Ok(Poll::Ready(()))
    }

    fn poll_write_some(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = self.checkout.stream();
        if let Some(bytes) = self.out.only() {
            return stream.poll_write(cx, &[IoSlice::new(bytes)], false);
        }
        let mut slices = [IoSlice::new(&[]); 16];
        match self.out.front(&mut slices) {
            Front::Bytes(n) => stream.poll_write(cx, &slices[..n], false),
            // A request's body never is a file's.
            Front::Empty | Front::File(_) => Poll::Ready(Ok(0)),
        }
    }

    fn start_waiting(&mut self, wait: Wait) {
        if self.wait == Some(wait) {
            return;
        }
        let timeout = match wait {
            Wait::Head => self.header_timeout,
            Wait::Silence => self.silence_timeout,
        };
        self.checkout.stream().set_deadline(now().after(timeout), wait as u8);
        self.wait = Some(wait);
    }

    fn stop_waiting(&mut self) {
        if self.wait.take().is_some() {
            self.checkout.stream().clear_deadline();
        }
    }

    /// Passes on an interim answer.
    #[cold]
    fn inform(&self, head: &ResponseHead, ends: &mut Ends<'_, '_>) -> Result<(), TryFailed> {
        let options = ResponseOptions { rules: &NO_RULES, trailers: false, upgrade: false };
        let fields_max = forward::response_len_max(head, &options);
        let write = |fields: &mut HeadWriter<'_>| forward::response(head, &options, fields).map_err(Unfit::from);
        let informed = ends.response.inform(head.status, fields_max, write);
        informed.map_err(|unfit| unfit.of_server(self.who))
    }

    fn mismatch(&self) -> TryFailed {
        TryFailed::ours(Failure::because(Kind::Internal, "The request's body did not have its declared length."))
    }

    /// We asked for no coding, undo none, and may not pass one on without its name.
    fn coded(&self) -> TryFailed {
        let sentence = format!("{} sent a body in a transfer coding that it was not asked for", self.who);
        TryFailed::ours(Failure::because(Kind::UpstreamGarbage, sentence))
    }

    fn unasked_switch(&self) -> TryFailed {
        let sentence = format!("{} switched protocols although it was not asked to", self.who);
        TryFailed::ours(Failure::because(Kind::UpstreamGarbage, sentence))
    }

    fn broken(&self, error: &io::Error) -> TryFailed {
        let who = self.who;
        if error.kind() != io::ErrorKind::TimedOut {
            return TryFailed::of_server(
                Cause::Reset,
                if self.answer_begun() { Kind::UpstreamTruncated } else { Kind::UpstreamClosed },
                format!("{who} broke the connection: {error}"),
            );
        }
        match self.wait {
            Some(Wait::Head) | None => TryFailed::of_server(
                Cause::Timeout,
                Kind::UpstreamTimeout,
                format!("{who} accepted the connection but sent no response head within {:?}", self.header_timeout),
            ),
            Some(Wait::Silence) => TryFailed::of_server(
                Cause::Timeout,
                Kind::UpstreamSilent,
                format!("{who} neither sent nor read anything for {:?}", self.silence_timeout),
            ),
        }
    }
}
