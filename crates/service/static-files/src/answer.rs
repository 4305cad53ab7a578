//! What a request for a file is answered with, still without a connection.

use std::ops::{Deref, Range};
use std::rc::Rc;

use buf::FileRange;
use fs::Error;
use message::{BodyLength, FieldsBuilder, Known, Method, RequestHead, ResponseHead};
use observe::{Failure, Kind};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use serve::{Chunk, Response};

use crate::decide::{Decision, decide};
use crate::entry::{Content, Entry};
use crate::load::Listed;
use crate::multipart::Multipart;
use crate::pages::Pages;
use crate::range::Part;
use crate::stream::Stream;

/// What the Date of an answer of this turn says, in seconds since 1970.
pub(crate) fn date_now() -> u64 {
    event_loop::date().unix()
}

/// The methods a file answers to, as an Allow field lists them.
pub const ALLOW: &str = "GET, HEAD, OPTIONS";

/// What a request for a file is answered with.
#[derive(Debug)]
pub enum Answer {
    /// This head, then this body. For HEAD the body is [`Body::Empty`] whatever the head says.
    Send {
        /// The head, without framing, Connection and Date.
        head: Head,
        /// The bytes, as many as the head says.
        body: Body,
    },
    /// This head, then a body that is made on its way: only where waiting is possible. Never for HEAD.
    Stream {
        /// The head, without framing, Connection and Date.
        head: Head,
        /// What makes the body.
        body: Stream,
    },
    /// There is nothing to send; the failure has the status and says why.
    Refuse(Failure),
}

/// The head of an answer: one that the cache holds, or one made for this request.
#[derive(Clone, Debug)]
pub enum Head {
    /// Shared with the cache.
    Shared(Rc<ResponseHead>),
    /// Made for this request.
    Own(ResponseHead),
}

impl Deref for Head {
    type Target = ResponseHead;

    fn deref(&self) -> &ResponseHead {
        match self {
            Head::Shared(head) => head,
            Head::Own(head) => head,
        }
    }
}

/// The body of an answer.
#[derive(Clone, Debug)]
pub enum Body {
    /// No byte.
    Empty,
    /// A sentence of the program's.
    Static(&'static [u8]),
    /// A part of a content in memory.
    Memory(Rc<[u8]>, Range<usize>),
    /// A part of a file.
    File(FileRange),
    /// These, one behind the other.
    Several(Vec<Body>),
}

impl Body {
    /// Sends a whole answer of this body behind `head`.
    ///
    /// # Errors
    /// Lengths that do not agree: a fault of ours.
    pub fn send(self, head: &ResponseHead, response: &mut Response<'_>) -> Result<(), Failure> {
        response.start(head);
        match self {
            Body::Several(bodies) => bodies.into_iter().try_for_each(|body| body.push(response))?,
            one => one.push(response)?,
        }
        response.finish(None)
    }

    fn push(self, response: &mut Response<'_>) -> Result<(), Failure> {
        match self {
            Body::Empty => Ok(()),
            Body::Static(text) => response.push(Chunk::Static(text)),
            Body::Memory(bytes, range) => response.push(Chunk::Cached(bytes, range)),
            Body::File(range) => response.push(Chunk::File(range)),
            // They are not nested.
            Body::Several(_) => Err(Failure::new(Kind::Internal)),
        }
    }
}

/// Sends the answer to a GET or HEAD of this file if it is the whole of it and lies in memory. False: nothing was sent.
#[inline]
pub(crate) fn send_whole(request: &RequestHead, entry: &Entry, response: &mut Response<'_>) -> bool {
    match (&entry.content, decide(request, &entry.validators, date_now)) {
        (Content::Memory(answer), Decision::Whole) => {
            response.whole(answer);
            true
        }
        _ => false,
    }
}

/// The answer to a GET or HEAD of this file. Allocates nothing unless a part is asked for.
pub(crate) fn of_file(request: &RequestHead, entry: &Entry) -> Answer {
    let size = entry.validators.size();
    match decide(request, &entry.validators, date_now) {
        Decision::Whole => send(request, Head::Shared(Rc::clone(&entry.whole)), entry, 0, size),
        Decision::Part(part) => {
            let head = Head::Own(partial_head(entry, part.first, part.last));
            send(request, head, entry, part.first, part.len())
        }
        Decision::Parts(parts) => several_parts(entry, &parts),
        Decision::NotModified => Answer::Send { head: Head::Shared(Rc::clone(&entry.not_modified)), body: Body::Empty },
        Decision::Failed => page(request, 412, PRECONDITION_FAILED, &[]),
        Decision::Unsatisfiable => {
            let mut size_text = itoa::Buffer::new();
            let range = [&b"bytes */"[..], size_text.format(size).as_bytes()];
            page(request, 416, UNSATISFIABLE, &[(Known::ContentRange, b"Content-Range", &range)])
        }
    }
}

const PRECONDITION_FAILED: &[u8] =
    b"412 Precondition Failed\n\nThe file has changed: it is not the one that the request means.\n";
const UNSATISFIABLE: &[u8] =
    b"416 Range Not Satisfiable\n\nThe range that was asked for begins behind the end of the file.\n";
const MOVED: &[u8] = b"301 Moved Permanently\n\nThis is a directory: its address ends with a slash.\n";

/// A name and the parts of its value.
type Line<'a> = (Known, &'a [u8], &'a [&'a [u8]]);

/// An answer that is no failure of anybody's and still no file: a sentence, and what fields its status asks for.
fn page(request: &RequestHead, status: u16, text: &'static [u8], lines: &[Line<'_>]) -> Answer {
    let mut fields = FieldsBuilder::new();
    for (known, name, parts) in lines {
        fields.push_parts(*known, name, parts);
    }
    fields.push_known(Known::ContentType, b"Content-Type", b"text/plain; charset=utf-8");
    fields.push(b"X-Content-Type-Options", b"nosniff");
    let head = Head::Own(ResponseHead::new(status, fields.finish(), BodyLength::Known(text.len() as u64)));
    let body = if request.method == Method::Head { Body::Empty } else { Body::Static(text) };
    Answer::Send { head, body }
}

/// What is in a directory. It is made for each request, since nothing tells when it changes. `varies`: with the codings that a client
/// takes, too.
pub(crate) fn listing(request: &RequestHead, listed: Listed, varies: bool, pages: &Pages) -> Answer {
    let Listed { form, coding, has_suffix, bytes } = listed;
    let mut fields = FieldsBuilder::new();
    fields.push_known(Known::CacheControl, b"Cache-Control", b"no-cache");
    fields.push_known(Known::Vary, b"Vary", if varies { b"Accept, Accept-Encoding" } else { b"Accept" });
    if let Some(coding) = coding {
        fields.push_known(Known::ContentEncoding, b"Content-Encoding", coding.token().as_bytes());
    }
    fields.push_known(Known::ContentType, b"Content-Type", form.content_type().as_bytes());
    fields.push(b"X-Content-Type-Options", b"nosniff");
    fields.push(b"Content-Security-Policy", if has_suffix { POLICY_OF_LIVE_LISTING } else { POLICY_OF_LISTING });
    let length = bytes.len();
    let head = Head::Own(ResponseHead::new(200, fields.finish(), BodyLength::Known(length as u64)));
    if request.method == Method::Head {
        return Answer::Send { head, body: Body::Empty };
    }
    let bytes = bytes.into();
    match pages.admit(&bytes) {
        true => Answer::Send { head, body: Body::Memory(bytes, 0..length) },
        false => Answer::Refuse(Failure::because(
            Kind::Overload,
            "Too many long lists are on their way; try again in a moment.",
        )),
    }
}

/// The page holds names that strangers may have chosen; it needs no script and no other place.
const POLICY_OF_LISTING: &[u8] = b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'";

/// What is put to the end of pages is a script of ours that listens to us.
const POLICY_OF_LIVE_LISTING: &[u8] =
    b"default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; frame-ancestors 'self'";

fn send(request: &RequestHead, head: Head, entry: &Entry, offset: u64, len: u64) -> Answer {
    let body = match request.method {
        Method::Head => Body::Empty,
        _ if len == 0 => Body::Empty,
        _ => piece(entry, offset, len),
    };
    Answer::Send { head, body }
}

fn piece(entry: &Entry, offset: u64, len: u64) -> Body {
    match &entry.content {
        Content::Memory(answer) => Body::Memory(Rc::clone(answer.body()), offset as usize..(offset + len) as usize),
        Content::File(file) => Body::File(FileRange { file: Rc::clone(file), offset, len }),
    }
}

/// Several parts as one answer: a head for each, and its bytes.
fn several_parts(entry: &Entry, parts: &[Part]) -> Answer {
    let written = Multipart::of(&entry.whole.fields, &entry.validators, parts);
    let mut bodies = Vec::with_capacity(2 * parts.len() + 1);
    for (part, head) in parts.iter().zip(written.heads) {
        bodies.push(Body::Memory(Rc::clone(&written.text), head));
        bodies.push(piece(entry, part.first, part.len()));
    }
    bodies.push(Body::Memory(Rc::clone(&written.text), written.end));
    Answer::Send { head: Head::Own(written.head), body: Body::Several(bodies) }
}

/// The head of a 206: that of the 200, and which part it is (RFC 9110 §15.3.7.1).
fn partial_head(entry: &Entry, first: u64, last: u64) -> ResponseHead {
    let mut fields = FieldsBuilder::new();
    for line in entry.whole.fields.iter() {
        fields.push_known(line.known, line.name, line.value);
    }
    let (mut a, mut b, mut c) = (itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new());
    let (first_text, last_text, size) = (a.format(first), b.format(last), c.format(entry.validators.size()));
    let parts = [&b"bytes "[..], first_text.as_bytes(), b"-", last_text.as_bytes(), b"/", size.as_bytes()];
    fields.push_parts(Known::ContentRange, b"Content-Range", &parts);
    ResponseHead::new(206, fields.finish(), BodyLength::Known(last - first + 1))
}

/// What is said of a path that could not be opened.
pub(crate) fn failure_of(error: &Error) -> Failure {
    match error {
        // A pipe or a device is nothing that this server shows, whatever it is.
        Error::NotFound | Error::Invalid | Error::NotAFile => Failure::new(Kind::NotFound),
        Error::Forbidden => Failure::new(Kind::Forbidden),
        Error::Outside => Failure::because(
            Kind::Forbidden,
            "It is behind a symbolic link that is not followed: one that leads out of the folder, one that is absolute, or any at all where \
             links are refused.",
        ),
        Error::TooManyOpen => {
            Failure::because(Kind::Overload, "This server has too many files open; try again in a moment.")
        }
        Error::WouldBlock => Failure::new(Kind::FileError),
        Error::Io(error) => Failure::because(Kind::FileError, format!("The file could not be read: {error}.")),
    }
}

/// Everything that is not plainly part of a path or query is encoded: above all the backslash, which browsers take
/// for a slash, and what could break a line or a tag.
const UNSAFE_IN_LOCATION: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// The answer to a directory asked for without the slash at its end: 301 to the same path with it, query kept.
///
/// Location is an absolute path on this host: it begins with exactly one slash, so that no path can make it name
/// another host (`//evil.example`).
pub(crate) fn to_directory(request: &RequestHead, path: &[u8]) -> Answer {
    let location = directory_location(path, request.query_bytes());
    if location.len() > LOCATION_MAX {
        return Answer::Refuse(Failure::new(Kind::NotFound));
    }
    page(request, 301, MOVED, &[(Known::Location, b"Location", &[location.as_bytes()])])
}

fn directory_location(path: &[u8], query: Option<&[u8]>) -> String {
    let slashes = path.iter().take_while(|b| **b == b'/').count();
    let mut location = String::from("/");
    if slashes < path.len() {
        location.extend(percent_encode(&path[slashes..], UNSAFE_IN_LOCATION));
        location.push('/');
    }
    if let Some(query) = query {
        location.push('?');
        location.extend(percent_encode(query, UNSAFE_IN_LOCATION));
    }
    location
}

/// Far above what a request target can hold by default (8 KiB), and below what a field table can.
const LOCATION_MAX: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::request;

    #[test]
    fn a_redirect_stays_on_this_host() {
        for (path, query, want) in [
            ("/docs", None, "/docs/"),
            ("/a/b", Some("x=1&y=%2F"), "/a/b/?x=1&y=%2F"),
            ("/docs", Some(""), "/docs/?"),
            ("//evil.example", None, "/evil.example/"),
            ("////evil.example/x", Some("//z"), "/evil.example/x/?//z"),
            ("/\\evil.example", None, "/%5Cevil.example/"),
            ("/a b<\r\n", None, "/a%20b%3C%0D%0A/"),
            ("/%5C%2F", None, "/%5C%2F/"),
            ("/", None, "/"),
            ("", None, "/"),
        ] {
            assert_eq!(directory_location(path.as_bytes(), query.map(str::as_bytes)), want, "{path}");
        }
        assert_eq!(directory_location("/é".as_bytes(), None), "/%C3%A9/");
        let long = to_directory(&request("GET", "/x", &[]), &vec![b'a'; LOCATION_MAX]);
        assert!(matches!(long, Answer::Refuse(Failure { status: 404, .. })));
    }

    #[test]
    fn a_link_that_is_not_followed_is_told_from_permissions() {
        let dir = tempfile::TempDir::new().unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("absolute")).unwrap();
        let error = fs::Root::open(dir.path()).unwrap().open_file(b"absolute", fs::Reach::Disk).unwrap_err();
        let [link, closed] = [error, Error::Forbidden].map(|error| failure_of(&error));
        assert_eq!((link.status, closed.status), (403, 403));
        assert!(link.sentence.contains("absolute") && !closed.sentence.contains("link"));
        std::os::unix::fs::symlink("absolute", dir.path().join("relative")).unwrap();
        let root = fs::Root::open_with(dir.path(), fs::Links::Refuse).unwrap();
        let refused = failure_of(&root.open_file(b"relative", fs::Reach::Disk).unwrap_err());
        assert!(refused.sentence.contains("any at all where links are refused"));
    }

    proptest! {
        #[test]
        fn no_path_leads_elsewhere(path in proptest::collection::vec(any::<u8>(), 0..40), query: Option<Vec<u8>>) {
            let mut whole = vec![b'/'];
            whole.extend(path);
            let to = directory_location(&whole, query.as_deref());
            prop_assert!(to.starts_with('/') && !to.starts_with("//") && !to.contains('\\'));
            prop_assert!(to.bytes().all(|b| b.is_ascii_graphic()));
        }
    }
}
