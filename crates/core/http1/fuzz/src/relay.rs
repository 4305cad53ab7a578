//! Sends on what was received, and reads it again: both must be the same message. This is what request smuggling
//! would break.

use buf::{Class, Front, OutQueue, ReadBuf};
use http1::{BodyEvent, BodyMismatch, Limits, RequestDecoder, RequestEncoder};
use message::{Fields, FieldsBuilder, Known, RequestHead, TargetForm};

/// Reads all requests of `bytes` as a server would, sends each on as a proxy would, and reads that again.
pub fn relayed_the_same(bytes: &[u8]) {
    let (sent, requests) = relay(bytes);
    let (again, requests_again) = relay(&sent);
    assert_eq!(sent, again, "what was sent on is read as something else");
    assert_eq!(requests, requests_again);
}

/// What a proxy sends for `bytes`, and how many complete requests that is.
fn relay(bytes: &[u8]) -> (Vec<u8>, usize) {
    let limits = Limits { header_bytes: 64 << 10, headers: 20_000, uri_bytes: 64 << 10 };
    let mut input = ReadBuf::new(Class::K64);
    let mut left = bytes;
    let mut decoder = RequestDecoder::new();
    let mut sent = Vec::new();
    let mut requests = 0;
    loop {
        left = &left[input.fill_from(left)..];
        let Ok(Some(head)) = decoder.head(&mut input, &limits) else { return (sent, requests) };
        if !can_be_sent_on(&head) {
            return (sent, requests);
        }
        let mut out = OutQueue::new();
        let mut encoder = RequestEncoder::new();
        encoder.head(&mut out, head.method_bytes(), head.target_bytes(), &end_to_end(&head), head.body, None);
        let Some(trailers) = relay_body(&mut decoder, &mut encoder, &mut input, &mut left, &mut out) else {
            return (sent, requests);
        };
        encoder.end(&mut out, trailers.as_ref()).expect("the body is as long as its head says");
        assert!(encoder.finished());
        drain(&mut out, &mut sent);
        requests += 1;
    }
}

/// The trailers, if the body was complete.
fn relay_body(
    decoder: &mut RequestDecoder,
    encoder: &mut RequestEncoder,
    input: &mut ReadBuf,
    left: &mut &[u8],
    out: &mut OutQueue,
) -> Option<Option<Fields>> {
    let limits = Limits { header_bytes: 64 << 10, headers: 20_000, uri_bytes: 64 << 10 };
    let mut trailers = None;
    while !decoder.body_done() {
        match decoder.body(input, &limits).ok()? {
            BodyEvent::More if left.is_empty() => return None,
            BodyEvent::More => *left = &left[input.fill_from(left)..],
            BodyEvent::Data(bytes) => {
                let sent: Result<(), BodyMismatch> = encoder.data(out, bytes);
                sent.expect("no more than announced");
            }
            BodyEvent::Trailers(fields) => trailers = Some(fields),
            BodyEvent::End => {}
        }
    }
    Some(trailers)
}

/// The encoder writes HTTP/1.1, which has to have a Host.
fn can_be_sent_on(head: &RequestHead) -> bool {
    head.fields.first(Known::Host).is_some() && head.form != TargetForm::Authority
}

fn end_to_end(head: &RequestHead) -> Fields {
    let mut builder = FieldsBuilder::new();
    for field in head.fields.iter() {
        let hop_by_hop =
            [Known::Connection, Known::ContentLength, Known::TransferEncoding, Known::Expect, Known::Upgrade];
        if !hop_by_hop.contains(&field.known) {
            builder.push_known(field.known, field.name, field.value);
        }
    }
    builder.finish()
}

fn drain(out: &mut OutQueue, sent: &mut Vec<u8>) {
    loop {
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        let Front::Bytes(n) = out.front(&mut slices) else { return };
        let before = sent.len();
        slices[..n].iter().for_each(|slice| sent.extend_from_slice(slice));
        out.advance((sent.len() - before) as u64);
    }
}
