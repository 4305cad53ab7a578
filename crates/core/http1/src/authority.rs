//! Whether bytes are an authority: `host` or `host:port` (RFC 3986 §3.2, RFC 9110 §4.2).

use std::net::Ipv6Addr;
use std::str::from_utf8;

use message::Span;

use crate::block::seek;

/// The port part of a valid authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// `host`
    Absent,
    /// `host:`, which RFC 3986 allows
    Empty,
    /// `host:80`
    Number,
}

/// The bytes of a registered name or IPv4 address. Of the RFC's sub-delims `,` and `;` are missing: no host name
/// has them, and in X-Forwarded-Host and Forwarded they would begin another element. User information never is part
/// of an authority in HTTP, so `@` is no host byte.
const HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 128 {
        table[b] = (b as u8).is_ascii_alphanumeric();
        b += 1;
    }
    let others = b"-._~!$&'()*+=";
    let mut i = 0;
    while i < others.len() {
        table[others[i] as usize] = true;
        i += 1;
    }
    table
};

/// Whether the value at `span` of `head` is an authority of the plain kind: letters, digits, dots and hyphens, then perhaps
/// a port. What is not may be one all the same.
#[inline(always)]
pub(crate) fn is_plain(head: &[u8], span: Span) -> bool {
    let range = span.range();
    // Neither goes on behind the value, since a blank or CR follows it.
    let colon = seek(head, range.start, |b| b.with(0x20).outside(b'a', b'z') & b.outside(b'-', b'9') | b.is(b'/'));
    if colon >= range.end || colon == range.start {
        return colon == range.end && colon > range.start;
    }
    let last = head.get(..range.end).and_then(<[u8]>::last_chunk);
    head[colon] == b':' && last.is_some_and(|last| is_plain_port(last, range.end - colon - 1))
}

/// Whether the last `len` of these bytes are a port: up to five digits.
#[inline(always)]
fn is_plain_port(last: &[u8; 8], len: usize) -> bool {
    if len > 5 {
        return false;
    }
    let all = (1 << (8 * len)) - 1;
    let digits = u64::from_be_bytes(*last) & all;
    // A digit is its number and 0x30. Adding 6 to a number carries out of its half of the byte only above 9.
    let numbers = digits ^ (0x30_3030_3030 & all);
    let are_digits = (numbers | (numbers + 0x06_0606_0606)) & 0xf0_f0f0_f0f0 == 0;
    // As words they are ordered as they are as numbers.
    are_digits && (len < 5 || digits <= MAX_PORT)
}

/// The largest port, in digits.
const MAX_PORT: u64 = u64::from_be_bytes([0, 0, 0, b'6', b'5', b'5', b'3', b'5']);

/// Judges `bytes`; `None` when they are no authority. An empty host is none (RFC 9110 §4.2.1).
pub(crate) fn judge(bytes: &[u8]) -> Option<Port> {
    if bytes.first() == Some(&b'[') {
        let end = bytes.iter().position(|b| *b == b']')?;
        let address = from_utf8(&bytes[1..end]).ok()?;
        address.parse::<Ipv6Addr>().ok()?;
        return port(&bytes[end + 1..]);
    }
    let mut at = 0;
    while at < bytes.len() && HOST[usize::from(bytes[at])] {
        at += 1;
    }
    if at < bytes.len() && bytes[at] == b'%' {
        at = behind_encoded_name(bytes, at)?;
    }
    if at == 0 { None } else { port(&bytes[at..]) }
}

/// The end of a name that has percent-encoded bytes from `at` on.
fn behind_encoded_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                let digits = bytes.get(at + 1..at + 3)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                at += 3;
            }
            b if HOST[usize::from(b)] => at += 1,
            _ => break,
        }
    }
    Some(at)
}

fn port(rest: &[u8]) -> Option<Port> {
    let Some((colon, digits)) = rest.split_first() else { return Some(Port::Absent) };
    if *colon != b':' {
        return None;
    }
    if digits.is_empty() {
        return Some(Port::Empty);
    }
    // No client has a reason to send leading zeros, so five digits are enough.
    if digits.len() > 5 {
        return None;
    }
    let mut number = 0;
    for b in digits {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u32::from(digit);
    }
    (number <= u32::from(u16::MAX)).then_some(Port::Number)
}

#[cfg(test)]
mod tests;
