//! Which requests are refused and with what, and what the others mean.

use buf::{Class, ReadBuf};
use http1::{Limits, Reject, RequestDecoder};
use message::{BodyLength, Known, Method, RequestHead, Version};

use crate::observe::{Seen, server};

/// The head of a request that is good, and what was left of the input.
pub(crate) fn head_of(bytes: &[u8]) -> (RequestHead, Vec<u8>) {
    let mut input = ReadBuf::new(Class::K16);
    assert_eq!(input.fill_from(bytes), bytes.len());
    let head = RequestDecoder::new().head(&mut input, &Limits::default());
    let head = head.unwrap_or_else(|r| panic!("{r:?}: {}", bytes.escape_ascii()));
    (head.unwrap_or_else(|| panic!("not complete: {}", bytes.escape_ascii())), input.filled().to_vec())
}

/// The status that `bytes` are refused with, the same whether they come at once, one by one or in two pieces.
pub(crate) fn status_of(bytes: &[u8]) -> Option<u16> {
    let limits = Limits::default();
    let at_once = server([bytes], Class::K16, &limits);
    assert_eq!(server(bytes.chunks(1), Class::K16, &limits), at_once, "{}", bytes.escape_ascii());
    for cut in 0..bytes.len().min(300) {
        let (a, b) = bytes.split_at(cut);
        assert_eq!(server([a, b], Class::K16, &limits), at_once, "cut at {cut}: {}", bytes.escape_ascii());
    }
    match at_once.last() {
        Some(Seen::Refused(_, status)) => Some(*status),
        _ => None,
    }
}

pub(crate) fn with_lines(lines: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes()
}

#[test]
fn a_plain_request_is_taken_apart() {
    let (head, rest) = head_of(b"GET /a/b?c=d&e HTTP/1.1\r\nHost: example.com:81\r\nX-One:  1 \t\r\nEmpty:\r\n\r\nGET");
    assert_eq!(rest, b"GET");
    assert_eq!((head.method, head.version), (Method::Get, Version::Http11));
    assert_eq!(head.method_bytes(), b"GET");
    assert_eq!(head.target_bytes(), b"/a/b?c=d&e");
    assert_eq!(head.authority_bytes(), b"example.com:81");
    assert_eq!(head.path_bytes(), b"/a/b");
    assert_eq!(head.query_bytes(), Some(&b"c=d&e"[..]));
    assert_eq!(head.body, BodyLength::None);
    assert!(head.keep_alive && !head.expect_continue && !head.upgrade);
    assert_eq!(head.fields.len(), 3);
    assert_eq!(head.fields.first(Known::Host), Some(&b"example.com:81"[..]));
    assert_eq!(head.fields.first_named(b"x-one"), Some(&b"1"[..]));
    assert_eq!(head.fields.first_named(b"EMPTY"), Some(&b""[..]));
}

#[test]
fn request_lines() {
    let good: &[&str] = &["GET / HTTP/1.1", "get / HTTP/1.1", "M-SEARCH /a HTTP/1.1", "GET / HTTP/1.0"];
    for line in good {
        assert_eq!(status_of(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()), None, "{line}");
    }
    let bad: &[(&str, u16)] = &[
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/1.2", 505),
        ("GET / HTTP/0.9", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET / HTTP/2", 400),
        ("GET / HTTP/11", 400),
        ("GET / HTTP/1.10", 400),
        ("GET / http/1.1", 400),
        ("GET / HTTPS/1.1", 400),
        ("GET / HTTP/1.", 400),
        ("GET / HTTP/1", 400),
        ("GET / HTTP", 400),
        ("GET / ", 400),
        ("GET /", 400),
        ("GET", 400),
        ("GET / HTTP/1.1 ", 400),
        ("GET / HTTP/1.1 x", 400),
        ("GET /a b HTTP/1.1", 400),
        ("GET /a b HTTP/2.0", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET /  HTTP/1.1", 400),
        (" GET / HTTP/1.1", 400),
        ("GET\t/ HTTP/1.1", 400),
        ("GET /\tHTTP/1.1", 400),
        ("G(T / HTTP/1.1", 400),
        ("G\u{e9}T / HTTP/1.1", 400),
        ("GET /\0 HTTP/1.1", 400),
        ("GET /\u{7f} HTTP/1.1", 400),
        ("GET /\u{e9} HTTP/1.1", 400),
        ("GET /?\u{e9} HTTP/1.1", 400),
        ("GET /\rX HTTP/1.1", 400),
        ("\u{16}\u{3}\u{1}", 400),
    ];
    for (line, status) in bad {
        assert_eq!(status_of(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()), Some(*status), "{line:?}");
    }
    assert_eq!(status_of(b"GET /\x80\xff HTTP/1.1\r\nHost: a\r\n\r\n"), Some(400));
}

#[test]
fn a_line_that_never_becomes_a_request_is_refused_before_the_head_is_complete() {
    for begun in ["\u{16}\u{3}\u{1}\u{2}", "hello\r\n", "GET /\r\n", "GET / HTTP/3.0\r\n", "\u{1}", "\n", "\rX"] {
        assert!(status_of(begun.as_bytes()).is_some(), "{begun:?}");
    }
    assert_eq!(status_of(b"GET / HTTP/1.1\r\n"), None);
    assert_eq!(status_of(b"\r"), None);
}

#[test]
fn only_crlf_ends_a_line() {
    let bad: &[&[u8]] = &[
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\r: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n",
        b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    for bytes in bad {
        assert_eq!(status_of(bytes), Some(400), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_few_empty_lines_before_a_request_are_passed_over() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (lines, status) in [(0, None), (1, None), (4, None), (5, Some(400)), (100, Some(400))] {
        let bytes = [b"\r\n".repeat(lines).as_slice(), request].concat();
        assert_eq!(status_of(&bytes), status, "{lines}");
        // Every request has its own.
        assert_eq!(status_of(&[request.as_slice(), &bytes].concat()), status, "{lines}");
    }
}

#[test]
fn field_lines() {
    let bad = [
        "X : b\r\n",
        "X\t: b\r\n",
        " X: b\r\n",
        "\tX: b\r\n",
        "X\r\n",
        ": b\r\n",
        "X: a\r\n b\r\n",
        "X: a\r\n\tb\r\n",
        "X: a\0b\r\n",
        "X: a\u{b}b\r\n",
        "X: a\u{7f}\r\n",
        "X: \u{1}\r\n",
        "X(: b\r\n",
        "X\u{e9}: b\r\n",
        "X\0: b\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X: a\r\n Host: b\r\n",
        "Host\r\n",
    ];
    for lines in bad {
        assert_eq!(status_of(&with_lines(lines)), Some(400), "{lines:?}");
    }
    for lines in
        ["X:b\r\n", "X:\tb\t\r\n", "X:\r\n", "X: a\tb  c\r\n", "X: \u{e9}\r\n", "X: a:b\r\n", "!#$%&'*+-.^_`|~: v\r\n"]
    {
        assert_eq!(status_of(&with_lines(lines)), None, "{lines:?}");
    }
    assert_eq!(status_of(b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"), Some(400), "white space before the first field");
}

#[test]
fn keep_alive() {
    let cases: &[(&str, &str, bool)] = &[
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: Keep-Alive, CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.1", "Connection: x,close ,y\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.1", "Connection: clos e\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Proxy-Connection: keep-alive\r\n", false),
    ];
    for (version, lines, keep) in cases {
        let (head, _) = head_of(format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n").as_bytes());
        assert_eq!(head.keep_alive, *keep, "{version} {lines:?}");
    }
}

#[test]
fn expectations() {
    let body = "Content-Length: 5\r\n";
    assert!(head_of(&with_lines(&format!("Expect: 100-continue\r\n{body}"))).0.expect_continue);
    assert!(head_of(&with_lines(&format!("Expect: 100-Continue\r\n{body}"))).0.expect_continue);
    assert!(head_of(&with_lines("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n")).0.expect_continue);
    assert!(!head_of(&with_lines(body)).0.expect_continue);
    for nothing in ["", "Content-Length: 0\r\n"] {
        assert!(!head_of(&with_lines(&format!("Expect: 100-continue\r\n{nothing}"))).0.expect_continue);
    }
    for other in ["200-ok", "", "100-continue, x", "100"] {
        assert_eq!(status_of(&with_lines(&format!("Expect: {other}\r\n{body}"))), Some(417), "{other}");
        let (head, _) = head_of(format!("POST / HTTP/1.0\r\nExpect: {other}\r\n{body}\r\n").as_bytes());
        assert!(!head.expect_continue);
    }
    let (head, _) = head_of(format!("POST / HTTP/1.0\r\nExpect: 100-continue\r\n{body}\r\n").as_bytes());
    assert!(!head.expect_continue, "an HTTP/1.0 client gets no 100");
}

#[test]
fn upgrade() {
    let asks = |bytes: &str| head_of(bytes.as_bytes()).0.upgrade;
    assert!(asks("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"));
    assert!(asks("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: keep-alive, upgrade\r\n\r\n"));
    assert!(!asks("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"));
    assert!(!asks("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n"));
    assert!(!asks("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"));
}

#[test]
fn every_refusal_has_a_sentence() {
    let all = [
        Reject::Target,
        Reject::Version,
        Reject::HostMissing,
        Reject::HostRepeated,
        Reject::HostInvalid,
        Reject::UnknownCoding,
        Reject::Expectation,
    ];
    for reject in all {
        assert!(reject.sentence().ends_with('.') && reject.to_string() == reject.sentence());
    }
}
