//! The writing side of a client.

use buf::{OutQueue, Shared};
use message::{BodyLength, Fields};

use crate::encode::{BodyFraming, CHUNKED, CRLF, Lines, Wrap, built_lines};
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
        let mut lines = Lines::new();
        let framing = match body {
            BodyLength::None if matches!(method, b"POST" | b"PUT" | b"PATCH") => {
                lines.put_content_length(0);
                BodyFraming::Length(0)
            }
            BodyLength::None => BodyFraming::Length(0),
            BodyLength::Known(length) => {
                lines.put_content_length(length);
                BodyFraming::Length(length)
            }
            BodyLength::Streamed | BodyLength::UntilClose => {
                lines.put(CHUNKED);
                BodyFraming::Chunked
            }
        };
        lines.put(CRLF);
        let (fields, lines) = (built_lines(fields), lines.bytes());
        match connection {
            None => out.put_parts([method, b" ", target, b" HTTP/1.1\r\n", fields, lines]),
            Some(value) => {
                out.put_parts([method, b" ", target, b" HTTP/1.1\r\n", fields, b"Connection: ", value, CRLF, lines]);
            }
        }
        self.state = State::Body(framing);
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

    /// Ends the body. Trailers go out only with chunks.
    ///
    /// # Errors
    ///
    /// [`BodyMismatch::TooShort`] when bytes are still due: close the connection.
    pub fn end(&mut self, out: &mut OutQueue, trailers: Option<&Fields>) -> Result<(), BodyMismatch> {
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
