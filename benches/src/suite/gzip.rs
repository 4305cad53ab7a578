//! Compressing on the way: what the first request for a file costs, and the second.

use std::{fs, io};

use serde_json::json;

use super::{
    Options, client,
    load::{figures, micros, others, peer_notes, percent},
    measure,
};
use crate::{
    client::Sample,
    peers::{Peer, Running, Served, Stage, Wrap},
    report::{Evidence, Goal, Spread, Table, number},
    tree::{JSON_BYTES, Tree},
    wire,
};

const PEERS: [Peer; 2] = [Peer::NginxGzip, Peer::Server];

/// Files that each round asks for once.
const FILES: usize = 500;

/// Connections of the first part; both sides compress one file after the other.
const WALKERS: usize = 4;

/// CPU of the first request beside nginx's.
const FIRST: f64 = 0.6;

/// CPU of the second request beside that for a file of the length of what was compressed.
const SECOND: f64 = 1.1;

pub(super) fn run(options: &Options) -> io::Result<Evidence> {
    let rounds = options.few_rounds();
    let mut stage = Stage::serving(Served { path: Tree::Json.path(0), bytes: 0, post: 0 })?;
    Tree::Json.plant(&stage.site(), 0..(rounds + 1) * FILES)?;
    let mut running: Vec<Running> =
        PEERS.iter().map(|peer| stage.start(*peer, Wrap::default())).collect::<io::Result<_>>()?;
    let mut first = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for (one, samples) in running.iter().zip(&mut first) {
            let sample = walk(one, round * FILES, FILES)?;
            eprintln!("  round {round}: {} first {} us, {} bytes", one.peer, number(micros(&sample)), each(&sample));
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    let ours = &mut running[1];
    let coded = usize::try_from(walk(ours, 0, 1)?.bytes).unwrap_or(0);
    let same = format!("/same-{coded}.txt");
    fs::write(stage.site().join(&same[1..]), wire::body(coded))?;
    let subjects = [(Tree::Json.path(0), true), (same, false), (Tree::Json.path(0), false)];
    let mut second = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for ((path, gzip), samples) in subjects.iter().zip(&mut second) {
            ours.path.clone_from(path);
            let sample = again(options, ours, *gzip)?;
            eprintln!("  round {round}: again {path} {} us", number(micros(&sample)));
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    Ok(evidence(options, rounds, coded, &first, &second))
}

fn walk(running: &Running, from: usize, count: usize) -> io::Result<Sample> {
    let mut command = client(running, WALKERS, 1, &running.program.pids)?;
    measure(
        running,
        command.args(["--gzip", "walk", "json", "--first", &from.to_string(), "--count", &count.to_string()]),
    )
}

fn again(options: &Options, running: &Running, gzip: bool) -> io::Result<Sample> {
    let mut command = client(running, options.busy_connections(), 1, &running.program.pids)?;
    if gzip {
        command.arg("--gzip");
    }
    command.args(["time", "--warmup", &options.warmup.to_string(), "--seconds", &options.seconds.to_string()]);
    measure(running, &mut command)
}

/// Bytes of a body.
fn each(sample: &Sample) -> u64 {
    sample.bytes / sample.requests.max(1)
}

fn ratio(subject: &[Sample], reference: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    Spread::of(subject.iter().zip(reference).map(|(subject, reference)| figure(subject) / figure(reference))).median
}

fn evidence(
    options: &Options,
    rounds: usize,
    coded: usize,
    first: &[Vec<Sample>; 2],
    second: &[Vec<Sample>; 3],
) -> Evidence {
    let columns = ["who", "median", "min", "max", "bytes of the body", "others busy"];
    let mut once = Table::new(
        "First time: server CPU time per request in microseconds, user and system of all threads:",
        &columns,
    );
    let mut again = Table::new("Second time, `server`:", &columns);
    let named = [
        format!("the {coded} bytes that it was compressed to"),
        format!("a file of {coded} bytes as it is"),
        format!("the file of {JSON_BYTES} bytes as it is"),
    ];
    let rows = PEERS.iter().map(ToString::to_string).zip(first).map(|row| (true, row));
    let rows = rows.chain(named.into_iter().zip(second).map(|row| (false, row)));
    for (is_first, (name, samples)) in rows {
        let cpu = Spread::of(samples.iter().map(micros));
        let bytes = if is_first { each(&samples[0]).to_string() } else { "".to_owned() };
        let row = vec![
            name,
            number(cpu.median),
            number(cpu.min),
            number(cpu.max),
            bytes,
            percent(Spread::of(samples.iter().map(others)).median),
        ];
        if is_first { once.rows.push(row) } else { again.rows.push(row) }
    }
    let [nginx, ours] = first;
    let goal = |what: &str, figure, limit| Goal { what: what.to_owned(), figure, limit, binding: true };
    Evidence {
        bench: "gzip".to_owned(),
        method: format!(
            "Loopback; JSON files of {JSON_BYTES} bytes, each another. First time: {FILES} files a round that nobody asked for before, once each, in random \
             order over {WALKERS} connections, decoded and held against what they have to be; {rounds} rounds in which the peers take turns, one round before that \
             is not counted. Second time: one file again and again over {} connections, {} s each after {} s of warm-up, every answer checked. The \
             server alone on one CPU, the load on the other. CPU time is the scheduler's run time of all threads. Ratios are medians of those within a round.",
            options.busy_connections(),
            options.seconds,
            options.warmup
        ),
        tables: vec![once, again],
        goals: vec![
            goal("server / nginx-gzip, CPU of the first request", ratio(ours, nginx, micros), FIRST),
            goal("server / nginx-gzip, bytes", ratio(ours, nginx, |one| one.bytes as f64), 1.0),
            goal("second request / a file of the same length, CPU", ratio(&second[0], &second[1], micros), SECOND),
        ],
        notes: peer_notes(&PEERS),
        raw: json!({
            "first": { "nginx-gzip": figures(nginx), "server": figures(ours) },
            "second": { "coded": figures(&second[0]), "same length": figures(&second[1]), "identity": figures(&second[2]) },
        }),
    }
}
