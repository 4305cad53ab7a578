//! However the bytes are cut, the same comes out: also of bytes that are wrong.

use buf::Class;
use http1::Limits;
use message::Method;
use proptest::prelude::*;

use crate::observe::{client, server};

const SMALL: Limits = Limits { header_bytes: 400, headers: 8, uri_bytes: 80 };

/// One of the pieces that requests are made of; some are good, some are not.
fn request_line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("GET / HTTP/1.1\r\n".to_string()),
        4 => Just("POST /a/b?c HTTP/1.1\r\n".to_string()),
        1 => Just("GET / HTTP/1.0\r\n".to_string()),
        1 => Just("\r\nGET http://a:80/x?y HTTP/1.1\r\n".to_string()),
        1 => Just("OPTIONS * HTTP/1.1\r\n".to_string()),
        1 => Just("CONNECT a:1 HTTP/1.1\r\n".to_string()),
        1 => "[A-Z]{1,9} [ -~]{1,90} HTTP/[0-3]\\.[0-9]\r\n",
    ]
}

fn status_line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("HTTP/1.1 200 OK\r\n".to_string()),
        1 => Just("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 \r\n".to_string()),
        1 => Just("HTTP/1.0 200 OK\r\n".to_string()),
        1 => "HTTP/1\\.1 [1-7]0[0-4] [ -~]{0,20}\r\n",
    ]
}

fn field_line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("Host: example.com\r\n".to_string()),
        2 => Just("Content-Length: 12\r\n".to_string()),
        2 => Just("Transfer-Encoding: chunked\r\n".to_string()),
        1 => Just("Connection: close, upgrade\r\nUpgrade: x\r\n".to_string()),
        1 => Just("Expect: 100-continue\r\n".to_string()),
        2 => "[A-Za-z-]{1,20}: ?[ -~]{0,60}\r\n",
        1 => "[ -~]{1,10}\r?\n",
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let chunk = (proptest::collection::vec(any::<u8>(), 1..40), "(;[ -~]{0,12})?")
        .prop_map(|(data, extension)| [format!("{:x}{extension}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat());
    prop_oneof![
        2 => Just(Vec::new()),
        2 => Just(b"hello world!".to_vec()),
        2 => (proptest::collection::vec(chunk, 0..5), "(X-[a-z]{1,5}: [a-z]{0,9}\r\n){0,3}")
            .prop_map(|(chunks, trailers)| [chunks.concat(), format!("0\r\n{trailers}\r\n").into_bytes()].concat()),
    ]
}

/// Messages in a row, as they should be or with bytes changed.
fn messages(line: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let message = (line, proptest::collection::vec(field_line(), 0..7), body())
        .prop_map(|(line, fields, body)| [line.as_bytes(), fields.concat().as_bytes(), b"\r\n", &body].concat());
    let change = (any::<prop::sample::Index>(), prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b' ')], 0..3u8);
    (proptest::collection::vec(message, 1..4), proptest::collection::vec(change, 0..3)).prop_map(
        |(messages, changes)| {
            let mut bytes = messages.concat();
            for (at, byte, how) in changes {
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            bytes
        },
    )
}

/// `bytes` in pieces whose lengths are those of `cuts`, over and over.
fn pieces<'a>(bytes: &'a [u8], cuts: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut left = bytes;
    cuts.iter().cycle().map_while(move |len| {
        if left.is_empty() {
            return None;
        }
        let (piece, rest) = left.split_at((*len).min(left.len()));
        left = rest;
        Some(piece)
    })
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![proptest::collection::vec(1..4usize, 1..9), proptest::collection::vec(1..200usize, 1..9)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests(bytes in messages(request_line()), cuts in cuts(), small in any::<bool>()) {
        let limits = if small { SMALL } else { Limits::default() };
        let at_once = server([bytes.as_slice()], Class::K4, &limits);
        prop_assert_eq!(&server(bytes.chunks(1), Class::K4, &limits), &at_once);
        prop_assert_eq!(&server(pieces(&bytes, &cuts), Class::K4, &limits), &at_once);
        prop_assert_eq!(&server([bytes.as_slice()], Class::K16, &limits), &at_once);
        prop_assert_eq!(buf::stats().leased, 0);
    }

    #[test]
    fn responses(bytes in messages(status_line()), cuts in cuts(), head in any::<bool>(), small in any::<bool>()) {
        let method = if head { Method::Head } else { Method::Get };
        let limits = if small { SMALL } else { Limits::default() };
        let at_once = client([bytes.as_slice()], method, Class::K4, &limits);
        prop_assert_eq!(&client(bytes.chunks(1), method, Class::K4, &limits), &at_once);
        prop_assert_eq!(&client(pieces(&bytes, &cuts), method, Class::K4, &limits), &at_once);
        prop_assert_eq!(buf::stats().leased, 0);
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), cuts in cuts()) {
        let limits = Limits::default();
        let at_once = server([bytes.as_slice()], Class::K4, &limits);
        prop_assert_eq!(&server(pieces(&bytes, &cuts), Class::K4, &limits), &at_once);
        let at_once = client([bytes.as_slice()], Method::Get, Class::K4, &limits);
        prop_assert_eq!(&client(pieces(&bytes, &cuts), Method::Get, Class::K4, &limits), &at_once);
    }
}
