//! Who a client is, and who is believed about it.
//!
//! * [`Network`] and [`Networks`]: blocks of addresses (RFC 4632, RFC 4291 §2.3), as an operator writes them.
//! * [`told`]: the client that trusted proxies tell of in X-Forwarded-For, X-Forwarded-Proto and Forwarded (RFC 7239).
//! * [`listed`], [`schemes`] and [`hops`]: what these list, so that what one of them says can be written into another.
//! * [`proxy_protocol`]: the PROXY header that stands before a connection's first byte, versions 1 and 2, read and
//!   written.
//!
//! This crate knows neither sockets nor what an address is used for.

mod forwarded;
mod hops;
mod network;
pub mod proxy_protocol;

pub use forwarded::{Told, Unbelievable, told};
pub use hops::{Hop, Node, hops, listed, schemes};
pub use network::{BadNetwork, Network, Networks};
