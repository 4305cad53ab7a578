//! The yardstick for a proxy of large messages: a bare epoll loop, one thread, with a connection to the origin for each
//! client's, which passes on whatever comes in either direction and knows of no message. It copies through a buffer, or
//! has the kernel pass the pages through a pipe (`splice`).

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    process::ExitCode,
};

use benches::wire::{self, LISTENER};
use clap::{Parser, ValueEnum};
use rustix::{
    io::Errno,
    pipe::{PipeFlags, SpliceFlags, pipe_with, splice},
};

/// Passes on bytes between clients and connections of their own to an origin.
#[derive(Parser)]
struct Args {
    /// Where to listen
    #[arg(long)]
    listen: SocketAddr,
    /// The origin
    #[arg(long)]
    to: SocketAddr,
    /// How bytes are passed on
    #[arg(long)]
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum How {
    /// Through a buffer
    Copy,
    /// Through a pipe
    Splice,
}

fn main() -> ExitCode {
    wire::ended("bare-pump", pump(&Args::parse()))
}

/// Read at once, and the most that a pipe is asked to hold.
const PIECE: usize = 64 * 1024;

struct Pair {
    client: TcpStream,
    origin: TcpStream,
    up: Way,
    down: Way,
}

/// What was read in one direction and not yet written.
enum Way {
    /// The bytes, from where they are unwritten.
    Copied { bytes: Vec<u8>, from: usize },
    /// So many bytes in a pipe.
    Piped { out: OwnedFd, into: OwnedFd, held: usize },
}

fn pump(args: &Args) -> io::Result<()> {
    let (listener, mut epoll) = wire::listening(args.listen)?;
    let mut pairs: Vec<Option<Pair>> = Vec::new();
    let mut buffer = vec![0; PIECE];
    let mut ready = Vec::new();
    loop {
        ready.extend(epoll.wait(None)?);
        for word in ready.drain(..) {
            if word == LISTENER {
                while let Some(client) = wire::accept(&listener)? {
                    let origin = wire::connect(args.to)?;
                    let n = pairs.len() as u64;
                    epoll.add_duplex(&client, n)?;
                    epoll.add_duplex(&origin, n)?;
                    pairs.push(Some(Pair { client, origin, up: Way::new(args.how)?, down: Way::new(args.how)? }));
                }
                continue;
            }
            let n = usize::try_from(word).unwrap_or(usize::MAX);
            let Some(pair) = pairs[n].as_mut() else { continue };
            if !matches!(pair.go_on(&mut buffer), Ok(true)) {
                pairs[n] = None;
            }
        }
    }
}

impl Pair {
    /// Passes on what there is; false when one side has closed.
    fn go_on(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        Ok(self.up.pass_on(&self.client, &self.origin, buffer)?
            && self.down.pass_on(&self.origin, &self.client, buffer)?)
    }
}

impl Way {
    fn new(how: How) -> io::Result<Way> {
        Ok(match how {
            How::Copy => Way::Copied { bytes: Vec::new(), from: 0 },
            How::Splice => {
                let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
                Way::Piped { out, into, held: 0 }
            }
        })
    }

    fn pass_on(&mut self, from: &TcpStream, to: &TcpStream, buffer: &mut [u8]) -> io::Result<bool> {
        match self {
            Way::Copied { bytes, from: at } => copy(from, to, buffer, bytes, at),
            Way::Piped { out, into, held } => pipe(from, to, out, into, held),
        }
    }
}

/// `kept` from `at` on is what `to` had no room for.
fn copy(
    mut from: &TcpStream,
    mut to: &TcpStream,
    buffer: &mut [u8],
    kept: &mut Vec<u8>,
    at: &mut usize,
) -> io::Result<bool> {
    loop {
        if *at < kept.len() {
            let Some(written) = unless_blocked(to.write(&kept[*at..]))? else { return Ok(true) };
            *at += written;
            continue;
        }
        let Some(read) = unless_blocked(from.read(buffer))? else { return Ok(true) };
        if read == 0 {
            return Ok(false);
        }
        let written = unless_blocked(to.write(&buffer[..read]))?.unwrap_or(0);
        kept.clear();
        kept.extend_from_slice(&buffer[written..read]);
        *at = 0;
        // A short read means drained: more raises a new edge.
        if read < buffer.len() && kept.is_empty() {
            return Ok(true);
        }
    }
}

fn pipe(from: &TcpStream, to: &TcpStream, out: &OwnedFd, into: &OwnedFd, held: &mut usize) -> io::Result<bool> {
    let pass = |from: &dyn std::os::fd::AsFd, to: &dyn std::os::fd::AsFd, most| loop {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match splice(from, None, to, None, most, flags) {
            Err(Errno::INTR) => {}
            passed => return unless_blocked(passed.map_err(io::Error::from)),
        }
    };
    loop {
        if *held > 0 {
            let Some(written) = pass(out, to, *held)? else { return Ok(true) };
            *held -= written;
            continue;
        }
        match pass(from, into, PIECE)? {
            // With an empty pipe it is the socket that has nothing.
            None => return Ok(true),
            Some(0) => return Ok(false),
            Some(read) => *held = read,
        }
    }
}

fn unless_blocked(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(n) => Ok(Some(n)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
