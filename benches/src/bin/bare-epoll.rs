//! The yardstick for a server: a bare epoll loop, one thread, one read and one write per request, which answers the
//! same bytes to whatever it reads. It parses nothing and knows no HTTP, so no server can cost less. Also the origin
//! behind the proxies. One answer per read: not for pipelining.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::ExitCode,
};

use benches::wire::{self, Epoll, LISTENER, Slots};
use clap::Parser;

/// Answers the same bytes to every read.
#[derive(Parser)]
struct Args {
    /// Where to listen
    #[arg(long)]
    listen: SocketAddr,
    /// Length of the body in bytes
    #[arg(long, default_value_t = 1024)]
    body: usize,
}

fn main() -> ExitCode {
    wire::ended("bare-epoll", serve(&Args::parse()))
}

fn serve(args: &Args) -> io::Result<()> {
    let (listener, mut epoll) = wire::listening(args.listen)?;
    let answer = wire::canned_answer(args.body);
    let mut connections = Slots::default();
    let mut buffer = vec![0; 16 * 1024];
    let mut ready = Vec::new();
    loop {
        ready.extend(epoll.wait(None)?);
        for word in ready.drain(..) {
            if word == LISTENER {
                accept(&listener, &epoll, &mut connections)?;
                continue;
            }
            let n = usize::try_from(word).unwrap_or(usize::MAX);
            if connections.get(n).is_some_and(|stream| !answer_once(stream, &mut buffer, &answer)) {
                connections.remove(n);
            }
        }
    }
}

/// One read, one write; false when the connection is over. A read shorter than the buffer has drained the socket.
fn answer_once(stream: &mut TcpStream, buffer: &mut [u8], answer: &[u8]) -> bool {
    match stream.read(buffer) {
        Ok(0) => false,
        Ok(_) => stream.write(answer).is_ok_and(|written| written == answer.len()),
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

fn accept(listener: &TcpListener, epoll: &Epoll, connections: &mut Slots<TcpStream>) -> io::Result<()> {
    while let Some(stream) = wire::accept(listener)? {
        let n = connections.insert(stream);
        if let Some(stream) = connections.get(n) {
            epoll.add(&*stream, n as u64)?;
        }
    }
    Ok(())
}
