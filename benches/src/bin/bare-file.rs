//! The yardstick for sending a file: a bare epoll loop that parses nothing and sends the same head and file to whatever it
//! reads, in one of three ways. What does not fit the socket is sent when there is room again. One answer per read.

use std::{
    fs::{self, File},
    io::{self, IoSlice, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::FileExt,
    path::PathBuf,
    process::ExitCode,
};

use benches::wire::{self, Epoll, LISTENER, Slots};
use clap::{Parser, ValueEnum};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{SendAncillaryBuffer, SendFlags},
};

/// Answers every read with a file.
#[derive(Parser)]
struct Args {
    /// Where to listen
    #[arg(long)]
    listen: SocketAddr,
    /// The file
    #[arg(long)]
    file: PathBuf,
    /// How to send it
    #[arg(long)]
    how: How,
    /// The most that one sendfile moves
    #[arg(long, default_value_t = 1 << 20)]
    piece: usize,
    /// Serve others after each piece
    #[arg(long)]
    in_turns: bool,
    /// After each piece look whether a third of the socket's room is free, as a level-triggered epoll would, and wait if not
    #[arg(long)]
    look: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum How {
    /// From memory
    Write,
    /// Read from the file for each answer
    Read,
    /// By sendfile
    Sendfile,
}

fn main() -> ExitCode {
    wire::ended("bare-file", Server::new(&Args::parse()).and_then(|mut server| server.run()))
}

struct Server {
    listener: TcpListener,
    epoll: Epoll,
    connections: Slots<Connection>,
    answer: Answer,
    again: Vec<usize>,
}

/// What every request gets.
struct Answer {
    how: How,
    piece: usize,
    in_turns: bool,
    look: bool,
    file: File,
    head: Vec<u8>,
    /// The file's content, or room for it.
    content: Vec<u8>,
    length: usize,
}

struct Connection {
    stream: TcpStream,
    /// Bytes of the answer that were sent; `None` between answers.
    sent: Option<usize>,
}

/// What became of an attempt to send.
enum Sent {
    All,
    /// The socket is full.
    Some,
    /// It is the others' turn.
    Turn,
}

impl Server {
    fn new(args: &Args) -> io::Result<Server> {
        let (listener, epoll) = wire::listening(args.listen)?;
        let length = usize::try_from(fs::metadata(&args.file)?.len()).map_err(io::Error::other)?;
        let answer = Answer {
            how: args.how,
            piece: args.piece,
            in_turns: args.in_turns,
            look: args.look,
            file: File::open(&args.file)?,
            head: wire::canned_head(length),
            content: if args.how == How::Sendfile { Vec::new() } else { fs::read(&args.file)? },
            length,
        };
        Ok(Server { listener, epoll, connections: Slots::default(), answer, again: Vec::new() })
    }

    fn run(&mut self) -> io::Result<()> {
        let (mut ready, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
        loop {
            let limit = (!self.again.is_empty()).then_some(std::time::Duration::ZERO);
            ready.extend(self.epoll.wait(limit)?);
            let again = std::mem::take(&mut self.again);
            again.into_iter().for_each(|n| self.serve(n, &mut buffer));
            for word in ready.drain(..) {
                if word == LISTENER {
                    self.accept()?;
                } else {
                    self.serve(usize::try_from(word).unwrap_or(usize::MAX), &mut buffer);
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Some(stream) = wire::accept(&self.listener)? {
            let n = self.connections.insert(Connection { stream, sent: None });
            if let Some(Connection { stream, .. }) = self.connections.get(n) {
                self.epoll.add_duplex(&*stream, n as u64)?;
            }
        }
        Ok(())
    }

    /// Goes on with connection `n`: sends what is left of an answer, or reads a request and answers it.
    fn serve(&mut self, n: usize, buffer: &mut [u8]) {
        let Some(connection) = self.connections.get(n) else { return };
        if connection.sent.is_none() {
            match connection.stream.read(buffer) {
                Ok(read) if read > 0 => connection.sent = Some(0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => return self.connections.remove(n),
            }
        }
        match self.answer.send(connection) {
            Ok(Sent::All) => connection.sent = None,
            Ok(Sent::Some) => {}
            Ok(Sent::Turn) => self.again.push(n),
            Err(_) => self.connections.remove(n),
        }
    }
}

impl Answer {
    fn send(&mut self, connection: &mut Connection) -> Result<Sent, Errno> {
        let total = self.head.len() + self.length;
        let mut pieces = 0;
        while let Some(sent) = connection.sent.filter(|sent| *sent < total) {
            if self.in_turns && pieces > 0 {
                return Ok(Sent::Turn);
            }
            if self.look && pieces > 0 && !has_room(&connection.stream)? {
                return Ok(Sent::Some);
            }
            match self.send_some(&connection.stream, sent) {
                Ok(0) => return Err(Errno::IO),
                Ok(n) => connection.sent = Some(sent + n),
                Err(Errno::AGAIN) => return Ok(Sent::Some),
                Err(error) => return Err(error),
            }
            pieces += usize::from(sent >= self.head.len());
        }
        Ok(Sent::All)
    }

    fn send_some(&mut self, stream: &TcpStream, sent: usize) -> Result<usize, Errno> {
        let at = sent.saturating_sub(self.head.len());
        if self.how == How::Sendfile {
            if sent < self.head.len() {
                return rustix::net::send(stream, &self.head[sent..], SendFlags::NOSIGNAL | SendFlags::MORE);
            }
            let mut offset = at as u64;
            return rustix::fs::sendfile(stream, &self.file, Some(&mut offset), self.piece.min(self.length - at));
        }
        if self.how == How::Read && sent == 0 {
            self.file.read_exact_at(&mut self.content, 0).map_err(|_| Errno::IO)?;
        }
        let slices = [IoSlice::new(&self.head[sent.min(self.head.len())..]), IoSlice::new(&self.content[at..])];
        let slices = if sent < self.head.len() { &slices[..] } else { &slices[1..] };
        rustix::net::sendmsg(stream, slices, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
    }
}

/// Whether epoll would call it writable. If not, there will be an edge once it is.
fn has_room(stream: &TcpStream) -> Result<bool, Errno> {
    let mut fds = [PollFd::new(stream, PollFlags::OUT)];
    Ok(poll(&mut fds, Some(&Timespec::default()))? > 0)
}
