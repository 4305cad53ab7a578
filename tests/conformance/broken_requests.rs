//! Heads that are refused.

use std::net::SocketAddr;

use tests::Client;

use crate::{LIMITS, both};

/// What follows a broken request on its connection: had it been taken for a request, there would be a second answer.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: smuggled\r\n\r\n";

/// Heads that are refused with 400.
const BAD: &[(&str, &str)] = &[
    ("both lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (
        "both, other way",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    ("repeated length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    ("repeated equal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    ("list of equal lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello"),
    ("plus sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello"),
    ("minus sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello"),
    ("hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello"),
    ("empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n"),
    ("length with a space", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 0\r\n\r\nhello"),
    ("length beyond 64 bits", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n"),
    ("coding in 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("coding not chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"),
    ("chunked not last", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"),
    ("identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
    ("chunked twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    (
        "coding repeated",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("coding with junk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("coding with a vertical tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("coding in quotes", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    ("length with an underscore", "POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\nhello"),
    (
        "both, one with an underscore",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent_Length: 0\r\n\r\nhello",
    ),
    (
        "coding with an underscore",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("coding with a dot", "POST / HTTP/1.1\r\nHost: a\r\ntransfer.encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("empty coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n"),
    ("folded line", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n"),
    ("folded with a tab", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\t2\r\n\r\n"),
    ("folded coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    ("fold before all", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    ("bare LF lines", "GET / HTTP/1.1\nHost: a\n\n"),
    ("bare LF in the middle", "GET / HTTP/1.1\r\nHost: a\nX-A: 1\r\n\r\n"),
    ("bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    ("bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r2\r\n\r\n"),
    ("bare CR ends a line", "GET / HTTP/1.1\r\nHost: a\rX-A: 1\r\n\r\n"),
    ("CR CR LF", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
    ("space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A : 1\r\n\r\n"),
    ("space before the length's colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello"),
    ("tab before the colon", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"),
    ("no colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n"),
    ("empty name", "GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n"),
    ("name with a bracket", "GET / HTTP/1.1\r\nHost: a\r\nX[A]: 1\r\n\r\n"),
    ("NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\x002\r\n\r\n"),
    ("NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\x00A: 1\r\n\r\n"),
    ("NUL in the method", "G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("control in a value", "GET / HTTP/1.1\r\nHost: a\r\nX-A: \x01\r\n\r\n"),
    ("DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX-A: \x7f\r\n\r\n"),
    ("no Host", "GET / HTTP/1.1\r\n\r\n"),
    ("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    ("two Hosts in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    ("Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ("Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ("Host with a query", "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"),
    ("Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    ("Host with a bad port", "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n"),
    ("Host with a large port", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"),
    ("Host with an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    ("bad Host in 1.0", "GET / HTTP/1.0\r\nHost: a b\r\n\r\n"),
    ("absolute-form with a bad host", "GET http://a b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("absolute-form with a user", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("absolute-form without a host", "GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("absolute-form without Host", "GET http://a/ HTTP/1.1\r\n\r\n"),
    ("another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("asterisk for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("relative target", "GET index.html HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("fragment", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("CONNECT with a path", "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("above the root", "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("above the root, encoded", "GET /a/%2e%2e/%2E%2e/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("NUL encoded in the path", "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("broken encoding", "GET /a%2 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    ("tab for a space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("space in front", " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("no version (HTTP/0.9)", "GET /\r\n\r\n"),
    ("version in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n"),
    ("no digit behind the dot", "GET / HTTP/1.\r\nHost: a\r\n\r\n"),
    ("long version", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    ("bad method", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n"),
    ("nonsense", "hello\r\n\r\n"),
];

/// Those of them that are framed well: only what they ask for is wrong, and the connection goes on with the next request.
const FRAMED: &[&str] = &["above the root", "above the root, encoded", "NUL encoded in the path", "broken encoding"];

/// Heads that are refused with another status.
const OTHERS: &[(u16, &str, &str)] = &[
    (501, "gzip, then chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (417, "another expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 5\r\n\r\nhello"),
    (505, "version 2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    (505, "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    (505, "version 1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    (505, "version 0.9", "GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
    (413, "a body too large by its length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"),
];

/// Sends it, and expects this one answer, that it closes, and that nothing comes behind it.
fn refused(to: SocketAddr, name: &str, status: u16, request: &str) {
    let mut client = Client::connect(to);
    // A server that has refused may close while the rest is being sent.
    let _ = client.try_send(format!("{request}{SMUGGLED}"));
    let reply = client.try_reply().unwrap_or_else(|e| panic!("{name}: {e}"));
    let reply = reply.unwrap_or_else(|| panic!("{name}: no answer"));
    assert_eq!(reply.status, status, "{name}: {} {}", reply.head, reply.text());
    assert!(reply.complete && !reply.body.is_empty(), "{name}: the page says what is wrong");
    assert!(!reply.text().contains("smuggled"), "{name}");
    if FRAMED.contains(&name) {
        assert!(reply.keeps_alive(), "{name}");
        let next = client.reply();
        assert!(matches!(next.status, 200 | 404), "{name}: {}", next.head);
        return;
    }
    assert!(!reply.keeps_alive(), "{name}: {}", reply.head);
    client.half_close();
    client.expect_end();
}

#[test]
fn broken_heads_are_refused_and_never_forwarded() {
    let both = both(LIMITS);
    let all = BAD.iter().map(|(name, request)| (400, name, request));
    let others = OTHERS.iter().map(|(status, name, request)| (*status, name, request));
    for (status, name, request) in all.chain(others) {
        refused(both.server.address(), name, status, request);
        refused(both.proxy.address(), name, status, request);
        let seen = both.origin.seen_text();
        let forwarded = seen.split("\r\n\r\n").filter(|head| !head.is_empty());
        assert!(forwarded.clone().all(|head| head.starts_with("GET /smuggled ")), "{name}: the origin saw {seen}");
    }
}

#[test]
fn a_broken_head_is_refused_the_same_byte_by_byte() {
    let both = both(LIMITS);
    for (name, request) in BAD.iter().step_by(7) {
        for to in [both.server.address(), both.proxy.address()] {
            let mut client = Client::connect(to);
            for byte in request.as_bytes() {
                if client.try_send([*byte]).is_err() {
                    break;
                }
            }
            let reply = client.try_reply().ok().flatten().unwrap_or_else(|| panic!("{name}: no answer"));
            assert_eq!(reply.status, 400, "{name}");
        }
    }
    assert_eq!(both.origin.connections(), 0);
}

#[test]
fn what_is_too_large_is_refused_by_name() {
    let both = both(LIMITS);
    let many: String = (0..21).map(|i| format!("X-{i}: 1\r\n")).collect();
    let cases = [
        (414, "a long target", format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(1024))),
        (414, "an endless first line", format!("GET /{}", "a".repeat(8000))),
        (431, "a long field", format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n", "a".repeat(4096))),
        (431, "an endless field", format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {}", "a".repeat(8000))),
        (431, "too many fields", format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")),
    ];
    for (status, name, request) in &cases {
        for to in [both.server.address(), both.proxy.address()] {
            let mut client = Client::connect(to);
            let _ = client.try_send(request);
            let reply = client.reply();
            assert_eq!(reply.status, *status, "{name}");
            assert!(!reply.keeps_alive(), "{name}");
            client.half_close();
            client.expect_end();
        }
    }
    assert_eq!(both.origin.connections(), 0);
    let just = format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n", "a".repeat(4000));
    assert_eq!(Client::connect(both.proxy.address()).ask(&just).status, 200, "what is within the limits passes");
}
