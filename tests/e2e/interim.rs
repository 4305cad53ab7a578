//! Interim answers and expectations, end to end.

use std::time::{Duration, Instant};

use tests::{Client, Origin, answer};

use crate::proxy_with;

const EXPECTS: &str = "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

#[test]
fn the_server_decides_whether_a_body_is_sent() {
    let origin = Origin::start(|connection, number| {
        let Some(head) = connection.head() else { return };
        assert!(head.contains("\r\nExpect: 100-continue\r\n"), "{head}");
        if number == 0 {
            connection.send(answer("413 Content Too Large", "no"));
            connection.wait_for_end();
            return;
        }
        // The client is not told before the server has said so.
        std::thread::sleep(Duration::from_millis(300));
        connection.send("HTTP/1.1 100 Continue\r\n\r\n");
        let body = connection.rest_of(head).map(|request| request.body);
        assert_eq!(body.as_deref(), Some(&b"hello"[..]));
        connection.send(answer("200 OK", "got it"));
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    let reply = client.ask(EXPECTS);
    assert_eq!((reply.status, reply.text()), (413, "no".into()), "and no 100 before it");
    assert!(!reply.keeps_alive(), "the body may still come");
    let mut client = Client::connect(proxy.address());
    let asked = Instant::now();
    client.send(EXPECTS);
    assert_eq!(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());
    client.send("hello");
    assert_eq!(client.reply().text(), "got it");
}

#[test]
fn a_server_that_knows_no_expectations_gets_the_body_after_a_second() {
    let origin = Origin::start(|connection, _| {
        while connection.request().is_some() {
            connection.send(answer("200 OK", "got it"));
        }
    });
    let proxy = proxy_with(&[origin.address()], "timeouts = { header = \"5s\" }");
    let mut client = Client::connect(proxy.address());
    let asked = Instant::now();
    client.send(EXPECTS);
    assert_eq!(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    let waited = asked.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    client.send("hello");
    assert_eq!(client.reply().text(), "got it");
    // Who does not wait is not waited for.
    let asked = Instant::now();
    let reply = client.ask(format!("{EXPECTS}hello"));
    assert_eq!(reply.text(), "got it");
    assert!(asked.elapsed() < Duration::from_millis(900), "{:?}", asked.elapsed());
}
