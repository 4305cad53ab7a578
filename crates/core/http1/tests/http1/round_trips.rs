//! What one side writes, the other side reads.

use buf::{Class, OutQueue, ReadBuf, Shared};
use http1::{BodyEvent, Limits, RequestDecoder, RequestEncoder, ResponseDecoder, ResponseEncoder};
use message::{BodyLength, Fields, RequestHead, ResponseHead};
use proptest::prelude::*;

use crate::encoders::{drain, fields};
use crate::requests::head_of;

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

type Lines = Vec<(String, String)>;

/// What was read of a message behind its head.
#[derive(Debug, Default, PartialEq)]
struct Content {
    body: Vec<u8>,
    trailers: Lines,
}

fn lines() -> impl Strategy<Value = Lines> {
    proptest::collection::vec(("x-[a-z]{1,12}", "([!-~]([ -~]{0,30}[!-~])?)?"), 0..8)
}

fn built(lines: &Lines) -> Fields {
    fields(&lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>())
}

/// The fields of ours that arrived, in order.
fn ours(fields: &Fields) -> Lines {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().filter(|f| f.name.starts_with(b"x-")).map(|f| (text(f.name), text(f.value))).collect()
}

fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 0..5)
}

impl Content {
    /// Notes an event. True when bytes are wanted.
    fn note(&mut self, event: BodyEvent) -> bool {
        match event {
            BodyEvent::More => return true,
            BodyEvent::Data(data) => self.body.extend_from_slice(&data),
            BodyEvent::Trailers(fields) => self.trailers = ours(&fields),
            BodyEvent::End => {}
        }
        false
    }
}

/// Reads one request from `wire`, `step` bytes at a time, and nothing behind it.
fn read_request(wire: &[u8], step: usize) -> (RequestHead, Content) {
    let (mut input, mut decoder, limits) = (ReadBuf::new(Class::K16), RequestDecoder::new(), Limits::default());
    let mut steps = wire.chunks(step);
    let mut feed = |input: &mut ReadBuf| {
        let piece = steps.next().expect("the request does not end");
        assert_eq!(input.fill_from(piece), piece.len());
    };
    let head = loop {
        match decoder.head(&mut input, &limits).unwrap() {
            Some(head) => break head,
            None => feed(&mut input),
        }
    };
    let mut content = Content::default();
    while !decoder.body_done() {
        if content.note(decoder.body(&mut input, &limits).unwrap()) {
            feed(&mut input);
        }
    }
    assert!(decoder.end_of_input(&input) && steps.next().is_none());
    (head, content)
}

/// Reads all heads and the body of the answer, and says whether the connection can be kept.
fn read_answer(decoder: &mut ResponseDecoder, wire: &[u8], step: usize) -> (Vec<ResponseHead>, Content, bool) {
    let (mut input, limits) = (ReadBuf::new(Class::K16), Limits::default());
    let (mut heads, mut content) = (Vec::<ResponseHead>::new(), Content::default());
    let mut steps = wire.chunks(step);
    while !decoder.body_done() {
        let wants_bytes = if heads.last().is_none_or(ResponseHead::is_interim) {
            let head = decoder.head(&mut input, &limits).unwrap();
            let none = head.is_none();
            heads.extend(head);
            none
        } else {
            content.note(decoder.body(&mut input, &limits).unwrap())
        };
        if !wants_bytes {
            continue;
        }
        match steps.next() {
            Some(piece) => assert_eq!(input.fill_from(piece), piece.len()),
            None => decoder.end_of_input().unwrap(),
        }
    }
    assert!(input.is_empty() && steps.next().is_none());
    (heads, content, decoder.keep_alive())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests(
        method in "[A-Z]{1,7}",
        path in "/[!-\"$->@-~]{0,40}",
        query in proptest::option::of("[!-\"$-~]{0,40}"),
        head in lines(),
        pieces in pieces(),
        trailers in lines(),
        streamed in any::<bool>(),
        step in 1..5000usize,
    ) {
        prop_assume!(method != "CONNECT");
        let target = query.as_ref().map_or(path.clone(), |q| format!("{path}?{q}"));
        let body: Vec<u8> = pieces.concat();
        let length = if streamed { BodyLength::Streamed } else { BodyLength::Known(body.len() as u64) };
        let mut out = OutQueue::new();
        let mut encoder = RequestEncoder::new();
        let mut sent = vec![("host".to_string(), "a.example".to_string())];
        sent.extend(head.clone());
        encoder.head(&mut out, method.as_bytes(), target.as_bytes(), &built(&sent), length, None);
        for piece in &pieces {
            encoder.data(&mut out, Shared::copy_of(piece)).unwrap();
        }
        encoder.end(&mut out, Some(&built(&trailers))).unwrap();
        prop_assert!(encoder.finished());

        let (got, content) = read_request(&drain(&mut out), step);
        prop_assert_eq!(got.method_bytes(), method.as_bytes());
        prop_assert_eq!(got.path_bytes(), path.as_bytes());
        prop_assert_eq!(got.query_bytes(), query.as_ref().map(|q| q.as_bytes()));
        prop_assert_eq!(got.authority_bytes(), b"a.example");
        prop_assert_eq!(got.body, length);
        prop_assert_eq!(ours(&got.fields), head);
        prop_assert_eq!(content, Content { body, trailers: if streamed { trailers } else { Lines::new() } });
    }

    #[test]
    fn responses(
        to_head in any::<bool>(),
        old in any::<bool>(),
        keep in any::<bool>(),
        close in any::<bool>(),
        status in prop_oneof![Just(200u16), Just(204), Just(304), Just(404), 200..600u16],
        head in lines(),
        pieces in pieces(),
        trailers in lines(),
        streamed in any::<bool>(),
        step in 1..5000usize,
    ) {
        let method = if to_head { "HEAD" } else { "GET" };
        let version = if old { "1.0" } else { "1.1" };
        let wish = if keep { "keep-alive" } else { "close" };
        let request = format!("{method} / HTTP/{version}\r\nHost: a\r\nConnection: {wish}\r\n\r\n");
        let request = head_of(request.as_bytes()).0;
        let body: Vec<u8> = pieces.concat();
        let length = if streamed { BodyLength::Streamed } else { BodyLength::Known(body.len() as u64) };
        let mut out = OutQueue::new();
        let mut encoder = ResponseEncoder::new(&request);
        encoder.interim(&mut out, 103, &built(&head));
        encoder.head(&mut out, &ResponseHead::new(status, built(&head), length), DATE, close);
        let sends = encoder.wants_body();
        for piece in &pieces {
            encoder.data(&mut out, Shared::copy_of(piece)).unwrap();
        }
        encoder.end(&mut out, Some(&built(&trailers))).unwrap();

        let mut decoder = ResponseDecoder::new(request.method);
        let (heads, content, kept) = read_answer(&mut decoder, &drain(&mut out), step);
        let statuses: Vec<u16> = heads.iter().map(|h| h.status).collect();
        prop_assert_eq!(statuses, if old { vec![status] } else { vec![103, status] });
        prop_assert!(heads.iter().all(|h| ours(&h.fields) == head));
        let delimited_by_close = old && streamed && sends;
        prop_assert_eq!(encoder.keep_alive(), keep && !close && !delimited_by_close);
        // The status line says 1.1 even to a 1.0 client, so the encoder's word and the decoder's are the same.
        prop_assert_eq!(kept, encoder.keep_alive());
        let trailers = if sends && streamed && !old { trailers } else { Lines::new() };
        prop_assert_eq!(content, Content { body: if sends { body } else { Vec::new() }, trailers });
    }
}
