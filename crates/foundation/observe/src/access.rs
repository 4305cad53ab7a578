//! The lines of an access log: what became of each request, in the forms that log readers know.

use std::fmt::Display;
use std::io::Write;
use std::net::IpAddr;

use clock::HttpDate;

/// The form of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    /// The Common Log Format.
    Common,
    /// The same with Referer and User-Agent behind it.
    Combined,
    /// An object a line.
    Json,
    /// For people: what a terminal shows.
    Plain {
        /// With colours.
        colour: bool,
        /// Seconds that the clock on the wall is ahead of UTC.
        utc_offset: i32,
    },
}

/// One request and its end.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// Who asked; none: through a Unix socket.
    pub client: Option<IpAddr>,
    /// Method, target as it was sent, version; none when what came was no request.
    pub request: Option<(&'a [u8], &'a [u8], &'static str)>,
    /// Whom it was for; empty when the client named nobody.
    pub host: &'a [u8],
    /// The answer's status.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// What it took.
    pub milliseconds: u32,
    /// The Referer field.
    pub referer: Option<&'a [u8]>,
    /// The User-Agent field.
    pub user_agent: Option<&'a [u8]>,
    /// Whom the client's certificate is for, and its fingerprint, where it has shown one.
    pub certificate: Option<(&'a str, &'a str)>,
    /// What failed, in a sentence.
    pub failure: Option<&'a str>,
}

/// Of a target or a field, no more than this is written: a line has a bound, whatever a client sends.
const TEXT_MAX: usize = 2048;

/// No line is longer: eight texts, each byte of them written as six at most, and what stands around them.
pub const ACCESS_LINE_MAX: usize = 100 << 10;

/// Writes lines. It keeps the text of the present second.
#[derive(Debug)]
pub struct AccessLines {
    format: AccessFormat,
    unix: u64,
    time: [u8; 32],
    time_len: usize,
}

impl AccessLines {
    /// Lines of that form.
    pub fn new(format: AccessFormat) -> AccessLines {
        let mut lines = AccessLines { format, unix: 0, time: [0; 32], time_len: 0 };
        lines.tell_time(0);
        lines
    }

    /// Puts a line to the end of `out`, at most [`ACCESS_LINE_MAX`] bytes; `unix` is in seconds since 1970. Allocates only if `out` must grow.
    pub fn put(&mut self, out: &mut Vec<u8>, unix: u64, access: &Access<'_>) {
        if unix != self.unix {
            self.tell_time(unix);
        }
        match self.format {
            AccessFormat::Common | AccessFormat::Combined => self.put_common(out, access),
            AccessFormat::Json => self.put_json(out, access),
            AccessFormat::Plain { colour, .. } => self.put_plain(out, access, colour),
        }
        out.push(b'\n');
    }

    fn tell_time(&mut self, unix: u64) {
        self.unix = unix;
        let shown = match self.format {
            AccessFormat::Plain { utc_offset, .. } => unix.saturating_add_signed(utc_offset.into()),
            _ => unix,
        };
        let date = HttpDate::at(shown);
        // An IMF-fixdate has its parts at fixed places: `Sun, 06 Nov 1994 08:49:37 GMT`.
        let text = std::str::from_utf8(date.as_bytes()).unwrap_or_default();
        let (day, month, year, time) = (&text[5..7], &text[8..11], &text[12..16], &text[17..25]);
        let room = self.time.len();
        let mut rest = &mut self.time[..];
        // The longest form fits.
        let _ = match self.format {
            AccessFormat::Common | AccessFormat::Combined => {
                write!(rest, "{day}/{month}/{year}:{time} +0000")
            }
            AccessFormat::Json => write!(rest, "{}", date.timestamp()),
            AccessFormat::Plain { .. } => write!(rest, "{time}"),
        };
        self.time_len = room - rest.len();
    }

    fn time(&self) -> &[u8] {
        &self.time[..self.time_len]
    }

    /// `127.0.0.1 - - [28/Nov/2026:16:42:52 +0000] "GET / HTTP/1.1" 200 1024`, and the two fields.
    fn put_common(&self, out: &mut Vec<u8>, access: &Access<'_>) {
        put_client(out, access.client);
        out.extend_from_slice(b" - - [");
        out.extend_from_slice(self.time());
        out.extend_from_slice(b"] \"");
        match access.request {
            Some((method, target, version)) => {
                escape(out, method);
                out.push(b' ');
                escape(out, target);
                out.push(b' ');
                out.extend_from_slice(version.as_bytes());
            }
            None => out.push(b'-'),
        }
        out.extend_from_slice(b"\" ");
        put(out, access.status);
        out.push(b' ');
        put(out, access.bytes);
        if self.format == AccessFormat::Combined {
            for field in [access.referer, access.user_agent] {
                out.extend_from_slice(b" \"");
                escape(out, field.unwrap_or(b"-"));
                out.push(b'"');
            }
        }
    }

    fn put_json(&self, out: &mut Vec<u8>, access: &Access<'_>) {
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(self.time());
        out.extend_from_slice(b"\",\"client\":\"");
        put_client(out, access.client);
        out.push(b'"');
        if let Some((method, target, version)) = access.request {
            put_text(out, "method", method);
            put_text(out, "target", target);
            put_text(out, "version", version.as_bytes());
            put_text(out, "host", access.host);
        }
        put_number(out, "status", access.status.into());
        put_number(out, "bytes", access.bytes);
        put_number(out, "milliseconds", access.milliseconds.into());
        let (subject, fingerprint) = access.certificate.unzip();
        let texts = [
            ("referer", access.referer),
            ("user_agent", access.user_agent),
            ("ssl_client_s_dn", subject.map(str::as_bytes)),
            ("ssl_client_fingerprint", fingerprint.map(str::as_bytes)),
            ("failure", access.failure.map(str::as_bytes)),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                put_text(out, name, text);
            }
        }
        out.push(b'}');
    }

    /// `16:42:52  200  GET /  1.0 KB  3 ms`, and for what failed the reason.
    fn put_plain(&self, out: &mut Vec<u8>, access: &Access<'_>, colour: bool) {
        let paint = |out: &mut Vec<u8>, code: &[u8]| {
            if colour {
                out.extend_from_slice(b"\x1b[");
                out.extend_from_slice(code);
                out.push(b'm');
            }
        };
        let (dim, plain) = (b"2", b"0");
        paint(out, dim);
        out.extend_from_slice(self.time());
        paint(out, plain);
        out.extend_from_slice(b"  ");
        paint(out, colour_of(access.status));
        put(out, access.status);
        paint(out, plain);
        out.extend_from_slice(b"  ");
        match access.request {
            Some((method, target, _)) => {
                escape(out, method);
                out.push(b' ');
                escape(out, target);
            }
            None => out.push(b'-'),
        }
        paint(out, dim);
        out.extend_from_slice(b"  ");
        put_size(out, access.bytes);
        out.extend_from_slice(b"  ");
        put(out, access.milliseconds);
        out.extend_from_slice(b" ms");
        if let Some(why) = access.failure {
            out.extend_from_slice(b"  ");
            escape(out, why.as_bytes());
        }
        paint(out, plain);
    }
}

fn colour_of(status: u16) -> &'static [u8] {
    match status {
        ..300 => b"32",
        300..400 => b"36",
        400..500 => b"33",
        _ => b"31",
    }
}

fn put(out: &mut Vec<u8>, value: impl Display) {
    // A vector takes all.
    let _ = write!(out, "{value}");
}

fn put_client(out: &mut Vec<u8>, client: Option<IpAddr>) {
    match client {
        Some(ip) => put(out, ip),
        None => out.extend_from_slice(b"unix:"),
    }
}

/// Three digits at most, and the unit.
fn put_size(out: &mut Vec<u8>, bytes: u64) {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut size = bytes as f64;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && size < 99.95);
    let _ = write!(out, "{size:.decimals$} {}", UNITS[unit]);
}

/// Puts a text in which nothing can end the line, the quotes, or speak to a terminal: what is not printable ASCII, quotes and
/// backslashes become `\xHH`, as nginx does it.
fn escape(out: &mut Vec<u8>, text: &[u8]) {
    let (text, is_cut) = cut(text);
    for &byte in text {
        match byte {
            b'"' | b'\\' | ..0x20 | 0x7f.. => {
                let _ = write!(out, "\\x{byte:02X}");
            }
            plain => out.push(plain),
        }
    }
    if is_cut {
        out.extend_from_slice(b"...");
    }
}

fn cut(text: &[u8]) -> (&[u8], bool) {
    (&text[..text.len().min(TEXT_MAX)], text.len() > TEXT_MAX)
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn put_number(out: &mut Vec<u8>, name: &str, value: u64) {
    put_name(out, name);
    put(out, value);
}

/// UTF-8 stays as it is. In what is none, each byte that is no ASCII stands for the character of that number (Latin-1).
fn put_text(out: &mut Vec<u8>, name: &str, text: &[u8]) {
    put_name(out, name);
    out.push(b'"');
    let (text, is_cut) = cut(text);
    // A text that was cut may have lost a part of its last character.
    let is_utf8 = match std::str::from_utf8(text) {
        Ok(_) => true,
        Err(e) => is_cut && e.error_len().is_none(),
    };
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            ..0x20 | 0x7f => {
                let _ = write!(out, "\\u{byte:04x}");
            }
            0x80.. if !is_utf8 || is_cut => {
                let _ = write!(out, "\\u{byte:04x}");
            }
            plain => out.push(plain),
        }
    }
    out.extend_from_slice(if is_cut { b"...\"" } else { b"\"" });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access<'static> {
        Access {
            client: Some([127, 0, 0, 1].into()),
            request: Some((b"GET", b"/a?b=1", "HTTP/1.1")),
            host: b"test:8080",
            status: 200,
            bytes: 1024,
            milliseconds: 3,
            referer: None,
            user_agent: Some(b"curl/8"),
            certificate: None,
            failure: None,
        }
    }

    fn line(format: AccessFormat, access: &Access<'_>) -> String {
        let mut out = Vec::new();
        AccessLines::new(format).put(&mut out, 784_111_777, access);
        assert!(out.len() <= ACCESS_LINE_MAX, "{}", out.len());
        String::from_utf8(out).unwrap()
    }

    const PLAIN: AccessFormat = AccessFormat::Plain { colour: false, utc_offset: 3600 };

    #[test]
    fn each_form_as_its_readers_know_it() {
        let common = "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b=1 HTTP/1.1\" 200 1024";
        assert_eq!(line(AccessFormat::Common, &access()), format!("{common}\n"));
        assert_eq!(line(AccessFormat::Combined, &access()), format!("{common} \"-\" \"curl/8\"\n"));
        assert_eq!(
            line(AccessFormat::Json, &access()),
            "{\"time\":\"1994-11-06T08:49:37Z\",\"client\":\"127.0.0.1\",\"method\":\"GET\",\"target\":\"/a?b=1\",\
             \"version\":\"HTTP/1.1\",\"host\":\"test:8080\",\"status\":200,\"bytes\":1024,\"milliseconds\":3,\
             \"user_agent\":\"curl/8\"}\n"
        );
        let known = Access { certificate: Some(("CN=Ann \"A\" B,O=C", "ab12")), ..access() };
        assert!(line(AccessFormat::Json, &known).ends_with(
            "\"user_agent\":\"curl/8\",\"ssl_client_s_dn\":\"CN=Ann \\\"A\\\" B,O=C\",\"ssl_client_fingerprint\":\"ab12\"}\n"
        ));
        assert_eq!(
            line(AccessFormat::Combined, &known),
            format!("{common} \"-\" \"curl/8\"\n"),
            "it has no place there"
        );
        assert_eq!(line(PLAIN, &access()), "09:49:37  200  GET /a?b=1  1.0 KB  3 ms\n");
        let failed = Access { status: 404, failure: Some("There is no such file here."), ..access() };
        let coloured = line(AccessFormat::Plain { colour: true, utc_offset: -3600 }, &failed);
        assert!(coloured.starts_with("\x1b[2m07:49:37\x1b[0m  \x1b[33m404\x1b[0m  GET /a?b=1\x1b[2m"), "{coloured}");
        assert!(coloured.ends_with("There is no such file here.\x1b[0m\n"), "{coloured}");
    }

    #[test]
    fn what_was_no_request_has_a_line_too() {
        let none = Access { client: None, request: None, host: b"", status: 400, user_agent: None, ..access() };
        assert_eq!(line(AccessFormat::Common, &none), "unix: - - [06/Nov/1994:08:49:37 +0000] \"-\" 400 1024\n");
        assert_eq!(line(PLAIN, &none), "09:49:37  400  -  1.0 KB  3 ms\n");
        let json = line(AccessFormat::Json, &none);
        assert!(json.contains("\"client\":\"unix:\",\"status\":400"), "{json}");
    }

    /// Nobody writes lines of their own into the log, nor commands to a terminal.
    #[test]
    fn nothing_breaks_out_of_its_line() {
        let hostile = b"/\"\\\r\n\x1b[2J\x00\x7f\xff\xc3\xa9";
        let asked = Access { request: Some((b"GET", hostile, "HTTP/1.1")), user_agent: Some(hostile), ..access() };
        for format in [AccessFormat::Common, AccessFormat::Combined, AccessFormat::Json, PLAIN] {
            let line = line(format, &asked);
            let text = line.strip_suffix('\n').unwrap();
            assert!(text.bytes().all(|b| (0x20..0x7f).contains(&b)), "{text:?}");
        }
        assert!(
            line(AccessFormat::Common, &asked).contains("/\\x22\\x5C\\x0D\\x0A\\x1B[2J\\x00\\x7F\\xFF\\xC3\\xA9 HTTP")
        );
        let accent = Access { user_agent: Some("é\"".as_bytes()), ..access() };
        assert!(line(AccessFormat::Json, &accent).contains("\"user_agent\":\"é\\\"\""));
    }

    #[test]
    fn no_line_is_long() {
        let long = vec![0xff; 1 << 20];
        let text = "\x07".repeat(1 << 20);
        let asked = Access {
            request: Some((&long, &long, "HTTP/1.1")),
            host: &long,
            referer: Some(&long),
            user_agent: Some(&long),
            certificate: Some((&text, &text)),
            failure: Some(&text),
            ..access()
        };
        for format in [AccessFormat::Combined, AccessFormat::Json, PLAIN] {
            assert!(line(format, &asked).contains("..."));
        }
        let cut_apart = format!("{}é", "a".repeat(TEXT_MAX - 1));
        let json = line(AccessFormat::Json, &Access { user_agent: Some(cut_apart.as_bytes()), ..access() });
        assert!(json.contains("aa\\u00c3...\""), "{json}");
    }

    #[test]
    fn sizes_have_few_digits() {
        for (bytes, want) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KB"),
            (10_240, "10.0 KB"),
            (123_456, "121 KB"),
            (3 << 20, "3.0 MB"),
            (u64::MAX, "16777216 TB"),
        ] {
            let mut out = Vec::new();
            put_size(&mut out, bytes);
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }
}
