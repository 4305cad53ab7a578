//! A stream on its way to another worker.

use std::io;
use std::os::fd::AsFd;

use event_loop::Ready;
use mio::event::Source;
use tls::{IdleSession, Session};

use crate::socket::Socket;
use crate::stream::Stream;
use crate::tls_stream::{Established, TlsStream};
use crate::transport::Transport;

/// An idle stream that has left its worker and may go to another thread. Dropped, it is closed.
#[derive(Debug)]
pub struct Parcel {
    socket: Loose,
    /// What is spoken over it, where that is TLS.
    session: Option<Box<IdleSession>>,
}

/// A socket that no reactor knows.
#[derive(Debug)]
pub(crate) enum Loose {
    Tcp(mio::net::TcpStream),
    Unix(mio::net::UnixStream),
}

impl Parcel {
    pub(crate) fn new(socket: Loose, session: Option<Box<IdleSession>>) -> Parcel {
        Parcel { socket, session }
    }

    pub(crate) fn socket(self) -> Loose {
        self.socket
    }

    /// Takes it in on this worker.
    ///
    /// # Errors
    /// When the system does not register it; it is closed then.
    pub fn unpack(self) -> io::Result<Stream> {
        let stream = match self.socket {
            Loose::Tcp(io) => Stream::tcp(io)?,
            Loose::Unix(io) => Stream::unix(io)?,
        };
        // It idled, so there is room: the first write need not wait for the poll to say so.
        stream.registration().assume(Ready::WRITE);
        Ok(match self.session {
            None => stream,
            Some(session) => {
                Stream::tls_over(Established::new(Box::new(TlsStream::new(stream, Session::from(*session)))))
            }
        })
    }
}

/// Takes a socket off this worker's reactor.
pub(crate) fn loosen<S: Source + AsFd>(socket: Socket<S>) -> io::Result<S> {
    let (mut io, registration) = socket.into_parts();
    registration.deregister(&mut io)?;
    Ok(io)
}
