//! The fields that decide where a message ends and whether the connection lives on.

use message::{Known, KnownSet};

use crate::error::Fault;

/// The names that [`Framing::field`] does not pass over.
pub(crate) const NAMES: KnownSet = KnownSet::of(&[Known::ContentLength, Known::TransferEncoding, Known::Connection]);

/// What Transfer-Encoding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// `chunked` and nothing else.
    Chunked,
    /// Other codings, then `chunked`.
    OtherThenChunked,
    /// Anything that does not end in `chunked`.
    NotChunked,
    /// `identity` alone, the name that RFC 2616 had for none.
    Identity,
}

/// What the framing fields of a head said so far.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    pub(crate) content_length: Option<u64>,
    /// Content-Length has no zeros before its number.
    pub(crate) plain_length: bool,
    pub(crate) coding: Option<Coding>,
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    /// Connection names Upgrade.
    pub(crate) upgrade_named: bool,
}

impl Framing {
    /// Takes one field into account; fields that do not concern the framing are passed over.
    #[inline(always)]
    pub(crate) fn field(&mut self, known: Known, value: &[u8]) -> Result<(), Fault> {
        match known {
            Known::ContentLength => self.length_field(value),
            Known::TransferEncoding => self.coding_field(value),
            Known::Connection => {
                self.connection(value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn length_field(&mut self, value: &[u8]) -> Result<(), Fault> {
        // A repeated field is refused even when the values agree: another reader may look at one only.
        if self.content_length.is_some() {
            return Err(Fault::ContentLength);
        }
        self.content_length = Some(decimal(value).ok_or(Fault::ContentLength)?);
        self.plain_length = value.len() == 1 || value.first() != Some(&b'0');
        self.one_length()
    }

    fn coding_field(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.coding.is_some() {
            return Err(Fault::TransferEncoding);
        }
        self.coding = Some(coding(value)?);
        self.one_length()
    }

    fn one_length(&self) -> Result<(), Fault> {
        if self.content_length.is_some() && self.coding.is_some() { Err(Fault::BothLengths) } else { Ok(()) }
    }

    fn connection(&mut self, value: &[u8]) {
        // One option is the usual case and needs no list to be taken apart.
        if !self.option(value) {
            for option in value.split(|b| *b == b',') {
                self.option(option.trim_ascii());
            }
        }
    }

    /// Takes note of one connection option. True when it is one of those that matter here.
    fn option(&mut self, option: &[u8]) -> bool {
        let (named, flag) = match option.len() {
            5 => (is(option, b"close"), &mut self.close),
            7 => (is(option, b"upgrade"), &mut self.upgrade_named),
            10 => (is(option, b"keep-alive"), &mut self.keep_alive),
            _ => return false,
        };
        *flag |= named;
        named
    }
}

/// Whether `value`, which holds no control character, is `lower` in any case. A fixed length makes this a comparison of
/// words.
fn is<const N: usize>(value: &[u8], lower: &[u8; N]) -> bool {
    value.len() == N && value.first_chunk().is_some_and(|value: &[u8; N]| value.map(|b| b | 0x20) == *lower)
}

/// Digits only: no sign, no white space, no list; leading zeros are fine, 64 bits are the end.
fn decimal(value: &[u8]) -> Option<u64> {
    // So many digits cannot overflow.
    if value.is_empty() || value.len() > 19 {
        return long_decimal(value);
    }
    let mut number = 0;
    for byte in value {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = 10 * number + u64::from(digit);
    }
    Some(number)
}

#[cold]
fn long_decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    value.iter().try_fold(0u64, |n, b| n.checked_mul(10)?.checked_add(u64::from(b - b'0')))
}

/// Sorts a Transfer-Encoding. A list that has an empty end, or ends in `chunked` and has it elsewhere too, is refused:
/// readers differ on what those mean.
fn coding(value: &[u8]) -> Result<Coding, Fault> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Coding::Chunked);
    }
    let is_chunked = |part: &[u8]| part.trim_ascii().eq_ignore_ascii_case(b"chunked");
    let last = value.rsplit(|b| *b == b',').next().unwrap_or_default().trim_ascii();
    match value.split(|b| *b == b',').filter(|part| is_chunked(part)).count() {
        _ if last.is_empty() => Err(Fault::TransferEncoding),
        _ if value.eq_ignore_ascii_case(b"identity") => Ok(Coding::Identity),
        _ if !is_chunked(last) => Ok(Coding::NotChunked),
        1 => Ok(Coding::OtherThenChunked),
        _ => Err(Fault::TransferEncoding),
    }
}
