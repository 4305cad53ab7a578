//! `echo` against clients of every kind, over real sockets.

mod bytes;
mod life;
mod limits;
mod live;
mod many;

use std::io::{ErrorKind, Write};

use tests::{Client, Tollgate, eventually};

/// Bytes of every value, the same for the same length.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    let mut word = 0x9E37_79B9_7F4A_7C15_u64;
    let next = |_| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (word >> 56) as u8
    };
    (0..len).map(next).collect()
}

/// Sends of `bytes` what the sockets on both sides take while nobody reads, until the server says that so many connections are
/// pending and no more is taken; gives how many bytes those were. The server must run with `--stats`.
pub(crate) fn fill(server: &Tollgate, clients: &mut [Client], bytes: &[u8]) -> Vec<usize> {
    let mut sent = vec![0; clients.len()];
    let pending = format!("  pending {}  ", clients.len());
    clients.iter().for_each(|client| client.stream().set_nonblocking(true).expect("a socket option"));
    // The lines that stood there when the last byte was taken. The next one may have been counted before that.
    let mut seen = 0;
    let filled = || {
        let before = sent.clone();
        clients.iter().zip(&mut sent).for_each(|(client, sent)| *sent += take(client, &bytes[*sent..]));
        let out = server.process.out();
        if sent != before {
            seen = out.lines().count();
        }
        out.lines().skip(seen + 1).any(|line| line.contains(&pending))
    };
    eventually("full sockets", filled, |filled| *filled);
    clients.iter().for_each(|client| client.stream().set_nonblocking(false).expect("a socket option"));
    sent
}

/// How many of `bytes` a socket that does not block takes.
fn take(client: &Client, bytes: &[u8]) -> usize {
    let (mut stream, mut sent) = (client.stream(), 0);
    loop {
        match stream.write(&bytes[sent..]) {
            Ok(0) => panic!("{} bytes are not enough to fill the sockets", bytes.len()),
            Ok(n) => sent += n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return sent,
            Err(e) => panic!("{e}"),
        }
    }
}
