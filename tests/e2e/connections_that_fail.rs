//! Origins that fail before their answer has begun: the client gets a page that says what happened, and keeps its
//! connection.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};
use tests::{Client, Origin, Tollgate, answer, closed_port};

use crate::{SHORT, proxy_with};

/// Asks twice on one connection: the page must have this status and sentence, and the connection must live on.
fn page(proxy: &Tollgate, status: u16, sentence: &str) {
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        let reply = client.get("/x");
        assert_eq!(reply.status, status, "{}", reply.text());
        assert!(reply.text().starts_with(&status.to_string()), "{}", reply.text());
        assert!(reply.text().contains(sentence), "{}", reply.text());
        assert!(reply.keeps_alive(), "{}", reply.head);
        assert_eq!(reply.field("cache-control").as_deref(), Some("no-store"));
    }
}

#[test]
fn an_origin_that_refuses() {
    let nobody = closed_port();
    let proxy = proxy_with(&[nobody], "retry = { attempts = 1 }");
    let mut client = Client::connect(proxy.address());
    let reply = client.get("/x");
    assert_eq!(reply.status, 502);
    let sentence = format!("upstream api {nobody}: the connection was refused; nothing listens there");
    assert!(reply.text().contains(&sentence), "{}", reply.text());
    assert!(reply.keeps_alive());
    proxy.process.logged(&sentence, 1);
    let html = client.ask("GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n");
    assert!(matches!(html.status, 502 | 503), "{}", html.head);
    assert!(html.text().contains(&format!("<h1>{} ", html.status)), "{}", html.text());
    if html.status == 503 {
        assert!(html.field("retry-after").is_some());
    }
}

#[test]
fn an_origin_that_does_not_accept() {
    // A listener that nobody accepts from, with a queue that is full.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    socket.listen(0).expect("a listener");
    let address = socket.local_addr().expect("an address").as_socket().expect("an IP address");
    let fill: Vec<Socket> = (0..8)
        .map(|_| {
            let one = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            one.set_nonblocking(true).expect("a socket option");
            let _ = one.connect(&address.into());
            one
        })
        .collect();
    let proxy = proxy_with(&[address], &format!("{SHORT}\nretry = {{ attempts = 1 }}"));
    let reply = Client::connect(proxy.address()).get("/");
    assert_eq!(reply.status, 504, "{}", reply.text());
    assert!(reply.text().contains(&format!("upstream api {address}")), "{}", reply.text());
    assert!(reply.text().contains("300ms"), "{}", reply.text());
    drop(fill);
}

#[test]
fn an_origin_that_never_answers() {
    let origin = Origin::start(|connection, _| {
        connection.wait_for_end();
    });
    let proxy = proxy_with(&[origin.address()], SHORT);
    page(&proxy, 504, "accepted the connection but sent no response head within 300ms");
}

#[test]
fn an_origin_that_answers_half_a_head_and_stops() {
    let origin = Origin::start(|connection, _| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Le");
        connection.wait_for_end();
    });
    let proxy = proxy_with(&[origin.address()], SHORT);
    page(&proxy, 504, "sent 27 bytes of a response head, but not all of it, within 300ms");
}

#[test]
fn an_origin_that_closes_without_an_answer() {
    let origin = Origin::start(|connection, _| {
        connection.request();
    });
    let proxy = proxy_with(&[origin.address()], "retry = { attempts = 1 }");
    page(&proxy, 502, "closed the connection before it sent a byte of its answer");
    let proxy = proxy_with(&[origin.address()], "");
    page(&proxy, 502, "closed the connection before it sent a byte of its answer; 2 attempts");
}

#[test]
fn an_origin_that_closes_inside_its_head() {
    let origin = Origin::start(|connection, _| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n");
    });
    let proxy = proxy_with(&[origin.address()], "retry = { attempts = 1 }");
    page(&proxy, 502, "closed the connection before the head of its answer was complete");
}

#[test]
fn an_origin_that_resets() {
    let origin = Origin::start(|connection, _| {
        connection.request();
        connection.reset();
    });
    let proxy = proxy_with(&[origin.address()], "retry = { attempts = 1 }");
    page(&proxy, 502, "broke the connection");
}

#[test]
fn answers_that_break_the_rules() {
    let flood = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "a".repeat(20 << 10));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: 1\r\n".repeat(500));
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(200);
    for (name, bytes, sentence) in [
        ("no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "not valid HTTP/1.1"),
        ("HTTP/0.9", "<html>hello</html>\r\n\r\n", "not valid HTTP/1.1"),
        ("another version", "HTTP/2.0 200 OK\r\n\r\n", "not valid HTTP/1.1"),
        ("no number", "HTTP/1.1 OK\r\n\r\n", "not valid HTTP/1.1"),
        ("status 42", "HTTP/1.1 042 Low\r\nContent-Length: 0\r\n\r\n", "status code is not between"),
        ("status 999", "HTTP/1.1 999 High\r\nContent-Length: 0\r\n\r\n", "status code is not between"),
        (
            "both lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "both present",
        ),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            "Content-Length is repeated",
        ),
        (
            "a name that passes for a length",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent_Length: 7\r\n\r\nhello",
            "almost like",
        ),
        (
            "a name that passes for a coding",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer_Encoding: chunked\r\n\r\nhello",
            "almost like",
        ),
        ("bad length", "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello", "not a plain number"),
        ("space before a colon", "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello", "malformed"),
        ("folded line", "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\n\r\n", "malformed"),
        ("bare LF", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "does not end in CRLF"),
        ("NUL", "HTTP/1.1 200 OK\r\nX-A: \0\r\n\r\n", "malformed"),
        ("a field of 20 KiB", &flood, "larger than accepted"),
        ("500 fields", &many, "more header fields"),
        (
            "an unasked switch",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nrest",
            "switched protocols",
        ),
        ("no end of interim answers", &interim, "too many interim"),
    ] {
        let (bytes, mine) = (bytes.to_owned(), name);
        let origin = Origin::start(move |connection, _| {
            connection.request();
            connection.send(&bytes);
            connection.wait_for_end();
        });
        let proxy = proxy_with(&[origin.address()], SHORT);
        let mut client = Client::connect(proxy.address());
        let reply = client.get("/");
        assert_eq!(reply.status, 502, "{mine}: {}", reply.text());
        assert!(reply.text().contains(sentence), "{mine}: {}", reply.text());
        assert!(reply.text().contains(&format!("upstream api {}", origin.address())), "{mine}: {}", reply.text());
        assert_eq!(client.get("/").status, 502, "{mine}: the client's connection lives on");
        assert_eq!(origin.connections(), 2, "{mine}: the connection to the origin does not");
    }
}

#[test]
fn interim_answers_are_passed_on() {
    let origin = Origin::start(|connection, _| {
        while connection.request().is_some() {
            connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n");
            connection.send("HTTP/1.1 102 Processing\r\n\r\n");
            connection.send(answer("200 OK", "done"));
        }
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        let reply = client.get("/");
        assert_eq!((reply.status, reply.text(), reply.interim.len()), (200, "done".into(), 2));
        assert!(reply.interim[0].contains("Link: </a.css>\r\n"), "{:?}", reply.interim);
        assert!(!reply.interim[0].to_lowercase().contains("x-hop"), "{:?}", reply.interim);
    }
    let reply = Client::connect(proxy.address()).ask("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((reply.status, reply.interim.len()), (200, 0));
}
