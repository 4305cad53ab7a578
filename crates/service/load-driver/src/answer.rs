//! Reading answers and holding them against the first one.

use buf::ReadBuf;
use http1::{BodyEvent, Garbage, Limits, ResponseDecoder};
use load::ErrorKind;
use message::Method;

use crate::digest::Digest;
use crate::template::{Match, Template};
use crate::work::{Expected, Request, Verify};

/// An answer that was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether the connection can carry another request.
    pub(crate) keep_alive: bool,
    /// What is wrong with it, though it came whole.
    pub(crate) mismatch: Option<ErrorKind>,
}

/// The part of an answer that was read so far. One per connection, used again for each answer.
///
/// Call [`Reading::next`] with what has arrived until it gives an answer, then with the next request; at the end of the
/// input [`Reading::end_of_input`], then `next` once more, which then gives an answer or an error.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    state: Option<Box<Partial>>,
    ended: bool,
}

/// An answer that the template did not know.
#[derive(Debug)]
struct Partial {
    decoder: ResponseDecoder,
    /// 0 before the head.
    status: u16,
    length: u64,
    digest: Digest,
    /// All bytes of it, when a template is to be made of them.
    raw: Option<Vec<u8>>,
}

impl Reading {
    /// Takes the next answer out of `input`; `None` when more bytes are needed. Costs a comparison when the answer is byte
    /// for byte the one before (its date apart); else the decoder's price and that of the digest.
    ///
    /// # Errors
    /// `Garbage`; and behind the end of the input `Closed` before an answer, `Truncated` inside one. The connection is of
    /// no use any more.
    #[inline]
    pub(crate) fn next(
        &mut self,
        input: &mut ReadBuf,
        request: &Request,
        template: &mut Template,
        verify: Verify,
    ) -> Result<Option<Answer>, ErrorKind> {
        if self.state.is_none() && !self.ended {
            match template.matches(input.filled()) {
                Match::Whole(len, answer) => {
                    input.consume(len);
                    return Ok(Some(answer));
                }
                Match::Beginning => return Ok(None),
                Match::No => {}
            }
        }
        self.decode(input, request, template, verify)
    }

    #[cold]
    fn decode(
        &mut self,
        input: &mut ReadBuf,
        request: &Request,
        template: &mut Template,
        verify: Verify,
    ) -> Result<Option<Answer>, ErrorKind> {
        let partial = self.state.get_or_insert_with(|| Box::new(Partial::new(request.method, template)));
        let mut whole = partial.advance(input).map_err(kind_of)?;
        if !whole && self.ended {
            // That may be the regular end of a body, or of nothing.
            partial.decoder.end_of_input().map_err(kind_of)?;
            partial.raw = None;
            whole = partial.advance(input).map_err(kind_of)?;
        }
        if !whole {
            return Ok(None);
        }
        let mut answer = partial.judge(request, verify);
        answer.keep_alive &= !self.ended;
        if let Some(raw) = partial.raw.take() {
            template.learn(raw, answer);
        }
        self.state = None;
        Ok(Some(answer))
    }

    /// Takes note that the input ended: `next` decides what that means.
    pub(crate) fn end_of_input(&mut self) {
        self.ended = true;
    }
}

impl Partial {
    fn new(method: Method, template: &Template) -> Partial {
        Partial {
            decoder: ResponseDecoder::new(method),
            status: 0,
            length: 0,
            digest: Digest::default(),
            raw: template.wants_to_learn().then(Vec::new),
        }
    }

    /// Decodes what there is. True when the answer is complete.
    fn advance(&mut self, input: &mut ReadBuf) -> Result<bool, Garbage> {
        let limits = Limits::default();
        while self.status == 0 {
            let before = self.mark(input);
            let Some(head) = self.decoder.head(input, &limits)? else { return Ok(false) };
            self.keep(before, input);
            if head.status >= 200 || head.status == 101 {
                self.status = head.status;
            }
        }
        loop {
            let before = self.mark(input);
            let event = self.decoder.body(input, &limits)?;
            self.keep(before, input);
            match event {
                BodyEvent::More => return Ok(self.decoder.body_done()),
                BodyEvent::Data(piece) => {
                    self.length += piece.len() as u64;
                    self.digest.add(&piece);
                }
                BodyEvent::Trailers(_) => {}
                BodyEvent::End => return Ok(true),
            }
        }
    }

    /// The input as it is before the decoder takes from it, when a template is to be made.
    fn mark(&self, input: &ReadBuf) -> Option<Vec<u8>> {
        self.raw.as_ref().map(|_| input.filled().to_vec())
    }

    /// Keeps what the decoder took.
    fn keep(&mut self, before: Option<Vec<u8>>, input: &ReadBuf) {
        let (Some(before), Some(raw)) = (before, &mut self.raw) else { return };
        raw.extend_from_slice(&before[..before.len() - input.len()]);
        if raw.len() > Template::BYTES_MAX {
            self.raw = None;
        }
    }

    fn judge(&self, request: &Request, verify: Verify) -> Answer {
        let found = Expected { status: self.status, length: self.length, digest: self.digest.finish() };
        let first = request.expected.get_or_init(|| found);
        let wanted = request.expected_status;
        let mismatch = if wanted.is_some_and(|status| status != found.status) {
            Some(ErrorKind::Status)
        } else if wanted.is_none() && found.status >= 400 {
            Some(ErrorKind::FailureStatus)
        } else if verify == Verify::Nothing {
            None
        } else if found.status != first.status {
            Some(ErrorKind::Status)
        } else if matches!(verify, Verify::All | Verify::Length) && found.length != first.length {
            Some(ErrorKind::Length)
        } else if verify == Verify::All && found.digest != first.digest {
            Some(ErrorKind::Body)
        } else {
            None
        };
        Answer { status: self.status, keep_alive: self.decoder.keep_alive(), mismatch }
    }
}

fn kind_of(garbage: Garbage) -> ErrorKind {
    match garbage {
        Garbage::Closed => ErrorKind::Closed,
        Garbage::Truncated => ErrorKind::Truncated,
        Garbage::Fault(_) | Garbage::Status | Garbage::TooManyInterim => ErrorKind::Garbage,
    }
}

#[cfg(test)]
mod tests;
