//! The strict scan for the end of a head.
//!
//! It goes from line end to line end and remembers how far it came, so a head that arrives byte by byte costs no
//! more than one that arrives whole. Only CRLF ends a line. Limits are checked at the byte that exceeds them,
//! before anything behind that byte is looked at: that is why cutting the bytes differently changes nothing.
//!
//! A head that is whole at the first look, and good, is spared this scan: `first_line` and `split` find its end while they
//! take it apart. They only say yes where this scan would; anything else is left to this scan to judge.

use crate::error::Fault;

/// A complete head or trailer section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// The bytes of its first line with its CRLF; a trailer section has none.
    pub(crate) first_line: usize,
    /// Its bytes, the empty line included.
    pub(crate) end: usize,
}

/// What a section may have at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of the first line with its CRLF; not more than `section`.
    pub(crate) first_line: usize,
    /// Bytes in all.
    pub(crate) section: usize,
    /// Field lines.
    pub(crate) fields: usize,
}

/// How far the scan of a head, or of a trailer section, came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan {
    /// The bytes looked at.
    at: usize,
    /// The bytes of the first line with its CRLF, once it is complete.
    first_line: Option<usize>,
    /// The field lines that are complete.
    fields: usize,
}

impl Scan {
    /// The scan of a head that has seen nothing of it.
    pub(crate) const fn of_head() -> Scan {
        Scan { at: 0, first_line: None, fields: 0 }
    }

    /// The scan of a trailer section, which has no line before its fields.
    pub(crate) const fn of_trailers() -> Scan {
        Scan { at: 0, first_line: Some(0), fields: 0 }
    }

    /// How many bytes the first line has with its CRLF; 0 while it is not complete.
    pub(crate) fn first_line_len(&self) -> usize {
        self.first_line.unwrap_or(0)
    }

    /// Whether nothing was looked at yet.
    pub(crate) fn is_new(&self) -> bool {
        self.at == 0
    }

    /// Looks for the empty line. `bytes` begins with the section; at every call it has the bytes of the call before.
    /// A call after the section was found complete, or faulty, finds the same again.
    pub(crate) fn find_end(&mut self, bytes: &[u8], bounds: Bounds) -> Result<Option<Section>, Fault> {
        let window = &bytes[..bytes.len().min(bounds.section)];
        let mut ends = LineEnds::from(window, self.at);
        let first_line = if let Some(len) = self.first_line {
            len
        } else {
            let Some(lf) = ends.next() else {
                self.at = window.len();
                return if bytes.len() >= bounds.first_line { Err(Fault::FirstLineTooLong) } else { Ok(None) };
            };
            if lf >= bounds.first_line {
                return Err(Fault::FirstLineTooLong);
            }
            if lf == 0 || window[lf - 1] != b'\r' {
                return Err(Fault::LineEnding);
            }
            (self.at, self.first_line) = (lf + 1, Some(lf + 1));
            lf + 1
        };
        let mut fields = self.fields;
        for lf in ends {
            if lf == 0 || window[lf - 1] != b'\r' {
                return Err(Fault::LineEnding);
            }
            if lf == 1 || window[lf - 2] == b'\n' {
                return Ok(Some(Section { first_line, end: lf + 1 }));
            }
            fields += 1;
            if fields > bounds.fields {
                return Err(Fault::TooManyFields);
            }
        }
        (self.at, self.fields) = (window.len(), fields);
        if bytes.len() >= bounds.section { Err(Fault::FieldsTooLarge) } else { Ok(None) }
    }
}

/// The places of all LFs. Lines of a head are short: eight bytes at a step with no call and no set-up beat a vectorised
/// search that has to be entered anew for each line.
struct LineEnds<'a> {
    words: std::slice::Iter<'a, [u8; 8]>,
    /// What is left behind the words, as if it were one; later 0, which has no LF.
    rest: u64,
    /// Where the current word stands.
    at: usize,
    /// A bit for each LF in the current word that was not given out.
    found: u64,
}

impl<'a> LineEnds<'a> {
    /// The LFs of `window` from `at` on.
    fn from(window: &'a [u8], at: usize) -> LineEnds<'a> {
        let (words, rest) = window.get(at..).unwrap_or_default().as_chunks();
        let last = match window.last_chunk() {
            // The end of the window is read as a word, and what precedes the rest in it is shifted out.
            Some(word) if !rest.is_empty() => u64::from_le_bytes(*word) >> (64 - 8 * rest.len()),
            _ => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        };
        LineEnds { words: words.iter(), rest: last, at: at.wrapping_sub(8), found: 0 }
    }
}

impl Iterator for LineEnds<'_> {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            self.found = match self.words.next() {
                Some(word) => lf_bits(u64::from_le_bytes(*word)),
                None if self.rest == 0 => return None,
                None => lf_bits(std::mem::take(&mut self.rest)),
            };
            self.at = self.at.wrapping_add(8);
        }
        let lf = self.at + (self.found.trailing_zeros() / 8) as usize;
        self.found &= self.found - 1;
        Some(lf)
    }
}

/// The high bit of every byte of `word` that is an LF.
fn lf_bits(word: u64) -> u64 {
    const LOWS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let zero_at_lf = word ^ 0x0a0a_0a0a_0a0a_0a0a;
    // Adding does not carry from byte to byte, so this is exact for each of them.
    !(((zero_at_lf & LOWS) + LOWS) | zero_at_lf | LOWS)
}
