//! One connection and what is under way on it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use buf::{Class, ReadBuf};
use clock::Tick;
use load::ErrorKind;
use net::{Stream, Transport};

use crate::answer::{Answer, Reading};
use crate::echo::Echo;
use crate::pace::Leave;
use crate::state::State;
use crate::work::Mode;

/// Slices given to the system in one write: pipelined requests beyond that wait for the next.
const SLICES_MAX: usize = 32;

/// The kind of the one deadline that a session has.
const ANSWER: u8 = 1;

/// A request that was sent, or is being sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// When sending it began.
    at: u64,
    planned: u64,
    request: u32,
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Bytes have come.
    Bytes,
    /// The other side has closed.
    End,
}

/// An open connection.
///
/// [`Session::send`] for each request, then [`Session::poll_exchange`] until bytes have come, then [`Session::answers`]; at
/// the end [`Session::abandon`] counts what had no answer.
pub(crate) struct Session<'a> {
    state: &'a State,
    origin: usize,
    stream: Stream,
    input: ReadBuf,
    reading: Reading,
    echo: Echo,
    /// In the order in which they were sent. The last `unwritten` of them are not, or not wholly, written.
    sent: VecDeque<Sent>,
    unwritten: usize,
    /// Bytes of the first unwritten one that are written.
    offset: usize,
    timeout_ms: u32,
    reusable: bool,
}

impl<'a> Session<'a> {
    pub(crate) fn new(state: &'a State, number: usize, stream: Stream) -> Session<'a> {
        Session {
            state,
            origin: state.origin_number(number),
            stream,
            input: ReadBuf::new(Class::K16),
            reading: Reading::default(),
            echo: Echo::new(state.work.number, number),
            sent: VecDeque::with_capacity(state.work.pipeline),
            unwritten: 0,
            offset: 0,
            timeout_ms: state.work.timeouts.answer.as_millis().clamp(1, 1 << 29) as u32,
            reusable: true,
        }
    }

    /// Requests under way.
    #[inline]
    pub(crate) fn under_way(&self) -> usize {
        self.sent.len()
    }

    /// Whether another request may be sent here.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.reusable && self.sent.len() < self.state.work.pipeline
    }

    /// Whether the connection carries further requests.
    pub(crate) fn is_reusable(&self) -> bool {
        self.reusable
    }

    /// Puts a request in line to be written.
    #[inline]
    pub(crate) fn send(&mut self, leave: Leave, now: u64) {
        if self.sent.is_empty() {
            self.arm();
        }
        let request = self.state.pick(self.origin) as u32;
        self.sent.push_back(Sent { at: now, planned: leave.planned, request });
        self.unwritten += 1;
        self.state.in_flight.set(self.state.in_flight.get() + 1);
        self.state.tally.borrow_mut().sent(leave.lag);
        self.reusable = self.state.work.keep_alive;
    }

    /// Nothing is under way: silence is no fault.
    pub(crate) fn disarm(&self) {
        self.stream.clear_deadline();
    }

    /// Counts the time for the oldest answer anew.
    #[inline]
    fn arm(&self) {
        let at = Tick(event_loop::now().0.wrapping_add(self.timeout_ms));
        self.stream.set_deadline(at, ANSWER);
    }

    /// Writes what is unwritten, then reads. A write that fails does not hide an answer that came before it.
    ///
    /// # Errors
    /// What the connection broke of.
    #[inline]
    pub(crate) fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<Result<Read, ErrorKind>> {
        let mut broken = None;
        if self.unwritten > 0
            && let Poll::Ready(Err(error)) = self.poll_flush(cx)
        {
            broken = Some(error);
        }
        match self.stream.poll_read(cx, &mut self.input) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(Read::End)),
            Poll::Ready(Ok(n)) => {
                self.state.tally.borrow_mut().received(n as u64);
                Poll::Ready(Ok(Read::Bytes))
            }
            // A server that closes without TLS's own farewell: what came before says whether anything is missing.
            Poll::Ready(Err(error)) if matches!(net::tls_error(&error), Some(tls::Error::Truncated)) => {
                Poll::Ready(Ok(Read::End))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(kind_of(&error))),
            Poll::Pending => match broken {
                Some(error) => Poll::Ready(Err(kind_of(&error))),
                None => Poll::Pending,
            },
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unwritten > 0 {
            let n = match self.poll_write(cx) {
                Poll::Ready(Ok(n)) => n,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            };
            self.wrote(n);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let first = self.sent.len() - self.unwritten;
        if let Mode::Echo(_) = self.state.work.mode {
            let pattern = &self.state.pattern;
            let write = |slices: &[IoSlice<'_>]| self.stream.poll_write(cx, slices, false);
            return self.echo.with_message(first, self.offset, pattern, write);
        }
        let requests = &self.state.work.origins[self.origin].requests;
        if self.unwritten == 1 {
            let bytes = &requests[self.sent[first].request as usize].bytes;
            return self.stream.poll_write(cx, &[IoSlice::new(&bytes[self.offset..])], false);
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut offset = self.offset;
        let mut used = 0;
        for (slice, sent) in slices.iter_mut().zip(self.sent.range(first..)) {
            *slice = IoSlice::new(&requests[sent.request as usize].bytes[offset..]);
            offset = 0;
            used += 1;
        }
        self.stream.poll_write(cx, &slices[..used], false)
    }

    /// Takes note that the next `n` bytes are written.
    fn wrote(&mut self, mut n: usize) {
        self.state.tally.borrow_mut().wrote(n as u64);
        let mut at = self.sent.len() - self.unwritten;
        while n > 0 {
            let left = self.length_of(at) - self.offset;
            if n < left {
                self.offset += n;
                return;
            }
            n -= left;
            self.offset = 0;
            self.unwritten -= 1;
            at += 1;
        }
    }

    fn length_of(&self, at: usize) -> usize {
        match self.state.work.mode {
            Mode::Echo(bytes) => bytes,
            _ => self.state.work.origins[self.origin].requests[self.sent[at].request as usize].bytes.len(),
        }
    }

    /// Takes the answers that have come whole, and counts them. `now` is read once, when the first one is complete, and
    /// stays 0 if none is.
    ///
    /// # Errors
    /// What makes the connection useless; the request it happened to is counted by [`Session::abandon`].
    #[inline]
    pub(crate) fn answers(&mut self, now: &mut u64) -> Result<(), ErrorKind> {
        let mut any = false;
        while let Some(sent) = self.sent.front().copied() {
            let Some(answer) = self.next_answer(sent)? else { break };
            if self.sent.len() == 1 && !self.input.is_empty() {
                // More came than was asked for. Where one answer ends and something else begins is then the server's word alone: no
                // success.
                return Err(ErrorKind::TooLong);
            }
            if *now == 0 {
                *now = event_loop::precise::nanos();
            }
            self.count(sent, answer, *now);
            any = true;
            if self.sent.len() < self.unwritten {
                // Answered before it was written to its end: nothing more may be sent behind half a request.
                self.unwritten = self.sent.len();
                self.offset = 0;
                self.reusable = false;
            }
            if !answer.keep_alive {
                self.reusable = false;
                if !self.sent.is_empty() {
                    // The server closes behind this answer; what was pipelined behind it is lost.
                    return Err(ErrorKind::Closed);
                }
            }
        }
        if any && !self.sent.is_empty() {
            self.arm();
        }
        if self.sent.is_empty() && !self.input.is_empty() {
            return Err(ErrorKind::TooLong);
        }
        Ok(())
    }

    #[inline]
    fn next_answer(&mut self, sent: Sent) -> Result<Option<Answer>, ErrorKind> {
        if let Mode::Echo(_) = self.state.work.mode {
            return self.echo.read(&mut self.input, &self.state.pattern);
        }
        let number = sent.request as usize;
        let request = &self.state.work.origins[self.origin].requests[number];
        let mut template = self.state.templates[self.origin][number].borrow_mut();
        self.reading.next(&mut self.input, request, &mut template, self.state.work.verify)
    }

    #[inline]
    fn count(&mut self, sent: Sent, answer: Answer, now: u64) {
        self.sent.pop_front();
        self.state.in_flight.set(self.state.in_flight.get() - 1);
        self.state.last_answer.set(now);
        self.state.alive.set(true);
        let status = (answer.status != 0).then_some(answer.status);
        let (service, response) = (now.saturating_sub(sent.at), now.saturating_sub(sent.planned));
        let mut tally = self.state.tally.borrow_mut();
        let origin = &self.state.work.origins[self.origin];
        let request = origin.requests.get(sent.request as usize);
        match answer.mismatch {
            None => {
                tally.answered(status, service, response);
                if let Some(request) = request {
                    tally.target_answered(request.target, service, response);
                }
            }
            Some(kind) => {
                if let Some(request) = request {
                    tally.target_failed(request.target);
                }
                let expected = request.and_then(|r| r.expected.get().copied());
                let asked = request.and_then(|r| r.expected_status);
                tally.failed(kind, status, || {
                    let url = request.map_or(origin.name.as_str(), |r| &r.url);
                    format!("{url}: {}", crate::words::mismatch(kind, answer.status, asked, expected))
                });
            }
        }
    }

    /// The other side has closed: takes the answer that this ends, if it does.
    ///
    /// # Errors
    /// As [`Session::answers`]: `Closed`, `Truncated`.
    pub(crate) fn end(&mut self, now: &mut u64) -> Result<(), ErrorKind> {
        self.reusable = false;
        if self.sent.is_empty() {
            return Ok(());
        }
        if let Mode::Echo(_) = self.state.work.mode {
            return Err(if self.echo.is_inside() { ErrorKind::Truncated } else { ErrorKind::Closed });
        }
        self.reading.end_of_input();
        self.answers(now)?;
        if self.sent.is_empty() { Ok(()) } else { Err(ErrorKind::Closed) }
    }

    /// Counts `kind` once for the request at the front, and what was behind it on the connection as closed. With nothing
    /// under way, once for the connection.
    pub(crate) fn abandon(&mut self, kind: ErrorKind) {
        let origin = &self.state.work.origins[self.origin];
        let mut tally = self.state.tally.borrow_mut();
        let text = |sent: Option<&Sent>| {
            let request = sent.and_then(|s| origin.requests.get(s.request as usize));
            format!("{}: {}", request.map_or(origin.name.as_str(), |r| &r.url), kind.words())
        };
        let first = self.sent.pop_front();
        tally.failed(kind, None, || text(first.as_ref()));
        for sent in &self.sent {
            tally.failed(ErrorKind::Closed, None, || text(Some(sent)));
        }
        for sent in first.iter().chain(&self.sent) {
            if let Some(request) = origin.requests.get(sent.request as usize) {
                tally.target_failed(request.target);
            }
        }
        let lost = self.sent.len() as u64 + u64::from(first.is_some());
        self.state.in_flight.set(self.state.in_flight.get() - lost);
        self.sent.clear();
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if !self.sent.is_empty() {
            // Unanswered at the end of the run: the gauge keeps them, and a reset spares the server the answer.
            self.stream.reset_on_close();
        }
    }
}

/// What a connection broke of.
pub(crate) fn kind_of(error: &io::Error) -> ErrorKind {
    if net::tls_error(error).is_some() {
        return ErrorKind::Tls;
    }
    match error.kind() {
        io::ErrorKind::TimedOut => ErrorKind::Timeout,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
            ErrorKind::Reset
        }
        _ => ErrorKind::LocalOther,
    }
}
