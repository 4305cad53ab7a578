//! The reading side of a server.

use buf::ReadBuf;
use message::{FieldLines, RequestHead};

use crate::body::{Body, BodyEvent};
use crate::error::{Fault, Reject};
use crate::limits::Limits;
use crate::request_head::{self, Parts};
use crate::scan::{Bounds, Scan};

/// Empty lines before a request that are passed over. RFC 9112 §2.2 asks for one at least: old clients end a body
/// with a CRLF that its length does not count.
const EMPTY_LINES_MAX: u8 = 4;

/// Reads the requests of one connection, one after the other.
///
/// # Contract
///
/// 1. Put bytes into the `ReadBuf` and call [`head`](RequestDecoder::head) until it gives a head. It takes the head
///    out of the buffer and leaves what follows.
/// 2. Then call [`body`](RequestDecoder::body), feeding the buffer at every `More`, until
///    [`body_done`](RequestDecoder::body_done). A request without a body is done at once.
/// 3. Start again at 1; pipelined requests are in the buffer already.
/// 4. At the end of input, [`end_of_input`](RequestDecoder::end_of_input) says whether it came between requests.
///
/// After a [`Reject`] nothing more can be read: answer, and close the connection. Every later call gives the same
/// `Reject`. When the connection is upgraded or is to be a tunnel, the buffer's content belongs to the new protocol.
///
/// The buffer must be one whose capacity holds the largest head allowed; a smaller one limits heads to its capacity.
/// Nobody else may take bytes from the front of it between two calls.
#[derive(Debug)]
pub struct RequestDecoder {
    scan: Scan,
    empty_lines: u8,
    /// The request line of an incomplete head was found good.
    line_checked: bool,
    body: Body,
}

impl Default for RequestDecoder {
    fn default() -> RequestDecoder {
        RequestDecoder::new()
    }
}

impl RequestDecoder {
    /// A decoder that waits for the first request of a connection.
    pub const fn new() -> RequestDecoder {
        RequestDecoder { scan: Scan::of_head(), empty_lines: 0, line_checked: false, body: Body::Done }
    }

    /// Takes the head of the next request. `None` means that more bytes are needed. The cost is linear in the bytes of
    /// the head, however few of them each call brings.
    ///
    /// Heads of CONNECT, TRACE and `OPTIONS *` are given out like any other; answering them is the caller's matter.
    ///
    /// # Errors
    ///
    /// Limits are judged first, in the order of the bytes: the request line (414), then the size and the number of the
    /// fields (431). What a complete head says is judged after that. A request line that is no request line is
    /// refused as soon as it is complete.
    pub fn head(&mut self, input: &mut ReadBuf, limits: &Limits) -> Result<Option<RequestHead>, Reject> {
        let mut head = None;
        self.head_into(&mut head, input, limits)?;
        Ok(head)
    }

    /// As [`RequestDecoder::head`], but puts the head in its place, which spares moving it. What is there stays when no head is
    /// complete.
    ///
    /// # Errors
    ///
    /// As for [`RequestDecoder::head`].
    pub fn head_into(
        &mut self,
        place: &mut Option<RequestHead>,
        input: &mut ReadBuf,
        limits: &Limits,
    ) -> Result<(), Reject> {
        if !self.body.is_done() {
            debug_assert!(matches!(self.body, Body::Failed(_)), "the body of the last request was not read");
            return Err(self.body.failure().into());
        }
        let bounds = limits.request(input.capacity());
        let mut lines = FieldLines::new();
        if self.scan.is_new()
            && let Some(parts) = Parts::at_once(input, bounds, &mut lines)
        {
            let facts = parts.judge(input.filled(), &lines)?;
            // The rest of the decoder is as new.
            (self.empty_lines, self.body) = (0, Body::of(facts.body));
            *place = Some(parts.over(lines.over(input.split_to(parts.end)), &facts));
            return Ok(());
        }
        if let Some(head) = self.piecemeal(input, bounds)? {
            *place = Some(head);
        }
        Ok(())
    }

    /// Reads on in a head that is not complete, or not plain.
    #[inline(never)]
    fn piecemeal(&mut self, input: &mut ReadBuf, bounds: Bounds) -> Result<Option<RequestHead>, Reject> {
        if matches!(input.filled().first(), Some(b'\r' | b'\n')) && !self.skip_empty_lines(input)? {
            return Ok(None);
        }
        let bytes = input.filled();
        let found = self.scan.find_end(bytes, bounds);
        if let Ok(Some(section)) = found {
            let (parts, lines) = Parts::of(bytes, section)?;
            let facts = parts.judge(bytes, &lines)?;
            *self = RequestDecoder { body: Body::of(facts.body), ..RequestDecoder::new() };
            return Ok(Some(parts.over(lines.over(input.split_to(parts.end)), &facts)));
        }
        self.check_beginning(bytes)?;
        found?;
        Ok(None)
    }

    /// Judges what is there of an incomplete head. It runs before a limit or a bad line end further on is reported, as
    /// it would have with fewer bytes at hand.
    #[cold]
    fn check_beginning(&mut self, bytes: &[u8]) -> Result<(), Reject> {
        if self.line_checked {
            return Ok(());
        }
        // A TLS client, say, would otherwise wait here until the deadline of the head.
        if bytes.first().is_some_and(|b| !b.is_ascii_graphic()) {
            return Err(Fault::FirstLine.into());
        }
        let line = self.scan.first_line_len();
        if line > 0 {
            request_head::check_line(&bytes[..line])?;
            self.line_checked = true;
        }
        Ok(())
    }

    /// False when a CR waits for its LF.
    #[cold]
    fn skip_empty_lines(&mut self, input: &mut ReadBuf) -> Result<bool, Reject> {
        loop {
            match input.filled() {
                [b'\r', b'\n', ..] if self.empty_lines == EMPTY_LINES_MAX => return Err(Fault::FirstLine.into()),
                [b'\r', b'\n', ..] => {
                    self.empty_lines += 1;
                    input.consume(2);
                }
                [b'\r'] => return Ok(false),
                [b'\r' | b'\n', ..] => return Err(Fault::LineEnding.into()),
                _ => return Ok(true),
            }
        }
    }

    /// Whether bytes of a head are there already: tells the wait for a head from the wait for a request.
    pub fn head_begun(&self, input: &ReadBuf) -> bool {
        self.body.is_done() && !input.is_empty()
    }

    /// Takes the next piece of the body of the request whose head was returned. Pieces are spans of the buffer and
    /// are never empty; chunk framing is taken off.
    ///
    /// # Errors
    ///
    /// Broken chunks (400) and trailers beyond the limits (431). What was given out before stands.
    pub fn body(&mut self, input: &mut ReadBuf, limits: &Limits) -> Result<BodyEvent, Reject> {
        Ok(self.body.next(input, limits)?)
    }

    /// Takes note that the next `n` bytes of the body, of those that [`RequestDecoder::body_left`] tells, went by: they were taken
    /// from the connection without coming into the buffer, which is empty.
    pub fn pass(&mut self, n: u64) {
        self.body.pass(n);
    }

    /// Whether nothing of the body is left to be read.
    pub fn body_done(&self) -> bool {
        self.body.is_done()
    }

    /// How many bytes of the body are left, where that is known.
    #[inline]
    pub fn body_left(&self) -> Option<u64> {
        self.body.left()
    }

    /// Whether the end of the input, with `input` unread, falls between two requests. If not, it cut one short.
    pub fn end_of_input(&self, input: &ReadBuf) -> bool {
        self.body.is_done() && input.is_empty()
    }
}
