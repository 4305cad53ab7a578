//! Lines copied and lines made.

use buf::Shared;

use super::*;
use crate::Span;

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

/// What `write` writes into `room` bytes, or `None` when it does not fit.
fn written(room: usize, write: impl FnOnce(&mut HeadWriter<'_>)) -> Option<String> {
    let mut memory = vec![b'#'; room];
    let mut out = HeadWriter::over(&mut memory);
    write(&mut out);
    let (len, overflowed) = (out.len(), out.overflowed());
    memory.truncate(len);
    (!overflowed).then(|| String::from_utf8(memory).expect("text"))
}

#[test]
fn copied_lines_are_the_same_however_they_were_laid_out() {
    let from = read("Host: a\r\nAccept:b\r\nx-c:   c  \r\nVia: d\r\nx-e: e\r\nx-f:\r\nDate: g\r\n");
    let mut memory = [0; 256];
    let mut out = HeadWriter::over(&mut memory);
    out.push(Known::Other, b"x-first", b"1");
    out.copy_where(&from, |line| line.known != Known::Via);
    for known in [Known::Other, Known::Host, Known::Accept, Known::Date] {
        assert!(out.names().contains(known), "{known:?}");
    }
    assert!(!out.names().contains(Known::Via));
    let len = out.len();
    let lines = std::str::from_utf8(&memory[..len]).expect("text");
    assert_eq!(lines, "x-first: 1\r\nHost: a\r\nAccept: b\r\nx-c: c\r\nx-e: e\r\nx-f: \r\nDate: g\r\n");
    // Its own output is one run.
    let again = written(len, |out| out.copy_where(&read(lines), |_| true));
    assert_eq!(again.as_deref(), Some(lines));
}

#[test]
fn lines_that_stay_behind_leave_no_gap_wherever_they_stand() {
    let lines: Vec<String> = (0..5).map(|i| format!("x-{i}: {i}\r\n")).collect();
    let from = read(&lines.concat());
    for pass in 0..32 {
        let passes = |i: usize| pass >> i & 1 == 1;
        let index = |line: &Field| usize::from(line.name.start) / lines[0].len();
        let want: String =
            lines.iter().enumerate().filter(|(i, _)| passes(*i)).map(|(_, line)| line.as_str()).collect();
        assert_eq!(written(want.len(), |out| out.copy_where(&from, |line| passes(index(line)))), Some(want));
    }
}

#[test]
fn pieces_of_every_length_are_copied_whole() {
    let bytes: Vec<u8> = (0..100).map(|i| b' ' + i % 90).collect();
    for len in 0..=bytes.len() {
        let mut memory = [b'#'; 110];
        let mut out = HeadWriter::over(&mut memory);
        out.put(b"<");
        out.put_slice(&bytes[..len]);
        out.put(b">");
        assert_eq!(out.len(), len + 2);
        assert_eq!(memory[..len + 3], [b"<", &bytes[..len], b">#"].concat());
    }
}

#[test]
fn what_does_not_fit_is_noticed_at_any_byte() {
    let write = |out: &mut HeadWriter<'_>| {
        out.push(Known::Host, b"Host", b"example.com");
        out.put(b"Age: ");
        out.put_decimal(12);
        out.put(b"\r\n");
        out.push_list(Known::Via, b"Via", [&b"1.0 a"[..]].into_iter(), &[b"1.1 ", b"b"]);
        out.copy_where(&read("x-a: 1\r\nx-b:2\r\nx-c: 3\r\n"), |_| true);
    };
    let whole = written(200, write).expect("it fits");
    assert_eq!(whole, "Host: example.com\r\nAge: 12\r\nVia: 1.0 a, 1.1 b\r\nx-a: 1\r\nx-b: 2\r\nx-c: 3\r\n");
    assert_eq!(written(whole.len(), write).as_ref(), Some(&whole));
    for room in 0..whole.len() {
        assert_eq!(written(room, write), None, "{room}");
    }
}

#[test]
fn numbers_are_decimal() {
    for number in [0, 7, 10, 99, 1024, 65_536, u64::MAX] {
        assert_eq!(written(20, |out| out.put_decimal(number)), Some(number.to_string()));
    }
}

#[test]
fn a_list_is_joined() {
    let list = |items: &[&'static str], last: &[&[u8]]| {
        let items = items.iter().map(|i| i.as_bytes());
        let line = written(100, |out| out.push_list(Known::Via, b"Via", items, last)).expect("it fits");
        line.strip_prefix("Via: ").and_then(|l| l.strip_suffix("\r\n")).expect("a line").to_owned()
    };
    assert_eq!(list(&["a", "b"], &[b"c", b"d"]), "a, b, cd");
    assert_eq!(list(&[], &[b"c"]), "c");
    assert_eq!(list(&["a", "b"], &[]), "a, b");
    assert_eq!(list(&["a"], &[]), "a");
    assert_eq!(list(&[], &[]), "");
    assert_eq!(list(&["", "a"], &[b"b"]), ", a, b");
}
