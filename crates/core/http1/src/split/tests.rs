use super::*;
use crate::scan::{Bounds, Scan};

const LINE: &str = "GET / HTTP/1.1\r\n";

fn head(fields: &str) -> Vec<u8> {
    format!("{LINE}{fields}\r\n").into_bytes()
}

type NamesAndValues = Vec<(Vec<u8>, Vec<u8>)>;

/// The fields of a head, read byte by byte; `None` when they are not complete or not good.
fn reference(bytes: &[u8]) -> Option<(NamesAndValues, usize)> {
    let (mut fields, mut at) = (Vec::new(), LINE.len());
    loop {
        let end = at + bytes[at..].windows(2).position(|pair| pair == b"\r\n")?;
        if end == at {
            return Some((fields, end + 2));
        }
        let line = &bytes[at..end];
        let colon = line.iter().position(|b| *b == b':')?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
        if name.is_empty() || !name.iter().all(token) || value.iter().any(|b| *b != b'\t' && b.is_ascii_control()) {
            return None;
        }
        let blank = |b: &u8| matches!(b, b' ' | b'\t');
        let start = value.iter().position(|b| !blank(b)).unwrap_or(value.len());
        let stop = value.iter().rposition(|b| !blank(b)).map_or(start, |n| n + 1);
        fields.push((name.to_vec(), value[start..stop].to_vec()));
        at = end + 2;
    }
}

/// Reads a head in one pass and compares with the reference, and with the scan that finds ends. Says whether it was good.
fn check(bytes: &[u8]) -> bool {
    let mut lines = FieldLines::new();
    let end = at_once(Window::of(bytes, bytes.len()), LINE.len(), 1000, &mut lines);
    // What lies behind in memory makes no difference.
    for behind in ["x: y\r\n\r\n: ", "\n\r\n\0", "value\r\n\r\n", "\r\n"] {
        let memory = [bytes, &behind.as_bytes().repeat(60)].concat();
        let mut same = FieldLines::new();
        assert_eq!(
            at_once(Window::of(&memory, bytes.len()), LINE.len(), 1000, &mut same),
            end,
            "{}",
            bytes.escape_ascii()
        );
        assert!(end.is_none() || format!("{:?}", same.lines()) == format!("{:?}", lines.lines()));
    }
    let (fields, want) = reference(bytes).unzip();
    assert_eq!(end, want, "{}", bytes.escape_ascii());
    let Some(end) = end else { return false };
    let bounds = Bounds { first_line: 1000, section: 1 << 16, fields: 1000 };
    assert_eq!(Scan::of_head().find_end(bytes, bounds).map(|section| section.map(|s| s.end)), Ok(Some(end)));
    let ours = lines.lines().iter().map(|f| (f.name.of(bytes).to_vec(), f.value.of(bytes).to_vec()));
    assert_eq!(Some(ours.collect()), fields);
    assert!(lines.lines().iter().all(|f| f.known == Known::of(f.name.of(bytes))));
    true
}

/// Lengths around the edges of blocks and looks, with bytes behind the head and without, cut short everywhere.
#[test]
fn lines_of_every_length() {
    for name in (1..20).chain([31, 32, 33, 100]) {
        for value in 0..200 {
            let line = format!("{}: {}\r\n", "n".repeat(name), "v".repeat(value));
            for fields in [line.clone(), format!("{line}Host: a\r\n"), format!("Host: example.com\r\n{line}")] {
                assert!(check(&head(&fields)));
                let mut with_body = head(&fields);
                with_body.extend(b"body: of the message\r\n\r\n".repeat(name % 5));
                assert!(check(&with_body));
            }
        }
    }
}

#[test]
fn heads_without_an_end() {
    for fields in ["", "Host: a\r\n", "Host: example.com\r\nUser-Agent: some/1.0\r\nAccept: text/html, */*;q=0.1\r\n"] {
        let whole = head(fields);
        for cut in LINE.len()..whole.len() {
            assert!(!check(&whole[..cut]), "{cut}");
        }
        assert!(check(&whole));
    }
}

/// Every control byte, and a few others, at each place of heads whose lines begin at different places of a block.
#[test]
fn every_byte_at_every_place() {
    let others = [b' ', b':', b'/', b'@', b'[', b'{', 0x7f, 0x80, 0xff];
    for shift in 0..18 {
        let first = format!("X{}: 1\r\n", "-".repeat(shift));
        let fields =
            format!("{first}Host: example.com:80\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Y:z\r\n");
        let good = head(&fields);
        assert!(check(&good));
        for at in LINE.len()..good.len() {
            for byte in (0..b' ').chain(others) {
                let mut bytes = good.clone();
                bytes[at] = byte;
                check(&bytes);
                bytes.extend_from_slice(b"and a body: of more than sixteen bytes\r\n\r\n");
                check(&bytes);
            }
        }
    }
}

#[test]
fn white_space_around_values() {
    for before in ["", " ", "  ", "\t", " \t ", "                    "] {
        for value in ["", "v", "a b", "a\tb", "0123456789abcdef0123456789abcdef\t0123456789abcdef", "\u{e9}"] {
            for behind in ["", " ", "\t", " \t", "                    "] {
                let line = format!("Name:{before}{value}{behind}\r\n");
                assert!(check(&head(&line)), "{line:?}");
                assert!(check(&head(&format!("{line}Host: a\r\n"))), "{line:?}");
            }
        }
    }
}

#[test]
fn names_that_are_no_tokens() {
    for name in
        ["", " ", "a b", "a ", " a", "a/b", "a@", "(a)", "a\"", "a,b", "n\u{e9}", "Host ", "a\r\nb", "[", "{", "}"]
    {
        for long in ["", "0123456789abcdef"] {
            assert!(!check(&head(&format!("{long}{name}: v\r\n"))) || name.is_empty(), "{name:?}");
            assert!(!check(&head(&format!("Host: a\r\n{name}{long}: v\r\n"))) || name.is_empty(), "{name:?}");
        }
    }
    assert!(!check(&head(": v\r\n")) && check(&head("!#$%&'*+-.^_`|~0aZ: v\r\n")) && check(&head("`~: v\r\n")));
}

#[test]
fn no_more_lines_than_allowed() {
    for lines_max in 0..70 {
        for more in 0..3 {
            let bytes = head(&"Name: value\r\n".repeat(lines_max + more));
            let mut lines = FieldLines::new();
            let end = at_once(Window::of(&bytes, bytes.len()), LINE.len(), lines_max, &mut lines);
            assert_eq!(end, (more == 0).then_some(bytes.len()), "{lines_max} and {more}");
            assert_eq!(lines.lines().len(), lines_max);
        }
    }
}

/// Canonical is what can be sent on as it is: also in debug builds `FieldLines::over` looks at every line.
#[test]
fn canonical_lines_are_told_from_others() {
    let canonical = |fields: &str| {
        let bytes = head(fields);
        let mut lines = FieldLines::new();
        at_once(Window::of(&bytes, bytes.len()), LINE.len(), 100, &mut lines).expect("a good head");
        lines.over(buf::Shared::copy_of(&bytes)).is_canonical()
    };
    let good = "Host: a\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nx: a\tb\r\nempty: \r\n";
    assert!(canonical(good));
    for odd in ["a:b\r\n", "a:  b\r\n", "a: b \r\n", "a:\tb\r\n", "a:\r\n", "a: \t\r\n", "a: b\t\r\n"] {
        assert!(
            !canonical(odd) && !canonical(&format!("{good}{odd}")) && !canonical(&format!("{odd}{good}")),
            "{odd:?}"
        );
    }
}
