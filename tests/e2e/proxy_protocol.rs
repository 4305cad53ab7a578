//! PROXY headers in front of connections: required, taken off, believed; and sent to servers.

use tests::{Client, End, Origin, Tollgate, answer};

use crate::trusted::{configuration, origin, status};

fn v2(command: u8, tlvs: usize) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend_from_slice(&[command, 0x11]);
    header.extend_from_slice(&(12 + tlvs as u16).to_be_bytes());
    header.extend_from_slice(&[192, 0, 2, 77, 198, 51, 100, 1, 0x10, 0x01, 0, 80]);
    header.resize(header.len() + tlvs, 0x04);
    header
}

const V1: &[u8] = b"PROXY TCP4 192.0.2.77 198.51.100.1 4097 80\r\n";
const V1_6: &[u8] = b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n";
const LISTENER: &str = "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]";
const REQUEST: &str = "GET /from HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_proxy_header_is_required_and_taken_off() {
    let origin = origin();
    let server = Tollgate::config(&configuration(LISTENER, &origin, ""));
    for header in [V1, &v2(0x21, 0), &v2(0x21, 3), &v2(0x21, 9000), &v2(0x21, 65_523), V1_6] {
        let mut whole = Client::connect(server.address());
        whole.send([header, REQUEST.as_bytes()].concat());
        assert_eq!(whole.reply().status, 200);
        assert_eq!(whole.ask(REQUEST).status, 200, "once per connection");
    }
    // The balancer's own checks come as itself, which is not from there.
    for header in [&v2(0x20, 0)[..], &v2(0x20, 40), b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 x 0 0\r\n"] {
        let mut client = Client::connect(server.address());
        client.send(header);
        assert_eq!(client.ask(REQUEST).text(), "ok");
    }
    // What the client says is not what the balancer says.
    let mut client = Client::connect(server.address());
    client.send(V1);
    assert_eq!(status(&mut client, "/inside", "X-Forwarded-For: 10.1.1.1\r\n"), 403);
    assert_eq!(status(&mut client, "/not-there", ""), 403);
    assert_eq!(status(&mut client, "/", "X-Forwarded-For: 10.1.1.1\r\n"), 200);
    let seen = origin.seen_text();
    assert!(seen.contains("X-Forwarded-For: 192.0.2.77\r\n") && seen.contains("Forwarded: for=192.0.2.77;"), "{seen}");
    server.stop();
}

#[test]
fn a_proxy_header_may_come_in_any_pieces() {
    let server = Tollgate::config(&configuration(LISTENER, &origin(), ""));
    for header in [V1, &v2(0x21, 0), &v2(0x21, 300)] {
        let mut dripped = Client::connect(server.address());
        header.iter().for_each(|byte| dripped.send([*byte]));
        assert_eq!(dripped.ask(REQUEST).status, 200);
        let whole = [header, REQUEST.as_bytes()].concat();
        for cut in (1..whole.len()).step_by(1 + whole.len() / 100) {
            let mut client = Client::connect(server.address());
            client.send(&whole[..cut]);
            client.send(&whole[cut..]);
            assert_eq!(client.reply().status, 200, "cut at {cut}");
        }
    }
}

#[test]
fn what_is_no_proxy_header_is_refused_and_logged() {
    let text = configuration(LISTENER, &origin(), "") + "[timeouts]\nheader = \"1s\"\n";
    let server = Tollgate::config(&text);
    let refused = |bytes: &[u8], closes: bool| {
        let mut client = Client::connect(server.address());
        client.send(bytes);
        if closes {
            client.half_close();
        }
        let (answer, end) = client.read_to_end();
        assert!(answer.is_empty() && end != End::Open, "{:?}", String::from_utf8_lossy(bytes));
    };
    for (n, wrong) in [REQUEST.as_bytes(), b"\x16\x03\x01\x02\x00\x01"].into_iter().enumerate() {
        refused(wrong, false);
        server.process.logged("CPRX client/handshake: The connection does not begin with a PROXY header", n + 1);
    }
    refused(b"PROXY TCP4 a b 1 2\r\n", false);
    server.process.logged("CPRX client/handshake: The PROXY header is broken", 1);
    refused(&v2(0x21, 0)[..20], true);
    server.process.logged("The connection ended before its PROXY header was complete", 1);
    for late in [&b""[..], b"PROXY ", &v2(0x21, 50)[..40]] {
        refused(late, false);
    }
    server.process.logged("The PROXY header did not arrive in time", 3);
    let log = server.process.log();
    // Who only looks whether somebody listens is no line.
    Client::connect(server.address()).half_close();
    let mut good = Client::connect(server.address());
    good.send(V1);
    assert_eq!(good.ask(REQUEST).status, 200);
    assert_eq!(server.process.log(), log);
    server.stop();
}

#[test]
fn a_stranger_may_not_connect_where_a_proxy_header_is_required() {
    let listener = "proxy_protocol = true\ntrusted_proxies = [\"10.0.0.0/8\"]";
    let origin = origin();
    let mut server = Tollgate::config(&configuration(listener, &origin, ""));
    let mut client = Client::connect(server.address());
    let _ = client.try_send([V1, REQUEST.as_bytes()].concat());
    let (bytes, end) = client.read_to_end();
    assert!(bytes.is_empty() && end != End::Open);
    server.process.logged("CPRX client/handshake: It is not one of trusted_proxies", 1);
    // From the next connection on.
    server.reload(&configuration("", &origin, ""));
    assert_eq!(Client::connect(server.address()).ask(REQUEST).status, 200);
}

#[test]
fn servers_are_told_whom_a_connection_speaks_for_and_it_speaks_for_no_other() {
    for version in [1, 2] {
        let origin = Origin::start(move |connection, _| {
            // A header of version 1 stands in front of the first request's line; one of version 2 begins with an empty line.
            let begun = version == 1 || connection.head().is_some();
            while begun && connection.request().is_some() {
                connection.send(answer("200 OK", "ok"));
            }
        });
        let listener = "trusted_proxies = [\"127.0.0.1\"]";
        let server = Tollgate::config(&configuration(listener, &origin, &format!("proxy_protocol = {version}")));
        let (mut one, mut other) = (Client::connect(server.address()), Client::connect(server.address()));
        for _ in 0..3 {
            assert_eq!(status(&mut one, "/", ""), 200);
            assert_eq!(status(&mut other, "/", ""), 200);
        }
        assert_eq!(origin.connections(), 2, "one for each client, and used again");
        for _ in 0..2 {
            assert_eq!(status(&mut one, "/", "X-Forwarded-For: 192.0.2.1\r\n"), 200);
        }
        assert_eq!(origin.connections(), 3, "the client counts, not the connection");
        let seen = origin.seen();
        if version == 1 {
            let port = one.stream().local_addr().expect("connected").port();
            let header = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {port} {}\r\nGET / ", server.address().port());
            assert!(seen[0].starts_with(header.as_bytes()), "{}", String::from_utf8_lossy(&seen[0]));
            assert!(seen[2].starts_with(b"PROXY TCP4 192.0.2.1 127.0.0.1 0 "));
        } else {
            assert_eq!(seen[2][..20], [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[192, 0, 2, 1]].concat());
        }
    }
}

/// What a balancer told of a client is told to the server: where the client connected to as well.
#[test]
fn a_server_is_told_what_the_balancer_told() {
    let origin = Origin::answering(answer("200 OK", "ok"));
    let server = Tollgate::config(&configuration(LISTENER, &origin, "proxy_protocol = 1"));
    for header in [V1, &v2(0x21, 0), V1_6, b"PROXY UNKNOWN\r\n"] {
        let mut client = Client::connect(server.address());
        client.send(header);
        assert_eq!(status(&mut client, "/", ""), 200);
    }
    let seen: Vec<Vec<u8>> = origin.seen();
    let begins = |seen: &Vec<u8>, with: &[u8]| assert!(seen.starts_with(with), "{}", String::from_utf8_lossy(seen));
    assert_eq!(seen.len(), 3, "the first two come from one client");
    begins(&seen[0], V1);
    begins(&seen[1], V1_6);
    // UNKNOWN: the connection is the balancer's own, as far as we know.
    begins(&seen[2], b"PROXY TCP4 127.0.0.1 127.0.0.1 ");
}
