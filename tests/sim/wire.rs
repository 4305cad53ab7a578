//! Reading and writing bytes on a simulated connection, and the little of HTTP/1.1 that the peers here need. Written on
//! its own, from the RFC: a fault of the product's parser must not be mirrored here.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;

use buf::{Class, ReadBuf};
use net::{Stream, Transport};

/// Why nothing more can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The connection ended: cleanly, or by a reset.
    Ended { clean: bool },
    /// What came is no HTTP.
    Malformed(String),
}

pub(crate) type Read<T> = Result<T, Stop>;

pub(crate) fn malformed<T>(what: impl Into<String>) -> Read<T> {
    Err(Stop::Malformed(what.into()))
}

/// Fields in their order, names in lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub(crate) fn one<'a>(&'a self, name: &'a str) -> Read<Option<&'a str>> {
        let mut all = self.all(name);
        let first = all.next();
        if all.next().is_some() { malformed(format!("{name} is there twice")) } else { Ok(first) }
    }

    /// The declared length, if there is one.
    pub(crate) fn length(&self) -> Read<Option<usize>> {
        let Some(text) = self.one("content-length")? else { return Ok(None) };
        text.parse().map(Some).or_else(|_| malformed(format!("Content-Length: {text}")))
    }

    pub(crate) fn is_chunked(&self) -> Read<bool> {
        match self.one("transfer-encoding")? {
            None => Ok(false),
            Some("chunked") => Ok(true),
            Some(other) => malformed(format!("Transfer-Encoding: {other}")),
        }
    }
}

/// What arrives on a connection.
pub(crate) struct Source {
    stream: Rc<Stream>,
    bytes: Vec<u8>,
    at: usize,
    /// Bytes received in all.
    pub(crate) received: usize,
    /// After so many bytes reading stops for so many milliseconds; the first is the next.
    pauses: Vec<(usize, u64)>,
}

impl Source {
    pub(crate) fn new(stream: Rc<Stream>, mut pauses: Vec<(usize, u64)>) -> Source {
        pauses.sort_unstable();
        Source { stream, bytes: Vec::new(), at: 0, received: 0, pauses }
    }

    /// Whether bytes wait that were not asked for.
    pub(crate) fn has_rest(&self) -> bool {
        self.at < self.bytes.len()
    }

    pub(crate) async fn more(&mut self) -> Read<()> {
        if let Some((_, ms)) = self.pauses.first().filter(|(at, _)| self.received >= *at).copied() {
            self.pauses.remove(0);
            event_loop::sleep(std::time::Duration::from_millis(ms)).await;
        }
        let mut window = ReadBuf::new(Class::K4);
        match poll_fn(|cx| self.stream.poll_read(cx, &mut window)).await {
            Ok(0) => Err(Stop::Ended { clean: true }),
            Ok(n) => {
                self.received += n;
                self.bytes.drain(..self.at);
                self.at = 0;
                self.bytes.extend_from_slice(window.filled());
                Ok(())
            }
            Err(_) => Err(Stop::Ended { clean: false }),
        }
    }

    async fn line(&mut self) -> Read<String> {
        loop {
            let rest = &self.bytes[self.at..];
            if let Some(end) = rest.iter().position(|b| *b == b'\n') {
                let Some(line) = rest[..end].strip_suffix(b"\r") else { return malformed("a line ends in a bare LF") };
                let line = String::from_utf8(line.to_vec()).or_else(|_| malformed("a line is no UTF-8"))?;
                self.at += end + 1;
                return Ok(line);
            }
            if rest.len() > 64 << 10 {
                return malformed("a line without an end");
            }
            self.more().await?;
        }
    }

    /// The first line and the fields of a message.
    pub(crate) async fn head(&mut self) -> Read<(String, Fields)> {
        let first = self.line().await?;
        Ok((first, self.fields().await?))
    }

    async fn fields(&mut self) -> Read<Fields> {
        let mut fields = Fields::default();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(fields);
            }
            let Some((name, value)) = line.split_once(':') else { return malformed(format!("field line {line:?}")) };
            if name.is_empty() || name.contains([' ', '\t']) {
                return malformed(format!("field line {line:?}"));
            }
            fields.0.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    pub(crate) async fn exactly(&mut self, count: usize) -> Read<Vec<u8>> {
        let mut taken = Vec::with_capacity(count.min(1 << 20));
        while taken.len() < count {
            if !self.has_rest() {
                self.more().await?;
            }
            let n = (count - taken.len()).min(self.bytes.len() - self.at);
            taken.extend_from_slice(&self.bytes[self.at..self.at + n]);
            self.at += n;
        }
        Ok(taken)
    }

    /// A chunked body and its trailers.
    pub(crate) async fn chunks(&mut self) -> Read<(Vec<u8>, Fields)> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).or_else(|_| malformed(format!("chunk line {line:?}")))?;
            if size == 0 {
                return Ok((body, self.fields().await?));
            }
            body.extend(self.exactly(size).await?);
            if !self.line().await?.is_empty() {
                return malformed("a chunk is longer than its size");
            }
        }
    }

    /// All that comes until the connection ends, if it ends cleanly.
    pub(crate) async fn rest(&mut self) -> Read<Vec<u8>> {
        loop {
            match self.more().await {
                Ok(()) => {}
                Err(Stop::Ended { clean: true }) => return Ok(self.bytes.split_off(self.at)),
                Err(stop) => return Err(stop),
            }
        }
    }
}

pub(crate) async fn write_all(stream: &Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(bytes)], false)).await?;
        bytes = &bytes[n..];
    }
    Ok(())
}

/// `body` in chunks of sizes that depend on it.
pub(crate) fn chunked(body: &[u8], trailers: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let size = 1 + body.len() / 3;
    for piece in body.chunks(size) {
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    out
}

/// FNV-1a.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01B3))
}
