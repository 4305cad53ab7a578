//! Heads of requests and responses.

use crate::fields::{Fields, Span};
use crate::names::Known;

/// A request method (RFC 9110 §9). Methods are case-sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    /// Any other token; [`RequestHead::method_bytes`] has it.
    Other,
}

impl Method {
    /// Recognises a method.
    pub fn of(token: &[u8]) -> Method {
        match token {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"CONNECT" => Method::Connect,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"PATCH" => Method::Patch,
            _ => Method::Other,
        }
    }

    /// Whether repeating the request has the same effect as making it once (RFC 9110 §9.2.2).
    pub fn is_idempotent(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Put | Method::Delete | Method::Options | Method::Trace)
    }
}

/// The version a message was sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// The four forms of a request target (RFC 9112 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`.
    Origin,
    /// `http://host/path?query`.
    Absolute,
    /// `host:port`, for CONNECT.
    Authority,
    /// `*`, for OPTIONS.
    Asterisk,
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body, nor a length to speak of (204, 304, a request without framing fields).
    None,
    /// So many bytes.
    Known(u64),
    /// Unknown in advance; the version's own framing marks the end (chunked in HTTP/1.1).
    Streamed,
    /// Everything until the connection closes (responses only).
    UntilClose,
}

/// The head of a request. Cloning it copies the field table but no byte.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// Where the method's token stands.
    pub method_span: Span,
    /// The version it was sent in.
    pub version: Version,
    /// The form of its target.
    pub form: TargetForm,
    /// The whole target as it was sent.
    pub target: Span,
    /// The effective authority: of an absolute-form target, else of Host. Empty when there is none.
    pub authority: Span,
    /// The path as it was sent, `/` for an absolute-form target without one (the span is empty then).
    pub path: Span,
    /// The query behind the `?`, when there is a `?`.
    pub query: Option<Span>,
    /// The fields.
    pub fields: Fields,
    /// How the body ends.
    pub body: BodyLength,
    /// Whether the client is willing to send another request on this connection.
    pub keep_alive: bool,
    /// Whether the client waits for a 100 before it sends the body.
    pub expect_continue: bool,
    /// Whether the client asks to switch protocols (Connection: upgrade with an Upgrade field).
    pub upgrade: bool,
}

impl RequestHead {
    /// The method's token.
    pub fn method_bytes(&self) -> &[u8] {
        self.method_span.of(self.fields.bytes())
    }

    /// The whole target as it was sent.
    pub fn target_bytes(&self) -> &[u8] {
        self.target.of(self.fields.bytes())
    }

    /// The effective authority, `host` or `host:port`; empty when the client named none (HTTP/1.0).
    pub fn authority_bytes(&self) -> &[u8] {
        self.authority.of(self.fields.bytes())
    }

    /// The path as it was sent, not normalised; `/` where an absolute-form target has none.
    pub fn path_bytes(&self) -> &[u8] {
        if self.path.is_empty() && self.form == TargetForm::Absolute {
            return b"/";
        }
        self.path.of(self.fields.bytes())
    }

    /// The query behind the `?`, if there is a `?`.
    pub fn query_bytes(&self) -> Option<&[u8]> {
        self.query.map(|q| q.of(self.fields.bytes()))
    }

    /// Whether a body follows that must be read or skipped before the next request.
    pub fn has_body(&self) -> bool {
        !matches!(self.body, BodyLength::None | BodyLength::Known(0))
    }
}

/// The head of a response.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The version it was sent in.
    pub version: Version,
    /// The status code, 100 to 599.
    pub status: u16,
    /// The fields.
    pub fields: Fields,
    /// How the body ends; takes into account what was asked (HEAD) and the status (204, 304).
    pub body: BodyLength,
    /// Whether the connection can carry another exchange afterwards.
    pub keep_alive: bool,
    /// Whether the one Content-Length line says the length of `body` in the digits that anybody would write it in, so that
    /// it may be passed on as it stands. False says nothing.
    pub plain_length: bool,
}

impl ResponseHead {
    /// A head of our own. `fields` holds neither framing (Content-Length, Transfer-Encoding), nor Connection, nor Date:
    /// the version's encoder adds them.
    pub fn new(status: u16, fields: Fields, body: BodyLength) -> ResponseHead {
        ResponseHead { version: Version::Http11, status, fields, body, keep_alive: true, plain_length: false }
    }

    /// Whether this is an interim (1xx) response.
    pub fn is_interim(&self) -> bool {
        self.status < 200
    }

    /// The declared Content-Length, if there is one; for answers to HEAD this says more than `body`.
    pub fn declared_length(&self) -> Option<u64> {
        std::str::from_utf8(self.fields.first(Known::ContentLength)?).ok()?.parse().ok()
    }
}
