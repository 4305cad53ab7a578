//! The writing side of a client.

use std::rc::Rc;

use buf::{OutQueue, Shared};
use message::{BodyLength, Fields, HeadWriter, Known};

use crate::encode::{
    BodyFraming, CHUNKED, CRLF, HeadTooLarge, OWN_LINES_MAX, Wrap, built_lines, put_content_length, whole,
};
use crate::error::BodyMismatch;

/// Writes one HTTP/1.1 request.
///
/// # Contract
///
/// [`head`](RequestEncoder::head) once, the body in pieces with [`data`](RequestEncoder::data), then
/// [`end`](RequestEncoder::end), also when there is no body.
#[derive(Debug)]
pub struct RequestEncoder {
    state: State,
}

/// ```text
/// Start ── head ──▶ Body ── end ──▶ Done
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Body(BodyFraming),
    Done,
}

impl Default for RequestEncoder {
    fn default() -> RequestEncoder {
        RequestEncoder::new()
    }
}

impl RequestEncoder {
    /// An encoder that has written nothing.
    pub fn new() -> RequestEncoder {
        RequestEncoder { state: State::Start }
    }

    /// Writes the head. `fields` must be built with a `FieldsBuilder`, have Host, and hold neither framing nor
    /// Connection; `connection` becomes the value of the latter (`close`, `upgrade`). The caller vouches for method and
    /// target: they are sent as they are.
    ///
    /// POST, PUT and PATCH without a body are given a Content-Length of 0 (RFC 9110 §8.6). A body of unknown length
    /// goes out in chunks.
    pub fn head(
        &mut self,
        out: &mut OutQueue,
        method: &[u8],
        target: &[u8],
        fields: &Fields,
        body: BodyLength,
        connection: Option<&[u8]>,
    ) {
        debug_assert!(self.state == State::Start);
        let body = declared(method, body);
        let mut memory = [0; OWN_LINES_MAX];
        let mut lines = HeadWriter::over(&mut memory);
        put_framing(&mut lines, body);
        let len = lines.len();
        let (fields, lines) = (built_lines(fields), &memory[..len]);
        match connection {
            None => out.put_parts([method, b" ", target, END_OF_LINE, fields, lines]),
            Some(value) => {
                out.put_parts([method, b" ", target, END_OF_LINE, fields, b"Connection: ", value, CRLF, lines]);
            }
        }
        self.state = State::Body(framing_of(body));
    }

    /// Writes a head whose fields `fields` writes straight into the queue, in at most `fields_max` bytes: the cheapest way,
    /// for a head that is passed on. They have Host and no Transfer-Encoding, and a Content-Length only if it says what
    /// `body` says, in as many digits as that takes. Otherwise as for [`RequestEncoder::head`].
    ///
    /// # Errors
    ///
    /// What `fields` says, or the head exceeds 64 KiB. Nothing was written then.
    pub fn head_with<E: From<HeadTooLarge>>(
        &mut self,
        out: &mut OutQueue,
        line: RequestLine<'_>,
        body: BodyLength,
        fields_max: usize,
        fields: impl FnOnce(&mut HeadWriter<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        debug_assert!(self.state == State::Start);
        let body = declared(line.method, body);
        let line_len = line.method.len() + 1 + line.target.len() + END_OF_LINE.len();
        out.write_with(line_len + fields_max + OWN_LINES_MAX, |memory| {
            let mut head = HeadWriter::over(memory);
            line.put(&mut head);
            fields(&mut head)?;
            debug_assert!(!head.names().contains(Known::TransferEncoding), "framing is the encoder's");
            put_framing(&mut head, body);
            whole::<E>(&head)
        })?;
        self.state = State::Body(framing_of(body));
        Ok(())
    }

    /// Writes a piece of the body.
    ///
    /// # Errors
    ///
    /// [`BodyMismatch::TooLong`] when it exceeds the declared length, or when there is no head to belong to: nothing of
    /// it is sent then.
    pub fn data(&mut self, out: &mut OutQueue, bytes: Shared) -> Result<(), BodyMismatch> {
        let State::Body(framing) = &mut self.state else {
            debug_assert!(false, "a body outside of a message");
            return Err(BodyMismatch::TooLong);
        };
        match framing.admit(out, bytes.len() as u64)? {
            Wrap::Drop => {}
            Wrap::Nothing => out.push_shared(bytes),
            Wrap::Chunk => {
                out.push_shared(bytes);
                out.put(CRLF);
            }
        }
        Ok(())
    }

    /// Like [`RequestEncoder::data`], for bytes that somebody else holds as well.
    ///
    /// # Errors
    ///
    /// As for [`RequestEncoder::data`].
    pub fn data_cached(&mut self, out: &mut OutQueue, bytes: &Rc<[u8]>) -> Result<(), BodyMismatch> {
        let State::Body(framing) = &mut self.state else {
            debug_assert!(false, "a body outside of a message");
            return Err(BodyMismatch::TooLong);
        };
        if bytes.is_empty() {
            return Ok(());
        }
        match framing.admit(out, bytes.len() as u64)? {
            Wrap::Drop => {}
            Wrap::Nothing => out.push_cached(bytes, 0..bytes.len()),
            Wrap::Chunk => {
                out.push_cached(bytes, 0..bytes.len());
                out.put(CRLF);
            }
        }
        Ok(())
    }

    /// How many bytes of the body may go to the connection past the queue, as they are: all that is left of a declared length; 0
    /// where pieces have to be framed.
    pub fn unframed(&self) -> u64 {
        if let State::Body(framing) = self.state { framing.unframed() } else { 0 }
    }

    /// Takes note that the next `len` bytes of the body go past the queue, which is empty.
    ///
    /// # Errors
    ///
    /// [`BodyMismatch::TooLong`] when that is more than [`RequestEncoder::unframed`].
    pub fn pass(&mut self, len: u64) -> Result<(), BodyMismatch> {
        let State::Body(framing) = &mut self.state else { return Err(BodyMismatch::TooLong) };
        framing.pass(len)
    }

    /// Ends the body. Trailers go out only with chunks.
    ///
    /// # Errors
    ///
    /// [`BodyMismatch::TooShort`] when bytes are still due: close the connection.
    #[inline]
    pub fn end(&mut self, out: &mut OutQueue, trailers: Option<&Fields>) -> Result<(), BodyMismatch> {
        if self.state == State::Body(BodyFraming::Length(0)) {
            self.state = State::Done;
            return Ok(());
        }
        self.end_framed(out, trailers)
    }

    #[inline(never)]
    fn end_framed(&mut self, out: &mut OutQueue, trailers: Option<&Fields>) -> Result<(), BodyMismatch> {
        let State::Body(framing) = self.state else {
            debug_assert!(false, "an end outside of a message");
            return Err(BodyMismatch::TooShort);
        };
        framing.end(out, trailers)?;
        self.state = State::Done;
        Ok(())
    }

    /// Whether the head was written.
    pub fn started(&self) -> bool {
        self.state != State::Start
    }

    /// Whether the request was written to its end.
    pub fn finished(&self) -> bool {
        self.state == State::Done
    }
}

/// The first line of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'a> {
    /// The method's token.
    pub method: &'a [u8],
    /// The target.
    pub target: &'a [u8],
    /// The line as it is to be sent, with its CRLF, where it is there in one piece. It says the same as the others.
    pub whole: Option<&'a [u8]>,
}

impl<'a> RequestLine<'a> {
    /// A line that is put together when it is written.
    pub fn of(method: &'a [u8], target: &'a [u8]) -> RequestLine<'a> {
        RequestLine { method, target, whole: None }
    }

    #[inline(always)]
    fn put(self, head: &mut HeadWriter<'_>) {
        if let Some(line) = self.whole {
            debug_assert_eq!(line, [self.method, b" ", self.target, END_OF_LINE].concat());
            return head.put_slice(line);
        }
        head.put_slice(self.method);
        head.put(b" ");
        head.put_slice(self.target);
        head.put(END_OF_LINE);
    }
}

const END_OF_LINE: &[u8; 11] = b" HTTP/1.1\r\n";

/// Where a body is expected, that there is none has to be said.
fn declared(method: &[u8], body: BodyLength) -> BodyLength {
    match body {
        BodyLength::None if matches!(method, b"POST" | b"PUT" | b"PATCH") => BodyLength::Known(0),
        body => body,
    }
}

fn framing_of(body: BodyLength) -> BodyFraming {
    match body {
        BodyLength::None => BodyFraming::Length(0),
        BodyLength::Known(length) => BodyFraming::Length(length),
        BodyLength::Streamed | BodyLength::UntilClose => BodyFraming::Chunked,
    }
}

/// The last lines of the head.
fn put_framing(lines: &mut HeadWriter<'_>, body: BodyLength) {
    match body {
        BodyLength::None => {}
        BodyLength::Known(length) => put_content_length(lines, length),
        BodyLength::Streamed | BodyLength::UntilClose => lines.put(CHUNKED),
    }
    lines.put(CRLF);
}
