//! A client that sends exactly the bytes it is told.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use socket2::SockRef;

use crate::{PATIENCE, Reply, reply::Source};

/// One connection. Reads and writes give up after [`PATIENCE`].
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// How the other side ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order.
    Closed,
    /// With a reset.
    Reset,
    /// Not within the time it was given.
    Open,
}

impl Client {
    /// Connects.
    pub fn connect(to: SocketAddr) -> Client {
        let stream = TcpStream::connect_timeout(&to, PATIENCE).expect("a connection");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        Client { stream, buffer: Vec::new() }
    }

    /// Connects with small socket buffers, so that back-pressure is felt soon.
    pub fn connect_narrow(to: SocketAddr) -> Client {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(16 << 10).expect("a socket option");
        socket.set_send_buffer_size(16 << 10).expect("a socket option");
        socket.connect_timeout(&to.into(), PATIENCE).expect("a connection");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        Client { stream, buffer: Vec::new() }
    }

    /// Sends all of it.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the other side takes what is sent");
    }

    /// Sends what the other side takes.
    ///
    /// # Errors
    /// Those of the writing.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Says that nothing more is sent.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("still connected");
    }

    /// Closes with a reset.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket option");
    }

    /// The stream, to use it from another thread.
    pub fn stream(&self) -> TcpStream {
        self.stream.try_clone().expect("another handle")
    }

    /// The next answer.
    pub fn reply(&mut self) -> Reply {
        self.try_reply().expect("an answer").expect("an answer before the end")
    }

    /// The next answer, to a HEAD request.
    pub fn reply_to_head(&mut self) -> Reply {
        let mut source = Source { buffer: &mut self.buffer, from: &mut self.stream };
        source.reply(true).expect("an answer").expect("an answer before the end")
    }

    /// The next answer; `None` when the connection ends before one begins.
    ///
    /// # Errors
    /// Those of the reading.
    pub fn try_reply(&mut self) -> io::Result<Option<Reply>> {
        Source { buffer: &mut self.buffer, from: &mut self.stream }.reply(false)
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Reply {
        self.send(request);
        self.reply()
    }

    /// Sends a GET with keep-alive and reads its answer.
    pub fn get(&mut self, path: &str) -> Reply {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
    }

    /// Reads up to and with `end`; panics when the connection ends before.
    pub fn read_until(&mut self, end: &str) -> String {
        let mut source = Source { buffer: &mut self.buffer, from: &mut self.stream };
        let bytes = source.until(end.as_bytes()).expect("readable").expect("more before the end");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads exactly so many bytes.
    pub fn read_exactly(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut source = Source { buffer: &mut self.buffer, from: &mut self.stream };
        assert!(source.exactly(n, &mut bytes).expect("readable"), "the end came after {} of {n} bytes", bytes.len());
        bytes
    }

    /// Reads all that comes until the connection ends, and says how it ended.
    pub fn read_to_end(&mut self) -> (Vec<u8>, End) {
        let mut bytes = std::mem::take(&mut self.buffer);
        let mut piece = [0; 16 << 10];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return (bytes, End::Closed),
                Ok(n) => bytes.extend_from_slice(&piece[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return (bytes, End::Open),
                Err(_) => return (bytes, End::Reset),
            }
        }
    }

    /// The connection ends now, and nothing more comes.
    pub fn expect_end(mut self) {
        let (rest, end) = self.read_to_end();
        assert!(rest.is_empty(), "unexpected: {:?}", String::from_utf8_lossy(&rest));
        assert_eq!(end, End::Closed);
    }
}
