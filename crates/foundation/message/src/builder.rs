//! Field tables of our own making.

use buf::{Buf, Class};

use crate::fields::{Field, Fields, Span, Table};
use crate::names::Known;
use crate::writer::HeadWriter;

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
        let value_at = self.len + name.len() + 2;
        let value_end = value_at + value_len;
        let end = value_end + 2;
        if !self.reserve(end) {
            return;
        }
        let mut line = HeadWriter::over(&mut self.buf.as_mut()[self.len..end]);
        line.push_parts(known, name, parts);
        let name = Span::new(self.len, self.len + name.len());
        self.table.push(Field { name, value: Span::new(value_at, value_end), known });
        self.len = end;
    }

    fn reserve(&mut self, end: usize) -> bool {
        end <= self.buf.capacity() || self.grow(end)
    }

    #[cold]
    fn grow(&mut self, end: usize) -> bool {
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
}
