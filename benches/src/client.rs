//! The load: a closed loop of keep-alive connections on one thread, with as little work per request as can be, so
//! that the server and not the load sets the pace. Every answer is checked.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    answer::Answer,
    upstreams::Upstreams,
    usage,
    wire::{self, Epoll, connect_from},
};

/// What to ask for, of whom, and over how many connections.
#[derive(Debug, Clone)]
pub struct Load {
    /// The server.
    pub to: SocketAddr,
    /// The target, `/1k.txt`.
    pub path: String,
    /// Further lines of the request's head, each ended.
    pub fields: String,
    /// Connections.
    pub connections: usize,
    /// Requests written at once on a connection before its answers are awaited; 1 = no pipelining.
    pub depth: usize,
    /// No HTTP: messages of so many bytes, each to come back as it was sent.
    pub echo: Option<usize>,
    /// POST a body of so many bytes; 0: GET.
    pub post: usize,
    /// Never sleep, but look again and again for answers. A client that sleeps is woken by the server, which costs a virtual CPU many times
    /// what a request does; and how often that is hangs on which of the two is a little faster. For a load with a CPU of its own.
    pub spins: bool,
}

/// What a stretch of load came to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Sample {
    /// Requests answered.
    pub requests: u64,
    /// Bytes received, heads and bodies, also of answers that are not complete.
    pub bytes: u64,
    /// Wall time.
    pub wall: Duration,
    /// CPU time of the watched processes.
    pub server: Duration,
    /// CPU time of this program.
    pub client: Duration,
    /// Busy time of all CPUs, with everything else that ran.
    pub machine: Duration,
    /// What connections a proxy held at the end of it, where that was counted.
    #[serde(skip)]
    pub upstreams: Option<Upstreams>,
}

/// Connections to one server. Feed: `run_for` or `run_count`, in any order and as often as wanted. The requests in
/// flight at the end of a run by time stay in flight, so that the load does not pause before the next one.
#[derive(Debug)]
pub struct Client {
    epoll: Epoll,
    connections: Vec<Connection>,
    /// Those that wait for no answer, the longest idle first.
    idle: VecDeque<usize>,
    /// `depth` requests.
    request: Vec<u8>,
    has_body: bool,
    answer: Answer,
    depth: usize,
    /// Bytes of answers awaited per batch of requests.
    awaited: usize,
    buffer: Box<[u8]>,
    ready: Vec<u64>,
    spins: bool,
    count: Count,
}

/// What has come since the beginning.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) answered: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// Bytes of the current batch's answers that have come.
    got: usize,
    /// Bytes of the current batch of requests that the socket took.
    sent: usize,
    busy: bool,
}

/// Larger than 16 pipelined answers of 1 KiB, so that one read empties a socket.
const BUFFER_BYTES: usize = 64 * 1024;

/// How long a server may stay silent before the run is called broken.
const SILENCE: Duration = Duration::from_secs(20);

impl Client {
    /// Learns the answer over a connection of its own (an echo's is known), then opens all connections.
    pub fn connect(load: &Load) -> io::Result<Client> {
        let (request, answer) = match load.echo {
            Some(length) => (wire::body(length), Answer::exactly(&wire::body(length))),
            None => {
                let request = request(load);
                let answer = learn(load.to, &request)?;
                (request, answer)
            }
        };
        let epoll = Epoll::new(1024)?;
        let mut connections = Vec::with_capacity(load.connections);
        for n in 0..load.connections {
            let stream = connect_from(n, load.to)?;
            // Small requests always fit; whether there is room is of no interest then.
            match load.post {
                0 => epoll.add(&stream, n as u64)?,
                _ => epoll.add_duplex(&stream, n as u64)?,
            }
            connections.push(Connection { stream, got: 0, sent: 0, busy: false });
        }
        Ok(Client {
            epoll,
            idle: (0..load.connections).collect(),
            connections,
            request: request.repeat(load.depth),
            has_body: load.post > 0,
            awaited: answer.size() * load.depth,
            answer,
            depth: load.depth,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            ready: Vec::new(),
            spins: load.spins,
            count: Count::default(),
        })
    }

    /// Keeps every connection busy for `time`, watching the processes `watch`.
    pub fn run_for(&mut self, time: Duration, watch: &[u32]) -> io::Result<Sample> {
        let meter = Meter::start(self.count, watch)?;
        while let Some(n) = self.idle.pop_front() {
            self.send(n)?;
        }
        while meter.start.elapsed() < time {
            self.turn(true)?;
        }
        meter.stop(self.count, watch)
    }

    /// Sends `requests` requests (a multiple of the depth), on at most `at_once` connections at a time, going round
    /// all of them, and waits for the last answer.
    pub fn run_count(&mut self, requests: u64, at_once: usize, watch: &[u32]) -> io::Result<Sample> {
        while self.idle.len() < self.connections.len() {
            self.turn(false)?;
        }
        let meter = Meter::start(self.count, watch)?;
        let mut unsent = requests / self.depth as u64;
        let goal = self.count.answered + unsent * self.depth as u64;
        while self.count.answered < goal {
            while unsent > 0 && self.connections.len() - self.idle.len() < at_once {
                let Some(n) = self.idle.pop_front() else { break };
                self.send(n)?;
                unsent -= 1;
            }
            self.turn(false)?;
        }
        meter.stop(self.count, watch)
    }

    /// Waits once and reads what has come. A connection whose answers are complete sends again if `again`, else it
    /// is idle.
    fn turn(&mut self, again: bool) -> io::Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        if self.spins {
            let begun = Instant::now();
            while ready.is_empty() && begun.elapsed() < SILENCE {
                ready.extend(self.epoll.wait(Some(Duration::ZERO))?);
            }
        } else {
            ready.extend(self.epoll.wait(Some(SILENCE))?);
        }
        if ready.is_empty() {
            return Err(io::Error::other(format!("no answer for {} s", SILENCE.as_secs())));
        }
        for word in ready.drain(..) {
            let n = usize::try_from(word).unwrap_or(usize::MAX);
            self.send_on(n)?;
            if self.receive(n)? {
                if again {
                    self.send(n)?;
                } else {
                    self.idle.push_back(n);
                }
            }
        }
        self.ready = ready;
        Ok(())
    }

    fn send(&mut self, n: usize) -> io::Result<()> {
        let connection = &mut self.connections[n];
        (connection.got, connection.sent, connection.busy) = (0, 0, true);
        self.send_on(n)?;
        let is_whole = self.connections[n].sent == self.request.len();
        if is_whole || self.has_body { Ok(()) } else { Err(io::Error::other("the server does not read requests")) }
    }

    /// Sends what there is room for of what is unsent of the requests of connection `n`.
    fn send_on(&mut self, n: usize) -> io::Result<()> {
        let connection = &mut self.connections[n];
        while connection.busy && connection.sent < self.request.len() {
            match connection.stream.write(&self.request[connection.sent..]) {
                Ok(written) => connection.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads connection `n` until it is drained; true when its batch of answers is complete.
    fn receive(&mut self, n: usize) -> io::Result<bool> {
        let connection = &mut self.connections[n];
        loop {
            let read = match connection.stream.read(&mut self.buffer) {
                Ok(0) => return Err(io::Error::other("the server closed a keep-alive connection")),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            if !connection.busy || connection.got + read > self.awaited {
                return Err(io::Error::other("the server sent more than was asked for"));
            }
            self.answer.check(connection.got, &self.buffer[..read])?;
            connection.got += read;
            self.count.bytes += read as u64;
            if connection.got == self.awaited {
                connection.busy = false;
                self.count.answered += self.depth as u64;
                return Ok(true);
            }
            // A short read means drained: more raises a new edge.
            if read < self.buffer.len() {
                return Ok(false);
            }
        }
    }
}

/// The bytes of one request.
fn request(load: &Load) -> Vec<u8> {
    let Load { path, to, fields, .. } = load;
    let head = |method, more| {
        format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: bench\r\nAccept: */*\r\n{fields}{more}\r\n")
            .into_bytes()
    };
    if load.post == 0 {
        return head("GET", String::new());
    }
    let mut request = head("POST", format!("Content-Length: {}\r\n", load.post));
    request.extend(wire::body(load.post));
    request
}

/// Asks once over a blocking connection.
fn learn(to: SocketAddr, request: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.write_all(request)?;
    let mut bytes = Vec::new();
    let mut piece = vec![0; BUFFER_BYTES];
    loop {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Err(io::Error::other("the server closed before its answer was complete"));
        }
        bytes.extend_from_slice(&piece[..read]);
        if let Some(answer) = Answer::learn(&bytes)? {
            return Ok(answer);
        }
    }
}

/// Figures at the start of a stretch.
pub(crate) struct Meter {
    count: Count,
    server: Duration,
    client: Duration,
    machine: Duration,
    start: Instant,
}

impl Meter {
    pub(crate) fn start(count: Count, watch: &[u32]) -> io::Result<Meter> {
        let client = usage::cpu_time(&[std::process::id()])?;
        let (server, machine) = (usage::cpu_time(watch)?, usage::machine_busy()?);
        Ok(Meter { count, server, client, machine, start: Instant::now() })
    }

    pub(crate) fn stop(self, count: Count, watch: &[u32]) -> io::Result<Sample> {
        Ok(Sample {
            requests: count.answered - self.count.answered,
            bytes: count.bytes - self.count.bytes,
            wall: self.start.elapsed(),
            server: usage::cpu_time(watch)? - self.server,
            client: usage::cpu_time(&[std::process::id()])? - self.client,
            machine: usage::machine_busy()?.saturating_sub(self.machine),
            upstreams: None,
        })
    }
}
