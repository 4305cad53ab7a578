//! Peers that may be silent for long are asked by the system whether they are still there.

use std::{fs, net::SocketAddr};

use tests::{Client, Origin, Tollgate, answer, eventually};

use crate::proxy_with;

/// What the system's list of TCP sockets calls a timer that is neither to send again nor to ask for room.
const PROBES: &str = "02";

/// The timers of the open connections that `is_wanted` by their own port and their peer's.
fn timers(is_wanted: impl Fn(u16, u16) -> bool) -> Vec<String> {
    let list = fs::read_to_string("/proc/net/tcp").expect("the system's list");
    let port = |address: &str| u16::from_str_radix(address.split_once(':')?.1, 16).ok();
    let timer = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, own, peer, "01", _, timer, ..] = fields[..] else { return None };
        is_wanted(port(own)?, port(peer)?).then(|| timer.split(':').next().unwrap_or_default().to_owned())
    };
    list.lines().filter_map(timer).collect()
}

fn to(server: SocketAddr) -> Vec<String> {
    timers(|_, peer| peer == server.port())
}

fn of_clients(proxy: &Tollgate) -> Vec<String> {
    timers(|own, _| own == proxy.address().port())
}

#[test]
fn both_sides_of_a_tunnel_are_asked_and_no_other_connection() {
    let origin = Origin::start(|connection, _| {
        while let Some(head) = connection.head() {
            connection.send(match head.contains("Upgrade: chat") {
                true => "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n".into(),
                false => answer("200 OK", "plain"),
            });
        }
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut plain = Client::connect(proxy.address());
    assert_eq!(plain.get("/").status, 200);
    let quiet = |timers: &Vec<String>| timers.len() == 1 && timers[0] == "00";
    eventually("a server without a timer", || to(origin.address()), quiet);
    eventually("a client without a timer", || of_clients(&proxy), quiet);
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n");
    client.read_until("\r\n\r\n");
    let probed = |timers: &Vec<String>| timers.iter().any(|timer| timer == PROBES);
    eventually("the tunnel's server probed", || to(origin.address()), probed);
    eventually("the tunnel's client probed", || of_clients(&proxy), probed);
}

#[test]
fn servers_are_asked_whose_connections_are_kept_for_long() {
    let origin = Origin::answering(answer("200 OK", "plain"));
    let proxy = proxy_with(&[origin.address()], "keep_alive = { idle_timeout = \"61s\" }");
    assert_eq!(Client::connect(proxy.address()).get("/").status, 200);
    eventually("the server probed", || to(origin.address()), |timers| timers[..] == [PROBES]);
}
