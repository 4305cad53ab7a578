//! From the bytes of a complete head to a `RequestHead`.

use buf::ReadBuf;
use httparse::{Error, Request, Status};
use message::{BodyLength, Field, FieldLines, Fields, Known, KnownSet, Method, RequestHead, Span, Version};

use crate::authority;
use crate::error::{Fault, Reject};
use crate::first_line::{self, RequestLine};
use crate::framing::{self, Coding, Framing};
use crate::head::{fault_of, span_in};
use crate::scan::{Bounds, Scan, Section};
use crate::split::{self, Window};
use crate::target;

/// A complete head whose parts were found, but not judged; its fields are kept apart from it, so that they are not moved.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    line: RequestLine,
    /// Its bytes, the empty line included.
    pub(crate) end: usize,
}

impl Parts {
    /// Reads a head of which nothing was looked at before, all of it in one pass, its fields into `lines`. `None` when the head is not complete,
    /// exceeds a limit, has a faulty line, or a request line that is not plain.
    #[inline(always)]
    pub(crate) fn at_once(input: &ReadBuf, bounds: Bounds, lines: &mut FieldLines) -> Option<Parts> {
        let window = Window::of(input.filled_and_behind(), input.len().min(bounds.section));
        let (line, first_line) = first_line::request(window.bytes())?;
        if first_line > bounds.first_line {
            return None;
        }
        let end = split::at_once(window, first_line, bounds.fields, lines)?;
        debug_assert_eq!(Scan::of_head().find_end(input.filled(), bounds), Ok(Some(Section { first_line, end })));
        Some(Parts { line, end })
    }

    /// Reads the complete head that is the beginning of `bytes`.
    pub(crate) fn of(bytes: &[u8], section: Section) -> Result<(Parts, FieldLines), Reject> {
        let bytes = &bytes[..section.end];
        let mut request = Request::new(&mut []);
        match request.parse_with_uninit_headers(&bytes[..section.first_line], &mut []) {
            // The line is there and nothing behind it.
            Ok(Status::Partial) => {}
            Ok(Status::Complete(_)) => return Err(Fault::FirstLine.into()),
            Err(error) => return Err(refusal(error, bytes)),
        }
        let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
            return Err(Fault::FirstLine.into());
        };
        let lines = split::complete(bytes, section.first_line)?;
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        let method_span = span_in(bytes, method.as_bytes());
        let method = Method::of(method.as_bytes());
        let target_span = span_in(bytes, target.as_bytes());
        let target = target::split(method, bytes, target_span).ok_or(Reject::Target)?;
        let line = RequestLine { method, method_span, target_span, target, version };
        Ok((Parts { line, end: section.end }, lines))
    }

    /// What the fields say that concerns this layer, if they may say that.
    #[inline(always)]
    pub(crate) fn judge(&self, bytes: &[u8], lines: &FieldLines) -> Result<Facts, Reject> {
        let version = self.line.version;
        let mut facts = Facts::default();
        facts.collect(lines.lines(), &bytes[..self.end], version)?;
        facts.body = facts.body_length(version)?;
        if version == Version::Http11 && facts.host.is_none() {
            return Err(Reject::HostMissing);
        }
        Ok(facts)
    }

    /// The head with its fields.
    #[inline(always)]
    pub(crate) fn over(self, fields: Fields, facts: &Facts) -> RequestHead {
        let RequestLine { method, method_span, target_span, target, version } = self.line;
        let body = facts.body;
        RequestHead {
            method,
            method_span,
            version,
            form: target.form,
            target: target_span,
            // RFC 9112 §3.2.2: an absolute-form target overrides Host.
            authority: target.authority.or(facts.host).unwrap_or_default(),
            path: target.path,
            query: target.query,
            fields,
            body,
            keep_alive: !facts.framing.close && (version == Version::Http11 || facts.framing.keep_alive),
            // Nobody waits for a 100 before sending nothing.
            expect_continue: facts.expect_continue && !matches!(body, BodyLength::None | BodyLength::Known(0)),
            // RFC 9110 §7.8: Upgrade in an HTTP/1.0 request is ignored.
            upgrade: facts.upgrade && facts.framing.upgrade_named && version == Version::Http11,
        }
    }
}

/// The names that this layer looks into; of those that it does not know, the name itself.
const CONCERN: KnownSet =
    framing::NAMES.with(KnownSet::of(&[Known::Host, Known::Expect, Known::Upgrade, Known::Other]));

/// What the fields say that concerns this layer.
pub(crate) struct Facts {
    framing: Framing,
    host: Option<Span>,
    expect_continue: bool,
    upgrade: bool,
    pub(crate) body: BodyLength,
}

impl Default for Facts {
    fn default() -> Facts {
        let framing = Framing::default();
        Facts { framing, host: None, expect_continue: false, upgrade: false, body: BodyLength::None }
    }
}

impl Facts {
    /// Goes through the lines once and notes what matters.
    #[inline(always)]
    fn collect(&mut self, lines: &[Field], bytes: &[u8], version: Version) -> Result<(), Reject> {
        for line in lines {
            if !CONCERN.contains(line.known) {
                continue;
            }
            let value = line.value.of(bytes);
            match line.known {
                Known::Host => {
                    if self.host.is_some() {
                        return Err(Reject::HostRepeated);
                    }
                    if !authority::is_plain(bytes, line.value) {
                        authority::judge(value).ok_or(Reject::HostInvalid)?;
                    }
                    self.host = Some(line.value);
                }
                // RFC 9110 §10.1.1: an HTTP/1.0 client's expectation is ignored.
                Known::Expect if version == Version::Http11 => {
                    if !value.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Reject::Expectation);
                    }
                    self.expect_continue = true;
                }
                Known::Upgrade => self.upgrade = true,
                Known::Other => {
                    if message::passes_for_framing(line.name.of(bytes)) {
                        return Err(Fault::FramingName.into());
                    }
                }
                known => self.framing.field(known, value)?,
            }
        }
        Ok(())
    }

    /// RFC 9112 §6.3, the strict reading: a server that cannot tell the length closes.
    #[inline(always)]
    fn body_length(&self, version: Version) -> Result<BodyLength, Reject> {
        match self.framing.coding {
            None => Ok(self.framing.content_length.map_or(BodyLength::None, BodyLength::Known)),
            // RFC 9112 §6.1: a 1.0 client cannot have meant it, or something in between rewrote the version.
            Some(_) if version == Version::Http10 => Err(Fault::TransferEncoding.into()),
            Some(Coding::Chunked) => Ok(BodyLength::Streamed),
            Some(Coding::OtherThenChunked) => Err(Reject::UnknownCoding),
            Some(Coding::NotChunked | Coding::Identity) => Err(Fault::TransferEncoding.into()),
        }
    }
}

/// Judges a request line whose head is not complete, so that what can never become a request is refused at once
/// and not when the head's deadline runs out. `line` ends with its CRLF.
#[cold]
pub(crate) fn check_line(line: &[u8]) -> Result<(), Reject> {
    match Request::new(&mut []).parse(line) {
        Ok(_) => Ok(()),
        Err(error) => Err(refusal(error, line)),
    }
}

#[cold]
fn refusal(error: Error, head: &[u8]) -> Reject {
    match error {
        Error::Version if names_a_version(head) => Reject::Version,
        other => fault_of(other).into(),
    }
}

/// Whether the request line that `head` begins with has three parts, the last being `HTTP/` and two digits with a dot
/// between them.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut behind_target = line.split(|b| *b == b' ').skip(2);
    let (Some(version), None) = (behind_target.next(), behind_target.next()) else { return false };
    matches!(version, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'])
}
