//! Answers, read as strictly as they have to be written.

use std::io::{self, ErrorKind, Read};

/// An answer as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The whole head, to the empty line.
    pub head: String,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
    /// The trailer section, its lines joined.
    pub trailers: String,
    /// The heads of the interim answers before it.
    pub interim: Vec<String>,
    /// Whether it came to the end that its framing promises. A body that only the end of the connection delimits is
    /// complete when the connection ended without a reset.
    pub complete: bool,
}

impl Reply {
    /// The value of a field; of several lines, the values joined by `, `.
    pub fn field(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let values: Vec<&str> = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the connection is to be kept, as the answer says (HTTP/1.1).
    pub fn keeps_alive(&self) -> bool {
        !self.field("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"))
    }
}

/// Bytes that were read and not used yet, and where more come from.
pub(crate) struct Source<'s, R> {
    pub(crate) buffer: &'s mut Vec<u8>,
    pub(crate) from: &'s mut R,
}

impl<R: Read> Source<'_, R> {
    fn fill(&mut self) -> io::Result<usize> {
        let mut piece = [0; 16 << 10];
        let n = loop {
            match self.from.read(&mut piece) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.buffer.extend_from_slice(&piece[..n]);
        Ok(n)
    }

    /// Up to and with `end`. `None` when the input ends before.
    pub(crate) fn until(&mut self, end: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut from = 0;
        loop {
            if let Some(at) = self.buffer[from..].windows(end.len()).position(|w| w == end) {
                return Ok(Some(self.buffer.drain(..from + at + end.len()).collect()));
            }
            from = self.buffer.len().saturating_sub(end.len() - 1);
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Exactly `n` bytes into `body`; false when the input ends before.
    pub(crate) fn exactly(&mut self, n: usize, body: &mut Vec<u8>) -> io::Result<bool> {
        let mut left = n;
        loop {
            let now = left.min(self.buffer.len());
            body.extend(self.buffer.drain(..now));
            left -= now;
            if left == 0 {
                return Ok(true);
            }
            if self.fill()? == 0 {
                return Ok(false);
            }
        }
    }

    /// A chunked body and its trailers; false when the input ends before. Panics when a chunk is malformed: nobody may
    /// send such a one.
    pub(crate) fn chunks(&mut self, body: &mut Vec<u8>, trailers: &mut String) -> io::Result<bool> {
        loop {
            let Some(line) = self.until(b"\r\n")? else { return Ok(false) };
            let line = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(line.trim_end().split(';').next().unwrap_or_default(), 16);
            let size = size.unwrap_or_else(|_| panic!("a chunk began with {line:?}"));
            if size == 0 {
                break;
            }
            let mut end = Vec::new();
            if !self.exactly(size, body)? || !self.exactly(2, &mut end)? {
                return Ok(false);
            }
            assert_eq!(end, b"\r\n", "behind the data of a chunk");
        }
        loop {
            let Some(line) = self.until(b"\r\n")? else { return Ok(false) };
            if line == b"\r\n" {
                return Ok(true);
            }
            trailers.push_str(&String::from_utf8_lossy(&line));
        }
    }

    /// The answer to a request; `bodiless` for one to HEAD. `None` when the input ends before an answer begins.
    ///
    /// # Errors
    /// Those of the reading before the answer's head; later ones make it incomplete.
    pub(crate) fn reply(&mut self, bodiless: bool) -> io::Result<Option<Reply>> {
        let mut reply = Reply::default();
        loop {
            let Some(head) = self.until(b"\r\n\r\n")? else {
                assert!(self.buffer.is_empty(), "half a head: {:?}", String::from_utf8_lossy(self.buffer));
                return Ok(None);
            };
            let head = String::from_utf8(head).expect("a head of text");
            let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|s| s.parse().ok());
            reply.status = status.unwrap_or_else(|| panic!("no status line: {head:?}"));
            if !(100..200).contains(&reply.status) || reply.status == 101 {
                reply.head = head;
                break;
            }
            reply.interim.push(head);
        }
        if bodiless || matches!(reply.status, 204 | 304) {
            reply.complete = true;
            return Ok(Some(reply));
        }
        let mut body = Vec::new();
        let length = reply.field("content-length").map(|v| v.parse().expect("one length"));
        let complete = if reply.field("transfer-encoding").is_some() {
            assert_eq!(length, None, "two framings: {}", reply.head);
            let mut trailers = String::new();
            let complete = self.chunks(&mut body, &mut trailers);
            reply.trailers = trailers;
            complete
        } else if let Some(length) = length {
            self.exactly(length, &mut body)
        } else {
            let rest = self.exactly(usize::MAX, &mut body);
            rest.map(|_| true)
        };
        reply.body = body;
        reply.complete = complete.unwrap_or(false);
        Ok(Some(reply))
    }
}
