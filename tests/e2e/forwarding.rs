//! What an origin sees of a request, and a client of an answer.

use tests::{Client, Origin, Tollgate, answer, peers::curl};

use crate::proxy_with;

fn request(lines: &str) -> String {
    format!("GET /a%20b/%7Euser?q=%41 HTTP/1.1\r\nHost: Site.Example:81\r\n{lines}\r\n")
}

#[test]
fn what_concerns_one_hop_stays_and_who_asked_is_told() {
    let origin = Origin::answering(answer("200 OK", "ok"));
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    let lines = "Connection: keep-alive, X-Mine, close-not\r\nX-Mine: 1\r\nClose-Not: 1\r\nKeep-Alive: timeout=5\r\n\
                 Proxy-Connection: keep-alive\r\nTE: trailers, gzip\r\nUpgrade: h2c\r\nProxy-Authorization: x\r\n\
                 X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\
                 Forwarded: for=6.6.6.6\r\nVia: 1.0 earlier\r\nAccept: */*\r\nCookie: a=b\r\nX-Two: 1\r\nX-Two: 2\r\n";
    assert_eq!(client.ask(request(lines)).status, 200);
    let seen = origin.seen_text();
    // Encoded unreserved characters are decoded, others never; the query stays as it is.
    assert!(seen.starts_with("GET /a%20b/~user?q=%41 HTTP/1.1\r\n"), "{seen}");
    for line in [
        "Host: Site.Example:81",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: Site.Example:81",
        "Forwarded: for=127.0.0.1;host=\"Site.Example:81\";proto=http",
        "Via: 1.0 earlier, 1.1 tollgate",
        "Accept: */*",
        "Cookie: a=b",
        "X-Two: 1",
        "X-Two: 2",
    ] {
        assert!(seen.contains(&format!("\r\n{line}\r\n")), "{line} is missing: {seen}");
    }
    let lower = seen.to_lowercase();
    for gone in ["x-mine", "close-not", "keep-alive", "proxy-", "gzip", "h2c", "6.6.6.6", "evil", "https"] {
        assert!(!lower.contains(gone), "{gone} was passed on: {seen}");
    }
}

#[test]
fn what_concerns_one_hop_of_an_answer_stays_and_the_rest_arrives() {
    let origin = Origin::answering(
        "HTTP/1.1 201 Made Here\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nServer: origin\r\n\
         Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nProxy-Authenticate: x\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         Content-Type: text/x\r\nContent-Length: 2\r\n\r\nok",
    );
    let proxy = proxy_with(&[origin.address()], "");
    let reply = Client::connect(proxy.address()).get("/");
    assert_eq!((reply.status, reply.text()), (201, "ok".into()));
    assert_eq!(reply.field("set-cookie").as_deref(), Some("a=1, b=2"));
    assert_eq!(reply.field("date").as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(reply.field("via").as_deref(), Some("1.1 tollgate"));
    assert_eq!((reply.field("server"), reply.field("content-type")), (Some("origin".into()), Some("text/x".into())));
    let lower = reply.head.to_lowercase();
    assert!(!lower.contains("x-hop") && !lower.contains("keep-alive"), "{}", reply.head);
}

#[test]
fn prefixes_hosts_and_field_rules() {
    let origin = Origin::answering(answer("200 OK", "ok"));
    let proxy = Tollgate::config(&format!(
        "[[route]]\npath = \"/strip/*\"\nproxy = {{ upstream = \"o\", strip_prefix = \"/strip\" }}\n\
         [[route]]\npath = \"/both/*\"\nproxy = {{ upstream = \"o\", strip_prefix = \"/both\", add_prefix = \"/v1\" }}\n\
         [[route]]\npath = \"/upstream\"\nproxy = {{ upstream = \"o\", host = \"upstream\" }}\n\
         [[route]]\npath = \"/named\"\nproxy = {{ upstream = \"o\", host = \"name.example\" }}\n\
         request_headers = {{ set = {{ \"x-env\" = \"test\" }}, remove = [\"cookie\"] }}\n\
         response_headers = {{ set = {{ \"x-frame-options\" = \"DENY\" }}, remove = [\"server\"] }}\n\
         [upstream.o]\nservers = [\"{}\"]\n",
        origin.address()
    ));
    let mut client = Client::connect(proxy.address());
    let upstream = format!("Host: {}", origin.address());
    for (path, line, host) in [
        ("/strip/a?b", "GET /a?b HTTP/1.1", "Host: test"),
        ("/strip", "GET / HTTP/1.1", "Host: test"),
        ("/strip/", "GET / HTTP/1.1", "Host: test"),
        ("/both/a", "GET /v1/a HTTP/1.1", "Host: test"),
        ("/both/x/../a", "GET /v1/a HTTP/1.1", "Host: test"),
        ("/upstream", "GET /upstream HTTP/1.1", &*upstream),
        ("/named", "GET /named HTTP/1.1", "Host: name.example"),
    ] {
        let before = origin.seen_text().len();
        let reply = client.ask(format!("GET {path} HTTP/1.1\r\nHost: test\r\nCookie: c\r\n\r\n"));
        assert_eq!(reply.status, 200, "{path}");
        let seen = origin.seen_text().split_off(before);
        assert!(
            seen.starts_with(&format!("{line}\r\n")) && seen.contains(&format!("\r\n{host}\r\n")),
            "{path}: {seen}"
        );
        let ruled = path == "/named";
        assert_eq!((seen.contains("x-env: test"), seen.contains("Cookie")), (ruled, !ruled), "{seen}");
        assert_eq!(reply.field("x-frame-options").is_some(), ruled);
    }
    assert_eq!(client.get("/stripped").status, 404, "a prefix ends at a segment");
}

#[test]
fn a_body_is_asked_for_only_when_the_client_waits() {
    let origin = Origin::answering(answer("200 OK", "ok"));
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(client.reply().text(), "ok");
    assert!(origin.seen_text().contains("\r\nExpect: 100-continue\r\n"), "{}", origin.seen_text());
    let got = curl(["-v", "--expect100-timeout", "5", "-H", "Expect: 100-continue", "-d", "body", &proxy.url("/")]);
    assert_eq!(got.out, "ok");
    assert!(got.err.contains("100 Continue"), "{}", got.err);
}

#[test]
fn bodies_and_trailers_pass_both_ways() {
    let origin = Origin::start(|connection, _| {
        while let Some(request) = connection.request() {
            let body = format!("{} [{}]", String::from_utf8_lossy(&request.body), request.trailers.trim_end());
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n{:x}\r\n{body}\r\n0\r\nX-Sum: 7\r\n\r\n",
                body.len()
            ));
        }
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    let reply = client.ask(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n\
         3\r\nabc\r\n2\r\nde\r\n0\r\nX-A: 1\r\n\r\n",
    );
    assert_eq!((reply.text(), reply.trailers), ("abcde [X-A: 1]".into(), "X-Sum: 7\r\n".into()));
    let reply = client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz");
    assert_eq!(reply.text(), "xyz []");
    let reply = Client::connect(proxy.address()).ask("POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nold");
    assert_eq!((reply.text(), reply.field("transfer-encoding"), reply.complete), ("old []".into(), None, true));
}

#[test]
fn answers_without_a_body_keep_the_connection() {
    let origin = Origin::start(|connection, _| {
        while let Some(request) = connection.request() {
            connection.send(match request.line().split(' ').nth(1) {
                Some("/204") => "HTTP/1.1 204 No Content\r\n\r\n",
                Some("/304") => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 99\r\n\r\n",
                Some("/head") => "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
                Some("/head-chunked") => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            });
        }
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        assert_eq!(client.get("/204").status, 204);
        let reply = client.get("/304");
        assert_eq!((reply.status, reply.field("etag").as_deref()), (304, Some("\"x\"")));
        client.send("HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.reply_to_head().field("content-length").as_deref(), Some("99"));
        client.send("HEAD /head-chunked HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.reply_to_head().status, 200);
        let reply = client.get("/empty");
        assert_eq!((reply.status, reply.complete, reply.body.len()), (200, true, 0));
    }
    assert_eq!(origin.connections(), 1, "one connection carried all");
}

#[test]
fn unix_sockets_on_both_sides() {
    let behind = Origin::answering(answer("200 OK", "through two sockets"));
    // The inner proxy listens on a Unix socket, the outer one forwards to it, from a Unix socket too.
    let inner_folder = tests::folder();
    let inner = inner_folder.path().join("inner.sock");
    let _inner = Tollgate::config_in(
        inner_folder,
        &format!(
            "[[listener]]\naddress = \"unix:inner.sock\"\n[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"o\" }}\n\
             [upstream.o]\nservers = [\"{}\"]\n",
            behind.address()
        ),
    );
    let outer = Tollgate::config(&format!(
        "[[listener]]\naddress = \"unix:outer.sock\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\npath = \"/*\"\nproxy = {{ upstream = \"o\" }}\n[upstream.o]\nservers = [\"unix:{}\"]\n",
        inner.display()
    ));
    let socket = outer.folder().join("outer.sock");
    let socket = socket.to_str().expect("text");
    let got = curl(["--unix-socket", socket, "http://site.example/a", "http://site.example/b"]);
    assert_eq!(got.out, "through two socketsthrough two sockets", "{}", got.err);
    assert!(behind.seen_text().contains("Host: site.example\r\n"), "{}", behind.seen_text());
    let path = std::path::PathBuf::from(socket);
    assert!(path.exists());
    outer.stop();
    assert!(!path.exists(), "its socket file goes with it");
}

#[test]
fn rules_hold_for_trailers_and_interim_answers_too() {
    let origin = Origin::start(|connection, _| {
        while connection.request().is_some() {
            connection.send(
                "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nX-Secret: early\r\n\r\n\
                 HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\nX-Secret: late\r\n\
                 X-Frame: theirs\r\nStrict-Transport-Security: max-age=1\r\n\r\n",
            );
        }
    });
    let proxy = Tollgate::config(&format!(
        "[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"api\" }}\n[route.request_headers]\nset = {{ x-user = \"nobody\" }}\n\
         remove = [\"x-debug\"]\n[route.response_headers]\nset = {{ x-frame = \"ours\" }}\nremove = [\"x-secret\"]\n\n\
         [upstream.api]\nservers = [\"{}\"]\n",
        origin.address()
    ));
    let mut client = Client::connect(proxy.address());
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-sum: 2\r\nX-User: root\r\n\
         X-Debug: 1\r\nX_Real_IP: 1.2.3.4\r\n\r\n",
    );
    let early = client.read_until("\r\n\r\n");
    assert!(early.starts_with("HTTP/1.1 103 ") && early.contains("Link: </a.css>\r\n"), "{early}");
    assert!(!early.contains("X-Secret") && !early.contains("x-frame"), "{early}");
    let answer = client.read_until("\r\n0\r\nx-sum: 1\r\n\r\n");
    assert!(answer.contains("x-frame: ours\r\n") && !answer.contains("theirs") && !answer.contains("late"), "{answer}");
    assert!(!answer.to_lowercase().contains("strict-transport"), "{answer}");
    let seen = origin.seen_text();
    assert!(seen.contains("x-user: nobody\r\n") && seen.ends_with("0\r\nx-sum: 2\r\n\r\n"), "{seen}");
}

/// A server that answers before it has read the request: the answer is longer than what is on its way at once, and the client goes on
/// sending before it reads.
#[test]
fn an_early_answer_arrives_whole_however_much_is_still_being_sent() {
    const ANSWER: usize = 1 << 20;
    let origin = Origin::start(|connection, _| {
        if connection.head().is_some() {
            connection.send(format!("HTTP/1.1 413 Content Too Large\r\nContent-Length: {ANSWER}\r\n\r\n"));
            connection.send(vec![b'x'; ANSWER]);
            connection.wait_for_end();
        }
    });
    let proxy = Tollgate::config(&format!(
        "[[route]]\npath = \"/*\"\nbody_bytes = \"1GiB\"\nproxy = {{ upstream = \"api\" }}\n[upstream.api]\nservers = [\"{}\"]\n",
        origin.address()
    ));
    for _ in 0..3 {
        let mut client = Client::connect(proxy.address());
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\n");
        let mut stream = client.stream();
        let sending = std::thread::spawn(move || {
            use std::io::Write;
            // Ends with the connection, if not before.
            let _ = stream.write_all(&vec![b'u'; 30_000_000]);
        });
        std::thread::sleep(std::time::Duration::from_millis(500));
        let reply = client.reply();
        assert_eq!((reply.status, reply.complete, reply.body.len()), (413, true, ANSWER));
        drop(client);
        sending.join().expect("no panic");
    }
}
