//! The trailer section of a chunked body (RFC 9112 §7.1.2).

use buf::ReadBuf;
use message::{Fields, Known};

use crate::body::BodyEvent;
use crate::error::Fault;
use crate::limits::Limits;
use crate::scan::Scan;
use crate::split;

/// Takes the trailer section out of the input: `More` until it is complete, then `Trailers`, or `End` where no field
/// is left.
pub(crate) fn read(scan: &mut Scan, input: &mut ReadBuf, limits: &Limits) -> Result<BodyEvent, Fault> {
    let Some(section) = scan.find_end(input.filled(), limits.trailers(input.capacity()))? else {
        return Ok(BodyEvent::More);
    };
    let fields = allowed(input, section.end)?;
    input.consume(section.end);
    Ok(if fields.is_empty() { BodyEvent::End } else { BodyEvent::Trailers(fields) })
}

fn allowed(input: &ReadBuf, end: usize) -> Result<Fields, Fault> {
    let bytes = &input.filled()[..end];
    let lines = split::complete(bytes, 0)?;
    if lines.lines().is_empty() {
        return Ok(Fields::default());
    }
    let mut fields = Fields::over(input.share(0..end));
    for line in lines.lines() {
        if is_allowed(line.known, line.name.of(bytes)) {
            fields.push_span(*line);
        }
    }
    Ok(fields)
}

/// Whether a field may stand in a trailer section. RFC 9110 §6.5.1 forbids what decides framing, routing, request
/// handling, authentication, or how the content is to be read: a recipient that merges trailers into the head would
/// take them for what was checked when the head arrived. Such fields are dropped; the content is not to blame.
fn is_allowed(known: Known, name: &[u8]) -> bool {
    const FORBIDDEN: [&[u8]; 6] = [b"age", b"expires", b"pragma", b"warning", b"www-authenticate", b"x-real-ip"];
    match known {
        Known::Other => !FORBIDDEN.iter().any(|f| f.eq_ignore_ascii_case(name)),
        // Of the names the code knows these two alone tell something about content that was sent already.
        Known::Etag | Known::LastModified => true,
        _ => false,
    }
}
