//! The reading side of a client.

use buf::ReadBuf;
use message::{FieldLines, Method, ResponseHead};

use crate::body::{Body, BodyEvent};
use crate::error::{Fault, Garbage};
use crate::limits::Limits;
use crate::response_head::{self, Facts, Parts};
use crate::scan::{Bounds, Scan};

/// Interim answers to one request that are read. Uploads with progress reports send a few dozen at the most.
const INTERIM_MAX: u8 = 100;

/// Reads the answer to one request. Make a new one for the next request on the same connection.
///
/// # Contract
///
/// 1. Put bytes into the `ReadBuf` and call [`head`](ResponseDecoder::head) until it gives a head that is not interim.
///    Each interim head (1xx) is given out too, and the decoder then waits for the next.
/// 2. Then call [`body`](ResponseDecoder::body), feeding the buffer at every `More`, until
///    [`body_done`](ResponseDecoder::body_done).
/// 3. When the input ends before that, call [`end_of_input`](ResponseDecoder::end_of_input): it may be the regular
///    end of the body. Then go on with 2 until the body is done.
/// 4. [`keep_alive`](ResponseDecoder::keep_alive) says whether the connection can carry another request. It can only
///    if, besides, no byte is left in the buffer: nobody asked for it.
///
/// A 101 ends the HTTP part of the connection: it is a final head whose body is whatever follows until the connection
/// closes. Whether anybody asked for the switch is the caller's to know. The same holds for a 2xx to CONNECT.
///
/// After [`Garbage`] nothing more can be read: close the connection.
#[derive(Debug)]
pub struct ResponseDecoder {
    method: Method,
    scan: Scan,
    /// The status line of an incomplete head was found good.
    line_checked: bool,
    interim: u8,
    state: State,
    keep_alive: bool,
    coded: bool,
}

#[derive(Debug)]
enum State {
    /// Before the final head; `begun` when a byte of the answer was seen.
    Head { begun: bool },
    /// Behind it.
    Body(Body),
}

impl ResponseDecoder {
    /// A decoder for the answer to a request with that method: HEAD is answered without a body.
    pub fn new(request_method: Method) -> ResponseDecoder {
        ResponseDecoder {
            method: request_method,
            scan: Scan::of_head(),
            line_checked: false,
            interim: 0,
            state: State::Head { begun: false },
            keep_alive: false,
            coded: false,
        }
    }

    /// Takes the next head. `None` means that more bytes are needed. The cost is linear in the bytes of the head.
    ///
    /// # Errors
    ///
    /// [`Garbage::Fault`] for broken framing and exceeded limits (`uri_bytes` plays no part), [`Garbage::Status`],
    /// [`Garbage::TooManyInterim`].
    // A proxy calls it for each request, from one place; a health check's call is not to make it a call there.
    #[inline(always)]
    pub fn head(&mut self, input: &mut ReadBuf, limits: &Limits) -> Result<Option<ResponseHead>, Garbage> {
        let State::Head { begun } = &mut self.state else {
            debug_assert!(false, "the final head was given out already");
            return Ok(None);
        };
        *begun |= !input.is_empty();
        let bounds = limits.response(input.capacity());
        let mut lines = FieldLines::new();
        if self.scan.is_new()
            && let Some(parts) = Parts::at_once(input, bounds, &mut lines)
        {
            let facts = parts.judge(input.filled(), &lines, self.method)?;
            return self.finish(input, parts, lines, &facts);
        }
        self.piecemeal(input, bounds)
    }

    /// Reads on in a head that is not complete, or not plain.
    #[inline(never)]
    fn piecemeal(&mut self, input: &mut ReadBuf, bounds: Bounds) -> Result<Option<ResponseHead>, Garbage> {
        let bytes = input.filled();
        // httparse would pass over empty lines here, and nobody sends them before an answer.
        if matches!(bytes.first(), Some(b'\r' | b'\n')) {
            return Err(Fault::FirstLine.into());
        }
        let found = self.scan.find_end(bytes, bounds);
        if let Ok(Some(section)) = found {
            let (parts, lines) = Parts::of(bytes, section)?;
            let facts = parts.judge(bytes, &lines, self.method)?;
            return self.finish(input, parts, lines, &facts);
        }
        self.check_beginning(bytes)?;
        found?;
        Ok(None)
    }

    #[inline(always)]
    fn finish(
        &mut self,
        input: &mut ReadBuf,
        parts: Parts,
        lines: FieldLines,
        facts: &Facts,
    ) -> Result<Option<ResponseHead>, Garbage> {
        if parts.is_interim() {
            if self.interim == INTERIM_MAX {
                return Err(Garbage::TooManyInterim);
            }
            self.interim += 1;
        } else {
            self.state = State::Body(Body::of(facts.body));
            self.keep_alive = facts.keep_alive;
            self.coded = facts.coded;
        }
        self.scan = Scan::of_head();
        self.line_checked = false;
        Ok(Some(parts.over(lines.over(input.split_to(parts.end)), facts)))
    }

    /// Judges what is there of an incomplete head, before a fault further on is reported: as with fewer bytes at hand.
    #[cold]
    fn check_beginning(&mut self, bytes: &[u8]) -> Result<(), Garbage> {
        const BEGINNING: &[u8] = b"HTTP/1.";
        if self.line_checked {
            return Ok(());
        }
        let known = bytes.len().min(BEGINNING.len());
        if bytes[..known] != BEGINNING[..known] {
            return Err(Fault::FirstLine.into());
        }
        let line = self.scan.first_line_len();
        if line > 0 {
            response_head::check_line(&bytes[..line])?;
            self.line_checked = true;
        }
        Ok(())
    }

    /// Whether a byte of the answer was seen. As long as none was, the end of the connection says that the server had
    /// closed it before it got the request.
    pub fn begun(&self, input: &ReadBuf) -> bool {
        match self.state {
            State::Head { begun } => begun || !input.is_empty(),
            State::Body(_) => true,
        }
    }

    /// Takes the next piece of the body. Pieces are spans of the buffer and are never empty; chunk framing is taken
    /// off. `More` before the final head.
    ///
    /// # Errors
    ///
    /// Broken chunks, and trailers beyond the limits. What was given out before stands.
    pub fn body(&mut self, input: &mut ReadBuf, limits: &Limits) -> Result<BodyEvent, Garbage> {
        match &mut self.state {
            State::Head { .. } => Ok(BodyEvent::More),
            State::Body(body) => Ok(body.next(input, limits)?),
        }
    }

    /// The whole body, when its length was declared and all of it is there already: the cheapest way to hand on a small one.
    /// It stays in the buffer until [`ResponseDecoder::skip_whole_body`]; `None` behind any other head.
    #[inline]
    pub fn whole_body<'i>(&self, input: &'i ReadBuf) -> Option<&'i [u8]> {
        match &self.state {
            State::Body(Body::Known(left)) => input.filled().get(..usize::try_from(*left).ok()?),
            _ => None,
        }
    }

    /// Forgets the bytes that [`ResponseDecoder::whole_body`] gave: the body is done. Without them does nothing.
    #[inline]
    pub fn skip_whole_body(&mut self, input: &mut ReadBuf) {
        if let State::Body(Body::Known(left)) = self.state
            && left <= input.len() as u64
        {
            input.consume(left as usize);
            self.state = State::Body(Body::Done);
        }
    }

    /// Takes note that the next `n` bytes of the body, of those that [`ResponseDecoder::body_left`] tells, went by: they were taken
    /// from the connection without coming into the buffer, which is empty.
    pub fn pass(&mut self, n: u64) {
        if let State::Body(body) = &mut self.state {
            body.pass(n);
        }
    }

    /// Takes note that the connection ended. Call it when the buffer was read out: when [`ResponseDecoder::head`] gave
    /// `None`, or [`ResponseDecoder::body`] gave `More`.
    ///
    /// # Errors
    ///
    /// [`Garbage::Closed`] before a byte of the answer, [`Garbage::Truncated`] inside it; no error when that ends a
    /// body that only the end of the connection delimits, or when the body was complete.
    pub fn end_of_input(&mut self) -> Result<(), Garbage> {
        self.keep_alive = false;
        match &mut self.state {
            State::Head { begun: false } => Err(Garbage::Closed),
            State::Body(Body::Done) => Ok(()),
            State::Body(Body::UntilClose { closed }) => {
                *closed = true;
                Ok(())
            }
            State::Head { .. } | State::Body(_) => Err(Garbage::Truncated),
        }
    }

    /// Whether nothing of the answer is left to be read.
    pub fn body_done(&self) -> bool {
        matches!(&self.state, State::Body(body) if body.is_done())
    }

    /// How many bytes of the body are left, where that is known.
    pub fn body_left(&self) -> Option<u64> {
        match &self.state {
            State::Head { .. } => None,
            State::Body(body) => body.left(),
        }
    }

    /// Whether the connection can carry another request: the answer is read to its end and nothing in it spoke
    /// against it.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive && self.body_done()
    }

    /// Whether the body carries a transfer coding besides `chunked`. It was not asked for and is not undone here, so
    /// the pieces of the body are not the content, and handing them on without that coding's name corrupts it.
    pub fn transfer_coded(&self) -> bool {
        self.coded
    }
}
