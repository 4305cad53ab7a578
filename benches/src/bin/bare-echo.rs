//! The yardstick for the event loop: an echo server as one writes it in C over epoll. One thread, sockets registered once for both
//! directions and edge-triggered, one recv and one send per echo, what a full socket does not take is kept until there is room.
//! The same system calls as `echo`, without tasks, wakers, timers and buffers on lease.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::ExitCode,
};

use benches::wire::{self, Epoll, LISTENER, Slots};
use clap::Parser;

/// Gives back whatever it reads.
#[derive(Parser)]
struct Args {
    /// Where to listen
    #[arg(long)]
    listen: SocketAddr,
}

fn main() -> ExitCode {
    wire::ended("bare-echo", serve(&Args::parse()))
}

struct Connection {
    stream: TcpStream,
    /// What the socket did not take yet.
    pending: Vec<u8>,
}

fn serve(args: &Args) -> io::Result<()> {
    let (listener, mut epoll) = wire::listening(args.listen)?;
    let mut connections = Slots::default();
    let mut buffer = vec![0; 16 * 1024];
    let mut ready = Vec::new();
    loop {
        ready.extend(epoll.wait_closing(None)?);
        for (word, closing) in ready.drain(..) {
            if word == LISTENER {
                accept(&listener, &epoll, &mut connections)?;
                continue;
            }
            let n = usize::try_from(word).unwrap_or(usize::MAX);
            if connections.get(n).is_some_and(|one| !echo(one, closing, &mut buffer)) {
                connections.remove(n);
            }
        }
    }
}

/// Reads and writes back until the socket is drained or full; false when the connection is over. A read shorter than the buffer has
/// drained the socket, unless the end was reported behind it.
fn echo(connection: &mut Connection, closing: bool, buffer: &mut [u8]) -> bool {
    let Connection { stream, pending } = connection;
    while !pending.is_empty() {
        match stream.write(pending) {
            Ok(written) => drop(pending.drain(..written)),
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
    loop {
        let read = match stream.read(buffer) {
            Ok(0) => return false,
            Ok(read) => read,
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        };
        let written = match stream.write(&buffer[..read]) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return false,
        };
        if written < read {
            // Room raises an edge, and then it is read on.
            pending.extend_from_slice(&buffer[written..read]);
            return true;
        }
        if read < buffer.len() && !closing {
            return true;
        }
    }
}

fn accept(listener: &TcpListener, epoll: &Epoll, connections: &mut Slots<Connection>) -> io::Result<()> {
    while let Some(stream) = wire::accept(listener)? {
        let n = connections.insert(Connection { stream, pending: Vec::new() });
        if let Some(Connection { stream, .. }) = connections.get(n) {
            epoll.add_duplex(&*stream, n as u64)?;
        }
    }
    Ok(())
}
