//! How large a head may be.

use crate::scan::Bounds;

/// How large a head, or the trailer section of a body, may be. The default is the default of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole head, from its first line to its empty line; of a trailer section likewise. More than
    /// 64 KiB, or than the read buffer holds, counts as that.
    pub header_bytes: usize,
    /// Field lines of a head; of a trailer section likewise.
    pub headers: usize,
    /// Bytes of a request line, its CRLF not counted.
    pub uri_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { header_bytes: 16 << 10, headers: 100, uri_bytes: 8 << 10 }
    }
}

/// A span counts in 16 bits, and a head lies in one buffer.
const HEAD_MAX: usize = 64 << 10;

/// Bytes of a status line with its CRLF: nothing in it grows with what a user configures.
const STATUS_LINE_MAX: usize = 4096;

impl Limits {
    /// For the head of a request that arrives in a buffer of `capacity` bytes.
    pub(crate) fn request(&self, capacity: usize) -> Bounds {
        let section = self.section(capacity);
        Bounds { first_line: self.uri_bytes.saturating_add(2).min(section), section, fields: self.headers }
    }

    /// For the head of a response.
    pub(crate) fn response(&self, capacity: usize) -> Bounds {
        let section = self.section(capacity);
        Bounds { first_line: STATUS_LINE_MAX.min(section), section, fields: self.headers }
    }

    /// For the trailer section of a body.
    pub(crate) fn trailers(&self, capacity: usize) -> Bounds {
        let section = self.section(capacity);
        Bounds { first_line: section, section, fields: self.headers }
    }

    fn section(&self, capacity: usize) -> usize {
        self.header_bytes.min(HEAD_MAX).min(capacity)
    }
}
