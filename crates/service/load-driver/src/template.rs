//! The last answer to a request as bytes: what equals it needs no decoding.

use crate::answer::Answer;

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
const DATE_LEN: usize = 29;

/// How often a new answer is learned for one request. A server whose every answer differs is decoded every time.
const LEARNED_MAX: u16 = 64;

/// A whole answer that was decoded and found right. Bytes that equal it, except for the date, are framed the same and mean the
/// same, so the comparison stands for decoding, digest and judgement at once; nothing is taken on trust.
#[derive(Debug, Default)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where the value of the Date field begins.
    date: Option<usize>,
    answer: Option<Answer>,
    learned: u16,
}

/// How what has arrived stands to a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// It begins with the whole known answer, of so many bytes.
    Whole(usize, Answer),
    /// It is the beginning of the known answer, or nothing: wait for more.
    Beginning,
    /// It is another answer.
    No,
}

impl Template {
    /// Longer answers are decoded: they would not lie in the read buffer as a whole.
    pub(crate) const BYTES_MAX: usize = 12 << 10;

    /// Holds what has arrived against the known answer.
    #[inline]
    pub(crate) fn matches(&mut self, input: &[u8]) -> Match {
        let Some(answer) = self.answer else { return if input.is_empty() { Match::Beginning } else { Match::No } };
        let Some(candidate) = input.get(..self.bytes.len()) else { return self.begins_with(input) };
        let same = match self.date {
            None => candidate == self.bytes,
            Some(at) => {
                let end = at + DATE_LEN;
                candidate[end..] == self.bytes[end..]
                    && candidate[..at] == self.bytes[..at]
                    && (candidate[at..end] == self.bytes[at..end] || self.take_date(&candidate[at..end]))
            }
        };
        if same { Match::Whole(self.bytes.len(), answer) } else { Match::No }
    }

    /// Whether `input`, which is shorter, may become the known answer. A date that is being written counts as another one.
    #[cold]
    fn begins_with(&self, input: &[u8]) -> Match {
        let date = self.date.map_or(0..0, |at| at..at + DATE_LEN);
        let same = |range: std::ops::Range<usize>| {
            let range = range.start.min(input.len())..range.end.min(input.len());
            input[range.clone()] == self.bytes[range]
        };
        let text = input[date.start.min(input.len())..date.end.min(input.len())].iter().all(is_text);
        if text && same(0..date.start) && same(date.end..usize::MAX) { Match::Beginning } else { Match::No }
    }

    /// Another date is as good when it is text: no other byte could have a meaning for the framing.
    #[cold]
    fn take_date(&mut self, date: &[u8]) -> bool {
        let Some(at) = self.date else { return false };
        let text = date.iter().all(is_text);
        if text {
            self.bytes[at..at + DATE_LEN].copy_from_slice(date);
        }
        text
    }

    pub(crate) fn wants_to_learn(&self) -> bool {
        self.learned < LEARNED_MAX
    }

    /// Makes `bytes`, a whole answer that was found right, the known one.
    pub(crate) fn learn(&mut self, bytes: Vec<u8>, answer: Answer) {
        self.learned += 1;
        self.date = date_in(&bytes);
        self.answer = Some(answer);
        self.bytes = bytes;
    }
}

fn is_text(b: &u8) -> bool {
    (b' '..=b'~').contains(b)
}

/// Where the value of a Date field of the usual length stands in the head.
fn date_in(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let name = bytes[..head].windows(8).position(|w| w.eq_ignore_ascii_case(b"\r\nDate: "))?;
    let at = name + 8;
    (bytes.get(at + DATE_LEN..at + DATE_LEN + 2)? == b"\r\n").then_some(at)
}
