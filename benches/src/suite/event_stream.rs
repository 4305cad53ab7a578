//! How much later an event reaches its client for having come through a proxy: streams of events that tick slowly, beside the same
//! streams taken from their origin directly.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::json;

use super::{Options, load::peer_notes};
use crate::{
    peers::{Peer, Running, Stage, Wrap},
    process::{LOAD_CPU, free_address, on_cpu},
    report::{Evidence, Goal, Spread, Table},
    wire,
};

const PEERS: [Peer; 3] = [Peer::Proxy, Peer::NginxProxy, Peer::Haproxy];

/// Between two events of a stream.
const TICK: Duration = Duration::from_millis(250);

/// What may come to the 99th percentile by the proxy.
const ADDED_MS: f64 = 1.0;

/// How a stream of unknown length ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
enum Kind {
    /// `text/event-stream` in chunks.
    Chunked,
    /// Plain text of no said length, which ends with its connection.
    UntilClose,
}

const KINDS: [Kind; 2] = [Kind::Chunked, Kind::UntilClose];

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Kind::Chunked => "/events",
            Kind::UntilClose => "/lines",
        }
    }

    fn head(self) -> &'static str {
        // nginx holds answers back unless the origin, or its configuration, says otherwise.
        match self {
            Kind::Chunked => {
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n"
            }
            Kind::UntilClose => {
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Accel-Buffering: no\r\nConnection: close\r\n\r\n"
            }
        }
    }
}

/// Milliseconds from the origin's write to the client's read; and how many events.
#[derive(Clone, Copy, Debug, Serialize)]
struct Delay {
    p50: f64,
    p99: f64,
    max: f64,
    events: usize,
}

pub(super) fn run(options: &Options) -> io::Result<Evidence> {
    let chosen = options.choose(&PEERS)?;
    let streams = options.busy_connections();
    let (begun, origin) = (Instant::now(), free_address()?);
    serve(TcpListener::bind(origin)?, begun)?;
    let mut stage = Stage::in_front_of(origin)?;
    let running: Vec<Running> =
        chosen.iter().map(|peer| stage.start(*peer, Wrap::default())).collect::<io::Result<_>>()?;
    let mut ways: Vec<(String, SocketAddr)> = vec![("(directly)".to_owned(), origin)];
    ways.extend(running.iter().map(|one| (one.peer.to_string(), one.address)));
    let mut samples: BTreeMap<(Kind, String), Vec<Delay>> = BTreeMap::new();
    for round in 1..=options.few_rounds() {
        for kind in KINDS {
            for (name, address) in &ways {
                let delay = once(*address, kind, streams, options.seconds, begun)?;
                eprintln!("  round {round}: {} {name} {delay:?}", kind.path());
                samples.entry((kind, name.clone())).or_default().push(delay);
            }
        }
        ways.reverse();
    }
    Ok(evidence(&chosen, options, streams, &samples))
}

fn evidence(
    chosen: &[Peer],
    options: &Options,
    streams: usize,
    samples: &BTreeMap<(Kind, String), Vec<Delay>>,
) -> Evidence {
    let median = |of: &[Delay], figure: fn(&Delay) -> f64| Spread::of(of.iter().map(figure)).median;
    let columns = ["way", "p50", "p99", "longest", "events"];
    let mut tables = Vec::new();
    let mut goals = Vec::new();
    for kind in KINDS {
        let title = format!(
            "{}: milliseconds from the origin's write to the client's read, medians of the rounds:",
            kind.path()
        );
        let mut table = Table::new(&title, &columns);
        for ((_, way), of) in samples.iter().filter(|((other, _), _)| *other == kind) {
            let mut row = vec![way.clone()];
            row.extend(
                [|d: &Delay| d.p50, |d: &Delay| d.p99, |d: &Delay| d.max].map(|f| format!("{:.3}", median(of, f))),
            );
            row.push(of.iter().map(|d| d.events).sum::<usize>().to_string());
            table.rows.push(row);
        }
        tables.push(table);
        let of = |way: &str| samples.get(&(kind, way.to_owned()));
        if let (Some(ours), Some(direct)) = (of("proxy"), of("(directly)")) {
            // Within a round, so that what disturbs the machine for longer falls on both.
            let added = Spread::of(ours.iter().zip(direct).map(|(ours, direct)| ours.p99 - direct.p99)).median;
            let what = format!("{}, what the proxy adds to the p99 in ms", kind.path());
            goals.push(Goal { what, figure: added, limit: ADDED_MS, binding: true });
        }
    }
    Evidence {
        bench: "event-stream".to_owned(),
        method: format!(
            "Loopback. {streams} streams at a time, each of which ticks every {} ms with the time at which its origin wrote it, for {} s; \
             as `text/event-stream` in chunks, and as text that ends with its connection. Taken directly, and through each proxy, which \
             has a CPU of its own; origin and clients share the other, with a thread for each stream, so that their own waits are in all \
             figures. {} rounds, the ways in turn.",
            TICK.as_millis(),
            options.seconds,
            options.few_rounds()
        ),
        tables,
        goals,
        notes: peer_notes(chosen),
        raw: json!(
            samples.iter().map(|((kind, way), of)| (format!("{} {way}", kind.path()), of)).collect::<BTreeMap<_, _>>()
        ),
    }
}

/// Takes `streams` at once for so many seconds.
fn once(address: SocketAddr, kind: Kind, streams: usize, seconds: f64, begun: Instant) -> io::Result<Delay> {
    let until = Instant::now() + Duration::from_secs_f64(seconds.max(1.0));
    let spawn = |number: usize| {
        // So that ticks do not fall together.
        let offset = TICK * number as u32 / streams as u32;
        thread::spawn(move || {
            thread::sleep(offset);
            listen(address, kind, until, begun)
        })
    };
    let readers = on_cpu(LOAD_CPU, || (0..streams).map(spawn).collect::<Vec<_>>())?;
    let mut delays = Vec::new();
    for reader in readers {
        delays.extend(reader.join().map_err(|_| io::Error::other("a reader of events panicked"))??);
    }
    delays.sort_by(f64::total_cmp);
    let at =
        |share: f64| delays.get(((delays.len() as f64 * share) as usize).min(delays.len().saturating_sub(1))).copied();
    match (at(0.5), at(0.99), delays.last()) {
        (Some(p50), Some(p99), Some(max)) => Ok(Delay { p50, p99, max: *max, events: delays.len() }),
        _ => Err(io::Error::other(format!("no event came from {address}"))),
    }
}

/// Reads one stream and gives how late its events were, in milliseconds.
fn listen(address: SocketAddr, kind: Kind, until: Instant, begun: Instant) -> io::Result<Vec<f64>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(format!("GET {} HTTP/1.1\r\nHost: bench\r\n\r\n", kind.path()).as_bytes())?;
    let (mut delays, mut first) = (Vec::new(), true);
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let Some(stamp) = line.strip_prefix("data: ") else { continue };
        let written: u64 = stamp.trim().parse().map_err(io::Error::other)?;
        // The first comes with the head, behind the connecting.
        if !std::mem::take(&mut first) {
            delays.push((begun.elapsed().as_nanos() as f64 - written as f64) / 1e6);
        }
        if Instant::now() >= until {
            return Ok(delays);
        }
    }
    Err(io::Error::other(format!("{address} ended a stream that had not ended")))
}

/// The origin: a thread for each stream, on the load's CPU, until nobody reads it.
fn serve(listener: TcpListener, begun: Instant) -> io::Result<()> {
    on_cpu(LOAD_CPU, || {
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    // Its reader has gone: that is how each of them ends.
                    let _ = tick(stream, begun);
                });
            }
        })
    })?;
    Ok(())
}

fn tick(mut stream: TcpStream, begun: Instant) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.extend(byte);
        }
        let Some(kind) = KINDS.into_iter().find(|kind| head.starts_with(format!("GET {} ", kind.path()).as_bytes()))
        else {
            // Whoever starts a proxy asks for its file.
            let body = wire::body(1024);
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes())?;
            stream.write_all(&body)?;
            continue;
        };
        stream.write_all(kind.head().as_bytes())?;
        loop {
            let event = format!("data: {:020}\n\n", begun.elapsed().as_nanos());
            match kind {
                Kind::Chunked => stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?,
                Kind::UntilClose => stream.write_all(event.as_bytes())?,
            }
            thread::sleep(TICK);
        }
    }
}
