//! Heads whose fields are written straight into the queue: the same as those built before, or nothing.

use buf::{OutQueue, Shared};
use http1::{HeadTooLarge, RequestEncoder, RequestLine, ResponseEncoder};
use message::{BodyLength, HeadWriter, Known, RequestHead, ResponseHead};

use crate::encoders::{drain, fields};
use crate::requests::head_of;

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// Why nothing was written.
#[derive(Debug, PartialEq, Eq)]
enum Failed {
    Fields,
    TooLarge,
}

impl From<HeadTooLarge> for Failed {
    fn from(_: HeadTooLarge) -> Failed {
        Failed::TooLarge
    }
}

fn asked(line: &str) -> RequestHead {
    head_of(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()).0
}

const BODIES: [BodyLength; 6] = [
    BodyLength::None,
    BodyLength::Known(0),
    BodyLength::Known(1024),
    BodyLength::Known(u64::MAX),
    BodyLength::Streamed,
    BodyLength::UntilClose,
];

/// Writes `lines` and no more than the room that was asked for them.
fn write(lines: &[(Known, &str, &str)], out: &mut HeadWriter<'_>) -> Result<(), Failed> {
    lines.iter().for_each(|(known, name, value)| out.push(*known, name.as_bytes(), value.as_bytes()));
    Ok(())
}

#[test]
fn answers_are_the_same_as_built_ones() {
    for line in ["GET / HTTP/1.1", "HEAD / HTTP/1.1", "GET / HTTP/1.0"] {
        for (status, body) in [200, 204, 304, 404, 413, 599].into_iter().flat_map(|s| BODIES.map(|b| (s, b))) {
            for close in [false, true] {
                let mut out = OutQueue::new();
                let mut built = ResponseEncoder::new(&asked(line));
                built.head(&mut out, &ResponseHead::new(status, fields(&[("X", "y")]), body), DATE, close);
                let want = drain(&mut out);
                let mut encoder = ResponseEncoder::new(&asked(line));
                if close {
                    encoder.close();
                }
                let lines = |out: &mut HeadWriter<'_>| write(&[(Known::Other, "X", "y")], out);
                assert_eq!(encoder.head_with(&mut out, status, body, || *DATE, 6, lines), Ok(()));
                let got = drain(&mut out);
                assert_eq!(got, want, "{}", String::from_utf8_lossy(&got));
                assert_eq!(format!("{encoder:?}"), format!("{built:?}"));
            }
        }
    }
}

#[test]
fn answers_with_their_bodies_are_the_same_as_piece_by_piece() {
    for line in ["GET / HTTP/1.1", "HEAD / HTTP/1.1", "GET / HTTP/1.0"] {
        for (status, content) in [200, 204, 304, 502].into_iter().flat_map(|s| ["", "hello"].map(|c| (s, c))) {
            let mut out = OutQueue::new();
            let lines = |out: &mut HeadWriter<'_>| write(&[(Known::Other, "X", "y")], out);
            let mut parts = ResponseEncoder::new(&asked(line));
            let length = BodyLength::Known(content.len() as u64);
            parts.head_with(&mut out, status, length, || *DATE, 6, lines).unwrap();
            parts.data(&mut out, Shared::copy_of(content.as_bytes())).unwrap();
            parts.end(&mut out, None).unwrap();
            let want = drain(&mut out);
            let mut encoder = ResponseEncoder::new(&asked(line));
            let sent = encoder.head_and_body_with(&mut out, status, content.as_bytes(), || *DATE, 6, lines);
            assert_eq!(sent, Ok(()));
            assert_eq!(String::from_utf8(drain(&mut out)), String::from_utf8(want));
            assert_eq!(format!("{encoder:?}"), format!("{parts:?}"));
        }
    }
}

#[test]
fn a_line_at_hand_is_sent_as_it_is() {
    let mut out = OutQueue::new();
    let line = RequestLine { method: b"GET", target: b"/a", whole: Some(b"GET /a HTTP/1.1\r\n") };
    let lines = |out: &mut HeadWriter<'_>| write(&[(Known::Host, "Host", "h")], out);
    let mut encoder = RequestEncoder::new();
    assert_eq!(encoder.head_with(&mut out, line, BodyLength::None, 9, lines), Ok(()));
    assert_eq!(drain(&mut out), b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
}

#[test]
fn requests_are_the_same_as_built_ones() {
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS", "A"] {
        for body in BODIES {
            let target = format!("/{}", "t".repeat(method.len() * 11));
            let mut out = OutQueue::new();
            let mut built = RequestEncoder::new();
            built.head(&mut out, method.as_bytes(), target.as_bytes(), &fields(&[("Host", "h")]), body, None);
            let want = drain(&mut out);
            let mut encoder = RequestEncoder::new();
            let lines = |out: &mut HeadWriter<'_>| write(&[(Known::Host, "Host", "h")], out);
            assert_eq!(
                encoder.head_with(&mut out, RequestLine::of(method.as_bytes(), target.as_bytes()), body, 9, lines),
                Ok(())
            );
            assert_eq!(drain(&mut out), want);
            assert_eq!(format!("{encoder:?}"), format!("{built:?}"));
        }
    }
}

#[test]
fn what_the_fields_say_is_not_said_again() {
    let mut out = OutQueue::new();
    let said = [(Known::ContentLength, "content-length", "5"), (Known::Date, "date", "then")];
    let mut encoder = ResponseEncoder::new(&asked("GET / HTTP/1.1"));
    let no_date = || unreachable!("there is a date");
    let answered = encoder.head_with(&mut out, 200, BodyLength::Known(5), no_date, 40, |out| write(&said, out));
    assert_eq!(answered, Ok(()));
    assert_eq!(drain(&mut out), b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ndate: then\r\n\r\n");
    // The body is held to it all the same.
    assert!(encoder.data_static(&mut out, b"hello!").is_err());
    let mut encoder = RequestEncoder::new();
    let sent = encoder
        .head_with(&mut out, RequestLine::of(b"POST", b"/"), BodyLength::Known(5), 19, |out| write(&said[..1], out));
    assert_eq!(sent, Ok(()));
    assert_eq!(drain(&mut out), b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n");
    assert!(encoder.end(&mut out, None).is_err());
}

#[test]
fn of_a_head_that_fails_nothing_is_sent() {
    let too_large = [(Known::Other, "x", &*"v".repeat(65_600))];
    let fails = |out: &mut HeadWriter<'_>| {
        out.push(Known::Other, b"x", b"y");
        Err(Failed::Fields)
    };
    for before in ["", "before"] {
        let mut out = OutQueue::new();
        out.put(before.as_bytes());
        let leased = buf::stats().leased;
        let mut request = RequestEncoder::new();
        let length = BodyLength::Known(1);
        assert_eq!(request.head_with(&mut out, RequestLine::of(b"GET", b"/"), length, 5, fails), Err(Failed::Fields));
        let sent =
            request.head_with(&mut out, RequestLine::of(b"GET", b"/"), length, 65_605, |out| write(&too_large, out));
        assert_eq!((sent, request.started()), (Err(Failed::TooLarge), false));
        let target = "/".repeat(65_600);
        let sent =
            request.head_with(&mut out, RequestLine::of(b"GET", target.as_bytes()), length, 0, |out| write(&[], out));
        assert_eq!((sent, request.started()), (Err(Failed::TooLarge), false));

        let mut answer = ResponseEncoder::new(&asked("GET / HTTP/1.1"));
        let hints = answer.interim_with(&mut out, 103, 65_605, |out| write(&too_large, out));
        assert_eq!(hints, Err(Failed::TooLarge));
        assert_eq!(answer.head_with(&mut out, 200, length, || *DATE, 5, fails), Err(Failed::Fields));
        let body = BodyLength::UntilClose;
        let answered = answer.head_with(&mut out, 200, body, || *DATE, 65_605, |out| write(&too_large, out));
        assert_eq!((answered, answer.started(), answer.keep_alive()), (Err(Failed::TooLarge), false, true));
        assert_eq!((out.len(), buf::stats().leased), (before.len() as u64, leased));

        // Another one may follow.
        answer.head(&mut out, &ResponseHead::new(502, fields(&[]), BodyLength::Known(0)), DATE, true);
        assert!(drain(&mut out).starts_with(format!("{before}HTTP/1.1 502 ").as_bytes()));
    }
    assert_eq!(buf::stats().leased, 0);
}

#[test]
fn interim_answers_are_the_same_as_built_ones() {
    let mut out = OutQueue::new();
    let hints = |out: &mut HeadWriter<'_>| write(&[(Known::Other, "link", "</a>")], out);
    let mut encoder = ResponseEncoder::new(&asked("GET / HTTP/1.1"));
    assert_eq!(encoder.interim_with(&mut out, 103, 12, hints), Ok(()));
    assert!(!encoder.started());
    assert_eq!(drain(&mut out), b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    let unasked = |_: &mut HeadWriter<'_>| unreachable!("HTTP/1.0 has no interim answers");
    let mut old = ResponseEncoder::new(&asked("GET / HTTP/1.0"));
    assert_eq!(old.interim_with::<Failed>(&mut out, 103, 12, unasked), Ok(()));
    assert!(out.is_empty());
}
