//! From a plain stream to one over TLS.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

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
pub fn accept_tls(stream: Stream, config: &ServerConfig) -> Handshake {
    begin(stream, Session::server(config))
}

/// The client's side of a handshake on a connected stream, with a server that must be `name`. Bound it as
/// [`accept_tls`].
///
/// When it is over, our last message has not left yet: it does so with the first write (one segment with the request), or
/// before the first wait to read.
///
/// # Errors
/// See [`HandshakeFailure`].
pub fn connect_tls(stream: Stream, config: &ClientConfig, name: ServerName<'static>) -> Handshake {
    begin(stream, Session::client(config, name))
}

fn begin(stream: Stream, session: Result<Session, tls::Error>) -> Handshake {
    Handshake(Some(match session {
        Ok(session) => Ok(Box::new(TlsStream::new(stream, session))),
        Err(error) => Err(Box::new(HandshakeFailure { error: io::Error::other(error), stream })),
    }))
}

/// A handshake under way: two words beside the stream that it becomes, since thousands may wait for their clients at once.
#[derive(Debug)]
#[must_use = "it goes on only while it is awaited"]
pub struct Handshake(Option<Result<Box<TlsStream>, Box<HandshakeFailure>>>);

impl Future for Handshake {
    type Output = Result<Stream, HandshakeFailure>;

    /// # Panics
    /// It was ready before.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let over = match &self.0 {
            Some(Ok(stream)) => ready!(stream.poll_handshake(cx)),
            Some(Err(_)) | None => Ok(()),
        };
        Poll::Ready(match (self.0.take().expect("a handshake is over once"), over) {
            (Ok(stream), Ok(())) => Ok(Stream::tls_over(Established::new(stream))),
            (Ok(stream), Err(error)) => Err(HandshakeFailure { error, stream: stream.into_inner() }),
            (Err(failure), _) => Err(*failure),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_is_small_where_it_is_awaited() {
        assert_eq!(size_of::<Handshake>(), 16);
        // Every idle connection keeps a stream. The plain socket is the largest kind, beside the word that tells them apart.
        let socket = size_of::<crate::socket::Socket<mio::net::TcpStream>>();
        assert_eq!(size_of::<Stream>(), socket + 8);
        // With debug assertions mio notes which poll a socket belongs to.
        assert_eq!(socket, if cfg!(debug_assertions) { 24 } else { 8 });
    }
}
