//! Heads, written where they are sent from.

use std::ops::Range;

use crate::fields::{Field, Fields};
use crate::names::{Known, KnownSet};

/// Writes a head into the memory it is sent from: its field lines laid out as `name: value CRLF`, and whatever a machine
/// puts around them. No table of the lines comes about, only the set of their names.
///
/// What does not fit any more is left out, and so is all that follows: look at [`HeadWriter::overflowed`] before what
/// was written is used.
pub struct HeadWriter<'b> {
    /// What is left of the memory.
    rest: &'b mut [u8],
    size: usize,
    names: KnownSet,
    overflowed: bool,
}

impl<'b> HeadWriter<'b> {
    /// Writes into `memory` from its beginning.
    #[inline]
    pub fn over(memory: &'b mut [u8]) -> HeadWriter<'b> {
        HeadWriter { size: memory.len(), rest: memory, names: KnownSet::default(), overflowed: false }
    }

    /// Adds one line whose name was recognised before. The caller vouches that name and value hold no CR, LF or NUL.
    #[inline]
    pub fn push(&mut self, known: Known, name: &[u8], value: &[u8]) {
        self.begin(known, name);
        self.put_slice(value);
        self.put(b"\r\n");
    }

    /// Adds one line whose value is made of several parts.
    pub fn push_parts(&mut self, known: Known, name: &[u8], parts: &[&[u8]]) {
        self.begin(known, name);
        parts.iter().for_each(|part| self.put_slice(part));
        self.put(b"\r\n");
    }

    /// Adds one line whose value `write` writes.
    pub fn push_with(&mut self, known: Known, name: &[u8], write: impl FnOnce(&mut HeadWriter<'b>)) {
        self.begin(known, name);
        write(self);
        self.put(b"\r\n");
    }

    /// Adds one line whose value is a list: `items`, then one item made of several parts (none, when there are no
    /// parts), with commas between them.
    pub fn push_list<'i>(&mut self, known: Known, name: &[u8], items: impl Iterator<Item = &'i [u8]>, last: &[&[u8]]) {
        self.begin(known, name);
        let mut is_first = true;
        for item in items.map(Some).chain((!last.is_empty()).then_some(None)) {
            if !std::mem::replace(&mut is_first, false) {
                self.put(b", ");
            }
            match item {
                Some(item) => self.put_slice(item),
                None => last.iter().for_each(|part| self.put_slice(part)),
            }
        }
        self.put(b"\r\n");
    }

    /// Adds all lines of a table, if it is known to be laid out as lines are here ([`Fields::is_canonical`]): in one piece,
    /// so that a head that is passed on costs little more than its bytes. Otherwise does nothing and returns false.
    #[inline]
    pub fn copy_canonical(&mut self, from: &Fields) -> bool {
        let lines = from.lines();
        let (true, Some(first), Some(last)) = (from.is_canonical(), lines.first(), lines.last()) else { return false };
        self.note(from.names());
        self.put_slice(&from.bytes()[first.name.range().start..last.value.range().end + 2]);
        true
    }

    /// Adds those lines of a table that `passes` lets through. Lines that follow each other in its bytes the way they are
    /// written here are copied in one piece.
    // A function of its own for each closure: inlined beside another one, its loop runs out of registers.
    #[inline(never)]
    pub fn copy_where(&mut self, from: &Fields, passes: impl Fn(&Field) -> bool) {
        let bytes = from.bytes();
        let canonical = from.is_canonical();
        let mut run = 0..0;
        for line in from.lines() {
            if !passes(line) {
                continue;
            }
            self.names.insert(line.known);
            let (name, value) = (line.name.range(), line.value.range());
            let follows = name.start == run.end;
            if canonical || is_laid_out(bytes, &name, &value) {
                if !follows {
                    self.put_slice(&bytes[run]);
                    run = name.start..name.start;
                }
                run.end = value.end + 2;
            } else {
                self.put_slice(&bytes[std::mem::take(&mut run)]);
                self.push(line.known, &bytes[name], &bytes[value]);
            }
        }
        self.put_slice(&bytes[run]);
    }

    /// Has `write` write lines of these names piece by piece: several of them are cheapest as a few constants with what
    /// varies between them. It ends early when a piece does not fit.
    #[inline(always)]
    pub fn push_pieces(&mut self, names: KnownSet, write: impl FnOnce(&mut Pieces<'b>) -> Option<()>) {
        self.names = self.names.with(names);
        let mut pieces = Pieces { rest: std::mem::take(&mut self.rest) };
        match write(&mut pieces) {
            Some(()) => self.rest = pieces.rest,
            None => self.overflowed = true,
        }
    }

    /// Notes that there are lines of these names, though they are written by somebody else.
    #[inline(always)]
    pub fn note(&mut self, names: KnownSet) {
        self.names = self.names.with(names);
    }

    /// Writes bytes whose number is known when compiling: takes no call to copy them.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, part: &[u8; N]) {
        self.push_pieces(KnownSet::default(), |pieces| pieces.put(part));
    }

    /// Writes any bytes.
    #[inline(always)]
    pub fn put_slice(&mut self, part: &[u8]) {
        self.push_pieces(KnownSet::default(), |pieces| pieces.put_slice(part));
    }

    /// Writes a number in decimal digits.
    #[inline]
    pub fn put_decimal(&mut self, number: u64) {
        self.put_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// How many bytes were written.
    #[inline]
    pub fn len(&self) -> usize {
        self.size - self.rest.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the lines so far.
    #[inline]
    pub fn names(&self) -> KnownSet {
        self.names
    }

    /// Whether something did not fit.
    #[inline]
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    #[inline(always)]
    fn begin(&mut self, known: Known, name: &[u8]) {
        self.names.insert(known);
        self.put_slice(name);
        self.put(b": ");
    }
}

/// Pieces of lines, one behind the other ([`HeadWriter::push_pieces`]).
pub struct Pieces<'b> {
    /// What is left of the memory.
    rest: &'b mut [u8],
}

impl Pieces<'_> {
    /// Writes bytes whose number is known when compiling. `None` when they do not fit; nothing does from then on.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, part: &[u8; N]) -> Option<()> {
        let (here, rest) = std::mem::take(&mut self.rest).split_first_chunk_mut()?;
        *here = *part;
        self.rest = rest;
        Some(())
    }

    /// Writes any bytes. `None` when they do not fit; nothing does from then on.
    #[inline(always)]
    pub fn put_slice(&mut self, part: &[u8]) -> Option<()> {
        let (here, rest) = std::mem::take(&mut self.rest).split_at_mut_checked(part.len())?;
        copy(part, here);
        self.rest = rest;
        Some(())
    }
}

/// Whether a line stands in `bytes` the way it is written here.
fn is_laid_out(bytes: &[u8], name: &Range<usize>, value: &Range<usize>) -> bool {
    let holds = |at: usize, pair: &[u8; 2]| bytes.get(at..at + 2).and_then(<[u8]>::first_chunk) == Some(pair);
    value.start == name.end + 2 && holds(name.end, b": ") && holds(value.end, b"\r\n")
}

/// Copies a slice to one of the same length; a short one without a call, which costs more than its bytes.
#[inline(always)]
fn copy(from: &[u8], to: &mut [u8]) {
    debug_assert_eq!(from.len(), to.len());
    match from.len() {
        33.. => to.copy_from_slice(from),
        16.. => copy_ends::<16>(from, to),
        8.. => copy_ends::<8>(from, to),
        4.. => copy_ends::<4>(from, to),
        2.. => copy_ends::<2>(from, to),
        _ => copy_ends::<1>(from, to),
    }
}

/// Copies a slice of `N` to `2 * N` bytes as its first and its last `N`, which may overlap.
#[inline(always)]
fn copy_ends<const N: usize>(from: &[u8], to: &mut [u8]) {
    if let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) {
        if let Some(to) = to.first_chunk_mut() {
            *to = *first;
        }
        if let Some(to) = to.last_chunk_mut() {
            *to = *last;
        }
    }
}

#[cfg(test)]
mod tests;
