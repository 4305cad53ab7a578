//! Bodies that break off, break the rules, or are too large.

use tests::{Client, Origin, Tollgate, answer};

use crate::{LIMITS, both};

const CHUNKED: &str = "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

const BAD_CHUNKS: &[(&str, &str)] = &[
    ("no digit", "\r\nhello\r\n0\r\n\r\n"),
    ("no hexadecimal digit", "g\r\nhello\r\n0\r\n\r\n"),
    ("0x", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("minus", "-5\r\nhello\r\n0\r\n\r\n"),
    ("plus", "+5\r\nhello\r\n0\r\n\r\n"),
    ("space in front", " 5\r\nhello\r\n0\r\n\r\n"),
    ("space behind", "5 \r\nhello\r\n0\r\n\r\n"),
    ("bare LF behind the size", "5\nhello\r\n0\r\n\r\n"),
    ("bare LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
    ("bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("NUL in an extension", "5;a\x00b\r\nhello\r\n0\r\n\r\n"),
    ("size beyond 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("data longer than its size", "4\r\nhello\r\n0\r\n\r\n"),
    ("data shorter than its size", "6\r\nhello\r\n0\r\n\r\n"),
    ("bare LF behind the data", "5\r\nhello\n0\r\n\r\n"),
    ("bare LF behind the last size", "5\r\nhello\r\n0\n\r\n"),
    ("broken trailer", "5\r\nhello\r\n0\r\nX-A : 1\r\n\r\n"),
    ("folded trailer", "5\r\nhello\r\n0\r\nX-A: 1\r\n 2\r\n\r\n"),
    ("trailer with a bare LF", "5\r\nhello\r\n0\r\nX-A: 1\n\r\n"),
];

#[test]
fn broken_chunks_are_refused_and_the_origin_never_has_a_whole_request() {
    // An origin that answers only a request that came whole.
    let both = both(LIMITS);
    for (name, body) in BAD_CHUNKS {
        let mut client = Client::connect(both.proxy.address());
        client.send(format!("{CHUNKED}{body}"));
        let reply = client.reply();
        assert_eq!(reply.status, 400, "{name}: {}", reply.text());
        assert!(!reply.keeps_alive(), "{name}");
        client.half_close();
        client.expect_end();
    }
    let last = Client::connect(both.proxy.address()).ask(format!("{CHUNKED}5\r\nhello\r\n0\r\n\r\n"));
    assert_eq!((last.status, last.text()), (200, "origin".into()));
}

#[test]
fn broken_chunks_of_a_body_that_nobody_wants_close_the_connection() {
    let both = both(LIMITS);
    for (name, body) in BAD_CHUNKS {
        let mut client = Client::connect(both.server.address());
        client.send(format!("{CHUNKED}{body}GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        // The answer, whichever it is, does not depend on the body; what follows is never taken for a request.
        assert_eq!(client.reply().status, 405, "{name}");
        client.half_close();
        client.expect_end();
    }
}

#[test]
fn good_chunks_pass_however_they_are_written() {
    let both = both(LIMITS);
    for body in [
        "5\r\nhello\r\n0\r\n\r\n",
        "05\r\nhello\r\n00\r\n\r\n",
        "5;ext=1;other=\"x\"\r\nhello\r\n0;last\r\n\r\n",
        "2 ;a\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n",
        "1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n",
    ] {
        let mut client = Client::connect(both.proxy.address());
        assert_eq!(client.ask(format!("{CHUNKED}{body}")).status, 200, "{body:?}");
        assert_eq!(client.get("/again").status, 200, "the connection is in step: {body:?}");
    }
}

#[test]
fn a_body_that_becomes_too_large_is_refused_in_the_middle() {
    let origin = Origin::start(|connection, _| {
        connection.request();
    });
    let proxy = Tollgate::config(&format!(
        "{LIMITS}\n[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"o\" }}\n[upstream.o]\nservers = [\"{}\"]\n",
        origin.address()
    ));
    let mut client = Client::connect(proxy.address());
    client.send(CHUNKED);
    for _ in 0..11 {
        let _ = client.try_send(format!("64\r\n{}\r\n", "a".repeat(100)));
    }
    let reply = client.reply();
    assert_eq!(reply.status, 413);
    assert!(reply.text().contains("larger than the 1000 bytes"), "{}", reply.text());
    client.half_close();
    client.expect_end();
}

#[test]
fn a_route_may_allow_more_or_less() {
    let origin = Origin::answering(answer("200 OK", "origin"));
    let proxy = Tollgate::config(&format!(
        "{LIMITS}\n[[route]]\npath = \"/large\"\nbody_bytes = \"2000B\"\nproxy = {{ upstream = \"o\" }}\n\
         [[route]]\npath = \"/small\"\nbody_bytes = \"10B\"\nproxy = {{ upstream = \"o\" }}\n\
         [upstream.o]\nservers = [\"{}\"]\n",
        origin.address()
    ));
    for (path, length, status) in
        [("/large", 2000, 200), ("/large", 2001, 413), ("/small", 10, 200), ("/small", 11, 413)]
    {
        let mut client = Client::connect(proxy.address());
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{}", "a".repeat(length));
        assert_eq!(client.ask(request).status, status, "{path} {length}");
    }
}

#[test]
fn a_body_that_breaks_off_never_reaches_the_origin_whole() {
    for (name, request) in [
        ("by length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello".to_owned()),
        ("in a chunk", format!("{CHUNKED}a\r\nhello")),
        ("behind a chunk", format!("{CHUNKED}5\r\nhello\r\n")),
        ("before the last line", format!("{CHUNKED}5\r\nhello\r\n0\r\n")),
    ] {
        let (send, receive) = std::sync::mpsc::channel();
        let origin = Origin::start(move |connection, _| {
            let whole = connection.request().is_some();
            let _ = send.send(whole);
        });
        let proxy = Tollgate::proxy(&[origin.address()]);
        let mut client = Client::connect(proxy.address());
        client.send(request);
        client.half_close();
        assert_eq!(client.reply().status, 400, "{name}");
        client.expect_end();
        assert_eq!(receive.recv_timeout(tests::PATIENCE), Ok(false), "{name}");
    }
}
