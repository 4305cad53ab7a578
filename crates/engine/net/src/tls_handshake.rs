//! From a plain stream to one over TLS.

use std::fmt;
use std::io;

use tls::{ClientConfig, ServerConfig, ServerName, Session};

use crate::stream::Stream;
use crate::tls_stream::{Established, TlsStream};

/// A handshake that failed.
#[derive(Debug)]
pub struct HandshakeFailure {
    /// Why: an error of the transport (`TimedOut` when the stream's deadline passed), or one with a [`tls::Error`] inside,
    /// see [`tls_error`].
    pub error: io::Error,
    /// The stream below. The alert has been sent; what is left is to close it, or to answer somebody who spoke plain HTTP
    /// ([`tls::Error::PlainHttp`]) in kind.
    pub stream: Stream,
}

impl HandshakeFailure {
    /// What TLS says, if it was not the transport that failed.
    pub fn tls(&self) -> Option<&tls::Error> {
        tls_error(&self.error)
    }
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for HandshakeFailure {}

/// The TLS error inside an error that a stream gave, if there is one. Its kind is `ConnectionAborted`.
pub fn tls_error(error: &io::Error) -> Option<&tls::Error> {
    error.get_ref()?.downcast_ref()
}

/// The server's side of a handshake on an accepted stream. Bound it by the stream's deadline
/// ([`crate::Transport::set_deadline`]) or by `event_loop::within`.
///
/// When it is over, the session tickets have not left yet: they do so with the first write, or before the first wait to
/// read (`poll_read`, `poll_readable`).
///
/// # Errors
/// See [`HandshakeFailure`].
pub fn accept_tls(
    stream: Stream,
    config: &ServerConfig,
) -> impl Future<Output = Result<Stream, HandshakeFailure>> + use<> {
    handshake(begin(stream, Session::server(config)))
}

/// The client's side of a handshake on a connected stream, with a server that must be `name`. Bound it as
/// [`accept_tls`].
///
/// When it is over, our last message has not left yet: it does so with the first write (one segment with the request), or
/// before the first wait to read.
///
/// # Errors
/// See [`HandshakeFailure`].
pub fn connect_tls(
    stream: Stream,
    config: &ClientConfig,
    name: ServerName<'static>,
) -> impl Future<Output = Result<Stream, HandshakeFailure>> + use<> {
    handshake(begin(stream, Session::client(config, name)))
}

/// Not within the future: the session would make that large before it is boxed.
fn begin(stream: Stream, session: Result<Session, tls::Error>) -> Result<Box<TlsStream>, HandshakeFailure> {
    match session {
        Ok(session) => Ok(Box::new(TlsStream::new(stream, session))),
        Err(error) => Err(HandshakeFailure { error: io::Error::other(error), stream }),
    }
}

async fn handshake(begun: Result<Box<TlsStream>, HandshakeFailure>) -> Result<Stream, HandshakeFailure> {
    let stream = begun?;
    match std::future::poll_fn(|cx| stream.poll_handshake(cx)).await {
        Ok(()) => Ok(Stream::tls_over(Established::new(stream))),
        Err(error) => Err(HandshakeFailure { error, stream: stream.into_inner() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_is_small_where_it_is_awaited() {
        fn size_of_future<F: Future>(_: impl FnOnce(Stream, &'static ServerConfig) -> F) -> usize {
            size_of::<F>()
        }
        let size = size_of_future(accept_tls);
        assert!(size <= 128, "{size}");
        // TLS makes no stream larger: the largest kind is the one in memory, beside the word that tells them apart.
        assert_eq!(size_of::<Stream>(), size_of::<crate::memory::MemoryStream>() + 8);
    }
}
