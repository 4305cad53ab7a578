//! The body of a message, whichever side reads it.

use buf::{ReadBuf, Shared};
use message::{BodyLength, Fields};

use crate::chunk::Chunked;
use crate::error::Fault;
use crate::limits::Limits;

/// The next thing a body has.
#[derive(Debug)]
pub enum BodyEvent {
    /// Feed more bytes first.
    More,
    /// A piece of the content, never empty; a span of the buffer it arrived in.
    Data(Shared),
    /// The trailer fields, once, behind the last piece. Fields that are not allowed in a trailer section are left
    /// out (RFC 9110 §6.5.1), and when none remains there is no such event. The spans lie in the section as it was
    /// received, so `Fields::bytes` may show more than the fields.
    Trailers(Fields),
    /// Nothing is left. Comes again when asked again.
    End,
}

/// How far a body was read.
///
/// ```text
/// Known ──────── all bytes ───────▶ Done
/// Chunked ────── last chunk, trailers ──▶ Done        Chunked ── bad chunk ──▶ Failed
/// UntilClose ─── end of input, all bytes ──▶ Done
/// ```
#[derive(Debug)]
pub(crate) enum Body {
    /// All of it.
    Done,
    /// So many bytes are left, at least one.
    Known(u64),
    /// Somewhere in the chunks.
    Chunked(Chunked),
    /// Whatever comes; `closed` when the end of the input is known.
    UntilClose { closed: bool },
    /// No further than a broken chunk.
    Failed(Fault),
}

impl Body {
    /// A body of that length, unread.
    pub(crate) fn of(length: BodyLength) -> Body {
        match length {
            BodyLength::None | BodyLength::Known(0) => Body::Done,
            BodyLength::Known(n) => Body::Known(n),
            BodyLength::Streamed => Body::Chunked(Chunked::new()),
            BodyLength::UntilClose => Body::UntilClose { closed: false },
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Body::Done)
    }

    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            Body::Done => Some(0),
            Body::Known(n) => Some(*n),
            _ => None,
        }
    }

    /// `n` of the bytes that are left, at most all, do not come through the input.
    pub(crate) fn pass(&mut self, n: u64) {
        let Body::Known(left) = self else {
            debug_assert!(false, "only bytes of a known number pass by");
            return;
        };
        debug_assert!(n <= *left);
        *left = left.saturating_sub(n);
        if *left == 0 {
            *self = Body::Done;
        }
    }

    /// What to say of a body that stands in the way of the next head.
    pub(crate) fn failure(&self) -> Fault {
        if let Body::Failed(fault) = self { *fault } else { Fault::FirstLine }
    }

    pub(crate) fn next(&mut self, input: &mut ReadBuf, limits: &Limits) -> Result<BodyEvent, Fault> {
        match self {
            Body::Done => Ok(BodyEvent::End),
            Body::Known(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= n as u64;
                if *left == 0 {
                    *self = Body::Done;
                }
                Ok(data(input, n))
            }
            Body::Chunked(chunked) => match chunked.next(input, limits) {
                Ok(BodyEvent::End) => {
                    *self = Body::Done;
                    Ok(BodyEvent::End)
                }
                Ok(BodyEvent::Trailers(fields)) => {
                    *self = Body::Done;
                    Ok(BodyEvent::Trailers(fields))
                }
                Ok(event) => Ok(event),
                Err(fault) => {
                    *self = Body::Failed(fault);
                    Err(fault)
                }
            },
            Body::UntilClose { closed: true } if input.is_empty() => {
                *self = Body::Done;
                Ok(BodyEvent::End)
            }
            Body::UntilClose { .. } => Ok(data(input, input.len())),
            Body::Failed(fault) => Err(*fault),
        }
    }
}

/// The first `n` bytes of the input.
pub(crate) fn data(input: &mut ReadBuf, n: usize) -> BodyEvent {
    if n == 0 { BodyEvent::More } else { BodyEvent::Data(input.split_to(n)) }
}
