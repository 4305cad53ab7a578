//! The trailer section of a chunked body (RFC 9112 §7.1.2).

use buf::ReadBuf;
use httparse::{EMPTY_HEADER, Header, Status};
use message::{Field, Fields, Known};

use crate::body::BodyEvent;
use crate::error::Fault;
use crate::head::{fault_of, span_in};
use crate::limits::Limits;
use crate::scan::Scan;

/// Lines that are parsed without going to the allocator. Trailer sections have two or three.
const LINES_INLINE: usize = 16;

/// Takes the trailer section out of the input: `More` until it is complete, then `Trailers`, or `End` where no field
/// is left.
pub(crate) fn read(scan: &mut Scan, input: &mut ReadBuf, limits: &Limits) -> Result<BodyEvent, Fault> {
    let Some(section) = scan.find_end(input.filled(), limits.trailers(input.capacity()))? else {
        return Ok(BodyEvent::More);
    };
    let fields = match section.fields {
        0 => Fields::default(),
        1..=LINES_INLINE => parse(input, section.end, &mut [EMPTY_HEADER; LINES_INLINE])?,
        more => parse(input, section.end, &mut vec![EMPTY_HEADER; more])?,
    };
    input.consume(section.end);
    Ok(if fields.is_empty() { BodyEvent::End } else { BodyEvent::Trailers(fields) })
}

fn parse<'b>(input: &'b ReadBuf, end: usize, room: &mut [Header<'b>]) -> Result<Fields, Fault> {
    let bytes = &input.filled()[..end];
    let lines = match httparse::parse_headers(bytes, room) {
        Ok(Status::Complete((used, lines))) if used == end => lines,
        Ok(_) => return Err(Fault::FieldLine),
        Err(error) => return Err(fault_of(error)),
    };
    let mut fields = Fields::over(input.share(0..end));
    for line in lines {
        let known = Known::of(line.name.as_bytes());
        if is_allowed(known, line.name) {
            let (name, value) = (span_in(bytes, line.name.as_bytes()), span_in(bytes, line.value));
            fields.push_span(Field { name, value, known });
        }
    }
    Ok(fields)
}

/// Whether a field may stand in a trailer section. RFC 9110 §6.5.1 forbids what decides framing, routing, request
/// handling, authentication, or how the content is to be read: a recipient that merges trailers into the head would
/// take them for what was checked when the head arrived. Such fields are dropped; the content is not to blame.
fn is_allowed(known: Known, name: &str) -> bool {
    const FORBIDDEN: [&str; 6] = ["age", "expires", "pragma", "warning", "www-authenticate", "x-real-ip"];
    match known {
        Known::Other => !FORBIDDEN.iter().any(|f| f.eq_ignore_ascii_case(name)),
        // Of the names the code knows these two alone tell something about content that was sent already.
        Known::Etag | Known::LastModified => true,
        _ => false,
    }
}
