//! Origins that fail after their answer has begun: the client sees an abort, never a clean end.

use tests::{Client, End, Origin, Tollgate, answer};

use crate::{SHORT, proxy_with};

/// Gets `/` from a proxy whose origin sends `bytes`, then does `then`.
fn got(bytes: &'static str, then: fn(&mut tests::Connection)) -> (tests::Reply, Client, (Tollgate, Origin)) {
    let origin = Origin::start(move |connection, _| {
        connection.request();
        connection.send(bytes);
        then(connection);
    });
    let proxy = proxy_with(&[origin.address()], SHORT);
    let mut client = Client::connect(proxy.address());
    let reply = client.get("/");
    (reply, client, (proxy, origin))
}

fn ends(_: &mut tests::Connection) {}

fn stalls(connection: &mut tests::Connection) {
    connection.wait_for_end();
}

/// Resets when the answer is on its way: a reset at once could overtake it.
fn resets(connection: &mut tests::Connection) {
    std::thread::sleep(std::time::Duration::from_millis(100));
    connection.reset();
}

#[test]
fn a_body_shorter_than_declared_is_an_abort() {
    for then in [ends, stalls, resets] {
        let (reply, mut client, _running) = got("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", then);
        assert_eq!((reply.status, reply.complete), (200, false));
        assert!(b"hello".starts_with(&reply.body));
        assert_ne!(client.read_to_end().1, End::Open);
    }
}

#[test]
fn chunks_that_break_off_are_an_abort() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A : 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    ] {
        for then in [ends, stalls] {
            let (reply, mut client, _running) = got(bytes, then);
            assert_eq!((reply.status, reply.complete), (200, false), "{bytes:?}");
            assert_ne!(client.read_to_end().1, End::Open, "{bytes:?}");
        }
    }
}

#[test]
fn a_body_that_only_a_reset_ends_is_an_abort_for_an_old_client_too() {
    let origin = Origin::start(|connection, _| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.0\r\n\r\n");
    // Its end is the connection's end, so that only a reset can say that it is none.
    assert_eq!(client.read_to_end().1, End::Reset);
}

#[test]
fn a_body_longer_than_declared_is_cut_and_its_connection_not_used_again() {
    let origin = Origin::start(|connection, _| {
        while connection.request().is_some() {
            connection.send(
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            );
        }
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    for asked in 1..=3 {
        let reply = client.get("/");
        assert_eq!((reply.complete, reply.text()), (true, "hello".into()));
        assert_eq!(origin.connections(), asked);
    }
}

#[test]
fn a_body_that_only_the_end_of_its_connection_delimits_is_whole() {
    let (reply, mut client, _running) = got("HTTP/1.1 200 OK\r\n\r\nhello", ends);
    assert_eq!((reply.status, reply.complete, reply.text()), (200, true, "hello".into()));
    assert_eq!(reply.field("transfer-encoding").as_deref(), Some("chunked"));
    assert!(reply.keeps_alive());
    assert_eq!(client.get("/").text(), "hello", "the client's connection lives on");
    let (reply, ..) = got("HTTP/1.0 200 OK\r\n\r\nhello", ends);
    assert_eq!((reply.complete, reply.text()), (true, "hello".into()));
}

#[test]
fn a_coding_that_nobody_asked_for_is_not_passed_on() {
    // There is no name to pass it on under, and what comes is not the content.
    for line in ["gzip", "xchunked", "chunked;a=b", "chunked, gzip", "gzip, chunked", "chunked, identity"] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {line}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        let (reply, ..) = got(answer.leak(), ends);
        assert_eq!(reply.status, 502, "{line}");
        assert!(reply.text().contains("transfer coding that it was not asked for"), "{line}: {}", reply.text());
    }
    // The old name for none.
    let (reply, ..) = got("HTTP/1.1 200 OK\r\nTransfer-Encoding: Identity\r\n\r\nhello", ends);
    assert_eq!((reply.status, reply.complete, reply.text()), (200, true, "hello".into()));
}

#[test]
fn half_a_head_is_no_body_that_was_cut() {
    let (reply, _client, (proxy, _)) = got("HTTP/1.1 200 OK\r\nContent-Le", ends);
    assert_eq!(reply.status, 502);
    proxy.process.logged("502 UCLS upstream/response-head: ", 1);
    assert!(proxy.process.log().contains("before the head of its answer was complete"), "{}", proxy.process.log());
    let (_, _client, (proxy, _)) =
        got("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n", stalls);
    proxy.process.logged("UTRU upstream/response-body: ", 1);
}

#[test]
fn an_early_answer_is_passed_on_while_the_client_still_sends() {
    let origin = Origin::start(|connection, number| {
        connection.head();
        connection.send(answer("413 Content Too Large", &format!("too large {number}")));
        connection.wait_for_end();
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\nhello");
    let reply = client.reply();
    assert_eq!((reply.status, reply.text()), (413, "too large 0".into()));
    // What is left is too much to be skipped: the connection ends, and in order, however much was under way.
    assert!(!reply.keeps_alive() || client.try_send("x").is_ok());
    drop(client);
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "too large 1");
}
