//! The writing side of a server.

use std::ops::Range;
use std::rc::Rc;

use buf::{FileRange, OutQueue, Shared};
use message::{BodyLength, Fields, HeadWriter, Method, RequestHead, ResponseHead, Version};

use crate::encode::{BodyFraming, CRLF, HeadTooLarge, OWN_LINES_MAX, Wrap, any_fields, built_lines, whole};
use crate::error::BodyMismatch;
use crate::own_lines::{Begun, Hsts, STATUS_LINE_MAX, put_status_line, says_hsts, status_line, usual_status_line};
use crate::whole::Whole;

/// Writes the answer to one request.
///
/// # Contract
///
/// 1. [`interim`](ResponseEncoder::interim) any number of times, then [`head`](ResponseEncoder::head) once; or
///    [`switching`](ResponseEncoder::switching) instead of both.
/// 2. The body in pieces: [`data`](ResponseEncoder::data) and its kin. For HEAD, 204 and 304 they may be called all the
///    same and send nothing; [`wants_body`](ResponseEncoder::wants_body) tells, so that the work can be spared.
/// 3. [`end`](ResponseEncoder::end). Without it the answer is unfinished and the connection must be aborted.
/// 4. [`keep_alive`](ResponseEncoder::keep_alive) says whether the next request may be read.
///
/// HTTP/1.0 clients get no interim answers, no chunks and no trailers: a body of unknown length is delimited by the end
/// of the connection.
#[derive(Debug)]
pub struct ResponseEncoder {
    version: Version,
    to_head: bool,
    keep_alive: bool,
    hsts: Option<Hsts>,
    state: State,
}

/// ```text
/// Start ── head ──▶ Body ── end ──▶ Done
/// Start ── switching ─────────────▶ Switched
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Body(BodyFraming),
    Done,
    Switched,
}

impl ResponseEncoder {
    /// An encoder for the answer to `request`.
    pub fn new(request: &RequestHead) -> ResponseEncoder {
        ResponseEncoder {
            version: request.version,
            to_head: request.method == Method::Head,
            keep_alive: request.keep_alive,
            hsts: None,
            state: State::Start,
        }
    }

    /// An encoder for the answer to something that could not be read as a request. The connection is closed after it.
    pub fn for_refusal() -> ResponseEncoder {
        // Chunks could be wrong for a client of unknown version, but a refusal has a known length.
        ResponseEncoder { version: Version::Http11, to_head: false, keep_alive: false, hsts: None, state: State::Start }
    }

    /// Writes an interim answer: 100, 102, 103. Nothing goes to an HTTP/1.0 client, which would take it for the answer
    /// (RFC 9110 §15.2). Received fields are fine.
    pub fn interim(&mut self, out: &mut OutQueue, status: u16, fields: &Fields) {
        debug_assert!((100..200).contains(&status) && status != 101 && !self.started());
        if self.version == Version::Http10 || self.started() {
            return;
        }
        status_line(out, status);
        any_fields(out, fields);
        out.put(CRLF);
    }

    /// Like [`ResponseEncoder::interim`], with fields that `fields` writes straight into the queue, in at most `fields_max`
    /// bytes.
    ///
    /// # Errors
    ///
    /// What `fields` says, or the head exceeds 64 KiB. Nothing was written then.
    pub fn interim_with<E: From<HeadTooLarge>>(
        &mut self,
        out: &mut OutQueue,
        status: u16,
        fields_max: usize,
        fields: impl FnOnce(&mut HeadWriter<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        debug_assert!((100..200).contains(&status) && status != 101 && !self.started());
        if self.version == Version::Http10 || self.started() {
            return Ok(());
        }
        out.write_with(STATUS_LINE_MAX + fields_max + CRLF.len(), |memory| {
            let mut head = HeadWriter::over(memory);
            put_status_line(&mut head, status);
            fields(&mut head)?;
            head.put(CRLF);
            whole::<E>(&head)
        })
    }

    /// Has the answer say Strict-Transport-Security. Before the head; over TLS only. The field is to be said once (RFC 6797 §7.1):
    /// [`ResponseEncoder::head`] looks whether its fields say it, fields that are written in place must not.
    pub fn strict_transport_security(&mut self, hsts: Option<Hsts>) {
        self.hsts = hsts;
    }

    /// Has the connection closed after this answer. Before the head.
    pub fn close(&mut self) {
        debug_assert!(!self.started());
        self.keep_alive = false;
    }

    /// Writes the head: status line, the fields, then Date (unless they have one), Content-Length or Transfer-Encoding as
    /// `head.body` says, and Connection. `head.fields` must be built with a `FieldsBuilder` and hold neither framing
    /// nor Connection. `close`: the connection is to be closed after this answer.
    ///
    /// A final answer without body or length, other than 204 and 304, is given a Content-Length of 0.
    pub fn head(&mut self, out: &mut OutQueue, head: &ResponseHead, date: &[u8; 29], close: bool) {
        self.keep_alive &= !close;
        self.hsts = self.hsts.filter(|_| !says_hsts(built_lines(&head.fields)));
        let begun = self.begun(head.status, head.body);
        let mut memory = [0; OWN_LINES_MAX];
        let mut lines = HeadWriter::over(&mut memory);
        lines.note(head.fields.names());
        begun.put_lines(&mut lines, || *date);
        let len = lines.len();
        let (fields, lines) = (built_lines(&head.fields), &memory[..len]);
        match usual_status_line(head.status) {
            Some(line) => out.put_parts([line, fields, lines]),
            None => {
                status_line(out, head.status);
                out.put_parts([fields, lines]);
            }
        }
        self.begin(begun);
    }

    /// Writes a whole answer, from its head to its end: the cheapest way, for one that is sent many times. `close` as for
    /// [`ResponseEncoder::head`]. To HEAD the head goes alone.
    #[inline]
    pub fn whole(&mut self, out: &mut OutQueue, answer: &Whole, date: &[u8; 29], close: bool) {
        debug_assert!(!self.started());
        let is_plain =
            self.version == Version::Http11 && self.keep_alive && !self.to_head && !close && self.hsts.is_none();
        let body = answer.body();
        let Some(lines) = answer.lines().filter(|_| is_plain && body.len() <= COPIED_WITH_HEAD) else {
            return self.whole_by_parts(out, answer, date, close);
        };
        out.put_parts([lines, date, b"\r\n\r\n", body]);
        self.state = State::Done;
    }

    #[inline(never)]
    fn whole_by_parts(&mut self, out: &mut OutQueue, answer: &Whole, date: &[u8; 29], close: bool) {
        let body = answer.body();
        self.head(out, answer.head(), date, close);
        // The lengths agree by construction.
        let _ = self.data_cached(out, body, 0..body.len()).and_then(|()| self.end(out, None));
    }

    /// Writes a head whose fields `fields` writes straight into the queue, in at most `fields_max` bytes: the cheapest way,
    /// for a head that is passed on. They have neither Transfer-Encoding nor Connection, and a Content-Length only if it
    /// says what `body` says, in as many digits as that takes. `date` is asked for when they have none. Otherwise as for
    /// [`ResponseEncoder::head`].
    ///
    /// # Errors
    ///
    /// What `fields` says, or the head exceeds 64 KiB. Nothing was written then, and another head may be.
    pub fn head_with<E: From<HeadTooLarge>>(
        &mut self,
        out: &mut OutQueue,
        status: u16,
        body: BodyLength,
        date: impl FnOnce() -> [u8; 29],
        fields_max: usize,
        fields: impl FnOnce(&mut HeadWriter<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let begun = self.begun(status, body);
        begun.write(out, status, date, fields_max, fields, &[])?;
        self.begin(begun);
        Ok(())
    }

    /// Like [`ResponseEncoder::head_with`], with the whole body behind the head, and the end: the cheapest way for a small
    /// one, which goes into the same piece of memory. Where there is no body on the wire, `body` is not written.
    ///
    /// # Errors
    ///
    /// What `fields` says, or head and body exceed 64 KiB. Nothing was written then, and another head may be.
    pub fn head_and_body_with<E: From<HeadTooLarge>>(
        &mut self,
        out: &mut OutQueue,
        status: u16,
        body: &[u8],
        date: impl FnOnce() -> [u8; 29],
        fields_max: usize,
        fields: impl FnOnce(&mut HeadWriter<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let begun = self.begun(status, BodyLength::Known(body.len() as u64));
        let body = if begun.framing == BodyFraming::Dropped { &[] } else { body };
        begun.write(out, status, date, fields_max, fields, body)?;
        self.keep_alive = begun.keep_alive;
        self.state = State::Done;
        Ok(())
    }

    fn begun(&self, status: u16, body: BodyLength) -> Begun {
        debug_assert!(!self.started() && status >= 200);
        let framing = match body {
            _ if self.to_head || matches!(status, 204 | 304) => BodyFraming::Dropped,
            BodyLength::None => BodyFraming::Length(0),
            BodyLength::Known(length) => BodyFraming::Length(length),
            _ if self.version == Version::Http10 => BodyFraming::Close,
            BodyLength::Streamed | BodyLength::UntilClose => BodyFraming::Chunked,
        };
        let keep_alive = self.keep_alive && framing != BodyFraming::Close;
        // RFC 9110 §8.6: what a GET would have had, but never in a 204.
        let length = match (framing, body) {
            (BodyFraming::Length(length), _) => Some(length),
            (BodyFraming::Dropped, BodyLength::Known(length)) if status != 204 => Some(length),
            _ => None,
        };
        Begun { framing, length, keep_alive, version: self.version, hsts: self.hsts }
    }

    fn begin(&mut self, begun: Begun) {
        self.keep_alive = begun.keep_alive;
        self.state = State::Body(begun.framing);
    }

    /// Writes a 101 with the given fields, of which Upgrade must be one, and Connection: upgrade. HTTP/1 is over on this
    /// connection then. Received fields are fine.
    pub fn switching(&mut self, out: &mut OutQueue, fields: &Fields) {
        debug_assert!(!self.started() && self.version == Version::Http11);
        status_line(out, 101);
        any_fields(out, fields);
        out.put(SWITCHES);
        self.keep_alive = false;
        self.state = State::Switched;
    }

    /// Like [`ResponseEncoder::switching`], with fields that `fields` writes straight into the queue, in at most `fields_max`
    /// bytes.
    ///
    /// # Errors
    ///
    /// What `fields` says, or the head exceeds 64 KiB. Nothing was written then.
    pub fn switching_with<E: From<HeadTooLarge>>(
        &mut self,
        out: &mut OutQueue,
        fields_max: usize,
        fields: impl FnOnce(&mut HeadWriter<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        debug_assert!(!self.started() && self.version == Version::Http11);
        out.write_with(STATUS_LINE_MAX + fields_max + SWITCHES.len(), |memory| {
            let mut head = HeadWriter::over(memory);
            put_status_line(&mut head, 101);
            fields(&mut head)?;
            head.put(SWITCHES);
            whole::<E>(&head)
        })?;
        self.keep_alive = false;
        self.state = State::Switched;
        Ok(())
    }

    /// Writes a piece of the body.
    ///
    /// # Errors
    ///
    /// [`BodyMismatch::TooLong`] when it exceeds the declared length, or when there is no head to belong to: nothing of
    /// it is sent then.
    pub fn data(&mut self, out: &mut OutQueue, bytes: Shared) -> Result<(), BodyMismatch> {
        self.piece(out, bytes.len() as u64, |out| out.push_shared(bytes))
    }

    /// Like [`ResponseEncoder::data`], for text of the program.
    ///
    /// # Errors
    ///
    /// As for [`ResponseEncoder::data`].
    pub fn data_static(&mut self, out: &mut OutQueue, bytes: &'static [u8]) -> Result<(), BodyMismatch> {
        self.piece(out, bytes.len() as u64, |out| out.push_static(bytes))
    }

    /// Like [`ResponseEncoder::data`], for bytes that a cache holds as well.
    ///
    /// # Errors
    ///
    /// As for [`ResponseEncoder::data`].
    pub fn data_cached(
        &mut self,
        out: &mut OutQueue,
        bytes: &Rc<[u8]>,
        range: Range<usize>,
    ) -> Result<(), BodyMismatch> {
        self.piece(out, range.len() as u64, |out| out.push_cached(bytes, range))
    }

    /// Like [`ResponseEncoder::data`], for a part of a file.
    ///
    /// # Errors
    ///
    /// As for [`ResponseEncoder::data`].
    pub fn file(&mut self, out: &mut OutQueue, range: FileRange) -> Result<(), BodyMismatch> {
        self.piece(out, range.len, |out| out.push_file(range))
    }

    #[inline]
    fn piece(&mut self, out: &mut OutQueue, len: u64, push: impl FnOnce(&mut OutQueue)) -> Result<(), BodyMismatch> {
        let State::Body(framing) = &mut self.state else {
            debug_assert!(false, "a body outside of a message");
            return Err(BodyMismatch::TooLong);
        };
        match framing.admit(out, len) {
            Ok(Wrap::Drop) => {}
            Ok(Wrap::Nothing) => push(out),
            Ok(Wrap::Chunk) => {
                push(out);
                out.put(CRLF);
            }
            Err(mismatch) => {
                self.keep_alive = false;
                return Err(mismatch);
            }
        }
        Ok(())
    }

    /// How many bytes of the body may go to the connection past the queue, as they are: all that is left of a declared length; 0
    /// where pieces have to be framed or are not sent.
    pub fn unframed(&self) -> u64 {
        if let State::Body(framing) = self.state { framing.unframed() } else { 0 }
    }

    /// Takes note that the next `len` bytes of the body go past the queue, which is empty.
    ///
    /// # Errors
    ///
    /// [`BodyMismatch::TooLong`] when that is more than [`ResponseEncoder::unframed`].
    pub fn pass(&mut self, len: u64) -> Result<(), BodyMismatch> {
        let State::Body(framing) = &mut self.state else { return Err(BodyMismatch::TooLong) };
        framing.pass(len)
    }

    /// Ends the body. Trailers go out only with chunks.
    ///
    /// # Errors
    ///
    /// [`BodyMismatch::TooShort`] when bytes are still due: abort the connection.
    pub fn end(&mut self, out: &mut OutQueue, trailers: Option<&Fields>) -> Result<(), BodyMismatch> {
        let State::Body(framing) = self.state else {
            debug_assert!(false, "an end outside of a message");
            return Err(BodyMismatch::TooShort);
        };
        let ended = framing.end(out, trailers);
        match ended {
            Ok(()) => self.state = State::Done,
            Err(_) => self.keep_alive = false,
        }
        ended
    }

    /// Whether a body of unknown length would go out in chunks, which trailers can follow. Before the head.
    pub fn chunks(&self) -> bool {
        self.version == Version::Http11
    }

    /// Whether the final head was written: nothing else can be answered any more.
    pub fn started(&self) -> bool {
        self.state != State::Start
    }

    /// Whether the answer was written to its end.
    pub fn finished(&self) -> bool {
        matches!(self.state, State::Done | State::Switched)
    }

    /// Whether another request may follow this answer. Before the head: whether the client wishes it.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the answer under way is delimited by the end of the connection: then only a reset, no close, shows that
    /// it was broken off. So it is behind a 101.
    pub fn ends_by_close(&self) -> bool {
        matches!(self.state, State::Body(BodyFraming::Close) | State::Switched)
    }

    /// Whether the pieces of a body are sent at all: not for HEAD, 204, 304. Before the head, what the method says.
    pub fn wants_body(&self) -> bool {
        match self.state {
            State::Start => !self.to_head,
            State::Body(framing) => framing != BodyFraming::Dropped,
            State::Done | State::Switched => false,
        }
    }
}

/// The end of a 101.
const SWITCHES: &[u8; 23] = b"Connection: upgrade\r\n\r\n";

/// A body up to this size is copied behind its head, into the same buffer of 4 KiB.
const COPIED_WITH_HEAD: usize = 3 << 10;
