//! The origin behind the proxies where messages are large: it reads each request to the end that its Content-Length
//! says, looking at nothing else, and answers the same bytes to all. One request at a time on a connection.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    process::ExitCode,
};

use benches::wire::{self, LISTENER, Slots};
use clap::Parser;

/// Answers the same bytes to every request, once it has come whole.
#[derive(Parser)]
struct Args {
    /// Where to listen
    #[arg(long)]
    listen: SocketAddr,
    /// Length of the answer's body in bytes
    #[arg(long, default_value_t = 1024)]
    body: usize,
}

fn main() -> ExitCode {
    wire::ended("bare-origin", serve(&Args::parse()))
}

struct Connection {
    stream: TcpStream,
    /// Bytes of the present request's body that have not come.
    missing: usize,
    /// Bytes of the present answer that were not sent.
    unsent: usize,
}

fn serve(args: &Args) -> io::Result<()> {
    let (listener, mut epoll) = wire::listening(args.listen)?;
    let answer = wire::canned_answer(args.body);
    let mut connections = Slots::default();
    let mut buffer = vec![0; 128 * 1024];
    let mut ready = Vec::new();
    loop {
        ready.extend(epoll.wait(None)?);
        for word in ready.drain(..) {
            if word == LISTENER {
                while let Some(stream) = wire::accept(&listener)? {
                    let n = connections.insert(Connection { stream, missing: 0, unsent: 0 });
                    if let Some(Connection { stream, .. }) = connections.get(n) {
                        epoll.add_duplex(&*stream, n as u64)?;
                    }
                }
                continue;
            }
            let n = usize::try_from(word).unwrap_or(usize::MAX);
            if connections.get(n).is_some_and(|one| !matches!(one.go_on(&mut buffer, &answer), Ok(true))) {
                connections.remove(n);
            }
        }
    }
}

impl Connection {
    /// Reads and writes what there is; false when the connection is over.
    fn go_on(&mut self, buffer: &mut [u8], answer: &[u8]) -> io::Result<bool> {
        loop {
            while self.unsent > 0 {
                match self.stream.write(&answer[answer.len() - self.unsent..]) {
                    Ok(written) => self.unsent -= written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                    Err(error) => return Err(error),
                }
            }
            let read = match self.stream.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            };
            let body = if self.missing == 0 { begun(&buffer[..read], &mut self.missing)? } else { read };
            self.missing = self.missing.checked_sub(body).ok_or_else(|| io::Error::other("two requests at once"))?;
            if self.missing == 0 {
                self.unsent = answer.len();
            }
        }
    }
}

/// Reads the head of a request, which comes whole: how much body it has, and how much of that came with it.
fn begun(bytes: &[u8], missing: &mut usize) -> io::Result<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| io::Error::other("a head in pieces"))?;
    let text = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    *missing = length.unwrap_or(0);
    Ok(bytes.len() - end - 4)
}
