//! HTTP/1.0 and HTTP/1.1 on the wire (RFC 9112), as machines without I/O: bytes go in, heads and pieces of
//! bodies come out, and the other way round.
//!
//! | side | reads | writes |
//! |---|---|---|
//! | server | [`RequestDecoder`] | [`ResponseEncoder`] |
//! | client | [`ResponseDecoder`] | [`RequestEncoder`] |
//!
//! * A decoder takes what it understands out of a `buf::ReadBuf` and leaves the rest; an encoder appends to a
//!   `buf::OutQueue`. Heads and bodies are spans of the buffer they arrived in: nothing is copied, and nothing is
//!   allocated for a message.
//! * Framing is strict (RFC 9112 §6, §11.2). What two readers could take for two different messages is refused,
//!   never repaired, and the way the bytes were cut on their way never changes what comes out.
//! * Everything is bounded: heads and trailers by [`Limits`], chunk lines and interim answers by constants.
//!   A body has no bound here; its length is announced and the caller counts.
//!
//! This crate knows no socket and no time. What a request means, who may ask it and what a proxy has to rewrite
//! is decided elsewhere.

mod authority;
mod block;
mod body;
mod chunk;
mod encode;
mod error;
mod first_line;
mod framing;
mod head;
mod limits;
mod own_lines;
mod request_decoder;
mod request_encoder;
mod request_head;
mod response_decoder;
mod response_encoder;
mod response_head;
mod scan;
mod split;
mod target;
mod trailers;
mod whole;

pub use body::BodyEvent;
pub use encode::HeadTooLarge;
pub use error::{BodyMismatch, Fault, Garbage, Reject};
pub use limits::Limits;
pub use own_lines::Hsts;
pub use request_decoder::RequestDecoder;
pub use request_encoder::{RequestEncoder, RequestLine};
pub use response_decoder::ResponseDecoder;
pub use response_encoder::ResponseEncoder;
pub use whole::Whole;
