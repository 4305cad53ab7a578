//! Ten thousand connections on one thread.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use tests::{PATIENCE, Tollgate, descriptors, eventually, resident_kib};

const CONNECTIONS: usize = 10_000;
/// Loopback addresses to connect from; the ports of one would do, but not for several runs in a row.
const SOURCES: usize = 8;

/// Raises the limit of this process; false when the machine does not allow as many as this test needs.
fn enough_descriptors() -> bool {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(1 << 20);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum: limit.maximum });
    raised.is_ok() && hard >= CONNECTIONS as u64 + 500
}

fn connect(n: usize, to: SocketAddr) -> TcpStream {
    let source = SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, 1 + (n % SOURCES) as u8), 0);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&source.into()).expect("a loopback address");
    socket.connect_timeout(&to.into(), PATIENCE).expect("a connection");
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).expect("a socket option");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    stream
}

#[test]
fn ten_thousand_connections_are_served_by_one_thread() {
    assert!(enough_descriptors(), "the descriptor limit is below {CONNECTIONS}: raise the hard limit (ulimit -Hn)");
    let server = Tollgate::echo(&[]);
    let (base, before) = (descriptors(server.id()), resident_kib(server.id()));
    let mut clients: Vec<TcpStream> = (0..CONNECTIONS).map(|n| connect(n, server.address())).collect();
    // All of them at once, so that many are ready in one turn, and each gets its own.
    for round in 0..2u64 {
        for (n, client) in clients.iter_mut().enumerate() {
            client.write_all(&(n as u64 + (round << 32)).to_be_bytes().repeat(8)).expect("writable");
        }
        for (n, client) in clients.iter_mut().enumerate() {
            let mut got = [0; 64];
            client.read_exact(&mut got).expect("readable");
            assert!(got == (n as u64 + (round << 32)).to_be_bytes().repeat(8)[..], "connection {n}");
        }
    }
    assert_eq!(descriptors(server.id()), base + CONNECTIONS);
    let grown = resident_kib(server.id()).saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB for {CONNECTIONS} idle connections");
    drop(clients);
    eventually("the descriptors of old", || descriptors(server.id()), |now| *now == base);
    server.stop();
}
