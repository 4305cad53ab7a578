//! Bodies of known length, chunks, trailers, pipelining.

use buf::{Class, ReadBuf};
use http1::{BodyEvent, Limits, Reject, RequestDecoder, ResponseDecoder};

use crate::observe::{Seen, server};
use crate::requests::status_of;

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What comes out behind the head of a chunked request.
fn chunked(body: &[u8]) -> Vec<Seen> {
    let bytes = [CHUNKED.as_bytes(), body].concat();
    status_of(&bytes);
    server([bytes.as_slice()], Class::K16, &Limits::default()).split_off(1)
}

fn clean() -> Seen {
    Seen::EndOfInput("clean".into())
}

#[test]
fn a_body_of_known_length_ends_where_it_says() {
    let limits = Limits::default();
    let mut input = ReadBuf::new(Class::K16);
    let mut decoder = RequestDecoder::new();
    input.fill_from(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    assert!(decoder.head_begun(&input));
    let head = decoder.head(&mut input, &limits).unwrap().unwrap();
    assert!(head.has_body());
    assert_eq!((decoder.body_done(), decoder.body_left()), (false, Some(10)));
    let Ok(BodyEvent::Data(first)) = decoder.body(&mut input, &limits) else { panic!() };
    assert_eq!(&*first, b"01234");
    assert_eq!(decoder.body_left(), Some(5));
    assert!(matches!(decoder.body(&mut input, &limits), Ok(BodyEvent::More)));
    assert!(!decoder.end_of_input(&input) && !decoder.head_begun(&input));

    input.fill_from(b"56789GET ");
    let Ok(BodyEvent::Data(second)) = decoder.body(&mut input, &limits) else { panic!() };
    assert_eq!(&*second, b"56789");
    assert!(decoder.body_done());
    assert!(matches!(decoder.body(&mut input, &limits), Ok(BodyEvent::End)));
    assert!(matches!(decoder.body(&mut input, &limits), Ok(BodyEvent::End)));
    assert_eq!(input.filled(), b"GET ");
    assert!(decoder.head_begun(&input) && !decoder.end_of_input(&input));
}

#[test]
fn nothing_is_copied_or_kept() {
    let limits = Limits::default();
    let mut input = ReadBuf::new(Class::K16);
    let mut decoder = RequestDecoder::new();
    input.fill_from(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    let head = decoder.head(&mut input, &limits).unwrap().unwrap();
    let Ok(BodyEvent::Data(data)) = decoder.body(&mut input, &limits) else { panic!() };
    input.release();
    assert_eq!(buf::stats().leased, 1, "head, body and input share one buffer");
    drop((head, data));
    assert_eq!(buf::stats().leased, 0);
}

#[test]
fn chunks() {
    let hello = Seen::Data(b"hello world".to_vec());
    let good: &[&[u8]] = &[
        b"b\r\nhello world\r\n0\r\n\r\n",
        b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        b"B\r\nhello world\r\n000\r\n\r\n",
        b"000000000000000b\r\nhello world\r\n0\r\n\r\n",
        b"b;a=b\r\nhello world\r\n0;c\r\n\r\n",
        b"b;a=\"b c\";d\r\nhello world\r\n0\r\n\r\n",
        b"b ;a\r\nhello world\r\n0\t \t;\r\n\r\n",
        b"b;\r\nhello world\r\n0\r\n\r\n",
        b"b;\x80\xff\r\nhello world\r\n0\r\n\r\n",
    ];
    for body in good {
        assert_eq!(chunked(body), [hello.clone(), Seen::End, clean()], "{}", body.escape_ascii());
    }
    assert_eq!(chunked(b"0\r\n\r\n"), [Seen::End, clean()]);
}

#[test]
fn broken_chunks() {
    let bad: &[&[u8]] = &[
        b"\r\n",
        b"\r\n0\r\n\r\n",
        b"\n",
        b";a\r\n",
        b" 5\r\n",
        b"5 \r\n",
        b"5\t\r\n",
        b"+5\r\n",
        b"-5\r\n",
        b"0x5\r\n",
        b"5g\r\n",
        b"g\r\n",
        b"5\n",
        b"5\rx",
        b"5\r\r\n",
        b"5;a\n",
        b"5;a\rb\r\n",
        b"5;a\0\r\n",
        b"5;\x01\r\n",
        b"5;\x7f\r\n",
        b"5 x\r\n",
        b"5 5\r\n",
        b"5,5\r\n",
        b"00000000000000005\r\n",
        b"fffffffffffffffff\r\n",
        b"10000000000000000\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhello\r\r\n",
        b"5\r\nhello world\r\n",
        b"5\r\nhello\r\n\r\n",
        b"5\r\nhello\r\n\n",
        b"0\n\r\n",
        b"0\r\n\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\nX : b\r\n\r\n",
        b"0\r\n X: b\r\n\r\n",
        b"0\r\nX: b\n\r\n",
        b"0\r\nX: a\r\n b\r\n\r\n",
        b"0\r\n\rX: b\r\n\r\n",
        b"0\r\nX: a\0\r\n\r\n",
    ];
    for body in bad {
        assert!(matches!(chunked(body).last(), Some(Seen::Refused(_, 400))), "{}", body.escape_ascii());
    }
}

#[test]
fn the_largest_size_is_read_and_waits_for_its_data() {
    assert_eq!(
        chunked(b"ffffffffffffffff\r\nx"),
        [Seen::Data(b"x".to_vec()), Seen::EndOfInput("inside a request".into())]
    );
}

#[test]
fn what_was_read_before_a_broken_chunk_stands_and_the_failure_stays() {
    let limits = Limits::default();
    let mut input = ReadBuf::new(Class::K16);
    let mut decoder = RequestDecoder::new();
    input.fill_from(CHUNKED.as_bytes());
    input.fill_from(b"2\r\nhi\r\nz");
    assert!(decoder.head(&mut input, &limits).is_ok_and(|h| h.is_some()));
    assert_eq!(decoder.body_left(), None);
    assert!(matches!(decoder.body(&mut input, &limits), Ok(BodyEvent::Data(d)) if &*d == b"hi"));
    let Err(reject) = decoder.body(&mut input, &limits) else { panic!() };
    assert_eq!(reject.status(), 400);
    input.fill_from(b"\r\n0\r\n\r\n");
    assert_eq!(decoder.body(&mut input, &limits).err(), Some(reject));
    assert_eq!(decoder.head(&mut input, &limits).err(), Some(reject));
    assert!(!decoder.body_done() && !decoder.end_of_input(&input));
}

#[test]
fn trailers_are_kept_and_those_that_must_not_be_there_dropped() {
    let kept = chunked(b"1\r\nx\r\n0\r\nX-Sum: 1\r\nETag: \"a\"\r\nx-empty:\r\n\r\n");
    let Seen::Trailers(words) = &kept[1] else { panic!("{kept:?}") };
    assert!(words.contains("X-Sum=1]") && words.contains("ETag=\\\"a\\\"]") && words.contains("x-empty=]"));
    assert_eq!(kept[2..], [clean()]);

    let some = chunked(
        b"0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: b\r\nX: kept\r\nAuthorization: a\r\n\r\n",
    );
    let Seen::Trailers(words) = &some[0] else { panic!("{some:?}") };
    assert_eq!(words, "[0 X=kept]");
    assert_eq!(
        chunked(b"0\r\nset-cookie: a\r\nConnection: close\r\nexpires: 0\r\nWARNING: x\r\n\r\n"),
        [Seen::End, clean()]
    );

    let many: String = (0..40).map(|n| format!("x-{n}: v\r\n")).collect();
    let Seen::Trailers(words) = &chunked(format!("0\r\n{many}\r\n").as_bytes())[0] else { panic!() };
    assert_eq!(words.matches('[').count(), 40);
}

#[test]
fn chunk_lines_may_not_outweigh_the_data() {
    let limits = Limits::default();
    let refusal = |body: &[u8]| {
        let bytes = [CHUNKED.as_bytes(), body].concat();
        let at_once = server([bytes.as_slice()], Class::K16, &limits);
        assert_eq!(server(bytes.chunks(1000), Class::K16, &limits), at_once);
        matches!(at_once.last(), Some(Seen::Refused(_, 400)))
    };
    // One line.
    assert!(!refusal(format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(4000)).as_bytes()));
    assert!(refusal(format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(5000)).as_bytes()));
    assert!(refusal(format!("1;{}", "e".repeat(5000)).as_bytes()));
    // Many lines.
    let tiny = format!("1;{}\r\nx\r\n", "e".repeat(100));
    assert!(!refusal(tiny.repeat(100).as_bytes()));
    assert!(refusal(tiny.repeat(300).as_bytes()));
    // Plain chunks of one byte are somebody's habit, and signed chunks somebody's protocol.
    assert!(!refusal("1\r\nx\r\n".repeat(50_000).as_bytes()));
    let signed = format!("400;chunk-signature={}\r\n{}\r\n", "a".repeat(64), "x".repeat(1024));
    assert!(!refusal(signed.repeat(1000).as_bytes()));
}

#[test]
fn pipelined_requests_come_out_one_by_one() {
    let bytes = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
        POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n\r\n\
        GET /4 HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(status_of(bytes), None);
    let all = server([bytes.as_slice()], Class::K16, &Limits::default());
    let heads = all.iter().filter(|s| matches!(s, Seen::Head(_))).count();
    assert_eq!((heads, all.len()), (4, 8), "{all:?}");
}

#[test]
fn a_refusal_is_the_same_when_asked_again() {
    let mut input = ReadBuf::new(Class::K16);
    let mut decoder = RequestDecoder::new();
    let many: String = "X: b\r\n".repeat(99);
    input.fill_from(format!("GET / HTTP/1.1\r\nHost: a\r\n{many}Bad Line\r\n\r\n").as_bytes());
    let limits = Limits { headers: 101, ..Limits::default() };
    for _ in 0..3 {
        let reject: Option<Reject> = decoder.head(&mut input, &limits).err();
        assert_eq!(reject, Some(Reject::Fault(http1::Fault::FieldLine)));
    }
}

#[test]
fn bytes_that_go_by_count_as_read() {
    let limits = Limits::default();
    let mut input = ReadBuf::new(Class::K16);
    let mut decoder = RequestDecoder::new();
    input.fill_from(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01");
    decoder.head(&mut input, &limits).unwrap().unwrap();
    assert!(matches!(decoder.body(&mut input, &limits), Ok(BodyEvent::Data(_))));
    decoder.pass(5);
    assert_eq!((decoder.body_done(), decoder.body_left()), (false, Some(3)));
    assert!(matches!(decoder.body(&mut input, &limits), Ok(BodyEvent::More)));
    decoder.pass(3);
    assert!(decoder.body_done());
    assert!(matches!(decoder.body(&mut input, &limits), Ok(BodyEvent::End)));
    // What follows is the next request.
    input.fill_from(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(decoder.head(&mut input, &limits).unwrap().is_some());

    let mut decoder = ResponseDecoder::new(message::Method::Get);
    input.fill_from(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
    decoder.head(&mut input, &limits).unwrap().unwrap();
    decoder.pass(6);
    assert!(!decoder.keep_alive() && decoder.body_left() == Some(1));
    decoder.pass(1);
    assert!(decoder.keep_alive());
}
