//! The field table: spans over one buffer.

use std::cell::RefCell;
use std::fmt;

use buf::{Buf, Class, Shared};

use crate::names::Known;

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
struct Table(Vec<Field>);

impl Table {
    fn push(&mut self, field: Field) {
        if self.0.capacity() == 0 {
            self.0 = TABLES.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(TABLE_LINES));
        }
        self.0.push(field);
    }
}

impl Clone for Table {
    fn clone(&self) -> Table {
        let mut twin = Table::default();
        self.0.iter().for_each(|f| twin.push(*f));
        twin
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let mut table = std::mem::take(&mut self.0);
        // A table that a flood of fields made long is not kept.
        if table.capacity() == 0 || table.capacity() > 4 * TABLE_LINES {
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
}

/// The fields of one message, in order, over the bytes that hold them.
#[derive(Clone, Default)]
pub struct Fields {
    bytes: Shared,
    table: Table,
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

    /// How many lines.
    pub fn len(&self) -> usize {
        self.table.0.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.table.0.is_empty()
    }

    /// All lines in order.
    pub fn iter(&self) -> impl Iterator<Item = FieldRef<'_>> {
        let bytes = &*self.bytes;
        self.table.0.iter().map(move |f| FieldRef {
            name: f.name.of(bytes),
            value: f.value.of(bytes),
            known: f.known,
        })
    }

    /// The value of the first line of that name.
    pub fn first(&self, known: Known) -> Option<&[u8]> {
        debug_assert!(known != Known::Other);
        self.table.0.iter().find(|f| f.known == known).map(|f| f.value.of(&self.bytes))
    }

    /// The values of all lines of that name.
    pub fn all(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |f| f.known == known).map(|f| f.value)
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
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Fills a table of our own. The bytes are laid out as `name: value CRLF` lines, so that an HTTP/1 machine can
/// send them with one copy ([`FieldsBuilder::finish`], then [`Fields::bytes`]).
///
/// Call [`FieldsBuilder::push`] for each line, then [`FieldsBuilder::finish`]. At most 64 KiB in all.
pub struct FieldsBuilder {
    buf: Buf,
    len: usize,
    table: Table,
    overflowed: bool,
}

impl Default for FieldsBuilder {
    fn default() -> FieldsBuilder {
        FieldsBuilder::new()
    }
}

impl FieldsBuilder {
    /// An empty builder over a 4 KiB buffer that grows to 64 KiB when needed.
    pub fn new() -> FieldsBuilder {
        FieldsBuilder { buf: Buf::lease(Class::K4), len: 0, table: Table::default(), overflowed: false }
    }

    /// Adds one line. The caller vouches that name and value hold no CR, LF or NUL.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_known(Known::of(name), name, value);
    }

    /// Adds one line whose name was recognised before.
    pub fn push_known(&mut self, known: Known, name: &[u8], value: &[u8]) {
        self.push_parts(known, name, &[value]);
    }

    /// Adds one line whose value is made of several parts.
    pub fn push_parts(&mut self, known: Known, name: &[u8], parts: &[&[u8]]) {
        let value_len: usize = parts.iter().map(|p| p.len()).sum();
        let end = self.len + name.len() + 2 + value_len + 2;
        if !self.reserve(end) {
            return;
        }
        let at = self.len;
        let mem = self.buf.as_mut();
        mem[at..at + name.len()].copy_from_slice(name);
        let value_at = at + name.len() + 2;
        mem[value_at - 2..value_at].copy_from_slice(b": ");
        let mut here = value_at;
        for part in parts {
            mem[here..here + part.len()].copy_from_slice(part);
            here += part.len();
        }
        mem[here..here + 2].copy_from_slice(b"\r\n");
        self.len = end;
        self.table.push(Field { name: Span::new(at, at + name.len()), value: Span::new(value_at, here), known });
    }

    fn reserve(&mut self, end: usize) -> bool {
        if end <= self.buf.capacity() {
            return true;
        }
        if end > usize::from(u16::MAX) {
            self.overflowed = true;
            return false;
        }
        let mut larger = Buf::lease(Class::for_bytes(end));
        larger.as_mut()[..self.len].copy_from_slice(&self.buf.as_ref()[..self.len]);
        self.buf = larger;
        true
    }

    /// Whether a line was left out because the fields exceed 64 KiB.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// The table; its bytes are exactly the lines, each ended by CRLF.
    pub fn finish(self) -> Fields {
        Fields { bytes: self.buf.freeze(self.len), table: self.table }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_fields_read_back_and_are_lines() {
        let mut b = FieldsBuilder::new();
        b.push(b"Content-Type", b"text/plain");
        b.push_parts(Known::Via, b"via", &[b"1.1 ", b"tollgate"]);
        b.push(b"x-many", b"a, B ,c");
        let f = b.finish();
        assert_eq!(f.bytes(), b"Content-Type: text/plain\r\nvia: 1.1 tollgate\r\nx-many: a, B ,c\r\n");
        assert_eq!(f.first(Known::Via), Some(&b"1.1 tollgate"[..]));
        assert_eq!(f.first_named(b"X-MANY"), Some(&b"a, B ,c"[..]));
        assert_eq!(f.len(), 3);
    }

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
    fn a_builder_grows_and_says_when_it_cannot() {
        let mut b = FieldsBuilder::new();
        for _ in 0..20 {
            b.push(b"x", &[b'v'; 3000]);
        }
        assert!(!b.overflowed());
        b.push(b"x", &[b'v'; 9000]);
        assert!(b.overflowed());
        assert_eq!(b.finish().len(), 20);
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
