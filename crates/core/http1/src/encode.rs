//! What both encoders have in common: fields and the framing of a body on its way out.

use std::fmt;

use buf::OutQueue;
use message::{Fields, HeadWriter, Known};

use crate::error::BodyMismatch;

pub(crate) const CHUNKED: &[u8; 28] = b"Transfer-Encoding: chunked\r\n";
pub(crate) const CONTENT_LENGTH: &[u8; 16] = b"Content-Length: ";
pub(crate) const CRLF: &[u8; 2] = b"\r\n";

/// The lines of fields of our own, in one piece: a `FieldsBuilder` lays them out so.
pub(crate) fn built_lines(fields: &Fields) -> &[u8] {
    if fields.is_empty() {
        return &[];
    }
    let lines = fields.bytes();
    debug_assert!(
        lines.ends_with(CRLF) && lines.iter().find(|b| matches!(b, b' ' | b':')) == Some(&b':'),
        "the fields of a head that is sent must be built with FieldsBuilder"
    );
    lines
}

/// Any fields, line by line: received ones, of which some may have been left out.
pub(crate) fn any_fields(out: &mut OutQueue, fields: &Fields) {
    for field in fields.iter() {
        out.put_parts([field.name, b": ", field.value, CRLF]);
    }
}

/// A head that does not fit into 64 KiB; nothing of it was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadTooLarge;

impl fmt::Display for HeadTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the head is larger than 64 KiB")
    }
}

impl std::error::Error for HeadTooLarge {}

/// Room for the lines of a head that an encoder makes itself: Content-Length with twenty digits (38), Date (37),
/// Connection (24), Strict-Transport-Security (75) and the empty line, with room to spare.
pub(crate) const OWN_LINES_MAX: usize = 192;

/// How long a head became that was written in place, if it fits.
pub(crate) fn whole<E: From<HeadTooLarge>>(head: &HeadWriter<'_>) -> Result<usize, E> {
    if head.overflowed() { Err(HeadTooLarge.into()) } else { Ok(head.len()) }
}

/// Content-Length, unless it is there.
pub(crate) fn put_content_length(lines: &mut HeadWriter<'_>, length: u64) {
    if !lines.names().contains(Known::ContentLength) {
        lines.put(CONTENT_LENGTH);
        lines.put_decimal(length);
        lines.put(CRLF);
    }
}

/// How the rest of a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    /// There is no body on the wire, whatever is handed in: answers to HEAD, 204, 304.
    Dropped,
    /// So many bytes are still due.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Everything until the connection is closed.
    Close,
}

/// What to put around a piece of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrap {
    /// Do not send it.
    Drop,
    /// Nothing.
    Nothing,
    /// [`open_chunk`] was written; [`CRLF`] must follow.
    Chunk,
}

impl BodyFraming {
    /// Makes ready for a piece of `len` bytes.
    pub(crate) fn admit(&mut self, out: &mut OutQueue, len: u64) -> Result<Wrap, BodyMismatch> {
        match self {
            // An empty chunk would end the body.
            _ if len == 0 => Ok(Wrap::Drop),
            BodyFraming::Dropped => Ok(Wrap::Drop),
            BodyFraming::Length(left) => {
                *left = left.checked_sub(len).ok_or(BodyMismatch::TooLong)?;
                Ok(Wrap::Nothing)
            }
            BodyFraming::Chunked => {
                open_chunk(out, len);
                Ok(Wrap::Chunk)
            }
            BodyFraming::Close => Ok(Wrap::Nothing),
        }
    }

    /// How many bytes may be sent as they are, with nothing around them.
    pub(crate) fn unframed(self) -> u64 {
        if let BodyFraming::Length(left) = self { left } else { 0 }
    }

    /// `len` bytes are sent as they are, past the queue.
    pub(crate) fn pass(&mut self, len: u64) -> Result<(), BodyMismatch> {
        match self {
            BodyFraming::Length(left) => *left = left.checked_sub(len).ok_or(BodyMismatch::TooLong)?,
            _ => return Err(BodyMismatch::TooLong),
        }
        Ok(())
    }

    /// Ends the body.
    pub(crate) fn end(self, out: &mut OutQueue, trailers: Option<&Fields>) -> Result<(), BodyMismatch> {
        match self {
            BodyFraming::Length(0) | BodyFraming::Dropped | BodyFraming::Close => Ok(()),
            BodyFraming::Length(_) => Err(BodyMismatch::TooShort),
            BodyFraming::Chunked => {
                let Some(trailers) = trailers else {
                    out.put(b"0\r\n\r\n");
                    return Ok(());
                };
                out.put(b"0\r\n");
                any_fields(out, trailers);
                out.put(CRLF);
                Ok(())
            }
        }
    }
}

/// The line before the data of a chunk.
fn open_chunk(out: &mut OutQueue, len: u64) {
    let mut line = [b'0'; 18];
    line[16..].copy_from_slice(CRLF);
    let mut at = 16;
    let mut rest = len;
    while rest > 0 {
        at -= 1;
        line[at] = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
    out.put(&line[at..]);
}
