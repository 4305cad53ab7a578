//! One try: a request on its way to a server, and the answer on its way back, both at once.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use balance::{Cause, Decision};
use buf::{Class, Front, OutQueue, ReadBuf};
use http1::{BodyEvent, RequestEncoder, ResponseDecoder};
use message::{BodyLength, Fields, Known, Method, RequestHead, ResponseHead};
use net::{Pipe, Transport};
use observe::Kind;
use serve::{BodyChunk, Chunk, Exchange, RequestBody, Response};
use upstream::Checkout;

use crate::buffered::Buffered;
use crate::failure::{Seen, TryFailed, Who, coded, garbage, mismatch, unasked_switch};
use crate::heads::{inform, passed_trailers};
use crate::proxy::{Proxy, Tries};
pub(crate) use crate::relay::waits::GONE;
use crate::relay::waits::{Wait, is_over};

mod piped;
mod waits;

/// Above this many bytes waiting for the server, the client's body is not read.
const HIGH_MARK: u64 = 64 << 10;

/// So much of a request's body may wait for the end of the turn.
const LIGHT: usize = 16 << 10;

/// The server's side of one try. It goes from one poll to the next in its place; nothing large is moved out of it.
pub(crate) struct Relay<'p> {
    proxy: &'p Proxy,
    pub(crate) checkout: Checkout<'p>,
    pub(crate) out: OutQueue,
    pub(crate) input: ReadBuf,
    encoder: RequestEncoder,
    decoder: ResponseDecoder,
    wait: Option<Wait>,
    /// Whether its connection, which was idle, is still to show that somebody is at its other end.
    doubted: bool,
    upload: Upload,
    /// Whether the answer to the client has begun.
    answering: bool,
    /// Whether an interim answer was passed on.
    informed: bool,
    /// Bytes of the request that the server's socket took.
    written: u64,
    /// How much the last read of the answer brought.
    last_read: u32,
    request_trailers: Option<Fields>,
    answer_trailers: Option<Fields>,
    /// What of the request's body, and of the answer's, is on its way within the kernel.
    up: Pipe,
    down: Pipe,
    /// The server's 101, when it may be followed, and a Set-Cookie of ours.
    pub(crate) switched: Option<Box<(ResponseHead, Option<&'p str>)>>,
}

/// The state of the request's way up.
///
/// ```text
/// Held --the server says 100, or nothing for a second--> Streaming
/// Streaming --body read to its end, queue empty--> Sent
///     |
///     +--the server stopped reading--> Broken (its answer may be there already)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    Held,
    Streaming,
    Sent,
    Broken,
}

/// Bodies up to this size are copied behind their heads, into the same buffer.
const SMALL: usize = 3 << 10;

/// Whether head and body together are little.
fn is_small(head: &ResponseHead, body: &[u8]) -> bool {
    body.len() <= SMALL && head.fields.bytes_len() <= SMALL
}

/// What one look at the answer's bytes came to.
enum Step {
    /// There may be more in the bytes at hand.
    Again,
    /// More bytes are needed.
    Read,
    /// The whole answer is queued for the client.
    Complete,
}

impl<'p> Relay<'p> {
    pub(crate) fn new(proxy: &'p Proxy, checkout: Checkout<'p>, method: Method) -> Relay<'p> {
        Relay {
            out: OutQueue::new(),
            input: ReadBuf::new(proxy.input_class),
            encoder: RequestEncoder::new(),
            decoder: ResponseDecoder::new(method),
            wait: None,
            doubted: checkout.is_reused(),
            upload: Upload::Streaming,
            answering: false,
            informed: false,
            written: 0,
            last_read: 0,
            request_trailers: None,
            answer_trailers: None,
            up: Pipe::new(),
            down: Pipe::new(),
            switched: None,
            proxy,
            checkout,
        }
    }

    /// Queues the rewritten head of the request; before the first poll. `path` is the normalised one, where that is not the
    /// one that was sent.
    // Not inside a future, where it would find all registers taken.
    #[inline(never)]
    pub(crate) fn queue_head(
        &mut self,
        exchange: &Exchange<'_>,
        path: Option<&[u8]>,
        buffered: Option<&Buffered>,
    ) -> Result<(), Box<TryFailed>> {
        // A body that is there already is not held back.
        if buffered.is_none() && exchange.body.awaits_continue() {
            self.upload = Upload::Held;
        }
        let asks = self.upload == Upload::Held;
        let body = match buffered {
            None => exchange.request.body,
            Some(buffered) => buffered.length(exchange.request.body),
        };
        let Relay { encoder, out, .. } = self;
        let queued = self.proxy.write_request(exchange, self.checkout.server(), path, asks, body, encoder, out);
        queued.map_err(|unfit| unfit.of_client())?;
        // Most requests have no body, and nobody waits to be asked for it.
        if exchange.request.body == BodyLength::None && !exchange.request.expect_continue {
            self.encoder.end(&mut self.out, None).map_err(|_| mismatch())?;
        } else if let Some(Buffered { bytes, trailers }) = buffered {
            self.encoder.data_cached(&mut self.out, bytes).map_err(|_| mismatch())?;
            self.encoder.end(&mut self.out, trailers.as_ref()).map_err(|_| mismatch())?;
        }
        Ok(())
    }

    /// Relays both ways until the whole answer is queued for the client.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange<'_>,
        tries: &Tries<'p>,
    ) -> Poll<Result<(), Box<TryFailed>>> {
        // A large body is passed on while it is in the CPU's caches.
        let is_light = self.encoder.finished() || exchange.body.at_hand() < LIGHT;
        if self.upload == Upload::Streaming && !self.out.is_empty() && is_light && event_loop::put_off(cx) {
            return Poll::Pending;
        }
        loop {
            if self.upload != Upload::Sent {
                self.poll_unsent(cx, &mut exchange.body)?;
            }
            let step = if self.answering {
                ready!(self.poll_body(cx, &mut exchange.response))?
            } else if self.input.is_empty() {
                // Most often nothing has come when the request has just been sent.
                Step::Read
            } else {
                // Interim answers do not pile up before a client that does not read them.
                if self.informed && exchange.response.poll_ready(cx).map_err(TryFailed::ours)?.is_pending() {
                    self.stop_waiting();
                    return Poll::Pending;
                }
                self.head(exchange, tries)?
            };
            match step {
                Step::Again => {}
                Step::Complete => return Poll::Ready(Ok(())),
                Step::Read => {
                    if self.pipes_answer(&exchange.response) && ready!(self.poll_pipe_answer(cx, exchange))? {
                        continue;
                    }
                    if ready!(self.poll_read(cx, exchange, tries))? == 0 {
                        self.decoder.end_of_input().map_err(|e| garbage(self.who(), &e, self.answering))?;
                    }
                }
            }
        }
    }

    /// Takes the next head of the answer, and has the client's begin when it is the final one.
    fn head(&mut self, exchange: &mut Exchange<'_>, tries: &Tries<'p>) -> Result<Step, Box<TryFailed>> {
        let head = match self.decoder.head(&mut self.input, &self.proxy.limits) {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(Step::Read),
            Err(e) => return Err(garbage(self.who(), &e, self.answering)),
        };
        // A sign of life: after an interim head the next one has its time anew.
        self.stop_waiting();
        if head.is_interim() {
            return self.interim(head, exchange, tries);
        }
        if self.decoder.transfer_coded() {
            return Err(coded(self.who()));
        }
        let proxy = self.proxy;
        if proxy.upstream.options().retry.retries_status(head.status) {
            self.hold_back(head.status, exchange, tries)?;
        }
        let cookie = tries.answered(head.status, exchange);
        self.answering = true;
        let response = &mut exchange.response;
        match self.decoder.whole_body(&self.input).filter(|body| is_small(&head, body)) {
            Some(body) => {
                proxy.answer(&head, body, cookie, response).map_err(|unfit| unfit.of_server(self.who()))?;
                self.decoder.skip_whole_body(&mut self.input);
                Ok(Step::Complete)
            }
            None => {
                proxy.start_answer(&head, cookie, response).map_err(|unfit| unfit.of_server(self.who()))?;
                Ok(Step::Again)
            }
        }
    }

    /// An error when another try may bring a better answer, and really follows: this one goes to the client otherwise.
    #[cold]
    fn hold_back(&self, status: u16, exchange: &Exchange<'_>, tries: &Tries<'p>) -> Result<(), Box<TryFailed>> {
        if !tries.is_replayable(exchange) {
            return Ok(());
        }
        let cause = Cause::Status(status);
        let seen = Seen { reused: self.checkout.is_reused(), request_bytes_written: true, answer_bytes_read: true };
        let decision = self.checkout.upstream().decide(&tries.failed(cause, seen, exchange));
        if decision != Decision::Retry {
            return Ok(());
        }
        let sentence = format_args!("answered with status {status}");
        let failed = TryFailed::of_server(cause, Kind::UpstreamClosed, self.who(), sentence);
        Err(Box::new(TryFailed { decided: Some(decision), ..*failed }))
    }

    /// An interim head. A 100 lets the body be asked for, which tells the client to send it; the others are news for the client.
    #[cold]
    fn interim(
        &mut self,
        head: ResponseHead,
        exchange: &mut Exchange<'_>,
        tries: &Tries<'p>,
    ) -> Result<Step, Box<TryFailed>> {
        match head.status {
            // The last head there is.
            101 => return self.switch(head, exchange.request, tries.answered(101, exchange)),
            100 => self.release_upload(),
            _ => {
                inform(&head, &self.proxy.rewrite.response_fields, &mut exchange.response)
                    .map_err(|unfit| unfit.of_server(self.who()))?;
                self.informed = true;
            }
        }
        Ok(Step::Again)
    }

    /// The body may be asked for.
    #[cold]
    fn release_upload(&mut self) {
        if self.upload == Upload::Held {
            self.upload = Upload::Streaming;
        }
    }

    /// A 101: followed only to where the client asked to go, and when the server has its whole request.
    #[cold]
    fn switch(
        &mut self,
        head: ResponseHead,
        request: &RequestHead,
        cookie: Option<&'p str>,
    ) -> Result<Step, Box<TryFailed>> {
        let protocols = head.fields.all(Known::Upgrade).flat_map(|value| value.split(|b| *b == b','));
        let mut protocols = protocols.map(<[u8]>::trim_ascii).filter(|protocol| !protocol.is_empty()).peekable();
        // What was taken out of the request on its way (forward) was not offered.
        let offered = |protocol: &[u8]| {
            !protocol.eq_ignore_ascii_case(b"h2c") && request.fields.has_token(Known::Upgrade, protocol)
        };
        let why = if !request.upgrade {
            "although it was not asked to"
        } else if protocols.peek().is_none() {
            "without saying to which one"
        } else if !protocols.all(offered) {
            "to one that it was not offered"
        } else if !self.encoder.finished() {
            "before it had the whole request"
        } else {
            drop(protocols);
            self.switched = Some(Box::new((head, cookie)));
            return Ok(Step::Complete);
        };
        Err(unasked_switch(self.who(), why))
    }

    /// Passes on the next piece of the answer's body, unless the client is slow.
    fn poll_body(&mut self, cx: &mut Context<'_>, response: &mut Response<'_>) -> Poll<Result<Step, Box<TryFailed>>> {
        if self.poll_room(cx, response)?.is_pending() {
            // Our client is slow, not the server.
            self.stop_waiting();
            return Poll::Pending;
        }
        match self.decoder.body(&mut self.input, &self.proxy.limits) {
            Ok(BodyEvent::Data(bytes)) => {
                // Who has the bytes has the buffer: it is there for the next read as soon as they are written.
                self.input.release();
                response.push(Chunk::Shared(bytes)).map_err(TryFailed::ours)?;
            }
            Ok(BodyEvent::Trailers(fields)) => {
                self.answer_trailers = Some(passed_trailers(&fields, &self.proxy.rewrite.response_fields));
            }
            Ok(BodyEvent::End) => {
                response.finish(self.answer_trailers.as_ref()).map_err(TryFailed::ours)?;
                return Poll::Ready(Ok(Step::Complete));
            }
            Ok(BodyEvent::More) => return Poll::Ready(Ok(Step::Read)),
            Err(e) => return Poll::Ready(Err(garbage(self.who(), &e, self.answering))),
        }
        Poll::Ready(Ok(Step::Again))
    }

    /// Whether both messages ended so that the connection can carry another exchange: it may be given back then.
    #[inline]
    pub(crate) fn ended_cleanly(&mut self) -> bool {
        self.stop_waiting();
        self.upload == Upload::Sent && self.decoder.keep_alive() && self.input.is_empty()
    }

    /// Tells of bytes that came behind the answer's end: its length was wrong, or it had none to have a body at all.
    #[cold]
    pub(crate) fn tell_excess(&self) {
        let more = self.input.len();
        if more > 0 {
            let bytes = if more == 1 { "byte" } else { "bytes" };
            let sentence = format_args!(
                "sent at least {more} {bytes} behind the end of its answer; what came was not passed on, and its connection was closed"
            );
            self.checkout.upstream().tell_excess(self.checkout.server(), sentence);
        }
    }

    /// How far the try has come.
    #[cold]
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            reused: self.checkout.is_reused(),
            request_bytes_written: self.written > 0,
            answer_bytes_read: self.decoder.begun(&self.input),
        }
    }

    /// Reads more of the answer. While it waits, what gathered for the client is flushed, and the client is watched.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange<'_>,
        tries: &Tries<'p>,
    ) -> Poll<Result<usize, Box<TryFailed>>> {
        let wait = if self.answering {
            Wait::Silence
        } else if self.upload == Upload::Held {
            Wait::Continue
        } else {
            Wait::Head
        };
        if self.answering {
            let class = if self.is_bulky() { Class::K64 } else { self.proxy.input_class };
            self.input.lease_next(class, class);
        }
        match self.checkout.stream().poll_read(cx, &mut self.input) {
            Poll::Ready(Ok(n)) => {
                self.last_read = n as u32;
                // The head has its time as a whole, however it drips.
                if wait == Wait::Silence {
                    self.stop_waiting();
                }
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(e)) if wait == Wait::Continue && is_over(&e) => {
                // Not every server knows what it was asked (RFC 9110 §10.1.1): the body goes without its leave.
                self.stop_waiting();
                self.release_upload();
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Err(e)) if self.wait == Some(Wait::Sign) && is_over(&e) => {
                self.look_for_a_sign(exchange, tries)?;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(self.broken(&e))),
            Poll::Pending => {
                self.wait_for_answer(wait);
                if let Poll::Ready(Err(failure)) = exchange.response.poll_flush(cx) {
                    return Poll::Ready(Err(TryFailed::ours(failure)));
                }
                exchange.client.poll_gone(cx).map(|failure| Err(TryFailed::ours(failure)))
            }
        }
    }

    /// Moves the request's body up as far as it goes now.
    fn poll_unsent(&mut self, cx: &mut Context<'_>, body: &mut RequestBody<'_>) -> Result<(), Box<TryFailed>> {
        if self.upload == Upload::Held {
            // A server that does not read is found out by its silence, as ever.
            return self.poll_flush(cx).map(|_| ());
        }
        while self.upload == Upload::Streaming {
            if self.encoder.finished() || self.out.len() >= HIGH_MARK || self.up.held() > 0 {
                match self.poll_flush(cx)? {
                    Poll::Ready(()) if self.encoder.finished() => self.upload = Upload::Sent,
                    Poll::Ready(()) => {}
                    Poll::Pending => {
                        body.pause();
                        self.start_waiting(Wait::Silence);
                        return Ok(());
                    }
                }
                continue;
            }
            let piped = if self.pipes_request(body) { body.poll_pipe(cx, &mut self.up) } else { Poll::Ready(Ok(None)) };
            let next = match piped {
                Poll::Ready(Ok(None)) => body.poll_chunk(cx),
                Poll::Ready(Ok(Some(n))) => {
                    self.encoder.pass(n as u64).map_err(|_| mismatch())?;
                    continue;
                }
                Poll::Ready(Err(failure)) => Poll::Ready(Err(failure)),
                Poll::Pending => Poll::Pending,
            };
            match next {
                Poll::Ready(Ok(BodyChunk::Data(bytes))) => {
                    self.encoder.data(&mut self.out, bytes).map_err(|_| mismatch())?;
                }
                Poll::Ready(Ok(BodyChunk::Trailers(fields))) => {
                    self.request_trailers = Some(passed_trailers(&fields, &self.proxy.rewrite.request_fields));
                }
                Poll::Ready(Ok(BodyChunk::End)) => {
                    let trailers = self.request_trailers.take();
                    self.encoder.end(&mut self.out, trailers.as_ref()).map_err(|_| mismatch())?;
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
            body.pause();
        }
        Ok(())
    }

    /// Writes to the server what waits for it. A server that stopped reading is no failure yet: its answer
    /// may be on the way (an early 413).
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Box<TryFailed>> {
        while self.has_unsent() {
            match self.poll_write_some(cx) {
                Poll::Ready(Ok(n)) => {
                    self.written += n as u64;
                    self.stop_waiting();
                }
                Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::TimedOut => return Err(self.broken(&e)),
                Poll::Ready(Err(_)) => {
                    self.upload = Upload::Broken;
                    self.out.clear();
                    self.up = Pipe::new();
                    return Ok(Poll::Pending);
                }
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Writes some of what is queued; then what is in the pipe, which came behind it.
    fn poll_write_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = self.checkout.stream();
        // What is in the pipe follows at once: it shares its first segment with what is queued.
        let more = self.up.held() > 0;
        let wrote = if let Some(bytes) = self.out.only() {
            stream.poll_write(cx, &[IoSlice::new(bytes)], more)
        } else {
            let mut slices = [IoSlice::new(&[]); 16];
            match self.out.front(&mut slices) {
                Front::Bytes(n) => stream.poll_write(cx, &slices[..n], more),
                // A request's body never is a file's.
                Front::Empty | Front::File(_) => return self.up.poll_drain(cx, stream),
            }
        };
        let n = ready!(wrote)?;
        self.out.advance(n as u64);
        Poll::Ready(Ok(n))
    }

    /// Whether some of the request waits for the server to read.
    fn has_unsent(&self) -> bool {
        !self.out.is_empty() || self.up.held() > 0
    }

    pub(crate) fn who(&self) -> Who<'p> {
        Who { upstream: self.checkout.upstream(), server: self.checkout.server() }
    }
}
