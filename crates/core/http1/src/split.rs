//! Taking field lines apart (RFC 9112 §5): one pass over their bytes, a block at a time.
//!
//! It reads what the strict grammar allows and nothing else: a token, a colon, a value without control characters, CRLF.
//! In debug builds, and when fuzzing, httparse reads every complete section too, and must agree to the byte.

use message::{Field, FieldLines, Known, KnownSet, Span};

use crate::block::{Block, Marks, seek};
use crate::error::Fault;
use crate::head::fault_of;

/// What is read, and what lies behind it in memory, so that a look at many bytes need not end where they do. Nothing
/// depends on the bytes behind.
#[derive(Clone, Copy)]
pub(crate) struct Window<'w> {
    memory: &'w [u8],
    len: usize,
}

impl<'w> Window<'w> {
    /// The first `len` bytes of `memory`, or all when it has fewer.
    #[inline(always)]
    pub(crate) fn of(memory: &'w [u8], len: usize) -> Window<'w> {
        Window { memory, len: len.min(memory.len()) }
    }

    #[inline(always)]
    pub(crate) fn bytes(self) -> &'w [u8] {
        &self.memory[..self.len]
    }
}

/// Takes the fields of a head apart of which only the first line was looked at, finding its end in the same pass: into
/// `lines`, which are empty. `window` begins with the head and holds no more than its limits allow; the fields begin at
/// `from`. `None` when the head is not complete, has more than `lines_max` lines or a faulty one; which of them it is,
/// `Scan::find_end` and [`complete`] say, in their order.
#[inline(always)]
pub(crate) fn at_once(window: Window<'_>, from: usize, lines_max: usize, lines: &mut FieldLines) -> Option<usize> {
    let end = take_apart(window, from, lines_max, lines).ok()?;
    cross_check(&window.bytes()[..end], from, Ok(lines));
    Some(end)
}

/// Takes the fields of `section` apart, which `Scan::find_end` found complete, from `from` on.
pub(crate) fn complete(section: &[u8], from: usize) -> Result<FieldLines, Fault> {
    let mut lines = FieldLines::new();
    let end = take_apart(Window::of(section, section.len()), from, usize::MAX, &mut lines);
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
fn take_apart(window: Window<'_>, from: usize, lines_max: usize, lines: &mut FieldLines) -> Result<usize, Fault> {
    lines.set_canonical(true);
    let mut at = from;
    loop {
        at = plain_lines(window, at, lines_max, lines);
        let window = window.bytes();
        match window.get(at..) {
            Some([b'\r', b'\n', ..]) => return Ok(at + 2),
            Some([b'\r', ..]) => return Err(Fault::LineEnding),
            _ if lines.lines().len() == lines_max => return Err(Fault::TooManyFields),
            _ => at = odd_line(window, at, lines).ok_or(Fault::FieldLine)?,
        }
    }
}

/// How far a plain line is looked at in one go: fifteen bytes of a name, a colon, a space, the first two blocks of a value
/// and what may be its CRLF. One check of the bounds does for all of it.
const LOOK: usize = 52;

/// Takes lines apart from `at` on for as long as they are plain, and says where the next one begins. A plain line has the
/// shape that everybody sends: a name of less than sixteen bytes, a colon, one space, and a value that is not empty, ends
/// in neither space nor tab, and holds no tab. Where memory ends soon behind it, it is not taken for a plain one.
// A function of its own: as a part of a larger one it runs out of registers.
#[inline(never)]
fn plain_lines(window: Window<'_>, from: usize, lines_max: usize, lines: &mut FieldLines) -> usize {
    let Window { memory, len: end } = window;
    let slots = lines.room(lines_max);
    let (mut count, mut names, mut at) = (0, KnownSet::default(), from);
    while let Some(look) = memory.get(at..).and_then(<[u8]>::first_chunk::<LOOK>) {
        let block = part(look, 0);
        // Where the head ends there may be no colon; if there is, CR and what follows it are no name.
        let colons = Block::of(block).is(b':').bits();
        if colons == 0 {
            break;
        }
        let name_len = first_of(colons);
        let known = Known::at_front(block, name_len);
        // A name the table knows is a token.
        if known == Known::Other && !is_short_token(block, name_len) {
            break;
        }
        let start = name_len + 2;
        if look[name_len + 1] != b' ' || look[start] <= b' ' {
            break;
        }
        let Some((len, tail)) = plain_value(window, at, look, start) else { break };
        let next = at + start + len + 2;
        // A tab would have ended the value before. What was found must have been there.
        if tail[1..] != *b"\r\n" || tail[0] == b' ' || next > end {
            break;
        }
        let Some(slot) = slots.get_mut(count) else { break };
        slot.name = Span { start: at as u16, len: name_len as u16 };
        slot.value = Span { start: (at + start) as u16, len: len as u16 };
        slot.known = known;
        names.insert(known);
        count += 1;
        at = next;
    }
    lines.fill(count, names);
    at
}

/// How far the value goes that begins at `start` of a look at `at`: its length up to the first control character, and the
/// byte before that one, it, and the byte behind it.
#[inline(always)]
fn plain_value<'w>(window: Window<'w>, at: usize, look: &'w [u8; LOOK], start: usize) -> Option<(usize, &'w [u8; 3])> {
    let mut ends = controls(Block::of(part(look, start))).bits();
    let mut len = first_of(ends);
    if ends == 0 {
        ends = controls(Block::of(part(look, start + 16))).bits();
        len = 16 + first_of(ends);
        if ends == 0 {
            let (window, behind) = (window.bytes(), at + start + 32);
            if behind > window.len() {
                return None;
            }
            let end = seek(window, behind, controls);
            return Some((end - at - start, window.get(end - 1..)?.first_chunk()?));
        }
    }
    Some((len, part(look, start + len - 1)))
}

/// The bytes of a look from `at` on, which is not too near to its end.
#[inline(always)]
fn part<const N: usize>(look: &[u8; LOOK], at: usize) -> &[u8; N] {
    look[at..].first_chunk().unwrap_or(&[0; N])
}

/// The first byte marked in a block that has one. The mask tells the compiler that it is one of sixteen.
#[inline(always)]
fn first_of(marks: u32) -> usize {
    (marks.trailing_zeros() & 15) as usize
}

/// What may not stand in a value, but for the tab.
#[inline(always)]
fn controls(block: Block) -> Marks {
    block.below(b' ') | block.is(0x7f)
}

/// Takes a line of any shape apart that begins at `at`, and says where the next one begins. `None` for a faulty one.
#[inline(never)]
fn odd_line(window: &[u8], at: usize, lines: &mut FieldLines) -> Option<usize> {
    let blank = |at: usize| matches!(window.get(at), Some(b' ' | b'\t'));
    let colon = seek(window, at, |b| b.is(b':'));
    let name = &window[at..colon];
    let known = Known::of(name);
    // A name the table knows is a token.
    if colon == window.len() || known == Known::Other && !is_token(name) {
        return None;
    }
    let mut start = colon + 1;
    while blank(start) {
        start += 1;
    }
    let mut cr = seek(window, start, controls);
    while window.get(cr) == Some(&b'\t') {
        cr = seek(window, cr + 1, controls);
    }
    if window.get(cr..cr + 2)? != b"\r\n" {
        return None;
    }
    let mut end = cr;
    while end > start && blank(end - 1) {
        end -= 1;
    }
    if end < cr || start != colon + 2 || window[colon + 1] != b' ' {
        lines.set_canonical(false);
    }
    lines.push(Field { name: Span::new(at, colon), value: Span::new(start, end), known });
    Some(cr + 2)
}

/// Whether the first `len` bytes of `block` are a token. Nearly every name is letters, digits and hyphens.
#[inline(always)]
fn is_short_token(block: &[u8; 16], len: usize) -> bool {
    let name = Block::of(block);
    let others = name.with(0x20).outside(b'a', b'z') & name.outside(b'-', b'9') | name.is(b'/');
    len > 0 && (others.bits() & ((1 << len) - 1) == 0 || is_token(&block[..len]))
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

#[inline(never)]
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

#[cfg(test)]
mod tests;
