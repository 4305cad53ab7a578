//! From the bytes of a complete head to a `ResponseHead`.

use buf::ReadBuf;
use httparse::{Response, Status};
use message::{BodyLength, FieldLines, Method, ResponseHead, Version};

use crate::error::{Fault, Garbage};
use crate::framing::{self, Coding, Framing};
use crate::head::fault_of;
use crate::scan::Section;
use crate::split;

/// A parsed head, and what of it concerns the decoder alone.
pub(crate) struct Parsed {
    pub(crate) head: ResponseHead,
    /// A transfer coding besides `chunked` was applied.
    pub(crate) coded: bool,
}

/// Parses the head that is the beginning of `input`, as an answer to `method`. `lines` are its fields; none if they were
/// not taken apart yet.
pub(crate) fn parse(input: &ReadBuf, section: Section, lines: FieldLines, method: Method) -> Result<Parsed, Garbage> {
    let bytes = &input.filled()[..section.end];
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
    let lines = if lines.lines().is_empty() { split::complete(bytes, section.first_line)? } else { lines };
    if !(100..=599).contains(&status) {
        return Err(Garbage::Status);
    }
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };

    let mut framing = Framing::default();
    for line in lines.lines() {
        if framing::NAMES.contains(line.known) {
            framing.field(line.known, line.value.of(bytes))?;
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
    let fields = lines.over(input.share(0..section.end));
    Ok(Parsed { head: ResponseHead { version, status, fields, body, keep_alive }, coded })
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
        (Some(Coding::NotChunked), _) => BodyLength::UntilClose,
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
