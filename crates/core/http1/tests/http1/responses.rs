//! What an answer means to a client, and which answers are garbage.

use buf::{Class, ReadBuf};
use http1::{BodyEvent, Garbage, Limits, ResponseDecoder};
use message::{BodyLength, Method, Version};

use crate::observe::{Seen, client};

/// What comes out, the same however the bytes are cut.
fn seen(bytes: &[u8], method: Method) -> Vec<Seen> {
    let limits = Limits::default();
    let at_once = client([bytes], method, Class::K16, &limits);
    assert_eq!(client(bytes.chunks(1), method, Class::K16, &limits), at_once, "{}", bytes.escape_ascii());
    for cut in 0..bytes.len().min(300) {
        let (a, b) = bytes.split_at(cut);
        assert_eq!(client([a, b], method, Class::K16, &limits), at_once, "cut at {cut}: {}", bytes.escape_ascii());
    }
    at_once
}

fn is_garbage(bytes: &str) -> bool {
    matches!(seen(bytes.as_bytes(), Method::Get).last(), Some(Seen::Refused(..)))
}

/// How the body of that answer ends, and whether the connection can be kept.
fn body_of(head: &str, method: Method) -> (BodyLength, bool) {
    let mut input = ReadBuf::new(Class::K16);
    input.fill_from(format!("{head}\r\n\r\n").as_bytes());
    let head = ResponseDecoder::new(method).head(&mut input, &Limits::default());
    let head = head.ok().flatten().unwrap_or_else(|| panic!("no head"));
    (head.body, head.keep_alive)
}

#[test]
fn the_length_of_the_body() {
    use BodyLength::*;
    let cases: &[(&str, Method, BodyLength, bool)] = &[
        ("HTTP/1.1 200 OK\r\nContent-Length: 5", Method::Get, Known(5), true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close", Method::Get, Known(5), false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", Method::Get, Streamed, true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked", Method::Get, Streamed, true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip", Method::Get, UntilClose, false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip", Method::Get, UntilClose, false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity", Method::Get, UntilClose, false),
        ("HTTP/1.1 200 OK", Method::Get, UntilClose, false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5", Method::Head, None, true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", Method::Head, None, true),
        ("HTTP/1.1 200 OK", Method::Head, None, true),
        ("HTTP/1.1 204 No Content", Method::Get, None, true),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5", Method::Get, None, true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5", Method::Get, None, true),
        ("HTTP/1.1 205 Reset Content\r\nContent-Length: 0", Method::Get, Known(0), true),
        ("HTTP/1.1 100 Continue", Method::Get, None, true),
        ("HTTP/1.1 101 Switching Protocols\r\nContent-Length: 5", Method::Get, UntilClose, false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5", Method::Connect, UntilClose, false),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 5", Method::Connect, Known(5), true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 5", Method::Get, Known(5), false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive", Method::Get, Known(5), true),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive", Method::Get, UntilClose, false),
    ];
    for (head, method, body, keep_alive) in cases {
        assert_eq!(body_of(head, *method), (*body, *keep_alive), "{head:?}");
    }
}

#[test]
fn status_lines() {
    let good = [
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 ",
        "HTTP/1.1 200",
        "HTTP/1.0 200 All  right\t!",
        "HTTP/1.1 599 \u{e9}",
        "HTTP/1.1 299 x",
    ];
    for line in good {
        assert!(!is_garbage(&format!("{line}\r\nContent-Length: 0\r\n\r\n")), "{line}");
    }
    let bad = [
        "HTTP/1.1 099 x",
        "HTTP/1.1 000 x",
        "HTTP/1.1 600 x",
        "HTTP/1.1 999 x",
        "HTTP/1.1 20 x",
        "HTTP/1.1 2000 x",
        "HTTP/1.1 20a x",
        "HTTP/1.1  200 x",
        "HTTP/1.1 200\tx",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/2.0 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/0.9 200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1200 OK",
        "ICY 200 OK",
        "SSH-2.0-x",
        "200 OK",
        "",
        " HTTP/1.1 200 OK",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 O\u{7f}",
        "HTTP/1.1 -20 x",
        "HTTP/1.1 +20 x",
        "<html>",
    ];
    for line in bad {
        assert!(is_garbage(&format!("{line}\r\nContent-Length: 0\r\n\r\n")), "{line:?}");
    }
    assert!(is_garbage("\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "an empty line before the answer");
    for begun in ["S", "HTTP/2", "HTTP/1.1 2x0 OK\r\n", "\r", "\n", "<!doctype"] {
        assert!(is_garbage(begun), "{begun:?} is refused before the head is complete");
    }
}

#[test]
fn broken_framing() {
    let bad = [
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: ",
        "Content-Length: -1",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip\r\nContent-Length: 5",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: ",
        "Transfer-Encoding: chunked,",
        "X: a\r\n b",
        "X : b",
        "X",
        "X: a\0b",
        "X: a\rb",
        "X: a\nY: b",
        " X: a",
    ];
    for lines in bad {
        assert!(is_garbage(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n")), "{lines:?}");
    }
    assert!(is_garbage("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
    assert!(is_garbage("HTTP/1.1 200 OK\nContent-Length: 0\n\n"));
}

#[test]
fn interim_answers_come_before_the_final_one() {
    let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let all = seen(bytes, Method::Post);
    assert_eq!(all.iter().filter(|s| matches!(s, Seen::Head(_))).count(), 3);
    assert_eq!(all[3], Seen::Data(b"hi".to_vec()));
    assert_eq!(all[4], Seen::EndOfInput("complete, keep alive: true".into()));

    let many = |n: usize| format!("{}HTTP/1.1 204 x\r\n\r\n", "HTTP/1.1 102 x\r\n\r\n".repeat(n));
    let run = |n| client([many(n).as_bytes()], Method::Get, Class::K16, &Limits::default());
    assert!(matches!(run(100).last(), Some(Seen::EndOfInput(_))));
    assert_eq!(run(101).last(), Some(&Seen::Refused(Garbage::TooManyInterim.sentence().into(), 0)));
}

#[test]
fn switching_protocols_leaves_a_tunnel() {
    let bytes = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\x81\x05hello";
    let all = seen(bytes, Method::Get);
    assert_eq!(all[1..], [Seen::Data(b"\x81\x05hello".to_vec()), Seen::EndOfInput("ends the body".into())]);
}

#[test]
fn the_end_of_the_connection() {
    let closed = Seen::EndOfInput(Garbage::Closed.sentence().into());
    let truncated = Seen::EndOfInput(Garbage::Truncated.sentence().into());
    let cases: &[(&str, Seen)] = &[
        ("", closed.clone()),
        ("H", truncated.clone()),
        ("HTTP/1.1 200 OK\r\n", truncated.clone()),
        ("HTTP/1.1 100 Continue\r\n\r\n", truncated.clone()),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", truncated.clone()),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1234", truncated.clone()),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345", Seen::EndOfInput("complete, keep alive: true".into())),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", truncated.clone()),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na", truncated.clone()),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", truncated.clone()),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Seen::EndOfInput("complete, keep alive: true".into()),
        ),
        ("HTTP/1.1 200 OK\r\n\r\n", Seen::EndOfInput("ends the body".into())),
        ("HTTP/1.1 200 OK\r\n\r\nabc", Seen::EndOfInput("ends the body".into())),
        ("HTTP/1.0 204 OK\r\n\r\n", Seen::EndOfInput("complete, keep alive: false".into())),
    ];
    for (bytes, want) in cases {
        let all = seen(bytes.as_bytes(), Method::Get);
        // An interim head alone leaves the answer open but begun.
        assert_eq!(all.last(), Some(want), "{bytes:?}");
    }
    assert!(Garbage::Closed.is_early_end() && Garbage::Truncated.is_early_end() && !Garbage::Status.is_early_end());
}

#[test]
fn bytes_left_at_the_end_still_belong_to_a_body_that_the_end_delimits() {
    let limits = Limits::default();
    let mut input = ReadBuf::new(Class::K4);
    let mut decoder = ResponseDecoder::new(Method::Get);
    assert!(!decoder.begun(&input));
    input.fill_from(b"HTTP/1.1 200 OK\r\n\r\nrest");
    assert!(decoder.begun(&input));
    assert_eq!(decoder.head(&mut input, &limits).unwrap().unwrap().version, Version::Http11);
    assert_eq!(decoder.end_of_input(), Ok(()));
    assert!(!decoder.body_done());
    assert!(matches!(decoder.body(&mut input, &limits), Ok(BodyEvent::Data(b)) if &*b == b"rest"));
    assert!(matches!(decoder.body(&mut input, &limits), Ok(BodyEvent::End)));
    assert!(decoder.body_done() && !decoder.keep_alive());
}

#[test]
fn codings_that_were_not_asked_for_are_reported() {
    let coded = |coding: &str, method| {
        let mut input = ReadBuf::new(Class::K4);
        input.fill_from(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n").as_bytes());
        let mut decoder = ResponseDecoder::new(method);
        assert!(decoder.head(&mut input, &Limits::default()).is_ok_and(|h| h.is_some()));
        decoder.transfer_coded()
    };
    assert!(coded("gzip, chunked", Method::Get) && coded("gzip", Method::Get));
    assert!(!coded("chunked", Method::Get) && !coded("gzip", Method::Head));
}
