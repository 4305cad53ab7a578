//! The field table: spans over one buffer.

use std::cell::RefCell;
use std::fmt;

use buf::Shared;

use crate::names::{Known, KnownSet};

/// A part of a head, counted from the head's first byte. A head is at most 64 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u16,
    /// How many bytes.
    pub len: u16,
}

impl Span {
    /// The span `start..end`; both at most 65,535.
    pub fn new(start: usize, end: usize) -> Span {
        debug_assert!(start <= end && end <= usize::from(u16::MAX));
        Span { start: start as u16, len: (end - start) as u16 }
    }

    /// As a range of indices.
    pub fn range(self) -> std::ops::Range<usize> {
        let start = usize::from(self.start);
        start..start + usize::from(self.len)
    }

    /// The bytes of this span within `bytes`.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.range()]
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Where the name stands.
    pub name: Span,
    /// Where the value stands, without the white space around it.
    pub value: Span,
    /// The name, recognised.
    pub known: Known,
}

/// One field, as a reader sees it.
#[derive(Clone, Copy)]
pub struct FieldRef<'a> {
    /// The name as it was sent.
    pub name: &'a [u8],
    /// The value, without the white space around it.
    pub value: &'a [u8],
    /// The name, recognised.
    pub known: Known,
}

impl FieldRef<'_> {
    /// Whether the name is `name`, without regard to case.
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl fmt::Debug for FieldRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name.escape_ascii(), self.value.escape_ascii())
    }
}

thread_local! {
    /// Emptied tables, so that a new message does not go to the allocator.
    static TABLES: RefCell<Vec<Vec<Field>>> = const { RefCell::new(Vec::new()) };
}

const TABLES_KEPT: usize = 64;
const TABLE_LINES: usize = 32;

#[derive(Default)]
pub(crate) struct Table {
    lines: Vec<Field>,
    /// The known names among them, so that asking for an absent one costs a bit test.
    seen: KnownSet,
    /// Whether `seen` is all that is kept of a line.
    unlisted: bool,
}

impl Table {
    /// A table that lists no line ([`crate::FieldsBuilder::lines_only`]).
    pub(crate) fn unlisted() -> Table {
        Table { lines: Vec::new(), seen: KnownSet::default(), unlisted: true }
    }

    #[inline]
    pub(crate) fn push(&mut self, field: Field) {
        self.seen.insert(field.known);
        if self.unlisted {
            return;
        }
        if self.lines.capacity() == 0 {
            self.lines = recycled();
        }
        self.lines.push(field);
    }

    /// Adds lines whose bytes have moved by `distance` (wrapping), and whose names are `seen`.
    #[inline]
    pub(crate) fn extend_moved(&mut self, lines: &[Field], distance: u16, seen: KnownSet) {
        self.seen = self.seen.with(seen);
        if !self.unlisted {
            self.list_moved(lines, distance);
        }
    }

    #[inline(never)]
    fn list_moved(&mut self, lines: &[Field], distance: u16) {
        if self.lines.capacity() == 0 {
            self.lines = recycled();
        }
        let moved = |span: Span| Span { start: span.start.wrapping_add(distance), len: span.len };
        let moved = |f: &Field| Field { name: moved(f.name), value: moved(f.value), known: f.known };
        self.lines.extend(lines.iter().map(moved));
    }
}

fn recycled() -> Vec<Field> {
    TABLES.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(TABLE_LINES))
}

impl Clone for Table {
    fn clone(&self) -> Table {
        let mut twin = Table { lines: Vec::new(), seen: self.seen, unlisted: self.unlisted };
        self.lines.iter().for_each(|f| twin.push(*f));
        twin
    }
}

impl Drop for Table {
    #[inline]
    fn drop(&mut self) {
        if self.lines.capacity() > 0 {
            recycle(std::mem::take(&mut self.lines));
        }
    }
}

fn recycle(mut table: Vec<Field>) {
    // Neither a table that a flood of fields made long is kept, nor one that was cut to size.
    if table.capacity() < TABLE_LINES || table.capacity() > 4 * TABLE_LINES {
        return;
    }
    table.clear();
    let _ = TABLES.try_with(|tables| {
        let mut tables = tables.borrow_mut();
        if tables.len() < TABLES_KEPT {
            tables.push(table);
        }
    });
}

/// The lines of a table whose bytes are not given yet: for a reader that knows its fields before it knows where their
/// head ends.
#[derive(Default)]
pub struct FieldLines {
    table: Table,
}

impl FieldLines {
    /// No lines. Takes no memory yet.
    pub fn new() -> FieldLines {
        FieldLines::default()
    }

    /// Adds a line.
    #[inline]
    pub fn push(&mut self, field: Field) {
        self.table.push(field);
    }

    /// The lines so far.
    pub fn lines(&self) -> &[Field] {
        &self.table.lines
    }

    /// The table of these lines over `bytes`, which hold them all.
    pub fn over(self, bytes: Shared) -> Fields {
        debug_assert!(self.table.lines.iter().all(|f| f.name.range().end.max(f.value.range().end) <= bytes.len()));
        Fields { bytes, table: self.table }
    }
}

/// The fields of one message, in order, over the bytes that hold them.
///
/// Those of a [`crate::FieldsBuilder::lines_only`] are there to be sent: they know their bytes, which names are among
/// them ([`Fields::has_any`]) and whether there are any ([`Fields::is_empty`]). To ask them for a line is a mistake of
/// the program, which debug builds assert; otherwise no line is found.
#[derive(Clone, Default)]
pub struct Fields {
    pub(crate) bytes: Shared,
    pub(crate) table: Table,
}

impl Fields {
    /// An empty table over `bytes`, to be filled with [`Fields::push_span`].
    pub fn over(bytes: Shared) -> Fields {
        Fields { bytes, table: Table::default() }
    }

    /// Adds a line whose name and value lie in the bytes.
    pub fn push_span(&mut self, field: Field) {
        debug_assert!(field.value.range().end <= self.bytes.len());
        self.table.push(field);
    }

    /// The bytes that the spans point into.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes that the spans point into, to be held beyond this table: a clone is a counter.
    pub fn shared_bytes(&self) -> Shared {
        self.bytes.clone()
    }

    /// How many lines.
    pub fn len(&self) -> usize {
        self.lines().len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        if self.table.unlisted { self.bytes.is_empty() } else { self.table.lines.is_empty() }
    }

    /// The spans of all lines in order, within [`Fields::bytes`].
    pub fn lines(&self) -> &[Field] {
        debug_assert!(!self.table.unlisted, "fields without a table are asked for their lines");
        &self.table.lines
    }

    /// All lines in order.
    pub fn iter(&self) -> impl Iterator<Item = FieldRef<'_>> + Clone {
        let bytes = &*self.bytes;
        self.lines().iter().map(move |f| FieldRef { name: f.name.of(bytes), value: f.value.of(bytes), known: f.known })
    }

    /// Whether any line has one of those names. Costs a few instructions, however many lines there are.
    pub fn has_any(&self, names: KnownSet) -> bool {
        self.table.seen.meets(names)
    }

    /// A copy that takes no more memory than it needs and none of the pools': for a head that is kept for long.
    pub fn kept_copy(&self) -> Fields {
        let mut lines = Vec::with_capacity(self.len());
        lines.extend_from_slice(self.lines());
        Fields { bytes: Shared::kept_copy(&self.bytes), table: Table { lines, seen: self.table.seen, unlisted: false } }
    }

    /// The value of the first line of that name.
    pub fn first(&self, known: Known) -> Option<&[u8]> {
        debug_assert!(known != Known::Other);
        if !self.has_any(KnownSet::of(&[known])) {
            return None;
        }
        self.lines().iter().find(|f| f.known == known).map(|f| f.value.of(&self.bytes))
    }

    /// The values of all lines of that name.
    pub fn all(&self, known: Known) -> impl Iterator<Item = &[u8]> + Clone {
        self.lines().iter().filter(move |f| f.known == known).map(|f| f.value.of(&self.bytes))
    }

    /// The value of the first line whose name is `name` (any case).
    pub fn first_named(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|f| f.is(name)).map(|f| f.value)
    }

    /// Whether a comma-separated list under that name has `token` (any case; parameters are not looked into).
    pub fn has_token(&self, known: Known, token: &[u8]) -> bool {
        self.all(known).any(|v| list_has(v, token))
    }
}

fn list_has(value: &[u8], token: &[u8]) -> bool {
    value.split(|b| *b == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.table.unlisted {
            return write!(f, "\"{}\"", self.bytes.escape_ascii());
        }
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FieldsBuilder;

    #[test]
    fn tokens_are_found_in_lists() {
        let mut b = FieldsBuilder::new();
        b.push(b"connection", b"keep-alive, Upgrade");
        b.push(b"connection", b"close");
        let f = b.finish();
        assert!(f.has_token(Known::Connection, b"upgrade"));
        assert!(f.has_token(Known::Connection, b"close"));
        assert!(!f.has_token(Known::Connection, b"keep"));
    }

    #[test]
    fn names_that_are_there_are_known_at_a_glance() {
        let mut b = FieldsBuilder::new();
        b.push(b"Host", b"a");
        b.push(b"x-other", b"b");
        let f = b.finish();
        assert!(f.has_any(KnownSet::of(&[Known::Range, Known::Host])));
        assert!(!f.has_any(KnownSet::of(&[Known::Range, Known::Via])));
        assert!(f.clone().has_any(KnownSet::of(&[Known::Host])));
        assert_eq!(f.first(Known::Range), None);
    }

    #[test]
    fn a_kept_copy_says_the_same_and_holds_no_pooled_memory() {
        let mut b = FieldsBuilder::new();
        b.push(b"Host", b"a");
        b.push(b"x-other", b"b");
        let kept = b.finish().kept_copy();
        assert_eq!(buf::stats().leased, 0);
        assert_eq!(kept.bytes(), b"Host: a\r\nx-other: b\r\n");
        assert_eq!(kept.first(Known::Host), Some(&b"a"[..]));
        let before = TABLES.with_borrow(Vec::len);
        drop(kept);
        assert_eq!(TABLES.with_borrow(Vec::len), before);
    }

    #[test]
    fn tables_are_recycled() {
        let mut b = FieldsBuilder::new();
        b.push(b"a", b"b");
        drop(b.finish());
        let before = TABLES.with_borrow(Vec::len);
        let mut b = FieldsBuilder::new();
        b.push(b"a", b"b");
        assert_eq!(TABLES.with_borrow(Vec::len), before - 1);
    }
}
