//! What the encoders put on the wire, byte by byte.

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use buf::{FileRange, Front, OutQueue, Shared};
use http1::{BodyMismatch, RequestEncoder, ResponseEncoder};
use message::{BodyLength, Fields, FieldsBuilder, RequestHead, ResponseHead};

use crate::requests::head_of;

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// All that waits in the queue, files read.
pub(crate) fn drain(out: &mut OutQueue) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        let n = match out.front(&mut slices) {
            Front::Empty => return all,
            Front::Bytes(n) => {
                slices[..n].iter().for_each(|s| all.extend_from_slice(s));
                slices[..n].iter().map(|s| s.len()).sum::<usize>() as u64
            }
            Front::File(range) => {
                let mut bytes = vec![0; range.len as usize];
                range.file.read_exact_at(&mut bytes, range.offset).unwrap();
                all.extend(bytes);
                range.len
            }
        };
        out.advance(n);
    }
}

pub(crate) fn fields(lines: &[(&str, &str)]) -> Fields {
    let mut builder = FieldsBuilder::new();
    lines.iter().for_each(|(name, value)| builder.push(name.as_bytes(), value.as_bytes()));
    builder.finish()
}

fn asked(line: &str, more: &str) -> RequestHead {
    head_of(format!("{line}\r\nHost: a\r\n{more}\r\n").as_bytes()).0
}

fn answered(request: &RequestHead, status: u16, body: BodyLength, close: bool) -> (ResponseEncoder, String) {
    let mut out = OutQueue::new();
    let mut encoder = ResponseEncoder::new(request);
    assert!(!encoder.started());
    encoder.head(&mut out, &ResponseHead::new(status, fields(&[("X", "y")]), body), DATE, close);
    assert!(encoder.started() && !encoder.finished());
    (encoder, String::from_utf8(drain(&mut out)).unwrap())
}

#[test]
fn upgrade_is_named_by_connection() {
    let fields = fields(&[("Upgrade", "TLS/1.0"), ("X", "y")]);
    for (line, close, want) in [
        ("GET / HTTP/1.1", false, "upgrade"),
        ("GET / HTTP/1.1", true, "close, upgrade"),
        ("GET / HTTP/1.0", true, "close, upgrade"),
    ] {
        let (mut out, mut encoder) = (OutQueue::new(), ResponseEncoder::new(&asked(line, "")));
        encoder.head(&mut out, &ResponseHead::new(426, fields.clone(), BodyLength::None), DATE, close);
        let head = String::from_utf8(drain(&mut out)).unwrap();
        assert!(head.contains(&format!("\r\nConnection: {want}\r\n")), "{head}");
    }
    let (mut out, mut encoder) =
        (OutQueue::new(), ResponseEncoder::new(&asked("GET / HTTP/1.0", "Connection: keep-alive\r\n")));
    encoder.head(&mut out, &ResponseHead::new(426, fields, BodyLength::None), DATE, false);
    let head = String::from_utf8(drain(&mut out)).unwrap();
    assert!(head.contains("\r\nConnection: keep-alive, upgrade\r\n"), "{head}");
}

#[test]
fn heads_of_responses() {
    use BodyLength::*;
    const DATED: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let (get, head, old) = ("GET / HTTP/1.1", "HEAD / HTTP/1.1", "GET / HTTP/1.0");
    let stay = "Connection: keep-alive\r\n";
    let close = "Connection: close\r\n";
    // Request line, more fields of it, status, length, close asked for, then the lines behind X and the connection's fate.
    let cases: &[(&str, &str, u16, BodyLength, bool, String, bool)] = &[
        (get, "", 200, Known(5), false, format!("Content-Length: 5\r\n{DATED}"), true),
        (get, "", 200, Known(u64::MAX), false, format!("Content-Length: 18446744073709551615\r\n{DATED}"), true),
        (get, "", 200, None, false, format!("Content-Length: 0\r\n{DATED}"), true),
        (get, "", 200, Streamed, false, format!("Transfer-Encoding: chunked\r\n{DATED}"), true),
        (get, "", 200, UntilClose, false, format!("Transfer-Encoding: chunked\r\n{DATED}"), true),
        (get, "", 200, Known(5), true, format!("Content-Length: 5\r\n{DATED}{close}"), false),
        (get, close, 200, Known(5), false, format!("Content-Length: 5\r\n{DATED}{close}"), false),
        (get, "", 204, None, false, DATED.into(), true),
        (get, "", 204, Known(0), false, DATED.into(), true),
        (get, "", 304, None, false, DATED.into(), true),
        (get, "", 304, Known(5), false, format!("Content-Length: 5\r\n{DATED}"), true),
        (head, "", 200, Known(5), false, format!("Content-Length: 5\r\n{DATED}"), true),
        (head, "", 200, None, false, DATED.into(), true),
        (head, "", 200, Streamed, false, DATED.into(), true),
        (
            head,
            close,
            200,
            Known(u64::MAX),
            true,
            format!("Content-Length: 18446744073709551615\r\n{DATED}{close}"),
            false,
        ),
        (old, "", 200, Known(5), false, format!("Content-Length: 5\r\n{DATED}{close}"), false),
        (old, stay, 200, Known(5), false, format!("Content-Length: 5\r\n{DATED}{stay}"), true),
        (old, stay, 200, Streamed, false, format!("{DATED}{close}"), false),
        (old, stay, 200, Known(5), true, format!("Content-Length: 5\r\n{DATED}{close}"), false),
    ];
    for (line, more, status, length, close, want, keep) in cases {
        let (encoder, got) = answered(&asked(line, more), *status, *length, *close);
        let reason = message::reason_phrase(*status);
        assert_eq!(got, format!("HTTP/1.1 {status} {reason}\r\nX: y\r\n{want}\r\n"), "{line} {status} {length:?}");
        assert_eq!(encoder.keep_alive(), *keep);
        assert_eq!(encoder.wants_body(), line == &get && !matches!(status, 204 | 304) || line == &old);
    }
}

#[test]
fn a_date_that_is_there_is_not_added_and_no_field_is_fine() {
    let mut out = OutQueue::new();
    let request = asked("GET / HTTP/1.1", "");
    let dated = ResponseHead::new(404, fields(&[("date", "then")]), BodyLength::Known(0));
    ResponseEncoder::new(&request).head(&mut out, &dated, DATE, false);
    assert_eq!(drain(&mut out), b"HTTP/1.1 404 Not Found\r\ndate: then\r\nContent-Length: 0\r\n\r\n");
    let bare = ResponseHead::new(599, Fields::default(), BodyLength::Known(0));
    ResponseEncoder::for_refusal().head(&mut out, &bare, DATE, false);
    let text = String::from_utf8(drain(&mut out)).unwrap();
    assert_eq!(
        text,
        "HTTP/1.1 599 \r\nContent-Length: 0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn every_way_to_hand_in_a_body() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"0123456789").unwrap();
    let file = Rc::new(file);
    let cached: Rc<[u8]> = b"cached".as_slice().into();
    let give = |encoder: &mut ResponseEncoder, out: &mut OutQueue| -> Result<(), BodyMismatch> {
        encoder.data(out, Shared::copy_of(b"shared "))?;
        encoder.data(out, Shared::default())?;
        encoder.data_static(out, b"static ")?;
        encoder.data_cached(out, &cached, 1..6)?;
        encoder.file(out, FileRange { file: Rc::clone(&file), offset: 2, len: 0 })?;
        encoder.file(out, FileRange { file: Rc::clone(&file), offset: 2, len: 5 })
    };
    let cases: &[(&str, BodyLength, &str)] = &[
        ("GET / HTTP/1.1", BodyLength::Known(24), "shared static ached23456"),
        (
            "GET / HTTP/1.1",
            BodyLength::Streamed,
            "7\r\nshared \r\n7\r\nstatic \r\n5\r\nached\r\n5\r\n23456\r\n0\r\n\r\n",
        ),
        ("GET / HTTP/1.0", BodyLength::Streamed, "shared static ached23456"),
        ("HEAD / HTTP/1.1", BodyLength::Known(24), ""),
        ("HEAD / HTTP/1.1", BodyLength::Streamed, ""),
    ];
    for (line, length, want) in cases {
        let (mut encoder, _) = answered(&asked(line, ""), 200, *length, false);
        let mut out = OutQueue::new();
        assert_eq!(give(&mut encoder, &mut out), Ok(()));
        assert_eq!(encoder.end(&mut out, None), Ok(()));
        assert!(encoder.finished() && !encoder.wants_body());
        assert_eq!(drain(&mut out), want.as_bytes(), "{line} {length:?}");
    }
    assert_eq!(buf::stats().leased, 0);
}

#[test]
fn large_chunks_have_hexadecimal_sizes() {
    let (mut encoder, _) = answered(&asked("GET / HTTP/1.1", ""), 200, BodyLength::Streamed, false);
    let mut out = OutQueue::new();
    encoder.data(&mut out, Shared::copy_of(&[b'x'; 0xabc])).unwrap();
    encoder.data(&mut out, Shared::copy_of(&[b'x'; 65_536])).unwrap();
    let bytes = drain(&mut out);
    assert!(bytes.starts_with(b"abc\r\nx") && bytes[5 + 0xabc..].starts_with(b"\r\n10000\r\nx"));
}

#[test]
fn a_body_of_the_wrong_length_is_an_error_and_never_sent() {
    let request = asked("GET / HTTP/1.1", "");
    let (mut encoder, _) = answered(&request, 200, BodyLength::Known(5), false);
    let mut out = OutQueue::new();
    encoder.data_static(&mut out, b"hel").unwrap();
    assert_eq!(encoder.data_static(&mut out, b"lo!"), Err(BodyMismatch::TooLong));
    assert_eq!(drain(&mut out), b"hel");
    assert!(!encoder.keep_alive() && !encoder.finished());

    let (mut encoder, _) = answered(&request, 200, BodyLength::Known(5), false);
    encoder.data_static(&mut out, b"hell").unwrap();
    assert_eq!(encoder.end(&mut out, None), Err(BodyMismatch::TooShort));
    assert!(!encoder.keep_alive() && !encoder.finished());

    let mut encoder = RequestEncoder::new();
    encoder.head(&mut out, b"POST", b"/", &fields(&[]), BodyLength::Known(1), None);
    assert_eq!(encoder.end(&mut out, None), Err(BodyMismatch::TooShort));
    assert_eq!(encoder.data(&mut out, Shared::copy_of(b"ab")), Err(BodyMismatch::TooLong));
    assert!(!encoder.finished());
}

#[test]
fn trailers_go_with_chunks_only() {
    let trailers = fields(&[("x-sum", "1"), ("x-other", "")]);
    for (line, want) in
        [("GET / HTTP/1.1", "0\r\nx-sum: 1\r\nx-other: \r\n\r\n"), ("GET / HTTP/1.0", ""), ("HEAD / HTTP/1.1", "")]
    {
        let (mut encoder, _) = answered(&asked(line, ""), 200, BodyLength::Streamed, false);
        let mut out = OutQueue::new();
        encoder.end(&mut out, Some(&trailers)).unwrap();
        assert_eq!(drain(&mut out), want.as_bytes(), "{line}");
    }
}

#[test]
fn interim_answers_are_for_http_1_1() {
    let hints = fields(&[("link", "</a>")]);
    let mut out = OutQueue::new();
    let mut encoder = ResponseEncoder::new(&asked("GET / HTTP/1.1", ""));
    encoder.interim(&mut out, 100, &Fields::default());
    encoder.interim(&mut out, 103, &hints);
    assert!(!encoder.started());
    assert_eq!(drain(&mut out), b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    ResponseEncoder::new(&asked("GET / HTTP/1.0", "")).interim(&mut out, 103, &hints);
    assert!(out.is_empty());
}

#[test]
fn switching_protocols_ends_the_matter() {
    let mut out = OutQueue::new();
    let mut encoder = ResponseEncoder::new(&asked("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: x\r\n"));
    encoder.switching(&mut out, &fields(&[("upgrade", "x")]));
    assert_eq!(drain(&mut out), b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nConnection: upgrade\r\n\r\n");
    assert!(encoder.started() && encoder.finished() && !encoder.keep_alive());
}

#[test]
fn heads_of_requests() {
    use BodyLength::*;
    let cases: &[(&str, BodyLength, Option<&str>, &str)] = &[
        ("GET", None, Option::None, ""),
        ("POST", None, Option::None, "Content-Length: 0\r\n"),
        ("PUT", None, Option::None, "Content-Length: 0\r\n"),
        ("DELETE", None, Option::None, ""),
        ("DELETE", Known(0), Option::None, "Content-Length: 0\r\n"),
        ("POST", Known(5), Option::None, "Content-Length: 5\r\n"),
        ("POST", Streamed, Option::None, "Transfer-Encoding: chunked\r\n"),
        ("GET", None, Some("upgrade"), "Connection: upgrade\r\n"),
        ("POST", Known(1), Some("close"), "Connection: close\r\nContent-Length: 1\r\n"),
    ];
    for (method, length, connection, want) in cases {
        let mut out = OutQueue::new();
        let mut encoder = RequestEncoder::new();
        assert!(!encoder.started());
        let connection = connection.map(str::as_bytes);
        encoder.head(&mut out, method.as_bytes(), b"/a?b", &fields(&[("host", "h")]), *length, connection);
        assert!(encoder.started() && !encoder.finished());
        let text = String::from_utf8(drain(&mut out)).unwrap();
        assert_eq!(text, format!("{method} /a?b HTTP/1.1\r\nhost: h\r\n{want}\r\n"));
    }
}

#[test]
fn a_head_larger_than_a_buffer_goes_out_whole() {
    let value = "v".repeat(3000);
    let many = fields(&[("a", &value), ("b", &value), ("c", &value), ("d", &value), ("e", &value), ("f", &value)]);
    let mut out = OutQueue::new();
    let head = ResponseHead::new(200, many.clone(), BodyLength::Known(0));
    ResponseEncoder::new(&asked("GET / HTTP/1.1", "")).head(&mut out, &head, DATE, false);
    let bytes = drain(&mut out);
    assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\na: vvv"));
    assert!(bytes.windows(many.bytes().len()).any(|w| w == many.bytes()));
    assert!(bytes.ends_with(b"GMT\r\n\r\n"));
}

#[test]
fn only_a_declared_length_may_go_past_the_queue() {
    let get = asked("GET / HTTP/1.1", "");
    let (mut encoder, _) = answered(&get, 200, BodyLength::Known(10), false);
    let mut out = OutQueue::new();
    assert_eq!(encoder.unframed(), 10);
    encoder.data_static(&mut out, b"123").unwrap();
    encoder.pass(5).unwrap();
    assert_eq!(encoder.unframed(), 2);
    assert_eq!(encoder.pass(3), Err(BodyMismatch::TooLong));
    assert_eq!(encoder.end(&mut out, None), Err(BodyMismatch::TooShort));
    let (mut encoder, _) = answered(&get, 200, BodyLength::Known(10), false);
    encoder.pass(10).unwrap();
    assert_eq!(encoder.unframed(), 0);
    encoder.end(&mut out, None).unwrap();
    assert!(encoder.finished() && encoder.keep_alive());
    // Chunks have to be framed, and to HEAD nothing is sent.
    let (mut chunked, _) = answered(&get, 200, BodyLength::Streamed, false);
    assert_eq!((chunked.unframed(), chunked.pass(1)), (0, Err(BodyMismatch::TooLong)));
    let (head, _) = answered(&asked("HEAD / HTTP/1.1", ""), 200, BodyLength::Known(10), false);
    assert_eq!(head.unframed(), 0);

    let mut up = RequestEncoder::new();
    up.head(&mut out, b"PUT", b"/", &fields(&[("Host", "a")]), BodyLength::Known(4), None);
    assert_eq!(up.unframed(), 4);
    up.pass(4).unwrap();
    up.end(&mut out, None).unwrap();
    assert!(up.finished());
}
