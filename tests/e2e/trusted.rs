//! Proxies in front whose X-Forwarded-For and Forwarded are believed, and others whose are not.

use tests::{Client, Origin, Tollgate, answer, eventually, peers};

/// Routes that tell clients apart. `listener` and `upstream` are more lines for these.
pub(crate) fn configuration(listener: &str, origin: &Origin, upstream: &str) -> String {
    format!(
        r#"
        [log.access]
        path = "access.log"
        format = "json"
        [[listener]]
        address = "127.0.0.1:0"
        {listener}
        [[route]]
        path = "/inside"
        allow = ["10.0.0.0/8"]
        respond = {{ body = "inside" }}
        [[route]]
        path = "/not-there"
        deny = ["192.0.2.0/24"]
        respond = {{ body = "in" }}
        [[route]]
        path = "/from"
        match.clients = ["192.0.2.0/24", "2001:db8::/32"]
        respond = {{ body = "from there" }}
        [[route]]
        path = "/scheme"
        redirect = {{ to = "{{scheme}}://{{host}}/" }}
        [[route]]
        proxy = {{ upstream = "origin" }}
        [upstream.origin]
        servers = ["{}"]
        {upstream}
        "#,
        origin.address()
    )
}

pub(crate) fn origin() -> Origin {
    Origin::answering(answer("200 OK", "ok"))
}

pub(crate) fn status(client: &mut Client, path: &str, fields: &str) -> u16 {
    client.ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).status
}

/// Waits until the access log has a line with all of these.
pub(crate) fn access_logged(server: &Tollgate, parts: &[&str]) {
    let file = server.folder().join("access.log");
    let read = || std::fs::read_to_string(&file).unwrap_or_default();
    eventually("a line in the access log", read, |text| {
        text.lines().any(|line| parts.iter().all(|part| line.contains(part)))
    });
}

#[test]
fn a_trusted_proxy_is_believed() {
    let origin = origin();
    let listener = "trusted_proxies = [\"127.0.0.0/8\", \"10.9.0.0/16\"]";
    let server = Tollgate::config(&configuration(listener, &origin, ""));
    let client = &mut Client::connect(server.address());
    assert_eq!(status(client, "/inside", "X-Forwarded-For: 10.1.1.1\r\n"), 200);
    assert_eq!(status(client, "/inside", "X-Forwarded-For: 10.1.1.1, 203.0.113.9\r\n"), 403);
    assert_eq!(status(client, "/inside", "X-Forwarded-For: 203.0.113.9, 10.1.1.1, 10.9.0.1\r\n"), 200);
    assert_eq!(status(client, "/inside", "Forwarded: for=10.1.1.1\r\n"), 200);
    assert_eq!(status(client, "/inside", "Forwarded: for=10.1.1.1;proto=https, for=\"10.9.0.1:80\"\r\n"), 200);
    assert_eq!(status(client, "/inside", ""), 403, "the proxy itself asks");
    assert_eq!(status(client, "/inside", "X-Forwarded-For: unknown\r\n"), 403);
    assert_eq!(status(client, "/from", "X-Forwarded-For: 192.0.2.77\r\n"), 200);
    assert_eq!(status(client, "/from", "Forwarded: for=\"[2001:db8::7]:4711\"\r\n"), 200);
    assert_eq!(status(client, "/not-there", "X-Forwarded-For: 192.0.2.77\r\n"), 403);
    access_logged(&server, &["\"client\":\"192.0.2.77\"", "\"status\":403"]);
    access_logged(&server, &["\"client\":\"2001:db8::7\"", "\"target\":\"/from\""]);
    let secure = client.ask("GET /scheme HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n");
    assert_eq!(secure.field("location").as_deref(), Some("https://a/"));
    let torn = Client::connect(server.address())
        .ask("GET /inside HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.1.1.1\r\nForwarded: for=1.1.1.1\r\n\r\n");
    assert!(torn.status == 400, "{}", torn.text());
    server.stop();
}

#[test]
fn what_a_trusted_proxy_tells_is_passed_on_and_added_to() {
    let origin = origin();
    let server = Tollgate::config(&configuration("trusted_proxies = [\"127.0.0.1\"]", &origin, ""));
    let client = &mut Client::connect(server.address());
    assert_eq!(status(client, "/", "X-Forwarded-For: 10.1.1.1\r\nForwarded: for=10.1.1.1\r\n"), 200);
    let seen = origin.seen_text();
    assert!(seen.contains("X-Forwarded-For: 10.1.1.1, 127.0.0.1\r\n"), "{seen}");
    assert!(seen.contains("Forwarded: for=10.1.1.1, for=127.0.0.1;host=a;proto=http\r\n"), "{seen}");
}

#[test]
fn nobody_else_is_believed_and_a_reload_changes_who_is() {
    let origin = origin();
    let stranger = "trusted_proxies = [\"10.0.0.0/8\"]";
    let mut server = Tollgate::config(&configuration(stranger, &origin, ""));
    let client = &mut Client::connect(server.address());
    let told = "X-Forwarded-For: 10.7.7.7\r\nForwarded: for=10.7.7.7\r\nX-Forwarded-Proto: https\r\n";
    assert_eq!(status(client, "/inside", told), 403);
    assert_eq!(status(client, "/", told), 200);
    let redirect = client.ask(format!("GET /scheme HTTP/1.1\r\nHost: a\r\n{told}\r\n"));
    assert_eq!(redirect.field("location").as_deref(), Some("http://a/"));
    assert!(!origin.seen_text().contains("10.7.7.7"), "{}", origin.seen_text());
    // From the next request on, on open connections too.
    server.reload(&configuration("trusted_proxies = [\"127.0.0.1\"]", &origin, ""));
    assert_eq!(status(client, "/inside", told), 200);
    server.reload(&configuration("", &origin, ""));
    assert_eq!(status(client, "/inside", told), 403);
    access_logged(&server, &["\"client\":\"127.0.0.1\"", "\"status\":403"]);
}

/// A proxy on the same machine, through a Unix socket.
#[test]
fn whoever_comes_through_a_unix_socket_may_be_believed() {
    let origin = origin();
    for (trusted, status) in [("trusted_proxies = [\"unix:\"]", "200"), ("", "403")] {
        let text = configuration(trusted, &origin, "").replace("127.0.0.1:0", "unix:front.sock");
        let server = Tollgate::config(&text);
        let socket = server.folder().join("front.sock");
        let fields = ["-H", "X-Forwarded-For: 10.1.1.1", "-o", "/dev/null", "-w", "%{http_code}"];
        let socket = ["--unix-socket", socket.to_str().expect("text"), "http://a/inside"];
        let got = peers::curl(fields.into_iter().chain(socket));
        assert_eq!(got.out, status, "{}", got.err);
    }
}

/// HAProxy adds its client with `option forwardfor`.
#[test]
fn haproxy_in_front_is_believed() {
    let origin = origin();
    let server = Tollgate::config(&configuration("trusted_proxies = [\"127.0.0.1\"]", &origin, ""));
    let haproxy = peers::haproxy(&[server.address()]);
    let got = peers::curl(["--interface", "127.0.0.7", "-H", "X-Forwarded-For: 6.6.6.6", &haproxy.url("/")]);
    assert_eq!(got.out, "ok", "{}", got.err);
    access_logged(&server, &["\"client\":\"127.0.0.7\""]);
    let seen = origin.seen_text();
    assert!(seen.contains("X-Forwarded-For: 6.6.6.6, 127.0.0.7, 127.0.0.1\r\n"), "{seen}");
}
