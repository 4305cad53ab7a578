//! Field tables of our own making.

use buf::{Buf, Class};

use crate::fields::{Field, Fields, Span, Table};
use crate::names::{Known, KnownSet};

/// Fills a table of our own. The bytes are laid out as `name: value CRLF` lines, so that an HTTP/1 machine can
/// send them with one copy ([`FieldsBuilder::finish`], then [`Fields::bytes`]).
///
/// Call [`FieldsBuilder::push`] for each line, then [`FieldsBuilder::finish`]. At most 64 KiB in all.
pub struct FieldsBuilder {
    buf: Buf,
    len: usize,
    /// Of `buf`.
    capacity: usize,
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
        FieldsBuilder::with(Table::default())
    }

    /// Like [`FieldsBuilder::new`], for a head that is only encoded: there will be its lines and the set of their names
    /// ([`Fields::has_any`]), but no table of them, which spares its memory and a write for each line.
    pub fn lines_only() -> FieldsBuilder {
        FieldsBuilder::with(Table::unlisted())
    }

    fn with(table: Table) -> FieldsBuilder {
        let buf = Buf::lease(Class::K4);
        let capacity = buf.capacity();
        FieldsBuilder { buf, len: 0, capacity, table, overflowed: false }
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
    #[inline]
    pub fn push_parts(&mut self, known: Known, name: &[u8], parts: &[&[u8]]) {
        let value_len: usize = parts.iter().map(|p| p.len()).sum();
        let Some(mut lines) = self.lines(name.len() + value_len + LINE_EXTRA) else { return };
        lines.begin(known, name);
        parts.iter().for_each(|part| lines.put(part));
        lines.end();
    }

    /// Adds one line whose value is a list: `items`, then one item made of several parts (none, when there are no
    /// parts), with commas between them.
    pub fn push_list<'i, I>(&mut self, known: Known, name: &[u8], items: I, last: &[&[u8]])
    where
        I: Iterator<Item = &'i [u8]> + Clone,
    {
        const COMMA: &[u8] = b", ";
        let (count, items_len) = items.clone().fold((0, 0), |(n, len), item| (n + 1, len + item.len()));
        let commas = if last.is_empty() { usize::max(count, 1) - 1 } else { count };
        let last_len: usize = last.iter().map(|p| p.len()).sum();
        let value_len = items_len + commas * COMMA.len() + last_len;
        let Some(mut lines) = self.lines(name.len() + value_len + LINE_EXTRA) else { return };
        lines.begin(known, name);
        for (i, item) in items.enumerate() {
            lines.put(item);
            if i < commas {
                lines.put(COMMA);
            }
        }
        last.iter().for_each(|part| lines.put(part));
        lines.end();
    }

    /// Room for lines of `room` bytes in all, [`LINE_EXTRA`] for each among them, to be written piece by piece: the
    /// cheapest way to add several. `None` when they do not fit any more.
    #[inline]
    pub fn lines(&mut self, room: usize) -> Option<LineWriter<'_>> {
        let end = self.len + room;
        if !self.reserve(end) {
            return None;
        }
        let (at, line_at) = (self.len, self.len);
        let FieldsBuilder { buf, len, table, .. } = self;
        Some(LineWriter { room: &mut buf.as_mut()[..end], at, line_at, value_at: at, known: Known::Other, len, table })
    }

    /// Adds those lines of another table that `passes` lets through. Lines that follow each other in its bytes the way a
    /// builder writes them are copied in one piece, so that a head that is passed on costs little more than its bytes.
    // A function of its own for each closure: inlined beside another one, its loop runs out of registers.
    #[inline(never)]
    pub fn copy_where(&mut self, from: &Fields, passes: impl Fn(&Field) -> bool) {
        let bytes = from.bytes();
        let mut rest = from.lines();
        while let Some(at) = rest.iter().position(&passes) {
            rest = &rest[at..];
            let run = Run::at_front(bytes, rest, &passes);
            if run.count > 0 {
                let (lines, behind) = rest.split_at(run.count);
                self.copy_run(&bytes[run.start..run.end], lines, run.start, run.seen);
                rest = behind;
            } else {
                let line = &rest[0];
                self.push_known(line.known, line.name.of(bytes), line.value.of(bytes));
                rest = &rest[1..];
            }
        }
    }

    /// Copies lines that begin at `start` in their table.
    #[inline(never)]
    fn copy_run(&mut self, run_bytes: &[u8], lines: &[Field], start: usize, seen: KnownSet) {
        let end = self.len + run_bytes.len();
        if self.reserve(end) {
            self.buf.as_mut()[self.len..end].copy_from_slice(run_bytes);
            self.table.extend_moved(lines, (self.len as u16).wrapping_sub(start as u16), seen);
            self.len = end;
        }
    }

    #[inline]
    fn reserve(&mut self, end: usize) -> bool {
        end <= self.capacity || self.grow(end)
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
        self.capacity = self.buf.capacity();
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

/// What a line takes besides its name and value: a colon, a space, CR and LF.
pub const LINE_EXTRA: usize = 4;

/// Writes lines into room that was made for them ([`FieldsBuilder::lines`]): for each [`LineWriter::begin`], any number
/// of [`LineWriter::put`], [`LineWriter::end`].
///
/// # Panics
/// When more is written than there is room for: the room was counted wrong, whatever the peer sent.
pub struct LineWriter<'b> {
    room: &'b mut [u8],
    at: usize,
    line_at: usize,
    value_at: usize,
    known: Known,
    len: &'b mut usize,
    table: &'b mut Table,
}

impl LineWriter<'_> {
    /// Begins a line. Cheapest with a name that is known when compiling.
    #[inline(always)]
    pub fn begin(&mut self, known: Known, name: &[u8]) {
        self.line_at = self.at;
        self.known = known;
        self.value_at = self.at + name.len() + 2;
        // One look at the bounds for both.
        let (name_room, colon) = self.room[self.at..self.value_at].split_at_mut(name.len());
        name_room.copy_from_slice(name);
        colon.copy_from_slice(b": ");
        self.at = self.value_at;
    }

    /// Writes a part of the value. The caller vouches that it holds no CR, LF or NUL.
    #[inline(always)]
    pub fn put(&mut self, part: &[u8]) {
        let end = self.at + part.len();
        self.room[self.at..end].copy_from_slice(part);
        self.at = end;
    }

    /// Ends a line. What was not ended is not there.
    #[inline(always)]
    pub fn end(&mut self) {
        let name_len = self.value_at - self.line_at - 2;
        let name = Span::new(self.line_at, self.line_at + name_len);
        self.table.push(Field { name, value: Span::new(self.value_at, self.at), known: self.known });
        self.put(b"\r\n");
        *self.len = self.at;
    }
}

/// Lines that pass, and follow each other in the bytes of a table the way a builder writes them.
struct Run {
    /// How many, from the first line on.
    count: usize,
    /// Where they begin and end in the bytes.
    start: usize,
    end: usize,
    seen: KnownSet,
}

impl Run {
    #[inline(always)]
    fn at_front(bytes: &[u8], lines: &[Field], passes: impl Fn(&Field) -> bool) -> Run {
        let holds = |at: usize, pair: &[u8; 2]| bytes.get(at..at + 2).and_then(<[u8]>::first_chunk) == Some(pair);
        let start = lines.first().map_or(0, |line| usize::from(line.name.start));
        let mut end = start;
        let mut seen = KnownSet::default();
        let mut count = 0;
        for line in lines {
            let (name, value) = (line.name.range(), line.value.range());
            let adjoins = name.start == end && value.start == name.end + 2;
            if !adjoins || !passes(line) || !holds(name.end, b": ") || !holds(value.end, b"\r\n") {
                break;
            }
            end = value.end + 2;
            seen.insert(line.known);
            count += 1;
        }
        Run { count, start, end, seen }
    }
}

#[cfg(test)]
mod tests {
    use buf::Shared;

    use super::*;

    /// A table over `lines` as a reader that knows no layout would make it.
    fn read(lines: &str) -> Fields {
        let mut fields = Fields::over(Shared::copy_of(lines.as_bytes()));
        let mut at = 0;
        for line in lines.split_inclusive('\n') {
            let (name, value) = line.split_once(':').expect("a colon");
            let value_at = at + name.len() + 1 + (value.len() - value.trim_start().len());
            fields.push_span(Field {
                name: Span::new(at, at + name.len()),
                value: Span::new(value_at, value_at + value.trim().len()),
                known: Known::of(name.as_bytes()),
            });
            at += line.len();
        }
        fields
    }

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
    fn copied_lines_are_the_same_however_they_were_laid_out() {
        let from = read("Host: a\r\nAccept:b\r\nx-c:   c  \r\nVia: d\r\nx-e: e\r\nx-f:\r\nDate: g\r\n");
        let mut b = FieldsBuilder::new();
        b.push(b"x-first", b"1");
        b.copy_where(&from, |line| line.known != Known::Via);
        let f = b.finish();
        assert_eq!(f.bytes(), b"x-first: 1\r\nHost: a\r\nAccept: b\r\nx-c: c\r\nx-e: e\r\nx-f: \r\nDate: g\r\n");
        assert_eq!(f.first_named(b"X-C"), Some(&b"c"[..]));
        assert_eq!(f.first(Known::Date), Some(&b"g"[..]));
        assert_eq!(f.first(Known::Via), None);
        // Its own output is one run.
        let mut again = FieldsBuilder::new();
        again.copy_where(&f, |_| true);
        let again = again.finish();
        assert_eq!(again.bytes(), f.bytes());
        assert_eq!(format!("{again:?}"), format!("{f:?}"));
    }

    #[test]
    fn lines_only_are_the_same_lines() {
        let from = read("Host: a\r\nAccept:b\r\nVia: d\r\nx-e: e\r\nDate: g\r\n");
        let write = |mut b: FieldsBuilder| {
            b.copy_where(&from, |line| line.known != Known::Via);
            b.push(b"Server", b"tollgate");
            b.push_list(Known::Vary, b"Vary", [&b"a"[..]].into_iter(), &[b"b"]);
            b.finish()
        };
        let (listed, lines) = (write(FieldsBuilder::new()), write(FieldsBuilder::lines_only()));
        assert_eq!(listed.bytes(), lines.bytes());
        assert_eq!(listed.bytes(), b"Host: a\r\nAccept: b\r\nx-e: e\r\nDate: g\r\nServer: tollgate\r\nVary: a, b\r\n");
        for fields in [&lines, &lines.clone(), &listed] {
            assert!(!fields.is_empty());
            for known in [Known::Host, Known::Accept, Known::Date, Known::Server, Known::Vary] {
                assert!(fields.has_any(KnownSet::of(&[known])), "{known:?}");
            }
            assert!(!fields.has_any(KnownSet::of(&[Known::Via])));
        }
        assert!(FieldsBuilder::lines_only().finish().is_empty());
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "asked for their lines")]
    fn lines_only_cannot_be_looked_at() {
        let mut b = FieldsBuilder::lines_only();
        b.push(b"Host", b"a");
        let _ = b.finish().first(Known::Host);
    }

    #[test]
    fn copying_more_than_fits_is_noticed() {
        let lines = format!("x: {}\r\n", "v".repeat(9000)).repeat(7);
        let from = read(&lines);
        let mut b = FieldsBuilder::new();
        b.copy_where(&from, |_| true);
        assert!(!b.overflowed());
        b.copy_where(&from, |_| true);
        assert!(b.overflowed());
        let fields = b.finish();
        assert_eq!(fields.bytes(), lines.as_bytes());
        assert_eq!(fields.len(), 7, "no line without bytes");
    }

    #[test]
    fn a_list_is_joined() {
        let list = |items: &[&'static str], last: &[&[u8]]| {
            let mut b = FieldsBuilder::new();
            b.push_list(Known::Via, b"Via", items.iter().map(|i| i.as_bytes()), last);
            b.push(b"x", b"y");
            let f = b.finish();
            assert_eq!(f.first_named(b"x"), Some(&b"y"[..]));
            String::from_utf8(f.first(Known::Via).expect("a line").to_vec()).expect("text")
        };
        assert_eq!(list(&["a", "b"], &[b"c", b"d"]), "a, b, cd");
        assert_eq!(list(&[], &[b"c"]), "c");
        assert_eq!(list(&["a", "b"], &[]), "a, b");
        assert_eq!(list(&["a"], &[]), "a");
        assert_eq!(list(&[], &[]), "");
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
