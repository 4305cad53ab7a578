//! The fields of a request that decide where it ends and whom it is for.

use message::BodyLength;

use crate::requests::{head_of, status_of, with_lines};

#[test]
fn content_length() {
    let bad = [
        "",
        "+5",
        "-5",
        "5 5",
        "5,5",
        "5, 5",
        "0x5",
        "5.0",
        "a",
        "5a",
        "\u{b2}",
        "18446744073709551616",
        "1e3",
        "99999999999999999999999999999999999",
    ];
    for value in bad {
        assert_eq!(status_of(&with_lines(&format!("Content-Length: {value}\r\n"))), Some(400), "{value}");
    }
    for (a, b) in [("5", "5"), ("5", "6"), ("0", "0")] {
        let lines = format!("Content-Length: {a}\r\ncontent-length: {b}\r\n");
        assert_eq!(status_of(&with_lines(&lines)), Some(400), "{a} {b}");
    }
    for (value, length) in [("0", 0), ("5", 5), ("0005", 5), ("18446744073709551615", u64::MAX)] {
        let (head, _) = head_of(&with_lines(&format!("Content-Length: {value}\r\n")));
        assert_eq!(head.body, BodyLength::Known(length));
    }
}

#[test]
fn names_that_pass_for_framing() {
    for name in ["Content_Length", "content.length", "Transfer_Encoding", "TRANSFER_ENCODING", "transfer~encoding"] {
        assert_eq!(status_of(&with_lines(&format!("{name}: 5\r\n"))), Some(400), "{name}");
    }
    for name in ["Content_Type", "ContentXLength", "X_Content_Length", "Content_Lengths"] {
        assert_eq!(status_of(&with_lines(&format!("{name}: 5\r\n"))), None, "{name}");
    }
}

#[test]
fn transfer_encoding() {
    let cases: &[(&str, u16)] = &[
        ("gzip", 400),
        ("identity", 400),
        ("", 400),
        (",", 400),
        ("chunked,", 400),
        ("chunked, gzip", 400),
        ("chunked, identity", 400),
        ("chunked, chunked", 400),
        ("chunked;q=1", 400),
        ("xchunked", 400),
        ("chunkedx", 400),
        ("chunked x", 400),
        ("\"chunked\"", 400),
        ("\u{b}chunked", 400),
        ("chunked\u{c}", 400),
        ("gzip, chunked", 501),
        ("gzip,chunked", 501),
        ("identity, Chunked", 501),
        ("gzip, deflate,\tchunked", 501),
    ];
    for (value, status) in cases {
        let lines = format!("Transfer-Encoding: {value}\r\n");
        assert_eq!(status_of(&with_lines(&lines)), Some(*status), "{value:?}");
    }
    for value in ["chunked", "Chunked", "CHUNKED", " chunked\t"] {
        let (head, _) = head_of(&with_lines(&format!("transfer-encoding:{value}\r\n")));
        assert_eq!(head.body, BodyLength::Streamed, "{value}");
    }
}

#[test]
fn two_ways_to_say_the_length_are_refused() {
    let both = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    ];
    for lines in both {
        assert_eq!(status_of(&with_lines(lines)), Some(400), "{lines:?}");
    }
    for value in ["chunked", "gzip, chunked", "gzip"] {
        let old = format!("POST / HTTP/1.0\r\nTransfer-Encoding: {value}\r\n\r\n");
        assert_eq!(status_of(old.as_bytes()), Some(400), "{value}");
    }
}

#[test]
fn host() {
    let valid = [
        "a",
        "example.com",
        "EXAMPLE.com.",
        "a:80",
        "a:",
        "a:65535",
        "127.0.0.1",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:443",
        "[2001:db8::1]:",
        "a_b.c-d~",
        "a%20b",
        "xn--bcher-kva.example",
        "a!$&'()*+=b",
        "[::ffff:1.2.3.4]",
    ];
    let invalid = [
        "",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "a@b",
        "user:pw@a",
        "http://a",
        "a:b",
        "a:65536",
        "a:123456",
        "a:-1",
        "a:80:80",
        ":80",
        "[::1",
        "::1",
        "[::1]x",
        "[zz]",
        "[]",
        "[1.2.3.4]",
        "[fe80::1%25eth0]",
        "[v1.a]",
        "a,b",
        "a, b",
        "a;b",
        "a%2",
        "a%zz",
        "a\"b",
        "a\\b",
        "a<b",
        "\u{e9}",
        "a\tb",
        "a|b",
        "a^b",
        "{a}",
        "%",
        ":",
    ];
    for version in ["1.0", "1.1"] {
        for value in valid {
            let bytes = format!("GET / HTTP/{version}\r\nHost: {value}\r\n\r\n");
            assert_eq!(status_of(bytes.as_bytes()), None, "{value:?}");
            assert_eq!(head_of(bytes.as_bytes()).0.authority_bytes(), value.as_bytes());
        }
        for value in invalid {
            let bytes = format!("GET / HTTP/{version}\r\nHost: {value}\r\n\r\n");
            assert_eq!(status_of(bytes.as_bytes()), Some(400), "{value:?}");
        }
        let twice = format!("GET / HTTP/{version}\r\nHost: a\r\nhOST: a\r\n\r\n");
        assert_eq!(status_of(twice.as_bytes()), Some(400));
    }
    assert_eq!(status_of(b"GET / HTTP/1.1\r\n\r\n"), Some(400));
    assert_eq!(status_of(b"GET http://a/ HTTP/1.1\r\n\r\n"), Some(400), "also with an absolute-form target");
    assert_eq!(status_of(b"GET / HTTP/1.0\r\n\r\n"), None);
    assert_eq!(head_of(b"GET / HTTP/1.0\r\n\r\n").0.authority_bytes(), b"");
}
