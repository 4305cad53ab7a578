//! Taking field lines apart (RFC 9112 §5): one pass over their bytes, a block at a time.
//!
//! It reads what the strict grammar allows and nothing else: a token, a colon, a value without control characters, CRLF.
//! In debug builds, and when fuzzing, httparse reads every complete section too, and must agree to the byte.

use message::{Field, FieldLines, Known, Span};

use crate::error::Fault;
use crate::head::fault_of;
use crate::scan::{Bounds, Section};

/// Reads a head of which nothing was looked at before: finds its end and takes its fields apart in the same pass. `None`
/// when the head is not complete, exceeds a limit or has a faulty line; which of them it is, `Scan::find_end` and
/// [`complete`] say, in their order.
#[inline]
pub(crate) fn at_once(bytes: &[u8], bounds: Bounds, lines: &mut FieldLines) -> Option<Section> {
    let window = &bytes[..bytes.len().min(bounds.section)];
    let lf = seek(window, |b| b == b'\n');
    if lf >= window.len().min(bounds.first_line) || lf == 0 || window[lf - 1] != b'\r' {
        return None;
    }
    match take_apart(window, lf + 1, bounds.fields, lines) {
        Ok(end) => {
            cross_check(&window[..end], lf + 1, Ok(lines));
            Some(Section { first_line: lf + 1, end })
        }
        Err(_) => {
            *lines = FieldLines::new();
            None
        }
    }
}

/// Takes the fields of `section` apart, which `Scan::find_end` found complete, from `from` on.
pub(crate) fn complete(section: &[u8], from: usize) -> Result<FieldLines, Fault> {
    let mut lines = FieldLines::new();
    let end = take_apart(section, from, usize::MAX, &mut lines);
    cross_check(section, from, end.map(|_| &lines));
    match end {
        Ok(end) if end == section.len() => Ok(lines),
        Ok(_) => Err(Fault::FieldLine),
        Err(fault) => Err(fault),
    }
}

/// Reads lines up to the empty one and says where that ends. Where the window ends before it, some fault is reported.
/// The cost is linear in the bytes, whatever stands there.
#[inline(always)]
fn take_apart(window: &[u8], from: usize, lines_max: usize, lines: &mut FieldLines) -> Result<usize, Fault> {
    let mut rest = window.get(from..).unwrap_or_default();
    loop {
        let at = window.len() - rest.len();
        if let [b'\r', behind @ ..] = rest {
            return if behind.first() == Some(&b'\n') { Ok(at + 2) } else { Err(Fault::LineEnding) };
        }
        if lines.lines().len() == lines_max {
            return Err(Fault::TooManyFields);
        }
        let (name, behind) = rest.split_at(seek(rest, |b| b == b':'));
        let known = Known::of(name);
        // A name the table knows is a token.
        if known == Known::Other && !is_token(name) {
            return Err(Fault::FieldLine);
        }
        let Some((_, mut value)) = behind.split_first() else { return Err(Fault::FieldLine) };
        value = value.strip_prefix(b" ").unwrap_or(value);
        if value.first().is_some_and(|b| *b <= b' ') {
            value = without_blanks(value);
        }
        let mut cr = seek(value, is_control);
        while value.get(cr) == Some(&b'\t') {
            cr += 1 + seek(&value[cr + 1..], is_control);
        }
        let start = window.len() - value.len();
        let (mut value, behind) = value.split_at(cr);
        let [b'\r', b'\n', next @ ..] = behind else { return Err(Fault::FieldLine) };
        while let [shorter @ .., b' ' | b'\t'] = value {
            value = shorter;
        }
        lines.push(Field { name: Span::new(at, at + name.len()), value: Span::new(start, start + value.len()), known });
        rest = next;
    }
}

/// More white space before a value than the one space everybody sends.
#[cold]
fn without_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', behind @ ..] = value {
        value = behind;
    }
    value
}

/// The place of the first byte that `marks` marks; the length of `bytes` when there is none. The comparison is made for a
/// block of bytes at once: the compiler turns it into vector instructions. It is picky about the form of this loop; count
/// instructions (`examples/cost.rs`) after a change.
#[inline(always)]
fn seek(bytes: &[u8], marks: impl Fn(u8) -> bool) -> usize {
    let mut rest = bytes;
    while let Some((block, behind)) = rest.split_first_chunk::<16>() {
        if block.iter().fold(false, |any, b| any | marks(*b)) {
            let marked = u128::from_le_bytes(block.map(|b| if marks(b) { 0xff } else { 0 }));
            return bytes.len() - rest.len() + (marked.trailing_zeros() / 8) as usize;
        }
        rest = behind;
    }
    let last = rest.iter().position(|b| marks(*b)).unwrap_or(rest.len());
    bytes.len() - rest.len() + last
}

/// What is below the space, and DEL.
#[inline(always)]
fn is_control(b: u8) -> bool {
    b < b' ' || b == 0x7f
}

/// The bytes of a token (RFC 9110 §5.6.2).
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 128 {
        table[b] = (b as u8).is_ascii_alphanumeric();
        b += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut i = 0;
    while i < others.len() {
        table[others[i] as usize] = true;
        i += 1;
    }
    table
};

fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().fold(true, |so_far, b| so_far & TOKEN[usize::from(*b)])
}

/// What httparse makes of the same lines must be the same, the kind of a fault included.
#[inline(always)]
fn cross_check(section: &[u8], from: usize, ours: Result<&FieldLines, Fault>) {
    if cfg!(any(debug_assertions, fuzzing)) {
        // The usual head needs no allocation here either, so that a test can count them in a debug build.
        let (mut few, mut many) = ([httparse::EMPTY_HEADER; 64], Vec::new());
        let lines = section.iter().filter(|b| **b == b'\n').count();
        let room = if lines <= few.len() {
            &mut few[..]
        } else {
            many.resize(section.len(), httparse::EMPTY_HEADER);
            &mut many[..]
        };
        let theirs = match httparse::parse_headers(&section[from..], room) {
            Ok(httparse::Status::Complete((used, lines))) if used == section.len() - from => Ok(lines),
            Ok(_) => Err(Fault::FieldLine),
            Err(error) => Err(fault_of(error)),
        };
        let ours = ours.map(FieldLines::lines);
        assert_eq!(ours.map(<[_]>::len), theirs.map(<[_]>::len), "{}", section.escape_ascii());
        for (a, b) in ours.unwrap_or_default().iter().zip(theirs.unwrap_or_default()) {
            assert_eq!((a.name.of(section), a.value.of(section)), (b.name.as_bytes(), b.value));
        }
    }
}
