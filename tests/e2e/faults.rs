//! Faults of servers that are real processes.

use std::{
    fs,
    time::{Duration, Instant},
};

use tests::{Client, PATIENCE, Signal, folder, peers};

use crate::proxy_with;

/// Long enough for a server that is well on a busy machine.
const TIMEOUTS: &str = "timeouts = { connect = \"5s\", header = \"1s\", body = \"5s\" }";

/// A server whose machine is gone looks like one whose process was stopped: the kernel still accepts what is sent to it, and
/// nothing comes back.
#[test]
fn a_server_that_stops_in_its_tracks_costs_its_deadline_and_nothing_is_mixed_up_later() {
    let server = peers::node("response.end(request.url)");
    let proxy = proxy_with(&[server.address], TIMEOUTS);
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/before").text(), "/before");
    server.process.signal(Signal::STOP);
    // Over the connection that was kept, and over new ones, which its kernel accepts.
    for n in 0..2 {
        let asked = Instant::now();
        let reply = client.get(&format!("/lost-{n}"));
        let reason = reply.field("tollgate-reason").unwrap_or_default();
        assert_eq!(reply.status, 504, "{reason}");
        assert!(reason.starts_with("UHTO upstream/response-head"), "{reason}");
        assert!(reply.keeps_alive() && asked.elapsed() < PATIENCE / 2, "{:?}", asked.elapsed());
    }
    server.process.signal(Signal::CONT);
    // Its late answers reach nobody.
    for n in 0..20 {
        let path = format!("/after-{n}");
        assert_eq!(client.get(&path).text(), path);
    }
}

/// With another server the clients notice nothing, where `retry.on` has timeouts.
#[test]
fn a_stopped_server_is_stood_in_for() {
    let servers = [peers::node("response.end('one')"), peers::node("response.end('two')")];
    let lines =
        format!("{TIMEOUTS}\nretry = {{ attempts = 2, on = [\"connect\", \"reset\", \"timeout\"], budget = 1.0 }}");
    let proxy = proxy_with(&[servers[0].address, servers[1].address], &lines);
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").status, 200);
    servers[0].process.signal(Signal::STOP);
    for _ in 0..4 {
        let reply = client.get("/");
        assert_eq!((reply.status, reply.text()), (200, "two".into()));
    }
    // A POST that was sent may have been carried out: it is not sent again.
    let mut statuses = (0..4).map(|_| client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").status);
    assert!(statuses.any(|status| status == 504));
    servers[0].process.signal(Signal::CONT);
}

#[test]
fn a_flood_of_fields_is_refused_and_the_server_asked_again() {
    let server = peers::node(
        "if (request.url == '/many') for (let n = 0; n < 200; n++) response.setHeader('x-' + n, 'y');\n\
         if (request.url == '/large') response.setHeader('x-large', 'y'.repeat(60000));\n\
         response.end(request.url)",
    );
    let proxy = proxy_with(&[server.address], "");
    let mut client = Client::connect(proxy.address());
    for (path, words) in [("/many", "more header fields"), ("/large", "header fields are larger")] {
        let reply = client.get(path);
        let reason = reply.field("tollgate-reason").unwrap_or_default();
        assert_eq!(reply.status, 502, "{path}: {reason}");
        assert!(reason.starts_with("UHDR upstream/response-head") && reason.contains(words), "{path}: {reason}");
        assert_eq!(client.get("/good").text(), "/good", "the client's connection lives on");
    }
}

/// `head`: a head that never ends, a byte at a time; else an answer whose body comes a byte at a time, in order.
#[test]
fn a_drip_does_not_prolong_a_head_and_a_slow_body_is_no_fault() {
    let server = peers::node_net(
        "socket.once('data', data => {\n\
           const head = 'HTTP/1.1 200 OK\\r\\nContent-Length: 20\\r\\n\\r\\n', body = 'a byte at a time....';\n\
           const drips = data.toString().startsWith('GET /head ') ? head + 'x' : body;\n\
           if (drips === body) socket.write(head);\n\
           let at = 0;\n\
           const timer = setInterval(() => {\n\
             if (at < drips.length) socket.write(drips[at++]);\n\
             else clearInterval(timer);\n\
           }, 50);\n\
           socket.on('error', () => clearInterval(timer));\n\
           socket.on('close', () => clearInterval(timer));\n\
         });",
    );
    let proxy = proxy_with(&[server.address], &format!("{TIMEOUTS}\nretry = {{ attempts = 1 }}"));
    let mut client = Client::connect(proxy.address());
    // The whole head would take two seconds, with a sign of life every 50 ms.
    let asked = Instant::now();
    let reply = client.get("/head");
    let reason = reply.field("tollgate-reason").unwrap_or_default();
    assert_eq!(reply.status, 504, "{reason} after {:?}", asked.elapsed());
    assert!(reason.starts_with("UHTO upstream/response-head"), "{reason}");
    let reply = client.get("/body");
    assert_eq!((reply.status, reply.text(), reply.complete), (200, "a byte at a time....".into(), true));
}

/// nginx refuses a large body by its head alone; the client hears so, however much it is still sending.
#[test]
fn an_early_413_of_nginx_reaches_a_client_that_sends_on() {
    let root = folder();
    let nginx = peers::nginx(root.path(), "client_max_body_size 1k;\nlocation / { return 200 \"small enough\"; }");
    let proxy = proxy_with(&[nginx.address], "");
    let large = root.path().join("large");
    fs::write(&large, vec![b'x'; 8 << 20]).expect("a file of ours");
    let body = format!("@{}", large.display());
    // At once, and where it asks first.
    for expect in ["Expect:", "Expect: 100-continue"] {
        let url = proxy.url("/");
        let got = peers::curl(["-X", "PUT", "--data-binary", &body, "-H", expect, "-w", "%{http_code}", &url]);
        assert!(got.out.ends_with("413"), "{expect}: {} {}", got.out, got.err);
        assert!(got.out.contains("nginx"), "its own words: {}", got.out);
    }
    // It was no fault of the server.
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "small enough");
    assert!(!proxy.process.log().contains(" upstream/"), "{}", proxy.process.log());
}

/// The same from a server that closes at once and resets what still comes.
#[test]
fn an_early_413_of_a_server_that_resets_is_heard_or_told() {
    let server = peers::node_net(
        "socket.on('error', () => {});\n\
         socket.once('data', () => {\n\
           socket.write('HTTP/1.1 413 Content Too Large\\r\\nConnection: close\\r\\nContent-Length: 9\\r\\n\\r\\ntoo large');\n\
           socket.pause();\n\
           setTimeout(() => socket.destroy(), 1000);\n\
         });",
    );
    let proxy = proxy_with(&[server.address], "retry = { attempts = 1 }");
    for _ in 0..2 {
        let mut client = Client::connect(proxy.address());
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n");
        let piece = vec![b'x'; 64 << 10];
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) && client.try_send(&piece).is_ok() {}
        let reply = client.reply();
        assert_eq!((reply.status, reply.text()), (413, "too large".into()));
    }
}
