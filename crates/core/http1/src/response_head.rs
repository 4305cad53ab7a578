//! From the bytes of a complete head to a `ResponseHead`.

use buf::ReadBuf;
use httparse::{Response, Status};
use message::{BodyLength, FieldLines, Fields, Known, Method, ResponseHead, Version};

use crate::error::{Fault, Garbage};
use crate::first_line::{self, StatusLine};
use crate::framing::{self, Coding, Framing};
use crate::head::fault_of;
use crate::scan::{Bounds, Scan, Section};
use crate::split::{self, Window};

/// A complete head whose parts were found, but not judged; its fields are kept apart from it, so that they are not moved.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    line: StatusLine,
    /// Its bytes, the empty line included.
    pub(crate) end: usize,
}

/// What the head says that concerns the decoder.
pub(crate) struct Facts {
    pub(crate) body: BodyLength,
    pub(crate) keep_alive: bool,
    /// A transfer coding besides `chunked` was applied.
    pub(crate) coded: bool,
    /// [`ResponseHead::plain_length`].
    pub(crate) plain_length: bool,
}

impl Parts {
    /// Reads a head of which nothing was looked at before, all of it in one pass, its fields into `lines`. `None` when the head is not complete,
    /// exceeds a limit, has a faulty line, or a status line that is not plain.
    #[inline(always)]
    pub(crate) fn at_once(input: &ReadBuf, bounds: Bounds, lines: &mut FieldLines) -> Option<Parts> {
        let window = Window::of(input.filled_and_behind(), input.len().min(bounds.section));
        let (line, first_line) = first_line::status(window.bytes())?;
        if first_line > bounds.first_line {
            return None;
        }
        let end = split::at_once(window, first_line, bounds.fields, lines)?;
        debug_assert_eq!(Scan::of_head().find_end(input.filled(), bounds), Ok(Some(Section { first_line, end })));
        Some(Parts { line, end })
    }

    /// Reads the complete head that is the beginning of `bytes`.
    pub(crate) fn of(bytes: &[u8], section: Section) -> Result<(Parts, FieldLines), Garbage> {
        let bytes = &bytes[..section.end];
        let mut response = Response::new(&mut []);
        match response.parse(&bytes[..section.first_line]) {
            // The line is there and nothing behind it.
            Ok(Status::Partial) => {}
            Ok(Status::Complete(_)) => return Err(Fault::FirstLine.into()),
            Err(error) => return Err(fault_of(error).into()),
        }
        let (Some(minor), Some(status)) = (response.version, response.code) else {
            return Err(Fault::FirstLine.into());
        };
        let lines = split::complete(bytes, section.first_line)?;
        if !(100..=599).contains(&status) {
            return Err(Garbage::Status);
        }
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        Ok((Parts { line: StatusLine { version, status }, end: section.end }, lines))
    }

    /// Whether another head follows, which is the answer.
    pub(crate) fn is_interim(&self) -> bool {
        self.line.status < 200 && self.line.status != 101
    }

    /// What the head says as an answer to `method`, if it may say that.
    #[inline(always)]
    pub(crate) fn judge(&self, bytes: &[u8], lines: &FieldLines, method: Method) -> Result<Facts, Garbage> {
        let StatusLine { version, status } = self.line;
        let mut framing = Framing::default();
        for line in lines.lines() {
            if framing::NAMES.contains(line.known) {
                framing.field(line.known, line.value.of(bytes))?;
            } else if line.known == Known::Other && message::passes_for_framing(line.name.of(bytes)) {
                return Err(Fault::FramingName.into());
            }
        }
        // RFC 9112 §6.1: Transfer-Encoding in a 1.0 message means that its framing is faulty.
        if framing.coding.is_some() && version == Version::Http10 {
            return Err(Fault::TransferEncoding.into());
        }
        let body = body_of(status, &framing, method);
        let persistent = !framing.close && (version == Version::Http11 || framing.keep_alive);
        let keep_alive = persistent && body != BodyLength::UntilClose;
        let coded =
            body != BodyLength::None && matches!(framing.coding, Some(Coding::OtherThenChunked | Coding::NotChunked));
        let plain_length = framing.plain_length && matches!(body, BodyLength::Known(_));
        Ok(Facts { body, keep_alive, coded, plain_length })
    }

    /// The head with its fields.
    #[inline(always)]
    pub(crate) fn over(self, fields: Fields, facts: &Facts) -> ResponseHead {
        let StatusLine { version, status } = self.line;
        let Facts { body, keep_alive, plain_length, .. } = *facts;
        ResponseHead { version, status, fields, body, keep_alive, plain_length }
    }
}

/// RFC 9112 §6.3, in its order.
fn body_of(status: u16, framing: &Framing, method: Method) -> BodyLength {
    match status {
        // What follows a 101, or a successful CONNECT, is another protocol.
        101 => return BodyLength::UntilClose,
        100..=199 | 204 | 304 => return BodyLength::None,
        200..=299 if method == Method::Connect => return BodyLength::UntilClose,
        _ if method == Method::Head => return BodyLength::None,
        _ => {}
    }
    match (framing.coding, framing.content_length) {
        (Some(Coding::Chunked | Coding::OtherThenChunked), _) => BodyLength::Streamed,
        (Some(Coding::NotChunked | Coding::Identity), _) => BodyLength::UntilClose,
        (None, Some(length)) => BodyLength::Known(length),
        (None, None) => BodyLength::UntilClose,
    }
}

/// Judges a status line whose head is not complete. `line` ends with its CRLF.
#[cold]
pub(crate) fn check_line(line: &[u8]) -> Result<(), Garbage> {
    let mut response = Response::new(&mut []);
    match response.parse(line) {
        Ok(_) => Ok(()),
        Err(error) => Err(fault_of(error).into()),
    }
}
