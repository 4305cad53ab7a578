//! Loads for an echo server that are no closed loop: messages sent on a plan, and connections that come and go.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    answer::Answer,
    wire::{self, Epoll, connect_from},
};

/// How long a server may stay silent before the run is called broken.
const SILENCE: Duration = Duration::from_secs(20);

/// Messages sent before the answers are looked at again.
const BATCH: u64 = 32;

/// Messages at a steady rate, each on the next connection, whether or not the last ones have come back.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server.
    pub to: SocketAddr,
    /// Connections.
    pub connections: usize,
    /// Bytes of a message.
    pub bytes: usize,
    /// Messages a second, over all connections.
    pub rate: f64,
    /// How long the plan is.
    pub time: Duration,
}

/// What became of a plan. Times in microseconds, from when a message was *planned* to be sent until its last byte was back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// Messages, all of them answered.
    pub messages: u64,
    /// From the first planned time to the last answer.
    pub wall: Duration,
    /// The average.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// 999 of 1000.
    pub p999: f64,
    /// The longest.
    pub max: f64,
    /// How late the load program itself was on average: part of the times above.
    pub send_lag: f64,
}

struct Connection {
    stream: TcpStream,
    /// When the messages under way were planned, the oldest first.
    planned: VecDeque<Duration>,
    /// Bytes of the oldest message's answer that have come.
    got: usize,
}

/// Sends as planned and waits for the last answer. Uses its CPU entirely: it looks at the clock and does not sleep.
pub fn paced(plan: &Plan) -> io::Result<Latencies> {
    let message = wire::body(plan.bytes);
    let mut run = Run {
        answer: Answer::exactly(&message),
        connections: Vec::with_capacity(plan.connections),
        buffer: vec![0; 64 << 10],
        latencies: Vec::new(),
    };
    let mut epoll = Epoll::new(1024)?;
    for n in 0..plan.connections {
        let stream = connect_from(n, plan.to)?;
        epoll.add(&stream, n as u64)?;
        run.connections.push(Connection { stream, planned: VecDeque::new(), got: 0 });
    }
    let total = (plan.rate * plan.time.as_secs_f64()) as u64;
    let when = |n: u64| Duration::from_secs_f64(n as f64 / plan.rate);
    let (mut sent, mut lag, start) = (0, Duration::ZERO, Instant::now());
    while (run.latencies.len() as u64) < total {
        for _ in 0..BATCH {
            let now = start.elapsed();
            if sent == total || when(sent) > now {
                break;
            }
            lag += now - when(sent);
            run.send((sent % plan.connections as u64) as usize, &message, when(sent))?;
            sent += 1;
        }
        for word in epoll.wait(Some(Duration::ZERO))? {
            run.receive(usize::try_from(word).unwrap_or(usize::MAX), start)?;
        }
        if start.elapsed() > when(total) + SILENCE {
            return Err(io::Error::other(format!(
                "{} of {total} messages did not come back",
                total - run.latencies.len() as u64
            )));
        }
    }
    Ok(run.summary(start.elapsed(), lag))
}

struct Run {
    answer: Answer,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    latencies: Vec<Duration>,
}

impl Run {
    fn send(&mut self, n: usize, message: &[u8], planned: Duration) -> io::Result<()> {
        let connection = &mut self.connections[n];
        connection.planned.push_back(planned);
        let written = connection.stream.write(message)?;
        if written == message.len() { Ok(()) } else { Err(io::Error::other("the server does not read messages")) }
    }

    fn receive(&mut self, n: usize, start: Instant) -> io::Result<()> {
        let Connection { stream, planned, got } = &mut self.connections[n];
        loop {
            let read = match stream.read(&mut self.buffer) {
                Ok(0) => return Err(io::Error::other("the server closed a connection")),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.answer.check(*got, &self.buffer[..read])?;
            *got += read;
            let now = start.elapsed();
            while *got >= self.answer.size() {
                *got -= self.answer.size();
                let planned = planned.pop_front().ok_or_else(|| io::Error::other("more came back than was sent"))?;
                self.latencies.push(now - planned);
            }
            // A short read means drained: more raises a new edge.
            if read < self.buffer.len() {
                return Ok(());
            }
        }
    }

    fn summary(mut self, wall: Duration, lag: Duration) -> Latencies {
        self.latencies.sort_unstable();
        let count = self.latencies.len().max(1);
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let at = |share: f64| {
            let place = ((count as f64 * share).ceil() as usize).clamp(1, count) - 1;
            self.latencies.get(place).copied().map_or(0.0, micros)
        };
        Latencies {
            messages: self.latencies.len() as u64,
            wall,
            mean: micros(self.latencies.iter().sum()) / count as f64,
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
            send_lag: micros(lag) / count as f64,
        }
    }
}

/// Makes `connects` connections one after the other, sends a message of `bytes` on each, checks that it comes back, and closes: one in
/// sixteen in order, the others with a reset. An end in order keeps its port for a minute, and so the load would run out of them.
pub fn churn(to: SocketAddr, connects: u64, bytes: usize) -> io::Result<()> {
    let message = wire::body(bytes);
    let mut got = vec![0; bytes];
    for n in 0..connects {
        let mut stream = connect_from(usize::try_from(n).unwrap_or(0), to)?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.write_all(&message)?;
        stream.read_exact(&mut got)?;
        if got != message {
            return Err(io::Error::other(format!("connection {n} got back something else")));
        }
        if n % 16 == 0 {
            stream.shutdown(std::net::Shutdown::Write)?;
            if stream.read(&mut got)? != 0 {
                return Err(io::Error::other(format!("connection {n} got back more than was sent")));
            }
        }
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
    }
    Ok(())
}
