//! Requests that are read whole before a server is asked.

use std::{thread, time::Duration};

use tests::{Client, Origin, Tollgate, answer, folder, run};

fn buffering(servers: &[std::net::SocketAddr]) -> Tollgate {
    let servers: Vec<String> = servers.iter().map(|s| format!("\"{s}\"")).collect();
    Tollgate::config(&format!(
        "[[route]]\npath = \"/*\"\nbuffer_request = true\nbody_bytes = \"1MiB\"\nproxy = {{ upstream = \"o\" }}\n\
         [upstream.o]\nservers = [{}]\n",
        servers.join(", ")
    ))
}

fn telling() -> Origin {
    Origin::start(|connection, _| {
        while let Some(request) = connection.request() {
            let length = request.field("content-length").unwrap_or_else(|| "none".into());
            let body = String::from_utf8_lossy(&request.body).into_owned();
            connection.send(answer("200 OK", &format!("{length} {body} {}", request.trailers.trim_end())));
        }
    })
}

#[test]
fn a_server_is_asked_when_the_body_is_there_and_told_its_length() {
    let origin = telling();
    let proxy = buffering(&[origin.address()]);
    let mut client = Client::connect(proxy.address());
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    thread::sleep(Duration::from_millis(200));
    assert_eq!(origin.connections(), 0, "nobody was bothered yet");
    client.send("2\r\nde\r\n0\r\n\r\n");
    assert_eq!(client.reply().text(), "5 abcde ");
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-A: 1\r\n\r\n");
    assert_eq!(client.reply().text(), "none abc X-A: 1", "trailers need chunks");
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("12345");
    assert_eq!(client.reply().text(), "5 12345 ");
    assert_eq!(client.get("/").text(), "none  ");
    let large = "x".repeat(1 << 20);
    assert_eq!(
        client.ask(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{large}", large.len())).status,
        200
    );
    assert_eq!(client.ask("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n").status, 413);
}

#[test]
fn what_was_buffered_is_sent_again() {
    let dying = || {
        Origin::start(|connection, _| {
            connection.request();
            connection.reset();
        })
    };
    let put = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let good = telling();
    let bad = dying();
    let proxy = buffering(&[bad.address(), good.address()]);
    let mut client = Client::connect(proxy.address());
    // As many as the retry budget allows within a second.
    for _ in 0..3 {
        assert_eq!(client.ask(put).text(), "5 hello ");
    }
    assert!(bad.seen_text().contains("hello"), "one try had sent all of it");
    // What is not idempotent is not repeated all the same.
    let alone = dying();
    let proxy = buffering(&[alone.address()]);
    assert_eq!(Client::connect(proxy.address()).ask(put.replace("PUT", "POST")).status, 502);
    assert_eq!(alone.connections(), 1);
}

#[test]
fn it_needs_a_limit_and_a_proxy() {
    let folder = folder();
    let file = folder.path().join("t.toml");
    for (route, words) in [
        ("body_bytes = \"0\"\nproxy = { upstream = \"o\" }", "needs a limit"),
        ("respond = { body = \"x\" }", "is for routes that proxy"),
    ] {
        let text = format!(
            "[[route]]\npath = \"/*\"\nbuffer_request = true\n{route}\n[upstream.o]\nservers = [\"127.0.0.1:1\"]\n"
        );
        std::fs::write(&file, text).expect("a file of ours");
        let checked = run(Tollgate::command("proxy").arg("--check").arg("--config").arg(&file));
        assert_eq!(checked.code, Some(2), "{}", checked.err);
        assert!(checked.err.contains(words), "{}", checked.err);
    }
}

#[test]
fn a_body_that_came_with_its_expectation_is_sent_without_one() {
    let origin = telling();
    let proxy = buffering(&[origin.address()]);
    for _ in 0..3 {
        let reply = Client::connect(proxy.address())
            .ask("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n12345");
        assert_eq!((reply.status, reply.text()), (200, "5 12345 ".into()));
    }
    assert!(!origin.seen_text().contains("Expect"), "{}", origin.seen_text());
    assert_eq!(origin.connections(), 1, "each exchange ended cleanly");
}
