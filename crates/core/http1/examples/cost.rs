//! What a head costs, in instructions. Run it under callgrind and divide the inclusive cost of each function by
//! [`ROUNDS`]:
//!
//! ```text
//! cargo build --release -p http1 --example cost
//! valgrind --tool=callgrind --callgrind-out-file=/tmp/cost.out target/release/examples/cost
//! callgrind_annotate --inclusive=yes /tmp/cost.out | grep -E 'cost::(decode|build|encode|relay)'
//! ```

use std::hint::black_box;

use buf::{Class, OutQueue, ReadBuf, Shared};
use http1::{Limits, RequestDecoder, RequestEncoder, ResponseDecoder, ResponseEncoder};
use message::{BodyLength, Fields, FieldsBuilder, Known, Method, RequestHead, ResponseHead};

const ROUNDS: usize = 1000;

/// What wrk sends.
const SMALL: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

/// What a browser sends.
const BROWSER: &[u8] = b"GET /assets/app.css?v=3 HTTP/1.1\r\n\
Host: www.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
Accept: text/css,*/*;q=0.1\r\n\
Accept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Connection: keep-alive\r\n\
Referer: https://www.example.com/index.html\r\n\
Cookie: session=0123456789abcdef0123456789abcdef\r\n\
Sec-Fetch-Dest: style\r\n\
Sec-Fetch-Mode: no-cors\r\n\
Sec-Fetch-Site: same-origin\r\n\
If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
Cache-Control: max-age=0\r\n\r\n";

/// What an origin answers.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
Server: nginx\r\n\
Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
Content-Type: text/html\r\n\
Content-Length: 5\r\n\
Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
Connection: keep-alive\r\n\
ETag: \"5f0c1e2a-400\"\r\n\r\nhello";

fn main() {
    let limits = Limits::default();
    for _ in 0..ROUNDS {
        serve(SMALL, &limits, decode_small);
        serve(BROWSER, &limits, decode_browser);
        relay(&limits);
    }
}

fn serve(bytes: &[u8], limits: &Limits, decode: fn(&mut ReadBuf, &Limits) -> Option<RequestHead>) {
    let mut input = ReadBuf::new(Class::K16);
    input.fill_from(bytes);
    let Some(request) = decode(&mut input, limits) else { return };
    let fields = build();
    let mut out = OutQueue::new();
    encode(&mut out, &request, fields);
    black_box(&out);
}

#[inline(never)]
fn decode_small(input: &mut ReadBuf, limits: &Limits) -> Option<RequestHead> {
    black_box(RequestDecoder::new()).head(input, limits).ok().flatten()
}

#[inline(never)]
fn decode_browser(input: &mut ReadBuf, limits: &Limits) -> Option<RequestHead> {
    // Keeps the linker from folding the two functions into one.
    black_box(1);
    black_box(RequestDecoder::new()).head(input, limits).ok().flatten()
}

#[inline(never)]
fn build() -> Fields {
    let mut b = FieldsBuilder::new();
    b.push_known(Known::Server, b"Server", b"tollgate");
    b.push_known(Known::ContentType, b"Content-Type", b"text/html");
    b.push_known(Known::Etag, b"ETag", b"\"5f0c1e2a-400\"");
    b.finish()
}

#[inline(never)]
fn encode(out: &mut OutQueue, request: &RequestHead, fields: Fields) {
    let mut encoder = ResponseEncoder::new(request);
    let head = ResponseHead::new(200, fields, BodyLength::Known(1024));
    encoder.head(out, &head, b"Sun, 06 Nov 1994 08:49:37 GMT", false);
    black_box(&encoder);
}

/// The other side of a proxied request: a request to an origin and the origin's answer.
fn relay(limits: &Limits) {
    let fields = build();
    let mut out = OutQueue::new();
    relay_encode(&mut out, &fields);
    black_box(&out);
    let mut input = ReadBuf::new(Class::K16);
    input.fill_from(ANSWER);
    let mut decoder = ResponseDecoder::new(Method::Get);
    black_box(relay_decode(&mut decoder, &mut input, limits));
    black_box(relay_body(&mut decoder, &mut input, limits));
}

#[inline(never)]
fn relay_encode(out: &mut OutQueue, fields: &Fields) {
    let mut encoder = RequestEncoder::new();
    encoder.head(out, b"GET", b"/", fields, BodyLength::None, None);
    black_box(encoder.end(out, None)).ok();
}

#[inline(never)]
fn relay_decode(decoder: &mut ResponseDecoder, input: &mut ReadBuf, limits: &Limits) -> Option<ResponseHead> {
    decoder.head(input, limits).ok().flatten()
}

#[inline(never)]
fn relay_body(decoder: &mut ResponseDecoder, input: &mut ReadBuf, limits: &Limits) -> Option<Shared> {
    match decoder.body(input, limits) {
        Ok(http1::BodyEvent::Data(bytes)) => Some(bytes),
        _ => None,
    }
}
