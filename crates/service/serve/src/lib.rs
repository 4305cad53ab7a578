//! Serving connections: accept, read requests, hand each to the [`Site`], write answers, keep the deadlines, drain.
//!
//! An [`Exchange`] is one request and its answer: a head, a body to read ([`RequestBody`]) and a [`Response`] to
//! write, each usable beside the other. It assumes nothing of HTTP/1 beyond this crate's own files. One exchange dropped
//! unfinished ends its connection, never cleanly.
//!
//! Which handlers exist is the site's business.

mod accept;
mod active;
mod body;
mod connection;
mod context;
mod deadlines;
mod error_pages;
mod exchange;
mod gate;
mod handshakes;
mod linger;
mod local;
mod pace;
mod page;
mod proxied;
mod record;
mod response;
mod switch;
mod tls;
mod tunnel;
mod wire;

pub use accept::{accept_loop, accept_loop_over};
pub use body::{BodyChunk, RequestBody, is_bulky};
pub use connection::connection;
pub use context::{Context, Handled, Settings, Site, Timeouts};
pub use error_pages::{ErrorPage, ErrorPages, Statuses};
pub use exchange::{Client, Exchange};
pub use handshakes::handshake_failures;
pub use http1::Whole;
pub use local::Local;
pub use record::Record;
pub use response::{Chunk, Response};
pub use switch::Switch;
pub use tls::Tls;
pub use tunnel::Tunnel;
