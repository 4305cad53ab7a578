//! Listeners and streams on a worker's reactor: TCP, Unix sockets, their in-memory form, and TLS over any of them.
//!
//! [`Transport`] is what a connection may do with a stream; [`Stream`] is the closed set of streams there are. Reads
//! go into a [`buf::ReadBuf`] whose buffer is leased only after readiness was seen; writes are vectored; file
//! ranges go by `sendfile`, and a [`Pipe`] takes bytes from socket to socket. Edge-triggered: a short read or a would-block clears the readiness bit.
//!
//! Knows nothing of HTTP.

mod acknowledged;
mod addr;
mod bulk;
mod connect;
mod listener;
pub mod memory;
mod pacing;
mod parcel;
mod pipe;
mod probes;
mod resident;
mod socket;
mod stream;
mod tls_file;
mod tls_handshake;
mod tls_stream;
mod transport;

pub use addr::{Address, ParseAddressError, Peer};
pub use connect::{ConnectOptions, connect, connect_with};
pub use listener::{Accepted, Bound, Listener, Reserved, Share, bind, is_exhausted, reserve};
pub use parcel::Parcel;
pub use pipe::{Filled, PIPES_MAX, Pipe};
pub use probes::PROBED_AFTER;
pub use stream::Stream;
pub use tls_handshake::{Handshake, HandshakeFailure, accept_tls, connect_tls, tls_error};
pub use transport::{FileSend, Transport};
