//! What the heads of requests and responses have in common: httparse, which reads their first lines. Their fields are
//! read by `split`.

use httparse::Error;
use message::Span;

use crate::error::Fault;

/// Where `part`, a slice of `whole`, stands in it.
pub(crate) fn span_in(whole: &[u8], part: &[u8]) -> Span {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    Span::new(start, start + part.len())
}

/// What httparse did not like. What lies behind our scan has no bare LF, so `NewLine` means a CR elsewhere.
pub(crate) fn fault_of(error: Error) -> Fault {
    match error {
        Error::HeaderName | Error::HeaderValue => Fault::FieldLine,
        Error::NewLine => Fault::LineEnding,
        Error::TooManyHeaders => Fault::TooManyFields,
        Error::Status | Error::Token | Error::Version => Fault::FirstLine,
    }
}
