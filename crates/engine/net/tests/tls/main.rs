//! Streams over TLS.

mod common;
mod peers;
mod streams;
