//! Proxies in front whose X-Forwarded-For and Forwarded are believed, and others whose are not.

use std::fmt::Display;
use std::net::SocketAddr;

use tests::{Client, Origin, Tollgate, answer, eventually, peers};

/// A log of requests, and a listener of which these are the lines.
fn front(listener: &str) -> String {
    format!("[log.access]\npath = \"access.log\"\nformat = \"json\"\n[[listener]]\n{listener}\n")
}

/// What no route before takes goes on to the server `next`; `upstream` is more lines for that.
fn on_to(next: impl Display, upstream: &str) -> String {
    format!("[[route]]\nproxy = {{ upstream = \"next\" }}\n[upstream.next]\nservers = [\"{next}\"]\n{upstream}\n")
}

/// Routes that tell clients apart. `listener` and `upstream` are more lines for these.
pub(crate) fn configuration(listener: &str, origin: &Origin, upstream: &str) -> String {
    let routes = r#"
        [[route]]
        path = "/inside"
        allow = ["10.0.0.0/8"]
        respond = { body = "inside" }
        [[route]]
        path = "/not-there"
        deny = ["192.0.2.0/24"]
        respond = { body = "in" }
        [[route]]
        path = "/from"
        match.clients = ["192.0.2.0/24", "2001:db8::/32"]
        respond = { body = "from there" }
        [[route]]
        path = "/scheme"
        redirect = { to = "{scheme}://{host}/" }
        "#;
    let front = front(&format!("address = \"127.0.0.1:0\"\n{listener}"));
    format!("{front}{routes}{}", on_to(origin.address(), upstream))
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
    let secure = client
        .ask("GET /scheme HTTP/1.1\r\nHost: a\r\nForwarded: for=1.1.1.1;proto=https, for=10.9.0.1;proto=http\r\n\r\n");
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

/// A proxy in front of `next` that believes the whole machine, and sends all clients that asked without TLS elsewhere.
fn link(next: SocketAddr) -> Tollgate {
    let front = front("address = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.0/8\"]\nreason = true");
    let routes = r#"
        [[route]]
        path = "/secure"
        match.scheme = "http"
        redirect = { to = "https://{host}{uri}" }
        "#;
    Tollgate::config(&format!("{front}{routes}{}", on_to(next, "")))
}

/// Whichever of the fields the proxy in front of both sends.
#[test]
fn two_of_ours_behind_a_trusted_proxy_agree() {
    let origin = origin();
    let second = link(origin.address());
    let first = link(second.address());
    let client = &mut Client::connect(first.address());
    for (lines, secure, who, seen) in [
        ("", 308, "127.0.0.1", ["127.0.0.1", "http", "for=127.0.0.1"]),
        ("X-Forwarded-For: 5.5.5.5\r\n", 308, "5.5.5.5", ["5.5.5.5, 127.0.0.1", "http", "for=5.5.5.5, for=127.0.0.1"]),
        (
            "X-Forwarded-For: 5.5.5.5\r\nX-Forwarded-Proto: https\r\n",
            200,
            "5.5.5.5",
            ["5.5.5.5, 127.0.0.1", "https", "for=5.5.5.5;proto=https, for=127.0.0.1"],
        ),
        (
            "x-forwarded-for: 6.6.6.6, [2001:db8::7]:4711\r\nX-FORWARDED-FOR: 127.0.0.9\r\nX-Forwarded-Proto: HTTPS\r\n",
            200,
            "2001:db8::7",
            [
                "6.6.6.6, [2001:db8::7]:4711, 127.0.0.9, 127.0.0.1",
                "https",
                "for=6.6.6.6;proto=https, for=\"[2001:db8::7]:4711\", for=127.0.0.9, for=127.0.0.1",
            ],
        ),
        (
            "forwarded: For=\"[2001:db8::7]:4711\";Proto=\"https\";host=\"a,b\"\r\n",
            200,
            "2001:db8::7",
            [
                "2001:db8::7, 127.0.0.1",
                "https",
                "For=\"[2001:db8::7]:4711\";Proto=\"https\";host=\"a,b\", for=127.0.0.1",
            ],
        ),
        (
            "Forwarded: for=6.6.6.6;proto=https\r\nForwarded: for=5.5.5.5;proto=http\r\n",
            308,
            "5.5.5.5",
            ["6.6.6.6, 5.5.5.5, 127.0.0.1", "http", "for=6.6.6.6;proto=https, for=5.5.5.5;proto=http, for=127.0.0.1"],
        ),
        (
            "Forwarded: for=_hidden;proto=https\r\n",
            200,
            "127.0.0.1",
            ["_hidden, 127.0.0.1", "https", "for=_hidden;proto=https, for=127.0.0.1"],
        ),
    ] {
        let before = origin.seen_text().len();
        assert_eq!(status(client, "/", lines), 200, "{lines}");
        let text = origin.seen_text().split_off(before);
        let [addresses, scheme, hops] = seen;
        // The second has added the first.
        for line in [
            format!("X-Forwarded-For: {addresses}, 127.0.0.1\r\n"),
            format!("X-Forwarded-Proto: {scheme}\r\nX-Forwarded-Host: a\r\n"),
            format!("Forwarded: {hops};host=a;proto=http, for=127.0.0.1;host=a;proto=http\r\n"),
        ] {
            let line = if lines.is_empty() { line.replace("for=127.0.0.1, ", "") } else { line };
            assert!(text.contains(&line), "{lines}: {line} is missing: {text}");
        }
        for link in [&first, &second] {
            access_logged(link, &[&format!("\"client\":\"{who}\""), "\"target\":\"/\""]);
        }
        assert_eq!(status(client, "/secure", lines), secure, "{lines}");
    }
}

/// A proxy in the middle that is reached through a Unix socket has no address to be known by: the third would look no further.
#[test]
fn a_unix_socket_in_the_middle_hides_nobody() {
    let origin = origin();
    let third = link(origin.address());
    let middle = |listen: &str, next: &str| {
        let front = front(&format!("address = \"{listen}\"\ntrusted_proxies = [\"127.0.0.1\", \"unix:\"]"));
        Tollgate::config(&(front + &on_to(next, "")))
    };
    let second = middle("unix:front.sock", &third.address().to_string());
    let first = middle("127.0.0.1:0", &format!("unix:{}", second.folder().join("front.sock").display()));
    let client = &mut Client::connect(first.address());
    for lines in ["X-Forwarded-For: 5.5.5.5\r\nX-Forwarded-Proto: https\r\n", "Forwarded: for=5.5.5.5;proto=https\r\n"]
    {
        assert_eq!(status(client, "/secure", lines), 200, "{lines}");
    }
    access_logged(&third, &["\"client\":\"5.5.5.5\"", "\"target\":\"/secure\""]);
    let seen = origin.seen_text();
    assert!(seen.contains("X-Forwarded-For: 5.5.5.5, 127.0.0.1, 127.0.0.1\r\n"), "{seen}");
}

/// The scheme that the first passes on is the client's for the second: a redirect to https would be followed without end.
#[test]
fn a_redirect_to_https_behind_two_proxies_does_not_loop() {
    let origin = origin();
    let second = link(origin.address());
    let front = front("address = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]");
    let first = Tollgate::config(&(front + &on_to(second.address(), "")));
    let root = tests::folder();
    let nginx = peers::nginx(
        root.path(),
        &format!(
            "location / {{ proxy_pass http://{}; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; \
         proxy_set_header X-Forwarded-Proto https; proxy_set_header Host $http_host; }}",
            first.address()
        ),
    );
    let got = peers::curl(["-H", "Forwarded: for=1.1.1.1;proto=http", &nginx.url("/secure")]);
    assert!(got.out.contains("Forwarded"), "what nginx passes on of its client contradicts it: {}", got.out);
    let got = peers::curl(["-H", "X-Forwarded-For: 6.6.6.6", "-H", "X-Forwarded-Proto: http", &nginx.url("/secure")]);
    assert_eq!(got.out, "ok", "{}", got.err);
}

/// What a stranger says is neither believed nor passed on so that the next one believes it.
#[test]
fn what_a_stranger_says_ends_at_the_first_of_two() {
    let origin = origin();
    let second = link(origin.address());
    let first = Tollgate::config(&on_to(second.address(), ""));
    let client = &mut Client::connect(first.address());
    for lines in [
        "X-Forwarded-For: 10.7.7.7\r\nX-Forwarded-Proto: https\r\n",
        "forwarded: for=10.7.7.7;proto=https\r\n",
        "X-Forwarded-For: 10.7.7.7\r\nForwarded: for=\"\r\nX-FORWARDED-PROTO: https, https, https\r\n",
        "X_Forwarded_For: 10.7.7.7\r\nx_forwarded-proto: https\r\nConnection: forwarded, x-forwarded-for\r\n",
    ] {
        assert_eq!(status(client, "/", lines), 200, "{lines}");
        assert_eq!(status(client, "/secure", lines), 308, "{lines}");
    }
    let seen = origin.seen_text();
    assert!(!seen.contains("10.7.7.7") && !seen.contains("https"), "{seen}");
    assert!(seen.contains("X-Forwarded-For: 127.0.0.1, 127.0.0.1\r\n"), "{seen}");
}

/// More than a head has room for once it is in both fields is refused, and so is what is too long already.
#[test]
fn endless_lists_are_carried_or_refused() {
    let origin = origin();
    let second = link(origin.address());
    let first = link(second.address());
    for (element, count, expected) in
        [("1.1.1.1", 500, 200), ("1.1.1.1", 10_000, 431), ("a", 500, 200), ("a", 6_000, 431), ("", 5_000, 200)]
    {
        let line = format!("X-Forwarded-For: {}\r\n", vec![element; count].join(","));
        assert_eq!(status(&mut Client::connect(first.address()), "/", &line), expected, "{count} times {element}");
    }
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
