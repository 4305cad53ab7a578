//! The load of benches over many files: each is asked for once, in random order, over a few connections, and what comes is
//! held against what the file has to be.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use flate2::read::MultiGzDecoder;

use crate::{
    client::{Count, Meter, Sample},
    tree::{Dice, Tree},
};

/// What to walk.
#[derive(Debug, Clone)]
pub struct Walk {
    /// The server.
    pub to: SocketAddr,
    /// The tree.
    pub tree: Tree,
    /// The number of the first file.
    pub first: usize,
    /// How many files.
    pub count: usize,
    /// Connections, each with a thread of its own.
    pub connections: usize,
    /// Whether gzip is accepted; then every answer has to come in it.
    pub gzip: bool,
}

/// How long a server may stay silent.
const SILENCE: Duration = Duration::from_secs(20);

impl Walk {
    /// Asks for every file once. The sample's bytes are those of the bodies as they came, framing not counted.
    pub fn run(&self, watch: &[u32]) -> io::Result<Sample> {
        let order = Dice::new(self.first as u64 + 1).shuffle(self.count);
        let (next, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
        let mut connections: Vec<Connection> =
            (0..self.connections).map(|_| Connection::open(self)).collect::<io::Result<_>>()?;
        let meter = Meter::start(Count::default(), watch)?;
        thread::scope(|scope| {
            let walkers: Vec<_> = connections
                .iter_mut()
                .map(|connection| {
                    scope.spawn(|| -> io::Result<()> {
                        while let Some(at) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                            let body = connection.ask(self, self.first + at)?;
                            bytes.fetch_add(body as u64, Ordering::Relaxed);
                        }
                        Ok(())
                    })
                })
                .collect();
            walkers
                .into_iter()
                .try_for_each(|walker| walker.join().unwrap_or_else(|_| Err(io::Error::other("a walker panicked"))))
        })?;
        meter.stop(Count { answered: self.count as u64, bytes: bytes.into_inner() }, watch)
    }
}

struct Connection {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

/// What the head of an answer says.
#[derive(Debug, Default, PartialEq)]
struct Head {
    length: Option<usize>,
    is_chunked: bool,
    is_gzip: bool,
}

impl Connection {
    fn open(walk: &Walk) -> io::Result<Connection> {
        let stream = TcpStream::connect(walk.to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        Ok(Connection { stream: BufReader::with_capacity(64 << 10, stream), body: Vec::new() })
    }

    /// Asks for file `n`, and gives the length of the body as it came.
    fn ask(&mut self, walk: &Walk, n: usize) -> io::Result<usize> {
        let path = walk.tree.path(n);
        let accept = if walk.gzip { "Accept-Encoding: gzip\r\n" } else { "" };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bench\r\n{accept}\r\n", walk.to);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let head = read_head(&mut self.stream)?;
        read_body(&mut self.stream, &head, &mut self.body)?;
        if head.is_gzip != walk.gzip {
            return Err(io::Error::other(format!("{path}: Content-Encoding is not what was wanted")));
        }
        let mut content = Vec::new();
        let content = if head.is_gzip {
            MultiGzDecoder::new(self.body.as_slice()).read_to_end(&mut content)?;
            &content
        } else {
            &self.body
        };
        if *content == walk.tree.content(n) {
            Ok(self.body.len())
        } else {
            Err(io::Error::other(format!("{path}: wrong content, {} bytes", content.len())))
        }
    }
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.take(8192).read_line(&mut line)? == 0 {
        return Err(io::Error::other("the server closed a keep-alive connection"));
    }
    Ok(line.trim_end().to_owned())
}

fn read_head(stream: &mut impl BufRead) -> io::Result<Head> {
    let status = line(stream)?;
    if !status.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(format!("not a 200: {status}")));
    }
    let mut head = Head::default();
    loop {
        let line = line(stream)?.to_ascii_lowercase();
        let Some((name, value)) = line.split_once(':') else { return Ok(head) };
        match (name, value.trim()) {
            ("content-length", value) => head.length = value.parse().ok(),
            ("transfer-encoding", value) => head.is_chunked = value == "chunked",
            ("content-encoding", value) => head.is_gzip = value == "gzip",
            _ => {}
        }
    }
}

fn read_body(stream: &mut impl BufRead, head: &Head, body: &mut Vec<u8>) -> io::Result<()> {
    body.clear();
    if !head.is_chunked {
        let length = head.length.ok_or_else(|| io::Error::other("an answer without length"))?;
        body.resize(length, 0);
        return stream.read_exact(body);
    }
    loop {
        let size = line(stream)?;
        let size = usize::from_str_radix(&size, 16).map_err(|_| io::Error::other("a broken chunk"))?;
        let at = body.len();
        body.resize(at + size, 0);
        stream.read_exact(&mut body[at..])?;
        line(stream)?;
        if size == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut text: &[u8]) -> io::Result<(Head, Vec<u8>)> {
        let head = read_head(&mut text)?;
        let mut body = Vec::new();
        read_body(&mut text, &head, &mut body)?;
        assert!(text.is_empty());
        Ok((head, body))
    }

    #[test]
    fn both_framings_are_read() {
        let (head, body) = read(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").expect("right");
        assert_eq!((head.length, body.as_slice()), (Some(3), b"abc".as_slice()));
        let chunked = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n";
        let (head, body) = read(chunked).expect("right");
        assert_eq!(head, Head { length: None, is_chunked: true, is_gzip: true });
        assert_eq!(body, b"0123456789x");
        assert!(read(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
