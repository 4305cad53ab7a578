//! The one form of a path that is matched, served and sent on.

use std::fmt;
use std::ops::Deref;

use memchr::{memchr, memchr3, memrchr};

/// Room for paths that have to be rewritten. Keep one per worker: it grows to the longest path seen (bounded by the
/// limit on request targets) and allocates nothing from then on.
#[derive(Debug, Default)]
pub struct Scratch(Vec<u8>);

impl Scratch {
    /// Empty; the first rewritten path allocates.
    pub const fn new() -> Scratch {
        Scratch(Vec::new())
    }
}

/// A normalised path; it begins with `/` and holds no segment `.` or `..`, encoded or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalised<'a> {
    /// The path already was in normal form: the very bytes that were given.
    AsSent(&'a [u8]),
    /// It had to be rewritten; the bytes lie in the scratch.
    Rewritten(&'a [u8]),
}

impl<'a> Normalised<'a> {
    /// The path, for as long as both the sent path and the scratch are borrowed.
    pub fn as_bytes(self) -> &'a [u8] {
        match self {
            Normalised::AsSent(path) | Normalised::Rewritten(path) => path,
        }
    }
}

impl Deref for Normalised<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Why a path has no normal form. The client is to blame: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPath {
    /// It does not begin with `/`.
    NotAbsolute,
    /// Its dot segments climb above the root.
    AboveRoot,
    /// It holds a NUL, raw or as `%00`.
    Nul,
    /// A `%` without two hexadecimal digits behind it.
    BrokenEscape,
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadPath::NotAbsolute => "the path does not begin with `/`",
            BadPath::AboveRoot => "the path climbs above the root",
            BadPath::Nul => "the path holds a NUL",
            BadPath::BrokenEscape => "the path holds a `%` without two hexadecimal digits behind it",
        })
    }
}

impl std::error::Error for BadPath {}

/// Normalises a path (without its query): percent-encoded unreserved characters are decoded (RFC 3986 §6.2.2.2), then
/// dot segments removed (§5.2.4). `//` is kept and every other escape stays as it is, `%2F` and `%5C` above all, so no
/// decoding makes a new separator. The result is never longer than `path`, and normalising it again changes nothing.
///
/// A path without `%` and without a segment that begins with a dot is returned as it is, after one scan.
pub fn normalise<'a>(path: &'a [u8], scratch: &'a mut Scratch) -> Result<Normalised<'a>, BadPath> {
    if path.first() != Some(&b'/') {
        return Err(BadPath::NotAbsolute);
    }
    if !needs_work(path)? {
        return Ok(Normalised::AsSent(path));
    }
    rewrite(path, &mut scratch.0)?;
    // A leading dot (`/.well-known/`) or a kept escape (`%20`) sends a path here that was in normal form already.
    if scratch.0 == path {
        return Ok(Normalised::AsSent(path));
    }
    Ok(Normalised::Rewritten(&scratch.0))
}

/// Longer paths are looked through by a vectored search, which takes longer to begin.
const SHORT: usize = 32;

/// Whether there is an escape or a segment that begins with a dot. Dots elsewhere (`/a.html`) are common and harmless.
fn needs_work(path: &[u8]) -> Result<bool, BadPath> {
    if path.len() <= SHORT && is_plain(path) {
        return Ok(false);
    }
    // The first byte is a `/`, so whatever is found has a byte before it.
    let mut at = 1;
    while let Some(found) = memchr3(b'%', b'.', 0, &path[at..]) {
        let found = at + found;
        match path[found] {
            0 => return Err(BadPath::Nul),
            b'.' if path[found - 1] != b'/' => at = found + 1,
            // `rewrite` looks at the rest and finds any NUL.
            _ => return Ok(true),
        }
    }
    Ok(false)
}

/// Whether a path has no NUL, no `%`, and no dot behind a slash. True is certain.
#[inline]
fn is_plain(path: &[u8]) -> bool {
    let (words, rest) = path.as_chunks();
    let mut odd = 0;
    let mut before = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        odd |= odd_bytes(word, before);
        before = word >> 56;
    }
    let rest = match (path.last_chunk(), rest.first_chunk(), rest.last_chunk()) {
        // Bytes that come twice do no harm, but that some may seem to stand side by side.
        (Some(last), ..) => u64::from_le_bytes(*last),
        (None, Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*last)) << 32 | u64::from(u32::from_le_bytes(*first))
        }
        _ => rest.iter().rev().fold(HARMLESS, |word, byte| word << 8 | u64::from(*byte)),
    };
    odd | odd_bytes(rest, 0) == 0
}

const HARMLESS: u64 = u64::from_le_bytes([b'x'; 8]);

/// Zero when a word, whose first byte comes behind the byte `before`, has no NUL, no `%`, and no dot behind a slash.
#[inline(always)]
fn odd_bytes(word: u64, before: u64) -> u64 {
    const fn all(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    // Not zero when a byte is.
    let nul = |word: u64| word.wrapping_sub(all(1)) & !word & all(0x80);
    let dot_behind_slash = (word ^ all(b'.')) | ((word << 8 | before) ^ all(b'/'));
    nul(word) | nul(word ^ all(b'%')) | nul(dot_behind_slash)
}

/// Segment by segment: decode, then look whether it has become a dot segment. What a `..` drops was written once, so
/// the whole is linear.
fn rewrite(path: &[u8], out: &mut Vec<u8>) -> Result<(), BadPath> {
    out.clear();
    let mut rest = Some(&path[1..]);
    while let Some(remaining) = rest {
        let end = memchr(b'/', remaining).unwrap_or(remaining.len());
        rest = remaining.get(end + 1..);
        let start = out.len();
        out.push(b'/');
        decode_unreserved(&remaining[..end], out)?;
        match &out[start + 1..] {
            b"." => out.truncate(start),
            b".." => {
                out.truncate(start);
                out.truncate(memrchr(b'/', out).ok_or(BadPath::AboveRoot)?);
            }
            _ => continue,
        }
        if rest.is_none() {
            // `/a/.` and `/a/b/..` name the directory `/a/`.
            out.push(b'/');
        }
    }
    Ok(())
}

fn decode_unreserved(segment: &[u8], out: &mut Vec<u8>) -> Result<(), BadPath> {
    let mut rest = segment;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            0 => return Err(BadPath::Nul),
            b'%' => {
                let [high, low, tail @ ..] = rest else { return Err(BadPath::BrokenEscape) };
                let (Some(h), Some(l)) = (hex(*high), hex(*low)) else { return Err(BadPath::BrokenEscape) };
                match h << 4 | l {
                    0 => return Err(BadPath::Nul),
                    decoded if is_unreserved(decoded) => out.push(decoded),
                    _ => out.extend_from_slice(&[b'%', *high, *low]),
                }
                rest = tail;
            }
            _ => out.push(*byte),
        }
    }
    Ok(())
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_is_told_at_any_length() {
        for len in 1..=40 {
            let path = [&b"/"[..], &b"a.b/c-".repeat(8)[..len - 1]].concat();
            assert!(is_plain(&path), "{}", path.escape_ascii());
            for at in 1..len {
                for byte in 0..=255 {
                    let mut path = path.clone();
                    path[at] = byte;
                    let odd = matches!(byte, 0 | b'%') || path.windows(2).any(|pair| pair == b"/.");
                    assert!(!is_plain(&path) || !odd, "{}", path.escape_ascii());
                    // Where no byte is read twice, the answer is exact.
                    assert!(len > 3 || is_plain(&path) || odd, "{}", path.escape_ascii());
                }
            }
        }
    }
}
