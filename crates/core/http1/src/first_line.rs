//! First lines of the plain shape, read in one pass.
//!
//! Nearly every request line is a common method, an origin-form target and a version, with one space between them;
//! nearly every status line is a version, a usual status and some reason. These are read here. Whatever looks different
//! in any way, right or wrong, is left to httparse (`request_head`, `response_head`), which in debug builds, and when
//! fuzzing, has to find the same in the plain ones.

use message::{Method, Span, TargetForm, Version};

use crate::block::seek;
use crate::target::Target;

/// A request line, taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestLine {
    pub(crate) method: Method,
    pub(crate) method_span: Span,
    /// The whole target.
    pub(crate) target_span: Span,
    pub(crate) target: Target,
    pub(crate) version: Version,
}

/// A status line; its status is one of those there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusLine {
    pub(crate) version: Version,
    pub(crate) status: u16,
}

/// Reads the request line that `window` begins with, and says where it ends behind its CRLF. `None` unless it is good and
/// of the plain shape.
#[inline(always)]
pub(crate) fn request(window: &[u8]) -> Option<(RequestLine, usize)> {
    let (method, method_len) = method(window.first_chunk()?)?;
    let start = method_len + 1;
    if *window.get(start)? != b'/' {
        return None;
    }
    // What may stand in a target is said in `target::split`.
    let path_end = seek(window, start + 1, |b| b.outside(b'!', b'~') | b.is(b'?') | b.is(b'#'));
    let mut end = path_end;
    let mut query = None;
    if window.get(path_end) == Some(&b'?') {
        end = seek(window, path_end + 1, |b| b.outside(b'!', b'~') | b.is(b'#'));
        query = Some(Span::new(path_end + 1, end));
    }
    let [b' ', version @ .., b'\r', b'\n'] = window.get(end..)?.first_chunk::<11>()? else { return None };
    let version = self::version(version)?;
    let path = Span::new(start, path_end);
    let target = Target { form: TargetForm::Origin, authority: None, path, query };
    let line = RequestLine {
        method,
        method_span: Span::new(0, method_len),
        target_span: Span::new(start, end),
        target,
        version,
    };
    check_request(&window[..end + 11], &line);
    Some((line, end + 11))
}

/// The method that a line begins with, and its length. CONNECT is none of the plain ones: its target is an authority.
#[inline(always)]
fn method(line: &[u8; 8]) -> Option<(Method, usize)> {
    const fn word(text: &[u8; 8]) -> u64 {
        u64::from_le_bytes(*text)
    }
    const GET: u64 = word(b"GET \0\0\0\0");
    const PUT: u64 = word(b"PUT \0\0\0\0");
    const POST: u64 = word(b"POST \0\0\0");
    const HEAD: u64 = word(b"HEAD \0\0\0");
    const PATCH: u64 = word(b"PATCH \0\0");
    const DELETE: u64 = word(b"DELETE \0");
    const OPTIONS: u64 = word(b"OPTIONS ");
    let line = word(line);
    let first = |bytes: u32| line & u64::MAX >> (64 - 8 * bytes);
    match (first(4), first(5)) {
        (GET, _) => Some((Method::Get, 3)),
        (_, POST) => Some((Method::Post, 4)),
        (_, HEAD) => Some((Method::Head, 4)),
        (PUT, _) => Some((Method::Put, 3)),
        _ => match (first(6), first(7), line) {
            (PATCH, ..) => Some((Method::Patch, 5)),
            (_, DELETE, _) => Some((Method::Delete, 6)),
            (.., OPTIONS) => Some((Method::Options, 7)),
            _ => None,
        },
    }
}

#[inline(always)]
fn version(name: &[u8; 8]) -> Option<Version> {
    // One comparison of words, not eight of bytes.
    match u64::from_le_bytes(*name) {
        HTTP_11 => Some(Version::Http11),
        HTTP_10 => Some(Version::Http10),
        _ => None,
    }
}

const HTTP_11: u64 = u64::from_le_bytes(*b"HTTP/1.1");
const HTTP_10: u64 = u64::from_le_bytes(*b"HTTP/1.0");

/// Reads the status line that `window` begins with, and says where it ends behind its CRLF. `None` unless it is good and
/// of the plain shape.
#[inline(always)]
pub(crate) fn status(window: &[u8]) -> Option<(StatusLine, usize)> {
    // What nearly every answer begins with: two comparisons.
    if window.first_chunk() == Some(USUAL) {
        let line = StatusLine { version: Version::Http11, status: 200 };
        check_status(USUAL, line);
        return Some((line, USUAL.len()));
    }
    let [version @ .., b' ', a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ' | b'\r'] =
        window.first_chunk::<13>()?
    else {
        return None;
    };
    let version = self::version(version)?;
    let [hundreds, tens, ones] = [a, b, c].map(|digit| u32::from(*digit));
    let status = 100 * hundreds + 10 * tens + ones - 111 * u32::from(b'0');
    let cr = seek(window, 12, |b| b.below(b' ') | b.is(0x7f));
    if window.get(cr..cr + 2)? != b"\r\n" {
        return None;
    }
    let line = StatusLine { version, status: status as u16 };
    check_status(&window[..cr + 2], line);
    Some((line, cr + 2))
}

const USUAL: &[u8; 17] = b"HTTP/1.1 200 OK\r\n";

/// httparse and `target` have to read the same.
#[inline(always)]
fn check_request(line: &[u8], ours: &RequestLine) {
    if cfg!(any(debug_assertions, fuzzing)) {
        let mut theirs = httparse::Request::new(&mut []);
        assert_eq!(theirs.parse(line), Ok(httparse::Status::Partial), "{}", line.escape_ascii());
        let method = ours.method_span.of(line);
        assert_eq!(theirs.method.map(str::as_bytes), Some(method));
        assert_eq!(ours.method, Method::of(method));
        assert_eq!(theirs.path.map(str::as_bytes), Some(ours.target_span.of(line)));
        assert_eq!(theirs.version, Some((ours.version == Version::Http11).into()));
        assert_eq!(Some(ours.target), crate::target::split(ours.method, line, ours.target_span));
    }
}

#[inline(always)]
fn check_status(line: &[u8], ours: StatusLine) {
    if cfg!(any(debug_assertions, fuzzing)) {
        let mut theirs = httparse::Response::new(&mut []);
        assert_eq!(theirs.parse(line), Ok(httparse::Status::Partial), "{}", line.escape_ascii());
        assert_eq!((theirs.version, theirs.code), (Some((ours.version == Version::Http11).into()), Some(ours.status)));
    }
}

#[cfg(test)]
mod tests;
