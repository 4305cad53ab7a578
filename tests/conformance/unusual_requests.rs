//! Requests that are unusual and right, or well framed and not allowed.

use tests::{Client, Reply};

use crate::{LIMITS, both};

fn asked(to: std::net::SocketAddr, request: &str) -> Reply {
    Client::connect(to).ask(request)
}

#[test]
fn connect_and_trace_are_not_allowed() {
    let both = both(LIMITS);
    for to in [both.server.address(), both.proxy.address()] {
        for request in ["CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let reply = asked(to, request);
            assert_eq!(reply.status, 405, "{request}");
            let allow = reply.field("allow").expect("Allow");
            assert!(allow.contains("GET") && !allow.contains("TRACE") && !allow.contains("CONNECT"), "{allow}");
        }
    }
    assert_eq!(both.origin.connections(), 0);
}

#[test]
fn options_of_the_server_itself_and_of_the_last_hop() {
    let both = both(LIMITS);
    for to in [both.server.address(), both.proxy.address()] {
        let reply = asked(to, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((reply.status, reply.body.len()), (204, 0));
        assert!(reply.field("allow").is_some());
    }
    let reply = asked(both.proxy.address(), "OPTIONS /x HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
    assert_eq!(reply.status, 204);
    assert_eq!(both.origin.connections(), 0, "the last hop is here");
    let reply = asked(both.proxy.address(), "OPTIONS /x HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n");
    assert_eq!(reply.text(), "origin");
    assert!(both.origin.seen_text().contains("Max-Forwards: 2\r\n"), "{}", both.origin.seen_text());
}

#[test]
fn absolute_form_is_sent_on_as_origin_form_with_its_own_host() {
    let both = both(LIMITS);
    let reply = asked(both.proxy.address(), "GET http://Real.Example:8080/a?b HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!(reply.status, 200);
    let seen = both.origin.seen_text();
    assert!(seen.starts_with("GET /a?b HTTP/1.1\r\n") && seen.contains("Host: Real.Example:8080\r\n"), "{seen}");
    assert!(!seen.contains("Host: other"), "{seen}");
    assert_eq!(asked(both.server.address(), "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n").text(), "file");
}

#[test]
fn an_http_1_0_client_gets_no_news_and_no_chunks() {
    let both = both(LIMITS);
    for to in [both.server.address(), both.proxy.address()] {
        let mut client = Client::connect(to);
        let reply = client.ask("GET / HTTP/1.0\r\n\r\n");
        assert_eq!((reply.status, reply.complete), (200, true));
        assert!(reply.field("transfer-encoding").is_none());
        client.expect_end();
        let mut client = Client::connect(to);
        for _ in 0..3 {
            let reply = client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
            assert_eq!(reply.field("connection").map(|v| v.to_lowercase()).as_deref(), Some("keep-alive"));
        }
    }
    let expecting = "POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi";
    let reply = asked(both.proxy.address(), expecting);
    assert_eq!((reply.status, reply.interim.len()), (200, 0));
    let reply =
        asked(both.proxy.address(), "POST / HTTP/1.0\r\nHost: a\r\nExpect: nonsense\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(reply.status, 200, "an expectation of 1.0 is ignored");
}

#[test]
fn an_empty_line_in_front_of_a_request_is_passed_over_or_refused_but_never_forwarded() {
    let both = both(LIMITS);
    for to in [both.server.address(), both.proxy.address()] {
        let reply = asked(to, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(matches!(reply.status, 200 | 400), "{}", reply.head);
    }
}

#[test]
fn odd_but_valid_requests_are_served() {
    let both = both(LIMITS);
    for request in [
        "GET / HTTP/1.1\r\nhOsT:a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:  \t a \t \r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Empty:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Latin: \u{e9}\r\n\r\n",
        "GET /?a=[b]{c}|^` HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nget",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ] {
        for to in [both.server.address(), both.proxy.address()] {
            let mut client = Client::connect(to);
            assert_eq!(client.ask(request).status, 200, "{request}");
            assert_eq!(client.get("/").status, 200, "the connection is in step: {request}");
        }
    }
}
