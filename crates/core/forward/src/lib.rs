//! What a proxy rewrites between a client and a server (RFC 9110 §7.6), and nothing else: fields in, lines out, written
//! where the head is sent from ([`message::HeadWriter`]).
//!
//! * [`request`]: the fields that a server is sent. Hop-by-hop fields stay behind, Host follows the route's
//!   [`HostPolicy`], Via, X-Forwarded-* and Forwarded (RFC 7239) tell who asked.
//! * [`target`]: the request target that a server is sent, under a [`PathRewrite`].
//! * [`response`]: the fields that the client is sent.
//! * [`trailers`]: the fields behind a body, either way.
//!
//! The operator's [`FieldRules`] come last and have the last word. Framing (Content-Length, Transfer-Encoding,
//! Connection: close, Date) is the encoder's of whatever version the message is sent in; this crate knows none. Only a
//! Content-Length that says the body's length in the very digits the encoder would write passes with its neighbours.
//!
//! Fields pass in the order and spelling they came in. Names and values are taken from heads that a decoder
//! accepted, so they hold no CR, LF or NUL; what is added here holds none either.

mod client;
mod filter;
mod request;
mod response;
mod rules;
mod target;
mod told;

pub use client::{CertificatePart, ClientAddress, ClientCertificate, ClientInfo, Scheme};
pub use filter::{NOMINATED_MAX, TooManyOptions};
pub use request::{HostPolicy, RequestOptions, Sent, max_forwards, request, request_len_max};
pub use response::{ResponseOptions, declared_length, response, response_len_max, trailers};
pub use rules::{FieldRules, RuleError, RuleProblem, Side};
pub use target::{BadPrefix, PathRewrite, target};

/// How this proxy names itself in Via (RFC 9110 §7.6.3).
pub const PSEUDONYM: &str = "tollgate";

// It is part of longer constants too.
const _: () = assert!(matches!(PSEUDONYM.as_bytes(), b"tollgate"));

#[cfg(test)]
mod tests;
