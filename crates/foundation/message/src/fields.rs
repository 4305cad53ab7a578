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
#[derive(Clone, Copy, Debug, Default)]
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

const TABLES_KEPT: usize = 512;
const TABLE_LINES: usize = 32;

#[derive(Default)]
pub(crate) struct Table {
    /// The lines, and behind them slots for more.
    slots: Vec<Field>,
    /// How many lines.
    len: usize,
    /// The known names among them, so that asking for an absent one costs a bit test.
    seen: KnownSet,
    /// See [`Fields::is_canonical`].
    canonical: bool,
}

impl Table {
    /// Says whether the lines are laid out as [`Fields::is_canonical`] wants them. Whoever adds a line that is not has to
    /// take it back.
    #[inline]
    pub(crate) fn set_canonical(&mut self, canonical: bool) {
        self.canonical = canonical;
    }

    #[inline]
    pub(crate) fn push(&mut self, field: Field) {
        if self.len == self.slots.len() {
            self.make_room();
        }
        self.slots[self.len] = field;
        self.len += 1;
        self.seen.insert(field.known);
    }

    #[inline]
    fn lines(&self) -> &[Field] {
        self.slots.get(..self.len).unwrap_or_default()
    }

    #[cold]
    fn make_room(&mut self) {
        if self.slots.is_empty() {
            self.slots = recycled();
        } else {
            self.slots.resize(2 * self.slots.len(), Field::default());
        }
    }
}

fn recycled() -> Vec<Field> {
    TABLES.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![Field::default(); TABLE_LINES])
}

impl Clone for Table {
    fn clone(&self) -> Table {
        let mut twin = Table { slots: Vec::new(), len: 0, seen: self.seen, canonical: self.canonical };
        self.lines().iter().for_each(|f| twin.push(*f));
        twin
    }
}

impl Drop for Table {
    #[inline]
    fn drop(&mut self) {
        if !self.slots.is_empty() {
            recycle(std::mem::take(&mut self.slots));
        }
    }
}

fn recycle(table: Vec<Field>) {
    // Neither a table that a flood of fields made long is kept, nor one that was cut to size.
    if table.len() < TABLE_LINES || table.len() > 4 * TABLE_LINES {
        return;
    }
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
    #[inline]
    pub fn lines(&self) -> &[Field] {
        self.table.lines()
    }

    /// Slots for more lines, so that there are `lines_max` at most; none only when there are that many. To add some, write
    /// them into the first slots and call [`FieldLines::fill`]: the cheapest way to add many.
    #[inline]
    pub fn room(&mut self, lines_max: usize) -> &mut [Field] {
        if self.table.len == self.table.slots.len() {
            self.table.make_room();
        }
        let end = self.table.slots.len().min(lines_max);
        self.table.slots.get_mut(self.table.len..end).unwrap_or_default()
    }

    /// Says that the first `count` slots of [`FieldLines::room`] are lines now, and that `names` are their names.
    #[inline]
    pub fn fill(&mut self, count: usize, names: KnownSet) {
        self.table.len += count;
        self.table.seen = self.table.seen.with(names);
        debug_assert!(self.table.len <= self.table.slots.len());
    }

    /// Says that the bytes will be laid out as [`Fields::is_canonical`] wants them, or not. A new table is not.
    #[inline]
    pub fn set_canonical(&mut self, canonical: bool) {
        self.table.set_canonical(canonical);
    }

    /// The table of these lines over `bytes`, which hold them all.
    #[inline]
    pub fn over(self, bytes: Shared) -> Fields {
        debug_assert!(self.lines().iter().all(|f| f.name.range().end.max(f.value.range().end) <= bytes.len()));
        debug_assert!(!self.table.canonical || are_canonical(self.lines(), &bytes));
        Fields { bytes, table: self.table }
    }
}

/// Whether lines stand in `bytes` as [`Fields::is_canonical`] wants them.
fn are_canonical(lines: &[Field], bytes: &[u8]) -> bool {
    let begin = lines.first().map_or(0, |line| usize::from(line.name.start));
    let end = lines.iter().try_fold(begin, |at, line| {
        let (name, value) = (line.name.range(), line.value.range());
        let holds = |at: usize, pair: &[u8]| bytes.get(at..at + 2) == Some(pair);
        let follows = name.start == at && value.start == name.end + 2;
        (follows && holds(name.end, b": ") && holds(value.end, b"\r\n")).then_some(value.end + 2)
    });
    end.is_some()
}

/// The fields of one message, in order, over the bytes that hold them.
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
        self.table.set_canonical(false);
        self.table.push(field);
    }

    /// The bytes that the spans point into.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where it lies in memory: what its bytes are found by, the bytes, the lines. For those who have it fetched from there.
    pub fn places(&self) -> [*const (); 3] {
        let [counter, bytes] = self.bytes.places();
        [counter, bytes, self.table.slots.as_ptr().cast()]
    }

    /// How many bytes that are. Cheaper than to look at them.
    #[inline]
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
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
        self.table.len == 0
    }

    /// The spans of all lines in order, within [`Fields::bytes`].
    pub fn lines(&self) -> &[Field] {
        self.table.lines()
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

    /// Whether every line stands in [`Fields::bytes`] as `name: value CRLF`, with one space before the value and nothing
    /// behind it, each line directly behind the one before, in the order of [`Fields::lines`]. The bytes from the name of
    /// one line to two behind the value of a later one are then those lines, ready to be sent. So are most heads that are
    /// received. False says nothing: a table that was filled line by line is not looked at. Costs a load.
    #[inline]
    pub fn is_canonical(&self) -> bool {
        self.table.canonical
    }

    /// The names of all lines.
    #[inline]
    pub fn names(&self) -> KnownSet {
        self.table.seen
    }

    /// Moves the bytes to a buffer of their own, when they stand in one with much else.
    pub fn detach(&mut self) {
        self.bytes = Shared::copy_of(&self.bytes);
    }

    /// A copy that takes no more memory than it needs and none of the pools': for a head that is kept for long.
    pub fn kept_copy(&self) -> Fields {
        let Table { len, seen, canonical, .. } = self.table;
        let table = Table { slots: self.lines().to_vec(), len, seen, canonical };
        Fields { bytes: Shared::kept_copy(&self.bytes), table }
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
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
