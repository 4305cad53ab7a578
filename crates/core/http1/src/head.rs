//! What the heads of requests and responses have in common: running httparse over a complete head.

use std::mem::MaybeUninit;

use httparse::{Error, Header};
use message::Span;

use crate::error::Fault;

/// Room for the field lines of a head. It covers the default limit, so an ordinary configuration never goes to the
/// allocator for it; only a head with more lines than this does.
const LINES_INLINE: usize = 128;

/// Uninitialised room for the lines of one head, as httparse wants it.
pub(crate) type Lines<'a, 'b> = &'a mut [MaybeUninit<Header<'b>>];

/// Calls `parse` with room for `count` lines.
#[inline]
pub(crate) fn with_room<'b, T>(count: usize, parse: impl FnOnce(Lines<'_, 'b>) -> T) -> T {
    if count > LINES_INLINE {
        return with_allocated_room(count, parse);
    }
    parse(&mut [const { MaybeUninit::uninit() }; LINES_INLINE])
}

#[cold]
fn with_allocated_room<'b, T>(count: usize, parse: impl FnOnce(Lines<'_, 'b>) -> T) -> T {
    let mut room = Vec::new();
    room.resize_with(count, MaybeUninit::uninit);
    parse(&mut room)
}

/// Where `part`, a slice of `whole`, stands in it.
pub(crate) fn span_in(whole: &[u8], part: &[u8]) -> Span {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    Span::new(start, start + part.len())
}

/// What httparse did not like. A head that lies behind our scan has no bare LF, so `NewLine` means a CR elsewhere.
pub(crate) fn fault_of(error: Error) -> Fault {
    match error {
        Error::HeaderName | Error::HeaderValue => Fault::FieldLine,
        Error::NewLine => Fault::LineEnding,
        Error::TooManyHeaders => Fault::TooManyFields,
        Error::Status | Error::Token | Error::Version => Fault::FirstLine,
    }
}
