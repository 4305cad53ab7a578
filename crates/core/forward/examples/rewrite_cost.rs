//! What rewriting a head costs, in instructions. Run it under callgrind and divide the inclusive cost of each function by
//! [`ROUNDS`]:
//!
//! ```text
//! cargo build --release -p forward --example rewrite_cost
//! valgrind --tool=callgrind --callgrind-out-file=/tmp/forward.out target/release/examples/rewrite_cost
//! callgrind_annotate --inclusive=yes /tmp/forward.out | grep -E 'rewrite_cost::(request|response|queue)'
//! ```

use std::hint::black_box;
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr};

use buf::{OutQueue, Shared};
use forward::{
    ClientAddress, ClientInfo, FieldRules, HostPolicy, RequestOptions, ResponseOptions, Scheme, TooManyOptions,
};
use message::{
    BodyLength, Field, FieldLines, Fields, HeadWriter, Known, Method, RequestHead, ResponseHead, Span, TargetForm,
    Version,
};

const ROUNDS: usize = 1000;

const REQUEST: &str = "GET /assets/app.css?v=3 HTTP/1.1\r\n\
Host: www.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
Accept: text/css,*/*;q=0.1\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Connection: keep-alive\r\n\
Referer: https://www.example.com/index.html\r\n\
Cookie: session=0123456789abcdef0123456789abcdef\r\n\r\n";

const ANSWER: &str = "HTTP/1.1 200 OK\r\n\
Server: nginx\r\n\
Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
Content-Type: text/html\r\n\
Content-Length: 1024\r\n\
Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
Connection: keep-alive\r\n\
ETag: \"5f0c1e2a-400\"\r\n\
Accept-Ranges: bytes\r\n\r\n";

fn main() {
    let rules = FieldRules::none();
    let address = ClientAddress::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 33)));
    let client =
        ClientInfo { address: &address, scheme: Scheme::Http, asked: Scheme::Http, trusted: false, certificate: None };
    let asked = request_head();
    let answered = ResponseHead::new(200, read(ANSWER), BodyLength::Known(1024));
    for _ in 0..ROUNDS {
        request(&asked, &client, &rules);
        response(&answered, &rules);
        queue(REQUEST.as_bytes());
    }
}

/// With the lease of the queue's buffer and its return.
#[inline(never)]
fn request(head: &RequestHead, client: &ClientInfo<'_>, rules: &FieldRules) {
    let options = RequestOptions {
        host: &HostPolicy::Client,
        upstream: b"127.0.0.1:9000",
        rules,
        trailers: true,
        chunked: false,
        upgrade: false,
    };
    let len_max = forward::request_len_max(head, &options, client);
    let mut out = OutQueue::new();
    let written = out.write_with(len_max, |memory| {
        let mut lines = HeadWriter::over(memory);
        let _ = black_box(forward::request(head, &options, client, &mut lines)?);
        Ok::<_, TooManyOptions>(lines.len())
    });
    black_box((written, out)).0.ok();
}

/// With the lease of the queue's buffer and its return.
#[inline(never)]
fn response(head: &ResponseHead, rules: &FieldRules) {
    let options = ResponseOptions { rules, trailers: true, upgrade: false };
    let len_max = forward::response_len_max(head, &options);
    let mut out = OutQueue::new();
    let written = out.write_with(len_max, |memory| {
        let mut lines = HeadWriter::over(memory);
        forward::response(head, &options, &mut lines)?;
        Ok::<_, TooManyOptions>(lines.len())
    });
    black_box((written, out)).0.ok();
}

/// The way of a head and a small body through the queue of a connection.
#[inline(never)]
fn queue(bytes: &[u8]) {
    let mut out = OutQueue::new();
    out.put_parts([bytes]);
    out.push_static(b"hello");
    let mut slices = [IoSlice::new(&[]); 8];
    black_box(out.front(&mut slices));
    out.advance(out.len());
}

fn request_head() -> RequestHead {
    let fields = read(REQUEST);
    let span = |text: &str| REQUEST.find(text).map_or(Span::default(), |at| Span::new(at, at + text.len()));
    RequestHead {
        method: Method::Get,
        method_span: span("GET"),
        version: Version::Http11,
        form: TargetForm::Origin,
        target: span("/assets/app.css?v=3"),
        authority: span("www.example.com"),
        path: span("/assets/app.css"),
        query: Some(span("v=3")),
        fields,
        body: BodyLength::None,
        keep_alive: true,
        expect_continue: false,
        upgrade: false,
    }
}

/// A table over a head, as a decoder makes it.
fn read(head: &str) -> Fields {
    let mut fields = FieldLines::new();
    let mut at = 0;
    for line in head.split_inclusive("\r\n") {
        if let Some((name, value)) = line.split_once(": ") {
            let value_at = at + name.len() + 2;
            fields.push(Field {
                name: Span::new(at, at + name.len()),
                value: Span::new(value_at, value_at + value.trim_end().len()),
                known: Known::of(name.as_bytes()),
            });
        }
        at += line.len();
    }
    fields.set_canonical(true);
    fields.over(Shared::copy_of(head.as_bytes()))
}
