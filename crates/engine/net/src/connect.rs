//! Connecting out.

use std::io;
use std::path::Path;

use event_loop::Direction;

use crate::addr::Address;
use crate::memory;
use crate::stream::Stream;
use crate::transport::Transport;

/// Connects to `address`. Bound it with `event_loop::within`: the system's own patience is minutes. Dropping the
/// future gives up the attempt.
///
/// # Errors
/// The system's: `ConnectionRefused`, `HostUnreachable`, `NotFound` (no such Unix socket), ...
pub async fn connect(address: &Address) -> io::Result<Stream> {
    match address {
        Address::Tcp(addr) => {
            let io = mio::net::TcpStream::connect(*addr)?;
            io.set_nodelay(true)?;
            finish(Stream::tcp(io)?).await
        }
        Address::Unix(path) => {
            let io = connect_unix(path)?;
            finish(Stream::unix(io)?).await
        }
        Address::Memory(number) if memory::is_silent(*number) => std::future::pending().await,
        Address::Memory(number) => memory::connect(*number).map(Stream::from),
    }
}

fn connect_unix(path: &Path) -> io::Result<mio::net::UnixStream> {
    // A Unix socket whose backlog is full answers EAGAIN instead of waiting; that is a refusal for the caller.
    mio::net::UnixStream::connect(path).map_err(|e| match e.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::ConnectionRefused, "its queue is full"),
        _ => e,
    })
}

/// Waits until the attempt is decided: writable, or broken.
async fn finish(stream: Stream) -> io::Result<Stream> {
    std::future::poll_fn(|cx| stream.registration().poll_ready(cx, Direction::Write)).await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}
