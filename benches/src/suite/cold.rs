//! A large file that is not in memory beside hot small ones: what reading from the disk does to everybody else's times.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Write},
    path::Path,
    process::{Command, Stdio},
};

use serde::Serialize;
use serde_json::json;

use super::{
    Options,
    latency::{Times, paced},
    load::peer_notes,
};
use crate::{
    interval::Interval,
    peers::{Peer, Running, Stage, Wrap},
    process::{LOAD_CPU, on_cpu, sibling},
    report::{Evidence, Goal, Spread, Table, number},
    usage, wire,
};

const PEERS: [Peer; 2] = [Peer::Server, Peer::Nginx];
const ROUNDS: usize = 10;
const CONNECTIONS: usize = 64;

/// The small requests: far below what any peer can take, so that times are those of waiting for the large file.
const RATE: u64 = 5_000;

/// The large file, in bytes, and how quickly it is downloaded, in MB a second: below what the disk gives.
const LARGE: usize = 1 << 30;
const PULL: f64 = 150.0;
const LARGE_PATH: &str = "/1g.bin";

/// How much the cold file may add to what the same file adds from memory.
const COLD: f64 = 1.1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Beside {
    Nothing,
    Warm,
    Cold,
}

impl Beside {
    const ALL: [Beside; 3] = [Beside::Nothing, Beside::Warm, Beside::Cold];

    fn words(self) -> &'static str {
        match self {
            Beside::Nothing => "alone",
            Beside::Warm => "the large file from memory",
            Beside::Cold => "the large file from the disk",
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Found {
    times: Times,
    /// Of the large file, received.
    pulled: u64,
    /// Read from the disk by the server.
    read: u64,
}

type Samples = BTreeMap<(Peer, Beside), Vec<Found>>;

pub(super) fn run(options: &Options) -> io::Result<Evidence> {
    let chosen = options.choose(&PEERS)?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let mut stage = Stage::set()?;
    let large = stage.site().join(&LARGE_PATH[1..]);
    eprintln!("  writing {LARGE} bytes");
    write(&large)?;
    let running: Vec<Running> =
        chosen.iter().map(|peer| stage.start(*peer, Wrap::default())).collect::<io::Result<_>>()?;
    let mut samples = Samples::new();
    for round in 0..=rounds {
        for one in &running {
            for beside in Beside::ALL {
                let found = once(options, one, beside, &large)?;
                eprintln!(
                    "  round {round}: {} {}: p99 {} us, {} MB pulled, {} MB read",
                    one.peer,
                    beside.words(),
                    number(found.times.p99),
                    found.pulled / 1_000_000,
                    found.read / 1_000_000
                );
                if round > 0 {
                    samples.entry((one.peer, beside)).or_default().push(found);
                }
            }
        }
    }
    Ok(evidence(options, &chosen, rounds, &samples))
}

fn write(large: &Path) -> io::Result<()> {
    let piece = wire::body(1 << 20);
    let mut file = File::create(large)?;
    for _ in 0..LARGE / piece.len() {
        file.write_all(&piece)?;
    }
    file.sync_all()
}

fn once(options: &Options, running: &Running, beside: Beside, large: &Path) -> io::Result<Found> {
    let file = File::open(large)?;
    match beside {
        Beside::Nothing => {}
        Beside::Warm => drop(io::copy(&mut (&file).take(reach(options)), &mut io::sink())?),
        Beside::Cold => {
            file.sync_all()?;
            let reach = std::num::NonZeroU64::new(reach(options));
            rustix::fs::fadvise(&file, 0, reach, rustix::fs::Advice::DontNeed)?;
        }
    }
    let read = || running.program.pids.iter().map(|pid| usage::read_from_disk(*pid)).sum::<io::Result<u64>>();
    let before = read()?;
    let puller = if beside == Beside::Nothing { None } else { Some(Puller::start(running)?) };
    let times = paced(options, running, CONNECTIONS, RATE)?;
    let pulled = puller.map_or(Ok(0), Puller::stop)?;
    Ok(Found { times, pulled, read: read()? - before })
}

/// So much of the large file comes into question for a download while one round goes on. The rest of it stays as it is: to drop and to read a
/// whole GiB has the system, and the host beneath it, at work for seconds, which then stands in the times of the next round.
fn reach(options: &Options) -> u64 {
    let bytes = 2.0 * (options.warmup + options.seconds) * PULL * 1e6 + 64e6;
    (bytes as u64).min(LARGE as u64)
}

struct Puller(std::process::Child);

impl Puller {
    fn start(running: &Running) -> io::Result<Puller> {
        let mut command = Command::new(sibling("bench-client")?);
        command.args(["--to", &running.address.to_string(), "--path", LARGE_PATH, "pull", "--rate", &PULL.to_string()]);
        Ok(Puller(on_cpu(LOAD_CPU, || command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn())??))
    }

    /// Ends it; the bytes that came.
    fn stop(mut self) -> io::Result<u64> {
        drop(self.0.stdin.take());
        let mut text = String::new();
        if let Some(mut out) = self.0.stdout.take() {
            io::Read::read_to_string(&mut out, &mut text)?;
        }
        let status = self.0.wait()?;
        text.trim().parse().map_err(|_| io::Error::other(format!("the download failed ({status})")))
    }
}

impl Drop for Puller {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

fn evidence(options: &Options, chosen: &[Peer], rounds: usize, samples: &Samples) -> Evidence {
    let columns = ["peer", "beside", "p50", "p99", "p99 min", "p99 max", "p99.9", "MB downloaded", "MB from the disk"];
    let mut table = Table::new("Times of the small requests in microseconds:", &columns);
    let mut goals = Vec::new();
    for peer in chosen {
        for beside in Beside::ALL {
            let of = &samples[&(*peer, beside)];
            let spread = |figure: fn(&Found) -> f64| Spread::of(of.iter().map(figure));
            let p99 = spread(|one| one.times.p99);
            table.rows.push(vec![
                peer.to_string(),
                beside.words().to_owned(),
                number(spread(|one| one.times.p50).median),
                number(p99.median),
                number(p99.min),
                number(p99.max),
                number(spread(|one| one.times.p999).median),
                number(spread(|one| one.pulled as f64 / 1e6).median),
                number(spread(|one| one.read as f64 / 1e6).median),
            ]);
        }
        if peer.is_ours() {
            for (reference, limit, binding) in [(Beside::Warm, COLD, true), (Beside::Nothing, COLD, false)] {
                let pairs = samples[&(*peer, Beside::Cold)].iter().zip(&samples[&(*peer, reference)]);
                let ratios: Vec<f64> = pairs.map(|(cold, other)| cold.times.p99 / other.times.p99).collect();
                let ratio = Interval::of(&ratios);
                let what = format!(
                    "{peer}, p99 beside the cold file / {} (95 %: {:.2} to {:.2})",
                    reference.words(),
                    ratio.low,
                    ratio.high
                );
                goals.push(Goal { what, figure: ratio.ratio, limit, binding });
            }
        }
    }
    Evidence {
        bench: "cold-file".to_owned(),
        method: format!(
            "Loopback; {RATE} requests a second for 1 KiB over {CONNECTIONS} connections, open loop at independent random times, {} s each after {} s of \
             warm-up; beside them one download of a file of 1 GiB at {PULL} MB a second, which lies in memory, or of which more than can be \
             downloaded meanwhile was dropped from it just before \
             (posix_fadvise DONTNEED; \"MB from the disk\" is read_bytes of the server's /proc/PID/io). The server alone on one CPU, the load and the download on the other. \
             {rounds} rounds, one before that is not counted. Times count from when a request was planned. Ratios are geometric means of those within a round.",
            options.seconds, options.warmup
        ),
        tables: vec![table],
        goals,
        notes: peer_notes(chosen),
        raw: samples
            .iter()
            .map(|((peer, beside), of)| (format!("{peer}, {}", beside.words()), json!(of)))
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect(),
    }
}
