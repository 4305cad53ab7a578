//! The lines of an answer's head that are its encoder's own: the status line (RFC 9112 §4), and those behind the fields.

use buf::OutQueue;
use message::{HeadWriter, Known, KnownSet, Version, reason_phrase};

use crate::encode::{BodyFraming, CHUNKED, CRLF, HeadTooLarge, OWN_LINES_MAX, put_content_length, whole};

/// An answer whose head is being written.
pub(crate) struct Begun {
    pub(crate) framing: BodyFraming,
    /// What Content-Length says.
    pub(crate) length: Option<u64>,
    pub(crate) keep_alive: bool,
    /// The client's.
    pub(crate) version: Version,
    pub(crate) hsts: Option<Hsts>,
}

/// Strict-Transport-Security (RFC 6797): a browser that has got it over TLS comes by TLS only. Never to be sent without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// For so many seconds; 0: it may forget.
    pub max_age_seconds: u32,
    /// Also to all names below.
    pub include_subdomains: bool,
    /// Browsers may have it built in.
    pub preload: bool,
}

impl Begun {
    /// Writes a whole head whose fields `fields` writes, and `body` behind it.
    #[inline(always)]
    pub(crate) fn write<E: From<HeadTooLarge>>(
        &self,
        out: &mut OutQueue,
        status: u16,
        date: impl FnOnce() -> [u8; 29],
        fields_max: usize,
        fields: impl FnOnce(&mut HeadWriter<'_>) -> Result<(), E>,
        body: &[u8],
    ) -> Result<(), E> {
        out.write_with(STATUS_LINE_MAX + fields_max + OWN_LINES_MAX + body.len(), |memory| {
            let mut head = HeadWriter::over(memory);
            put_status_line(&mut head, status);
            fields(&mut head)?;
            debug_assert!(!head.names().meets(NOT_THEIRS), "framing and Connection are the encoder's");
            self.put_lines(&mut head, date);
            head.put_slice(body);
            whole::<E>(&head)
        })
    }

    /// The last lines of the head: what the fields do not say.
    #[inline(always)]
    pub(crate) fn put_lines(&self, lines: &mut HeadWriter<'_>, date: impl FnOnce() -> [u8; 29]) {
        if let Some(length) = self.length {
            put_content_length(lines, length);
        } else if self.framing == BodyFraming::Chunked {
            lines.put(CHUNKED);
        }
        if !lines.names().meets(DATE) {
            lines.put(b"Date: ");
            lines.put(&date());
            lines.put(CRLF);
        }
        // One branch for all that is rare.
        let offers = lines.names().meets(UPGRADE);
        if !self.keep_alive | (self.version == Version::Http10) | self.hsts.is_some() | offers {
            self.put_rare_lines(lines);
        }
        lines.put(CRLF);
    }

    #[inline(never)]
    fn put_rare_lines(&self, lines: &mut HeadWriter<'_>) {
        // Upgrade is for the next hop only, which Connection has to say (RFC 9110 §7.8).
        match (self.keep_alive, lines.names().meets(UPGRADE)) {
            (false, false) => lines.put(b"Connection: close\r\n"),
            (false, true) => lines.put(b"Connection: close, upgrade\r\n"),
            (true, true) if self.version == Version::Http10 => lines.put(b"Connection: keep-alive, upgrade\r\n"),
            (true, true) => lines.put(b"Connection: upgrade\r\n"),
            (true, false) if self.version == Version::Http10 => lines.put(b"Connection: keep-alive\r\n"),
            (true, false) => {}
        }
        let Some(hsts) = self.hsts else { return };
        lines.put(b"Strict-Transport-Security: max-age=");
        lines.put_decimal(u64::from(hsts.max_age_seconds));
        if hsts.include_subdomains {
            lines.put(b"; includeSubDomains");
        }
        if hsts.preload {
            lines.put(b"; preload");
        }
        lines.put(CRLF);
    }
}

/// Whether one of these lines is Strict-Transport-Security.
pub(crate) fn says_hsts(lines: &[u8]) -> bool {
    const NAME: &[u8] = b"strict-transport-security:";
    lines.split(|b| *b == b'\n').any(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))
}

pub(crate) const DATE: KnownSet = KnownSet::of(&[Known::Date]);

const UPGRADE: KnownSet = KnownSet::of(&[Known::Upgrade]);

/// What fields that are passed on never hold.
const NOT_THEIRS: KnownSet = KnownSet::of(&[Known::TransferEncoding, Known::Connection]);

/// The status lines that are sent most, whole.
pub(crate) fn usual_status_line(status: u16) -> Option<&'static [u8]> {
    Some(match status {
        200 => b"HTTP/1.1 200 OK\r\n",
        206 => b"HTTP/1.1 206 Partial Content\r\n",
        304 => b"HTTP/1.1 304 Not Modified\r\n",
        404 => b"HTTP/1.1 404 Not Found\r\n",
        _ => return None,
    })
}

/// Any status line. RFC 9110 §6.2: it names our version, whatever the client's.
pub(crate) fn status_line(out: &mut OutQueue, status: u16) {
    let mut memory = [0; STATUS_LINE_MAX];
    let mut line = HeadWriter::over(&mut memory);
    put_status_line(&mut line, status);
    let len = line.len();
    out.put(&memory[..len]);
}

/// The longest reason phrase has 31 bytes.
pub(crate) const STATUS_LINE_MAX: usize = 64;

#[inline]
pub(crate) fn put_status_line(line: &mut HeadWriter<'_>, status: u16) {
    if status == 200 { line.put(b"HTTP/1.1 200 OK\r\n") } else { put_any_status_line(line, status) }
}

#[inline(never)]
fn put_any_status_line(line: &mut HeadWriter<'_>, status: u16) {
    line.put(b"HTTP/1.1 ");
    line.put_decimal(u64::from(status));
    line.put(b" ");
    line.put_slice(reason_phrase(status).as_bytes());
    line.put(CRLF);
}
