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
fn canonical_stays_with_copies_and_goes_with_a_line_more() {
    let bytes = Shared::copy_of(b"Host: a\r\nx: b\r\n");
    let line = |name: (usize, usize), value: (usize, usize), known| Field {
        name: Span::new(name.0, name.1),
        value: Span::new(value.0, value.1),
        known,
    };
    let mut lines = FieldLines::new();
    lines.room(10)[..2].copy_from_slice(&[line((0, 4), (6, 7), Known::Host), line((9, 10), (12, 13), Known::Other)]);
    lines.fill(2, KnownSet::of(&[Known::Host, Known::Other]));
    lines.set_canonical(true);
    assert!(lines.room(2).is_empty());
    let mut fields = lines.over(bytes);
    assert!(fields.has_any(KnownSet::of(&[Known::Host])));
    assert!(fields.is_canonical() && fields.clone().is_canonical() && fields.kept_copy().is_canonical());
    assert_eq!(fields.first(Known::Host), Some(&b"a"[..]));
    fields.push_span(line((0, 4), (6, 7), Known::Host));
    assert!(!fields.is_canonical());
    assert_eq!(fields.all(Known::Host).count(), 2);
}

#[test]
fn a_table_grows() {
    let mut lines = FieldLines::new();
    for n in 0..200 {
        assert!(!lines.room(usize::MAX).is_empty());
        lines.push(Field { name: Span::new(n, n + 1), ..Field::default() });
    }
    assert!(lines.lines().iter().enumerate().all(|(n, line)| line.name.range() == (n..n + 1)));
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
