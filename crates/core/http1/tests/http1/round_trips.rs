//! What one side writes, the other side reads.

use buf::{Class, OutQueue, ReadBuf, Shared};
use http1::{BodyEvent, Limits, RequestDecoder, RequestEncoder, ResponseDecoder, ResponseEncoder};
use message::{BodyLength, Fields, Method, RequestHead, ResponseHead, Version};
use proptest::prelude::*;

use crate::encoders::{drain, fields};
use crate::requests::head_of;

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

type Lines = Vec<(String, String)>;

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

/// Reads a body to its end, with no more than `step` bytes at a time.
fn read_body<E: std::fmt::Debug>(
    wire: &[u8],
    step: usize,
    input: &mut ReadBuf,
    mut next: impl FnMut(&mut ReadBuf) -> Result<BodyEvent, E>,
) -> (Vec<u8>, Lines, usize) {
    let (mut body, mut trailers, mut at) = (Vec::new(), Lines::new(), 0);
    loop {
        match next(input).unwrap() {
            BodyEvent::More => {
                let end = (at + step).min(wire.len());
                assert!(end > at, "the body does not end");
                at += input.fill_from(&wire[at..end]);
            }
            BodyEvent::Data(data) => body.extend_from_slice(&data),
            BodyEvent::Trailers(fields) => trailers = ours(&fields),
            BodyEvent::End => return (body, trailers, at),
        }
    }
}

fn request_for(method: &str, version: &str, connection: &str) -> RequestHead {
    head_of(format!("{method} / {version}\r\nHost: a\r\n{connection}\r\n").as_bytes()).0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests(
        method in "[A-Z]{1,7}", path in "/[!-\"$->@-~]{0,40}", query in proptest::option::of("[!-\"$-~]{0,40}"), head in lines(),
        pieces in pieces(), trailers in lines(), streamed in any::<bool>(), step in 1..5000usize,
    ) {
        prop_assume!(method != "CONNECT");
        let target = query.as_ref().map_or(path.clone(), |q| format!("{path}?{q}"));
        let body: Vec<u8> = pieces.concat();
        let length = if streamed { BodyLength::Streamed } else { BodyLength::Known(body.len() as u64) };
        let mut out = OutQueue::new();
        let mut encoder = RequestEncoder::new();
        let mut all = vec![("host".to_string(), "a.example".to_string())];
        all.extend(head.clone());
        encoder.head(&mut out, method.as_bytes(), target.as_bytes(), &built(&all), length, None);
        for piece in &pieces {
            encoder.data(&mut out, Shared::copy_of(piece)).unwrap();
        }
        encoder.end(&mut out, Some(&built(&trailers))).unwrap();
        prop_assert!(encoder.finished());
        let wire = drain(&mut out);

        let (got, rest) = { let split = wire.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4; (head_of(&wire[..split]).0, &wire[split..]) };
        prop_assert_eq!(got.method_bytes(), method.as_bytes());
        prop_assert_eq!(got.path_bytes(), path.as_bytes());
        prop_assert_eq!(got.query_bytes(), query.as_ref().map(|q| q.as_bytes()));
        prop_assert_eq!(got.authority_bytes(), b"a.example");
        prop_assert_eq!(got.body, length);
        prop_assert_eq!(ours(&got.fields), head);

        let mut input = ReadBuf::new(Class::K16);
        let mut decoder = RequestDecoder::new();
        let limits = Limits::default();
        input.fill_from(&wire[..wire.len() - rest.len()]);
        prop_assert!(decoder.head(&mut input, &limits).unwrap().is_some());
        let (read, behind, at) = read_body(rest, step, &mut input, |input| decoder.body(input, &limits));
        prop_assert_eq!(at, rest.len());
        prop_assert_eq!(read, body);
        prop_assert_eq!(behind, if streamed { trailers } else { Lines::new() });
        prop_assert!(decoder.end_of_input(&input));
    }

    #[test]
    fn responses(
        to_head in any::<bool>(), old in any::<bool>(), keep in any::<bool>(), close in any::<bool>(),
        status in prop_oneof![Just(200u16), Just(204), Just(304), Just(404), 200..600u16],
        head in lines(), pieces in pieces(), trailers in lines(), streamed in any::<bool>(), step in 1..5000usize,
    ) {
        let (method, version) = (if to_head { "HEAD" } else { "GET" }, if old { "HTTP/1.0" } else { "HTTP/1.1" });
        let request = request_for(method, version, if keep { "Connection: keep-alive\r\n" } else { "Connection: close\r\n" });
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
        let wire = drain(&mut out);

        let limits = Limits::default();
        let mut input = ReadBuf::new(Class::K16);
        let mut decoder = ResponseDecoder::new(request.method);
        let mut at = 0;
        let got = loop {
            at += input.fill_from(&wire[at..(at + step).min(wire.len())]);
            while let Some(got) = decoder.head(&mut input, &limits).unwrap() {
                prop_assert_eq!(ours(&got.fields), head.clone());
                prop_assert!(!old || got.status != 103);
                if !got.is_interim() { break; }
            }
            if decoder.body_done() || decoder.body_left().is_some() || !matches!(decoder.body(&mut ReadBuf::new(Class::K4), &limits), Ok(BodyEvent::More)) || at == wire.len() { break decoder.keep_alive(); }
        };
        let _ = got;
        let (read, behind) = read_answer(&mut decoder, &mut input, &wire[at..], step);
        prop_assert!(decoder.body_done() && input.is_empty());
        prop_assert_eq!(read, if sends { body } else { Vec::new() });
        prop_assert_eq!(behind, if sends && streamed && !old { trailers } else { Lines::new() });
        prop_assert_eq!(encoder.keep_alive(), keep && !close && (!old || !streamed || !sends));
        prop_assert_eq!(request.method == Method::Head, to_head);
        prop_assert_eq!(request.version == Version::Http10, old);
    }
}
