//! What happens in a run, drawn from its seed: connections, requests, and what the origins make of them.

use std::time::Duration;

use net::memory::Weather;
use testkit::Rng;

/// Where a request leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Origins that do what they should.
    Calm,
    /// Origins that close idle connections.
    Stale,
    /// Origins with faults.
    Wild,
    /// No origin.
    Dead,
    /// A file of that many bytes.
    File(usize),
    /// A canned answer that tells the generation of the configuration.
    Generation,
    /// No route.
    Nowhere,
}

/// The sizes of the files: one that is kept in memory, one that is sent as a file.
pub(crate) const FILES: [usize; 3] = [0, 1000, 150_000];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Content-Length.
    Length,
    /// Chunked; `true` with trailers.
    Chunked(bool),
    /// Delimited by the connection's end. Answers only.
    Close,
}

/// What an origin of the wild route does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Closes, or resets, before a byte of its answer.
    Leave { reset: bool },
    /// Never answers.
    Silent,
    /// Says 503, which the proxy is told to try elsewhere.
    Unavailable,
    /// Sends no HTTP.
    Garbage,
    /// Two lengths.
    TwoLengths,
    /// Closes, or resets, in the middle of its answer.
    Truncate { reset: bool },
    /// Falls silent in the middle of its answer.
    SilentInBody,
    /// Sends a chunk line that is none in the middle of its answer.
    BadChunk,
    /// Sends bytes behind its answer.
    Behind,
    /// Answers before it has read the body, and closes.
    Early,
}

const FAULTS: [Fault; 12] = [
    Fault::Leave { reset: false },
    Fault::Leave { reset: true },
    Fault::Silent,
    Fault::Unavailable,
    Fault::Garbage,
    Fault::TwoLengths,
    Fault::Truncate { reset: false },
    Fault::Truncate { reset: true },
    Fault::SilentInBody,
    Fault::BadChunk,
    Fault::Behind,
    Fault::Early,
];

/// What an origin answers.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) length: usize,
    pub(crate) framing: Framing,
    pub(crate) interim: u8,
    /// Says `Connection: close`.
    pub(crate) close: bool,
    /// Milliseconds before the head, and in the middle of the body.
    pub(crate) pauses: [u64; 2],
    pub(crate) fault: Option<Fault>,
    /// Whether only the first try meets the fault.
    pub(crate) once: bool,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: usize,
    pub(crate) route: Route,
    pub(crate) method: &'static str,
    /// The length of its body, and whether it goes in chunks.
    pub(crate) body: Option<(usize, bool)>,
    pub(crate) expect: bool,
    pub(crate) answer: Answer,
}

/// What a client does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misbehaviour {
    /// Its cable is pulled after so many milliseconds.
    Cut(u64),
    /// Goes away after so many bytes were written, with or without a reset.
    Vanish(usize, bool),
    /// Does not read for so many milliseconds after so many bytes.
    StopReading(usize, u64),
    /// Does not write for so many milliseconds after so many bytes.
    StopWriting(usize, u64),
    /// Sends something else behind its requests.
    Garbage(&'static str),
}

const GARBAGE: [&str; 5] = [
    "\u{16}\u{3}\u{1}\u{2}\0",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "POST /dead/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "GET /../.. HTTP/1.1\r\nHost: a b\r\n\r\n",
];

/// One connection of a client.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) requests: Vec<Request>,
    pub(crate) pipelined: bool,
    /// HTTP/1.0; with keep-alive asked for?
    pub(crate) old: Option<bool>,
    pub(crate) half_close: bool,
    pub(crate) weather: Weather,
    pub(crate) misbehaviour: Option<Misbehaviour>,
    /// Short pauses of an honest client: after so many bytes, so many milliseconds.
    pub(crate) read_pauses: Vec<(usize, u64)>,
    pub(crate) write_pauses: Vec<(usize, u64)>,
    /// Milliseconds before it is made.
    pub(crate) wait: u64,
}

impl Request {
    pub(crate) fn is_idempotent(&self) -> bool {
        self.method != "POST"
    }

    pub(crate) fn path(&self) -> String {
        match self.route {
            Route::Calm => format!("/calm/{}", self.id),
            Route::Stale => format!("/stale/{}", self.id),
            Route::Wild => format!("/wild/{}", self.id),
            Route::Dead => format!("/dead/{}", self.id),
            Route::File(bytes) => format!("/files/{bytes}"),
            Route::Generation => format!("/generation/{}", self.id),
            Route::Nowhere => format!("/nowhere/{}", self.id),
        }
    }

    /// The request's body.
    pub(crate) fn body_bytes(&self) -> Vec<u8> {
        self.body.map_or_else(Vec::new, |(length, _)| bytes_of(self.id, 1, length))
    }

    /// The body of the right answer of an origin.
    pub(crate) fn answer_bytes(&self) -> Vec<u8> {
        if matches!(self.answer.status, 204 | 304) { Vec::new() } else { bytes_of(self.id, 2, self.answer.length) }
    }
}

fn bytes_of(id: usize, kind: u64, length: usize) -> Vec<u8> {
    Rng::new(id as u64 * 4 + kind).bytes(length)
}

/// Any weather without faults.
pub(crate) fn weather(rng: &mut Rng) -> Weather {
    let latency = [0, 0, 1, 7, 40][rng.index(5)];
    Weather {
        split_seed: if rng.chance(1, 3) { 0 } else { rng.next_u64() | 1 },
        latency: Duration::from_millis(latency),
        capacity: [4 << 10, 64 << 10, 256 << 10][rng.index(3)],
    }
}

fn size(rng: &mut Rng) -> usize {
    match rng.below(6) {
        0 => 0,
        1..=3 => rng.index(2_000),
        4 => rng.index(40_000),
        _ => rng.index(200_000),
    }
}

/// A connection whose requests have ids from `first_id` on.
pub(crate) fn connection(rng: &mut Rng, first_id: usize) -> Connection {
    let old = rng.chance(1, 8).then(|| rng.chance(1, 2));
    let count = if old == Some(false) { 1 } else { 1 + rng.index(7) };
    let requests = (0..count).map(|i| request(rng, first_id + i, old.is_some())).collect();
    let misbehaviour = rng.chance(1, 4).then(|| misbehaviour(rng));
    // Together too short for any limit of the server.
    let mut pauses = |count: usize| (0..rng.index(count)).map(|_| (rng.index(20_000), rng.below(500))).collect();
    let (read_pauses, write_pauses) = (pauses(4), pauses(4));
    Connection {
        requests,
        // HTTP/1.0 knows no pipelining.
        pipelined: rng.chance(1, 2) && old.is_none(),
        old,
        half_close: rng.chance(1, 4),
        weather: weather(rng),
        misbehaviour,
        read_pauses,
        write_pauses,
        wait: [0, 0, 10, 1000, 9000][rng.index(5)],
    }
}

fn misbehaviour(rng: &mut Rng) -> Misbehaviour {
    match rng.below(5) {
        0 => Misbehaviour::Cut(rng.below(3000)),
        1 => Misbehaviour::Vanish(rng.index(5_000), rng.chance(1, 2)),
        2 => Misbehaviour::StopReading(rng.index(50_000), 1000 + rng.below(90_000)),
        3 => Misbehaviour::StopWriting(rng.index(5_000), 1000 + rng.below(90_000)),
        _ => Misbehaviour::Garbage(GARBAGE[rng.index(GARBAGE.len())]),
    }
}

fn request(rng: &mut Rng, id: usize, old: bool) -> Request {
    let route = match rng.below(16) {
        0..=4 => Route::Calm,
        5 | 6 => Route::Stale,
        7..=11 => Route::Wild,
        12 => Route::Dead,
        13 => Route::File(FILES[rng.index(FILES.len())]),
        14 => Route::Generation,
        _ => Route::Nowhere,
    };
    let proxied = matches!(route, Route::Calm | Route::Stale | Route::Wild | Route::Dead);
    let method = match rng.below(8) {
        0 => "HEAD",
        1 | 2 if proxied => "POST",
        3 | 4 if proxied => "PUT",
        _ => "GET",
    };
    let has_body = matches!(method, "POST" | "PUT");
    let body = has_body.then(|| (size(rng), !old && rng.chance(1, 2)));
    let expect = has_body && !old && rng.chance(1, 6);
    Request { id, route, method, body, expect, answer: answer(rng, route) }
}

fn answer(rng: &mut Rng, route: Route) -> Answer {
    let framing = match rng.below(5) {
        0 | 1 => Framing::Length,
        2 => Framing::Chunked(false),
        3 => Framing::Chunked(true),
        _ => Framing::Close,
    };
    Answer {
        status: [200, 200, 200, 201, 204, 304, 404, 500][rng.index(8)],
        length: size(rng),
        framing,
        interim: if rng.chance(1, 6) { 1 + rng.below(3) as u8 } else { 0 },
        close: rng.chance(1, 5),
        pauses: std::array::from_fn(|_| if rng.chance(1, 4) { rng.below(1500) } else { 0 }),
        fault: (route == Route::Wild && rng.chance(2, 3)).then(|| FAULTS[rng.index(FAULTS.len())]),
        once: rng.chance(1, 2),
    }
}
