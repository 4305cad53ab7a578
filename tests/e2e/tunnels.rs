//! Switched protocols: what passes, in which order, and how it ends.

use std::{
    io::{ErrorKind, Read, Write},
    thread,
    time::Duration,
};

use tests::{Client, Connection, End, Origin, Signal, Tollgate, peers, resident_kib};

use crate::{proxy_with, verdicts::counted};

const ASKS: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHES: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Own: 1\r\n\r\n";

/// An origin that switches and then does `then`; `behind` is sent in one piece with its 101.
fn switching(behind: &'static str, then: impl Fn(&mut Connection) + Send + Sync + 'static) -> Origin {
    Origin::start(move |connection, _| {
        let Some(head) = connection.head() else { return };
        assert!(head.contains("\r\nUpgrade: websocket\r\n") && head.contains("\r\nConnection: upgrade\r\n"), "{head}");
        connection.send(format!("{SWITCHES}{behind}"));
        then(connection);
    })
}

fn echoes(connection: &mut Connection) {
    while let Some(bytes) = connection.some() {
        connection.send(bytes);
    }
    connection.send("bye");
}

fn switched(proxy: &Tollgate, behind: &str) -> Client {
    let mut client = Client::connect(proxy.address());
    client.send(format!("{ASKS}{behind}"));
    let head = client.read_until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    for line in ["Upgrade: websocket", "Connection: upgrade", "X-Own: 1"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{head}");
    }
    client
}

#[test]
fn what_came_behind_either_head_is_not_lost() {
    let origin = switching("from the server", |connection| {
        let mut early = Vec::new();
        while early.len() < "from the client".len() {
            let Some(bytes) = connection.some() else { return };
            early.extend(bytes);
        }
        connection.send(format!(", {}", String::from_utf8_lossy(&early)));
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = switched(&proxy, "from the client");
    assert_eq!(client.read_to_end(), (b"from the server, from the client".to_vec(), End::Closed));
}

#[test]
fn each_way_has_an_end_of_its_own() {
    let origin = switching("", echoes);
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = switched(&proxy, "");
    for word in ["one", "two"] {
        client.send(word);
        client.read_until(word);
    }
    client.half_close();
    assert_eq!(client.read_to_end(), (b"bye".to_vec(), End::Closed), "the server had more to say");

    let origin = switching("first", |connection| {
        connection.stream().shutdown(std::net::Shutdown::Write).expect("a half-close");
        assert_eq!(connection.some().as_deref(), Some(&b"heard"[..]));
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = switched(&proxy, "");
    assert_eq!(client.read_to_end(), (b"first".to_vec(), End::Closed));
    client.send("heard");
    assert!(tests::eventually("it is heard", || origin.seen_text(), |seen| seen.ends_with("heard")).ends_with("heard"));
}

#[test]
fn who_does_not_read_holds_the_other_back() {
    const SENT: usize = 64 << 20;
    let origin = switching("", |connection| {
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..SENT >> 20 {
            if !connection.send(&piece) {
                return;
            }
        }
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect_narrow(proxy.address());
    client.send(ASKS);
    client.read_until("\r\n\r\n");
    client.read_exactly(1 << 20);
    // Whatever could be taken in was taken in by then.
    thread::sleep(Duration::from_millis(300));
    let most = resident_kib(proxy.id());
    assert!(most < 48 << 10, "{most} KiB resident");
    assert_eq!(client.read_to_end().0.len(), SENT - (1 << 20));
}

#[test]
fn silence_ends_a_tunnel_after_its_own_time() {
    let origin = switching("", echoes);
    let timeouts = "timeouts = { header = \"200ms\", body = \"200ms\", tunnel = \"900ms\" }";
    let proxy = proxy_with(&[origin.address()], timeouts);
    let mut client = switched(&proxy, "");
    // Longer than any wait of an exchange, and in sum longer than the tunnel's.
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(400));
        client.send("x");
        client.read_until("x");
    }
    assert_eq!(client.read_to_end(), (Vec::new(), End::Reset));
    proxy
        .process
        .logged(&format!("LTIL local/tunnel: nothing passed the tunnel to upstream api {}", origin.address()), 1);
    assert_eq!(counted(proxy, "LTIL"), 1);

    // One side has ended: the other is not waited for that long.
    let quiet = Origin::start(|connection, _| {
        connection.head();
        connection.send(SWITCHES);
        thread::sleep(Duration::from_secs(3));
    });
    let proxy = proxy_with(&[quiet.address()], "timeouts = { body = \"200ms\", tunnel = \"1h\" }");
    let mut client = switched(&proxy, "");
    client.half_close();
    assert_eq!(client.read_to_end(), (Vec::new(), End::Reset));
    proxy.process.logged("the client having ended its side", 1);
}

#[test]
fn a_break_is_passed_on_as_a_break() {
    let origin = switching("", |connection| {
        connection.some();
        connection.reset();
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = switched(&proxy, "");
    client.send("go");
    assert_eq!(client.read_to_end(), (Vec::new(), End::Reset));
    proxy.process.logged("UTUN upstream/tunnel: upstream api", 1);
    assert_eq!(counted(proxy, "UTUN"), 1);

    let (send, ended) = std::sync::mpsc::channel();
    let origin = switching("", move |connection| {
        let _ = send.send(connection.wait_for_end());
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = switched(&proxy, "");
    client.send("x");
    client.reset();
    assert_eq!(ended.recv_timeout(tests::PATIENCE), Ok(true), "the client's break is the server's");
}

#[test]
fn a_switch_that_was_not_asked_for_is_no_answer() {
    let answers = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", SWITCHES, "although it was not asked to"),
        (ASKS, "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", "to one that it was not offered"),
        (ASKS, "HTTP/1.1 101 X\r\nConnection: upgrade\r\n\r\n", "without saying to which one"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\n",
            SWITCHES,
            "before it had the whole request",
        ),
    ];
    for (request, answer, why) in answers {
        let origin = Origin::start(move |connection, _| {
            connection.head();
            connection.send(answer);
            connection.wait_for_end();
        });
        let proxy = proxy_with(&[origin.address()], "");
        let reply = Client::connect(proxy.address()).ask(request);
        assert_eq!(reply.status, 502, "{why}");
        let reason = reply.field("tollgate-reason").expect("a reason");
        assert!(reason.starts_with("USWI upstream/response-head: ") && reason.contains(why), "{reason}");
    }
}

#[test]
fn a_server_that_declines_answers_as_usual() {
    let origin = Origin::answering(tests::answer("200 OK", "no"));
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        let reply = client.ask(ASKS);
        assert_eq!((reply.status, reply.text(), reply.keeps_alive()), (200, "no".into(), true));
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_reload_and_a_drain_leave_tunnels_be_until_the_time_is_up() {
    let (send, ended) = std::sync::mpsc::channel();
    let origin = switching("", move |connection| {
        let (mut stream, mut piece) = (connection.stream(), [0; 100]);
        let end = loop {
            match stream.read(&mut piece) {
                Ok(n) if n > 0 => stream.write_all(&piece[..n]).expect("the proxy takes it"),
                end => break end,
            }
        };
        let _ = send.send(end.map_err(|error| error.kind()));
    });
    let text = |more: &str| {
        format!(
            "[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"o\" }}\n[upstream.o]\nservers = [\"{}\"]\n{more}\n[runtime]\n\
             workers = 1\nshutdown_timeout = \"700ms\"\n",
            origin.address()
        )
    };
    let mut proxy = Tollgate::config(&text(""));
    let mut client = switched(&proxy, "");
    proxy.reload(&text("timeouts = { connect = \"1s\" }"));
    client.send("after the reload");
    client.read_until("after the reload");
    proxy.process.signal(Signal::TERM);
    proxy.process.logged("stopping", 1);
    client.send("while it drains");
    client.read_until("while it drains");
    assert_eq!(client.read_to_end(), (Vec::new(), End::Reset), "what was under way is not whole");
    assert_eq!(ended.recv_timeout(tests::PATIENCE), Ok(Err(ErrorKind::ConnectionReset)), "nor for the server");
    assert_eq!(proxy.process.wait().code, Some(0));
}

/// A server in Node, which has its own idea of how an upgrade is answered, and of frames.
#[test]
fn node_switches_through_it() {
    let origin = peers::node(
        "response.end('plain') }).on('upgrade', (request, socket, head) => { \
         const key = require('crypto').createHash('sha1').update(request.headers['sec-websocket-key'] + \
         '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64'); \
         socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' \
         + key + '\\r\\n\\r\\n'); socket.pipe(socket);",
    );
    let proxy = proxy_with(&[origin.address], "");
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").text(), "plain");
    client.send(format!(
        "{}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        ASKS.trim_end_matches("\r\n").to_owned() + "\r\n"
    ));
    let head = client.read_until("\r\n\r\n");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "the answer of RFC 6455 §1.3: {head}");
    client.send("\u{1}frames of any kind");
    client.read_until("\u{1}frames of any kind");
}

#[test]
fn field_rules_hold_for_the_head_that_switches() {
    let origin = switching("", echoes);
    let proxy = Tollgate::config(&format!(
        "[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"o\" }}\n[route.response_headers]\nset = {{ x-own = \"ours\" }}\n\
         add = {{ x-more = \"2\" }}\n[upstream.o]\nservers = [\"{}\"]\n",
        origin.address()
    ));
    let mut client = Client::connect(proxy.address());
    client.send(ASKS);
    let head = client.read_until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("\r\nx-own: ours\r\n") && head.contains("\r\nx-more: 2\r\n"), "{head}");
    assert!(!head.contains("X-Own: 1"), "{head}");
}
