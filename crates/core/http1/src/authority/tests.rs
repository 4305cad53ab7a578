use message::Span;

use super::*;

/// What `is_plain` says of a value in the middle of a head, and at its very end.
fn plain(value: &str) -> bool {
    let behind = ["\r\n\r\n", "\r\nAccept: text/html,application/xhtml+xml\r\n\r\n", " \r\nx: 0123456789\r\n\r\n"];
    let answers = behind.map(|behind| {
        let head = format!("GET / HTTP/1.1\r\nHost: {value}{behind}");
        is_plain(head.as_bytes(), Span::new(22, 22 + value.len()))
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{value:?}");
    answers[0]
}

#[test]
fn what_browsers_send_is_plain() {
    for value in [
        "localhost",
        "127.0.0.1:8080",
        "www.example.com",
        "A-1.b:1",
        "a:",
        "a:0",
        "x:9999",
        "a:00000",
        "a:10000",
        "a:65535",
    ] {
        assert!(plain(value) && judge(value.as_bytes()).is_some(), "{value}");
    }
    for len in 1..100 {
        assert!(plain(&"h".repeat(len)) && plain(&format!("{}:80", "0".repeat(len))), "{len}");
    }
}

#[test]
fn what_needs_a_closer_look_is_not() {
    for value in [
        "", ":", ":80", "a:65536", "a:99999", "a:000000", "a:123:5", "a:8o", "a:1:2", "[::1]", "a_b", "a%20b", "a/b",
        "a@b", "a b",
    ] {
        assert!(!plain(value), "{value}");
    }
}

/// Every byte at every place: what is plain is an authority.
#[test]
fn plain_is_never_more_than_valid() {
    for good in ["example.com:8080", "localhost:65535", "h", "a.very-long.host.name.example.org", "ab:1"] {
        for at in 0..good.len() {
            for byte in (0..=255).filter(|b| *b != b'\r') {
                let mut value = good.as_bytes().to_vec();
                value[at] = byte;
                let head = [b"Host: ", &value[..], b"\r\n\r\n"].concat();
                let said = is_plain(&head, Span::new(6, 6 + value.len()));
                assert!(!said || judge(&value).is_some(), "{}", value.escape_ascii());
            }
        }
    }
}
