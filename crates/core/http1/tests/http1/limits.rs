//! Limits, to the byte, whatever the pieces.

use buf::Class;
use http1::Limits;
use message::Method;

use crate::observe::{Seen, client, server};

const LIMITS: Limits = Limits { header_bytes: 200, headers: 5, uri_bytes: 60 };

fn status(bytes: &[u8], limits: &Limits) -> Option<u16> {
    let at_once = server([bytes], Class::K4, limits);
    for size in [1, 2, 7, 61, 199] {
        assert_eq!(server(bytes.chunks(size), Class::K4, limits), at_once, "{size}: {}", bytes.escape_ascii());
    }
    match at_once.last() {
        Some(Seen::Refused(_, status)) => Some(*status),
        _ => None,
    }
}

/// A request line of exactly `len` bytes.
fn line(len: usize) -> String {
    format!("GET /{} HTTP/1.1", "a".repeat(len - 14))
}

/// A head of exactly `len` bytes.
fn head(len: usize) -> String {
    let begun = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    format!("{begun}{}\r\n\r\n", "v".repeat(len - begun.len() - 4))
}

#[test]
fn the_request_line() {
    for (len, want) in [(59, None), (60, None), (61, Some(414)), (62, Some(414)), (500, Some(414))] {
        assert_eq!(line(len).len(), len);
        assert_eq!(status(format!("{}\r\nHost: a\r\n\r\n", line(len)).as_bytes(), &LIMITS), want, "{len}");
    }
    assert_eq!(status(&[b'A'; 62], &LIMITS), Some(414), "an endless method");
    assert_eq!(status(&[b'A'; 61], &LIMITS), None);
}

#[test]
fn the_whole_head() {
    for (len, want) in [(199, None), (200, None), (201, Some(431)), (202, Some(431)), (500, Some(431))] {
        assert_eq!(head(len).len(), len);
        assert_eq!(status(head(len).as_bytes(), &LIMITS), want, "{len}");
    }
    let endless = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "v".repeat(300));
    assert_eq!(status(endless.as_bytes(), &LIMITS), Some(431));
}

#[test]
fn the_number_of_fields() {
    for (more, want) in [(3, None), (4, None), (5, Some(431)), (20, Some(431))] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: b\r\n".repeat(more));
        assert_eq!(status(bytes.as_bytes(), &LIMITS), want, "{more}");
    }
    let many = |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: b\r\n".repeat(n - 1));
    let wide = Limits { headers: 1000, ..Limits::default() };
    for n in [100, 127, 128, 129, 500] {
        assert_eq!(status(many(n).as_bytes(), &wide), None, "{n}");
    }
    assert_eq!(status(many(100).as_bytes(), &Limits::default()), None);
    assert_eq!(status(many(101).as_bytes(), &Limits::default()), Some(431));
}

#[test]
fn limits_come_before_what_the_fields_say_and_after_a_bad_line() {
    let too_much = "X: b\r\n".repeat(50);
    let cases = [
        (format!("GET / HTTP/1.1\r\nBad Name: b\r\n{too_much}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\n{too_much}"), 431),
        (format!("{}\r\n{too_much}", line(100)), 414),
        (format!("GET {} HTTP/9.9\r\n{too_much}", "a".repeat(100)), 414),
        (format!("GET / HTTP/9.9\r\n{too_much}"), 505),
        (format!("GET /\r\n{too_much}"), 400),
        (format!("GET / HTTP/1.1\r\nX: b\nY: c\r\n{too_much}"), 400),
        (format!("{too_much}\r\n"), 400),
    ];
    for (bytes, want) in cases {
        assert_eq!(status(bytes.as_bytes(), &LIMITS), Some(want), "{bytes:?}");
    }
}

#[test]
fn a_buffer_smaller_than_the_limit_is_the_limit() {
    let wide = Limits { header_bytes: 1 << 20, headers: 1000, uri_bytes: 1 << 20 };
    assert_eq!(status(head(4096).as_bytes(), &wide), None);
    assert_eq!(status(head(4097).as_bytes(), &wide), Some(431));
    assert_eq!(status(line(5000).as_bytes(), &wide), Some(414));
}

#[test]
fn the_largest_head_there_is() {
    let wide = Limits { header_bytes: 64 << 10, headers: 20_000, uri_bytes: 64 << 10 };
    let run = |bytes: &str| server([bytes.as_bytes()], Class::K64, &wide);
    assert!(matches!(run(&head(65_536))[..], [Seen::Head(_), Seen::EndOfInput(_)]));
    let tiny_lines = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a:\r\n".repeat(16_000));
    assert!(matches!(run(&tiny_lines)[..], [Seen::Head(_), Seen::EndOfInput(_)]));
    assert!(matches!(run(&head(65_537))[..], [Seen::Refused(_, 431)]));
}

#[test]
fn trailers_have_the_limits_of_heads() {
    let begun = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    for (lines, want) in [(5, None), (6, Some(431))] {
        assert_eq!(status(format!("{begun}{}\r\n", "X: b\r\n".repeat(lines)).as_bytes(), &LIMITS), want);
    }
    for (len, want) in [(193, None), (194, Some(431)), (500, Some(431))] {
        let bytes = format!("{begun}X: {}\r\n\r\n", "v".repeat(len));
        assert_eq!(status(bytes.as_bytes(), &LIMITS), want, "{len}");
    }
}

#[test]
fn the_heads_of_answers() {
    let refused = |bytes: &str| {
        let at_once = client([bytes.as_bytes()], Method::Get, Class::K16, &LIMITS);
        for size in [1, 3, 50] {
            assert_eq!(client(bytes.as_bytes().chunks(size), Method::Get, Class::K16, &LIMITS), at_once);
        }
        matches!(at_once.last(), Some(Seen::Refused(..)))
    };
    assert!(!refused(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: b\r\n".repeat(5))));
    assert!(refused(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: b\r\n".repeat(6))));
    assert!(!refused(&format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "v".repeat(176))));
    assert!(refused(&format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "v".repeat(177))));
    assert!(refused(&format!("HTTP/1.1 200 {}\r\n\r\n", "v".repeat(200))));
}
