//! What a worker is told to do.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use load::{Mix, Schedule};
use message::Method;
use net::Address;
use tls::{ClientConfig, ServerName};

/// All that one worker thread is to do: its share of the whole, ready to be executed.
#[derive(Clone, Debug)]
pub struct Work {
    /// The number of this worker among all, from 0.
    pub number: usize,
    /// Where to connect, and what to ask there. At least one.
    pub origins: Vec<Origin>,
    /// For each connection of this worker: which origin it goes to.
    pub connections: Vec<u16>,
    /// What to do with the connections.
    pub mode: Mode,
    /// When requests are sent.
    pub pace: Pace,
    /// Requests that may be under way on one connection.
    pub pipeline: usize,
    /// Whether a connection carries more than one request.
    pub keep_alive: bool,
    /// Local addresses to connect from, taken in turn; none for the system's choice.
    pub sources: Vec<IpAddr>,
    /// How long things are measured, from the beginning. `None` when `pace` ends by itself.
    pub duration: Option<Duration>,
    /// How long load runs before it counts.
    pub warm_up: Duration,
    /// When to give up.
    pub timeouts: Timeouts,
    /// What has to be the same as in the first answer.
    pub verify: Verify,
    /// The connecting side of TLS, for origins with a server name. Sessions that are kept for resumption are in it.
    pub tls: Option<ClientConfig>,
    /// URLs that are told apart; 0 for none.
    pub targets: usize,
    /// Hold these back when many connections are to be opened: attempts under way at once.
    pub connecting_max: usize,
}

/// A place to connect to and the requests that go there.
#[derive(Clone, Debug)]
pub struct Origin {
    /// What it is called in messages: `127.0.0.1:8080`.
    pub name: String,
    /// Its addresses; connections take them in turn. At least one.
    pub addresses: Vec<Address>,
    /// What is asked; empty for echo and for held connections.
    pub requests: Vec<Request>,
    /// Which of them is next.
    pub mix: Mix,
    /// The name that a TLS server must prove to be; `None` for a connection without TLS.
    pub server_name: Option<ServerName<'static>>,
}

/// One request, ready to be sent again and again.
#[derive(Clone, Debug)]
pub struct Request {
    /// The URL, for messages.
    pub url: String,
    /// Its method: an answer to HEAD has no body.
    pub method: Method,
    /// Head and body.
    pub bytes: Arc<[u8]>,
    /// Bytes of the head.
    pub head_len: usize,
    /// The first answer of all, by which the others are judged. Shared by all workers of the process.
    pub expected: Arc<OnceLock<Expected>>,
    /// The status every answer must have, if one was asked for.
    pub expected_status: Option<u16>,
    /// Its place among all URLs of the run, by which [`load::Counts::targets`] tells them apart.
    pub target: usize,
}

/// What is known of the first answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its status.
    pub status: u16,
    /// Bytes of its body, without chunk framing.
    pub length: u64,
    /// The [`crate::Digest`] of its body.
    pub digest: u64,
}

/// What must be the same as in the first answer. Framing is always checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Status, length and content.
    #[default]
    All,
    /// Status and length.
    Length,
    /// The status.
    Status,
    /// Nothing.
    Nothing,
}

/// What is done with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// HTTP requests.
    Http,
    /// So many bytes are sent, and must come back the same.
    Echo(usize),
    /// Connections are made, with their TLS handshake if there is one, and closed.
    Handshake,
    /// Connections are opened and left alone.
    Hold,
    /// One of the peers that a server has to endure; a step of it every so often.
    Slow(Slow, Duration),
}

/// How to be slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// A header line at a time, without end.
    Header,
    /// A byte of the body at a time.
    Body,
    /// A few bytes of the answer at a time.
    Read,
}

/// When requests are sent.
#[derive(Clone, Debug)]
pub enum Pace {
    /// As soon as the answer to the one before is there; so many in all, if that is limited.
    Closed(Option<u64>),
    /// When the plan says, whether there was an answer or not: a plan for each origin, in their order. Those of origins that
    /// this worker has no connection to are not looked at.
    Open(Vec<Schedule>),
}

/// When to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A connection attempt.
    pub connect: Duration,
    /// The answer to a request, or the next step of a slow mode.
    pub answer: Duration,
    /// At the end: how long to wait for what is under way.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts { connect: Duration::from_secs(5), answer: Duration::from_secs(10), drain: Duration::from_secs(2) }
    }
}
