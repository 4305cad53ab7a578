//! Server CPU time over TLS 1.3, beside nginx and HAProxy with OpenSSL, in alternating rounds: per request on kept connections, per
//! connection with a full and with a resumed handshake, per GB of a large file; and system calls per connection.

use std::{collections::BTreeMap, fs, io};

use serde_json::json;

use super::{Options, counted, load::peer_notes};
use crate::{
    peers::{FILE, Peer, Running, Stage, Wrap},
    report::{Evidence, Goal, Spread, Table, number},
    secure::{self, GROUP, Sample},
};

struct Plan {
    bench: &'static str,
    peers: &'static [Peer],
    /// What each run is done with, besides how often.
    arguments: &'static [&'static str],
    connections: usize,
    /// How often, in a run of normal length.
    requests: u64,
    /// What is done, in a word, and what its time is given for.
    unit: &'static str,
    /// The unit's size where it is bytes: times are then given per GB.
    bytes: Option<usize>,
    /// At most this part of nginx's.
    limit: f64,
    /// A sentence about the load.
    about: &'static str,
    /// System calls per unit are counted, and should be at most so many.
    syscalls: Option<f64>,
}

const ALL: &[Peer] = &[Peer::NginxTls, Peer::ServerTls, Peer::HaproxyTls];

pub(super) fn keepalive(options: &Options) -> io::Result<Evidence> {
    run(
        &Plan {
            bench: "tls-keepalive",
            peers: ALL,
            arguments: &[],
            connections: 32,
            requests: 120_000,
            unit: "request",
            bytes: None,
            limit: 0.65,
            about: "keep-alive connections, closed loop, body 1024 bytes; the handshakes at the start are in the figure",
            syscalls: None,
        },
        options,
    )
}

pub(super) fn handshake(options: &Options) -> io::Result<Evidence> {
    run(
        &Plan {
            bench: "tls-handshake",
            peers: ALL,
            arguments: &["--no-keep-alive", "--no-resumption"],
            connections: 8,
            requests: 3_000,
            unit: "connection",
            bytes: None,
            limit: 0.36,
            about: "connections at a time, each with a full handshake, one request for 1024 bytes, and its end",
            syscalls: Some(12.0),
        },
        options,
    )
}

pub(super) fn resume(options: &Options) -> io::Result<Evidence> {
    run(
        &Plan {
            bench: "tls-resume",
            peers: ALL,
            arguments: &["--no-keep-alive"],
            connections: 8,
            requests: 5_000,
            unit: "connection",
            bytes: None,
            limit: 0.40,
            about: "connections at a time, each resumed by a ticket, with one request for 1024 bytes, and its end",
            syscalls: Some(12.0),
        },
        options,
    )
}

pub(super) fn bulk(options: &Options) -> io::Result<Evidence> {
    run(
        &Plan {
            bench: "tls-bulk",
            peers: &[Peer::NginxTls, Peer::ServerTls],
            arguments: &[],
            connections: 2,
            requests: 16,
            unit: "GB",
            bytes: Some(100 << 20),
            limit: 0.75,
            about: "connections that fetch a file of 100 MiB again and again",
            syscalls: None,
        },
        options,
    )
}

type Samples = BTreeMap<Peer, Vec<Sample>>;

fn run(plan: &Plan, options: &Options) -> io::Result<Evidence> {
    let chosen = options.choose(plan.peers)?;
    let mut stage = Stage::set()?;
    let path = match plan.bytes {
        Some(bytes) => stage.add_file("large.bin", bytes)?,
        None => FILE.to_owned(),
    };
    let running: Vec<Running> =
        chosen.iter().map(|peer| stage.start(*peer, Wrap::default())).collect::<io::Result<_>>()?;
    // A quick look is a tenth of a run.
    let requests = options.requests.map_or(plan.requests, |asked| asked.min(plan.requests / 8).max(2));
    let mut samples = Samples::new();
    // Round 0 warms up caches and pools and is not counted.
    for round in 0..=options.few_rounds() {
        for one in &running {
            let sample = once(plan, options, one, requests, &path)?;
            eprintln!(
                "  round {round}: {} {} us/{}, others {:.2} busy",
                one.peer,
                number(cost(plan, &sample)),
                plan.unit,
                sample.others()
            );
            if round > 0 {
                samples.entry(one.peer).or_default().push(sample);
            }
        }
    }
    drop(running);
    let mut tables = vec![times(plan, &chosen, &samples)];
    let mut goals = goals(plan, &chosen, &samples);
    let mut raw = json!({ "cpu": samples.iter().map(|(p, of)| (p.to_string(), of)).collect::<BTreeMap<_, _>>() });
    if let Some(limit) = plan.syscalls {
        let (table, counts) = syscalls(plan, options, &chosen, requests.min(400))?;
        tables.push(table);
        if let Some(of) = counts.get(&Peer::ServerTls.to_string()) {
            let what = format!("{}, system calls per {}", Peer::ServerTls, plan.unit);
            goals.push(Goal { what, figure: of.values().sum(), limit, binding: false });
        }
        raw["syscalls"] = json!(counts);
    }
    let notes = peer_notes(&chosen) + &noise(&samples);
    Ok(Evidence { bench: plan.bench.to_owned(), method: method(plan, options, requests), tables, goals, notes, raw })
}

fn once(plan: &Plan, options: &Options, running: &Running, requests: u64, path: &str) -> io::Result<Sample> {
    let (requests, connections) = (requests.to_string(), connections(plan, options).to_string());
    let arguments = [plan.arguments, &["-n", &requests, "-c", &connections]].concat();
    secure::measure(running, &arguments, path)
}

fn connections(plan: &Plan, options: &Options) -> usize {
    options.connections.unwrap_or(plan.connections)
}

/// Microseconds per unit.
fn cost(plan: &Plan, sample: &Sample) -> f64 {
    plan.bytes.map_or(sample.micros(), |bytes| sample.micros() / (bytes as f64 / 1e9))
}

fn times(plan: &Plan, chosen: &[Peer], samples: &Samples) -> Table {
    let mut table = Table::new(
        &format!("Server CPU time per {} in microseconds, user and system of all its processes:", plan.unit),
        &["peer", "median", "min", "max", &format!("/ {}", chosen[0]), "others busy"],
    );
    for peer in chosen {
        let of = &samples[peer];
        let spread = Spread::of(of.iter().map(|one| cost(plan, one)));
        table.rows.push(vec![
            peer.to_string(),
            number(spread.median),
            number(spread.min),
            number(spread.max),
            number(ratio(samples, *peer, chosen[0])),
            format!("{:.2}", Spread::of(of.iter().map(Sample::others)).median),
        ]);
    }
    table
}

/// The median over the rounds of the two peers' ratio within the round.
fn ratio(samples: &Samples, subject: Peer, reference: Peer) -> f64 {
    let pairs = samples[&subject].iter().zip(&samples[&reference]);
    Spread::of(pairs.map(|(subject, reference)| subject.micros() / reference.micros())).median
}

fn goals(plan: &Plan, chosen: &[Peer], samples: &Samples) -> Vec<Goal> {
    if ![Peer::ServerTls, Peer::NginxTls].iter().all(|peer| chosen.contains(peer)) {
        return Vec::new();
    }
    let figure = ratio(samples, Peer::ServerTls, Peer::NginxTls);
    let what = format!("{} / {}, CPU per {}", Peer::ServerTls, Peer::NginxTls, plan.unit);
    vec![Goal { what, figure, limit: plan.limit, binding: true }]
}

type Counts = BTreeMap<String, BTreeMap<String, f64>>;

/// By `strace`, with N and with 2 N connections from start to end; the difference is N connections.
fn syscalls(plan: &Plan, options: &Options, chosen: &[Peer], requests: u64) -> io::Result<(Table, Counts)> {
    let mut table = Table::new(&format!("System calls per {}:", plan.unit), &["peer", "all", "which"]);
    let mut counts = Counts::new();
    for &peer in chosen {
        let count = |requests| -> io::Result<BTreeMap<String, f64>> {
            let mut stage = Stage::set()?;
            let file = stage.folder().join("strace.txt");
            let command = ["strace", "-c", "-f", "-qq", "-o", &file.to_string_lossy()].map(str::to_owned);
            let mut running = stage.start(peer, Wrap { command: &command, single_process: true })?;
            once(plan, options, &running, requests, FILE)?;
            running.program.stop(true)?;
            counted::written(&file)?;
            Ok(counted::strace_counts(&fs::read_to_string(file)?))
        };
        let each = counted::difference(&count(requests)?, count(requests * 2)?, requests);
        let all: f64 = each.values().sum();
        let mut sorted: Vec<(&String, &f64)> = each.iter().filter(|(_, count)| **count >= 0.005).collect();
        sorted.sort_by(|a, b| b.1.total_cmp(a.1));
        let which: Vec<String> = sorted.iter().map(|(name, count)| format!("{name} {count:.2}")).collect();
        eprintln!("  {peer}: {all:.2} system calls per {} ({})", plan.unit, which.join(", "));
        table.rows.push(vec![peer.to_string(), format!("{all:.2}"), which.join(", ")]);
        counts.insert(peer.to_string(), each);
    }
    Ok((table, counts))
}

fn method(plan: &Plan, options: &Options, requests: u64) -> String {
    format!(
        "Loopback, TLS 1.3, an ECDSA P-256 certificate, {GROUP} the only group that the load (`loadgen`) offers, AES_128_GCM_SHA256 the suite that it prefers; {} {}. The server \
         alone on one CPU, the load on the other. {} rounds in which the peers take turns, {requests} times each, one whole \
         round of warm-up before. CPU time is the scheduler's run time of all threads from the start of the load program to its \
         end. Ratios are medians of the ratios within a round. \"Others busy\" is what ran on the machine besides the server \
         and the load, in CPUs: noise.",
        connections(plan, options),
        plan.about,
        options.few_rounds(),
    )
}

/// A warning when something else ran beside the bench.
fn noise(samples: &Samples) -> String {
    const QUIET: f64 = 0.15;
    let most = samples.values().map(|of| Spread::of(of.iter().map(Sample::others)).median).fold(0.0, f64::max);
    if most <= QUIET {
        String::new()
    } else {
        format!("\nThe machine was not quiet: {most:.2} CPUs. Run this again.\n")
    }
}
