//! The yardstick for a proxy: a bare epoll loop, one thread, that copies what a client sends to an origin's keep-alive
//! connection and copies the answer back: two reads and two writes per request. It parses nothing: it takes each read
//! for a whole message, which holds for the small messages of the benches, and stops when it does not hold.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::ExitCode,
};

use benches::wire::{self, Epoll, LISTENER, Slots};
use clap::Parser;

/// Copies between clients and a pool of connections to an origin.
#[derive(Parser)]
struct Args {
    /// Where to listen
    #[arg(long)]
    listen: SocketAddr,
    /// The origin
    #[arg(long)]
    to: SocketAddr,
    /// So many addresses of it from there on, which take turns
    #[arg(long, default_value_t = 1)]
    servers: u32,
    /// The most connections to it, shared out over the addresses; requests beyond wait unread
    #[arg(long)]
    most: Option<usize>,
}

fn main() -> ExitCode {
    wire::ended("bare-relay", Relay::new(&Args::parse()).and_then(Relay::run))
}

/// Set in the word of a connection to the origin.
const ORIGIN: u64 = 1 << 63;

struct Relay {
    epoll: Epoll,
    listener: TcpListener,
    servers: Vec<SocketAddr>,
    next: usize,
    clients: Slots<TcpStream>,
    origins: Slots<Origin>,
    /// For each server the connections that no client waits for.
    idle: Vec<Vec<usize>>,
    /// Connections that may still be made to each.
    room: Vec<usize>,
    /// Clients whose requests wait for a connection.
    waiting: VecDeque<usize>,
    buffer: Vec<u8>,
}

struct Origin {
    stream: TcpStream,
    server: usize,
    /// The client that waits for the answer.
    client: Option<usize>,
}

impl Relay {
    fn new(args: &Args) -> io::Result<Relay> {
        let (listener, epoll) = wire::listening(args.listen)?;
        Ok(Relay {
            epoll,
            listener,
            servers: wire::addresses(args.to, args.servers),
            next: 0,
            clients: Slots::default(),
            origins: Slots::default(),
            idle: vec![Vec::new(); args.servers as usize],
            room: vec![args.most.map_or(usize::MAX, |most| most / args.servers as usize); args.servers as usize],
            waiting: VecDeque::new(),
            buffer: vec![0; 16 * 1024],
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        loop {
            ready.extend(self.epoll.wait(None)?);
            for word in ready.drain(..) {
                match word {
                    LISTENER => self.accept()?,
                    word if word & ORIGIN != 0 => self.relay_answer(usize::try_from(word & !ORIGIN).unwrap_or(0))?,
                    word => self.relay_request(usize::try_from(word).unwrap_or(0))?,
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Some(stream) = wire::accept(&self.listener)? {
            let n = self.clients.insert(stream);
            if let Some(stream) = self.clients.get(n) {
                self.epoll.add(&*stream, n as u64)?;
            }
        }
        Ok(())
    }

    fn relay_request(&mut self, n: usize) -> io::Result<()> {
        let server = self.next;
        if self.idle[server].is_empty() && self.room[server] == 0 {
            self.waiting.push_back(n);
            return Ok(());
        }
        let Some(stream) = self.clients.get(n) else { return Ok(()) };
        let read = match stream.read(&mut self.buffer) {
            Ok(read) if read > 0 => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            _ => {
                self.clients.remove(n);
                return Ok(());
            }
        };
        self.next = if server + 1 == self.servers.len() { 0 } else { server + 1 };
        let origin = match self.idle[server].pop() {
            Some(origin) => origin,
            None => self.connect(server)?,
        };
        let Some(to) = self.origins.get(origin) else { return Err(io::Error::other("an idle origin is gone")) };
        to.client = Some(n);
        whole(to.stream.write(&self.buffer[..read])?, read)
    }

    fn relay_answer(&mut self, n: usize) -> io::Result<()> {
        let Some(origin) = self.origins.get(n) else { return Ok(()) };
        let read = match origin.stream.read(&mut self.buffer) {
            Ok(0) => return Err(io::Error::other("the origin closed a keep-alive connection")),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let client = origin.client.take();
        let server = origin.server;
        self.idle[server].push(n);
        let Some(client) = client else { return Err(io::Error::other("an answer came in pieces, or unasked")) };
        // A client that went away meanwhile is of no interest.
        if let Some(stream) = self.clients.get(client) {
            stream.write(&self.buffer[..read]).map_or(Ok(()), |written| whole(written, read))?;
        }
        self.call_waiting(server)
    }

    /// Has those who wait use the connections to this server that are free. Who has gone meanwhile leaves his to the next.
    fn call_waiting(&mut self, server: usize) -> io::Result<()> {
        while !self.idle[server].is_empty()
            && let Some(next) = self.waiting.pop_front()
        {
            self.next = server;
            self.relay_request(next)?;
        }
        Ok(())
    }

    fn connect(&mut self, server: usize) -> io::Result<usize> {
        let stream = wire::connect(self.servers[server])?;
        self.room[server] -= 1;
        let n = self.origins.insert(Origin { stream, server, client: None });
        if let Some(origin) = self.origins.get(n) {
            self.epoll.add(&origin.stream, n as u64 | ORIGIN)?;
        }
        Ok(n)
    }
}

fn whole(written: usize, wanted: usize) -> io::Result<()> {
    if written == wanted { Ok(()) } else { Err(io::Error::other("a peer does not read")) }
}
