//! Very many files, each asked for once in random order: what it costs, and that memory and descriptors stay bounded.

use std::{
    collections::BTreeMap,
    io,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use serde::Serialize;
use serde_json::json;

use super::{
    Options, client,
    load::{figures, micros, others, peer_notes, percent},
    measure,
};
use crate::{
    client::Sample,
    peers::{Peer, Running, Served, Stage, Wrap},
    report::{Evidence, Goal, Table, number},
    tree::Tree,
    usage,
};

const PEERS: [Peer; 5] = [Peer::Server, Peer::Nginx, Peer::Lighttpd, Peer::H2o, Peer::Caddy];

/// Files, unless `--requests` says otherwise.
const FILES: u64 = 100_000;

const WALKERS: usize = 8;

/// What our server may have in memory at the most, all told, in MiB: its cache of 16 MiB beside what it needs anyhow.
const MEMORY_MIB: f64 = 40.0;

/// Descriptors that it may hold at once: 1,024 of files, and those of connections and its own.
const DESCRIPTORS: usize = 1_100;

const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, Serialize)]
struct Row {
    #[serde(skip)]
    peer: Peer,
    #[serde(skip)]
    sample: Sample,
    before_bytes: u64,
    peak_bytes: u64,
    descriptors: usize,
}

pub(super) fn run(options: &Options) -> io::Result<Evidence> {
    let chosen = options.choose(&PEERS)?;
    let count = usize::try_from(options.requests.unwrap_or(FILES)).unwrap_or(usize::MAX);
    let mut stage = Stage::serving(Served { path: Tree::Mixed.path(0), bytes: 0, post: 0 })?;
    eprintln!("  writing {count} files");
    Tree::Mixed.plant(&stage.site(), 0..count)?;
    // Holes become pages when they are first read, which is nobody's cost.
    for n in 0..count {
        std::fs::read(stage.site().join(&Tree::Mixed.path(n)[1..]))?;
    }
    let (mut rows, mut failed) = (Vec::new(), String::new());
    for peer in &chosen {
        let running = stage.start(*peer, Wrap::default())?;
        let row = match one(&running, count) {
            Ok(row) => row,
            // That a peer cannot do it is a finding, too.
            Err(error) if !peer.is_ours() => {
                eprintln!("  {error}");
                failed.push_str(&format!("- {peer} failed: {error}\n"));
                continue;
            }
            Err(error) => return Err(error),
        };
        eprintln!(
            "  {peer}: {} us per request, {:.1} MiB at the most, {} descriptors",
            number(micros(&row.sample)),
            mib(row.peak_bytes),
            row.descriptors
        );
        rows.push(row);
    }
    Ok(evidence(&chosen, count, &rows, &failed))
}

fn one(running: &Running, count: usize) -> io::Result<Row> {
    let pids = &running.program.pids;
    let peak = || pids.iter().map(|pid| usage::peak(*pid)).sum::<io::Result<u64>>();
    let before_bytes = peak()?;
    let (over, most) = (AtomicBool::new(false), AtomicUsize::new(0));
    let sample = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let now = pids.iter().map(|pid| usage::descriptors(*pid)).sum();
                most.fetch_max(now, Ordering::Relaxed);
                thread::sleep(LOOK);
            }
        });
        let mut command = client(running, WALKERS, 1, pids);
        let sample = command
            .as_mut()
            .map_err(|error| io::Error::other(error.to_string()))
            .and_then(|command| measure(running, command.args(["walk", "mixed", "--count", &count.to_string()])));
        over.store(true, Ordering::Relaxed);
        sample
    })?;
    Ok(Row { peer: running.peer, sample, before_bytes, peak_bytes: peak()?, descriptors: most.into_inner() })
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn evidence(chosen: &[Peer], count: usize, rows: &[Row], failed: &str) -> Evidence {
    let columns = ["peer", "us per request", "MiB before", "MiB at the most", "descriptors at the most", "others busy"];
    let mut table =
        Table::new("Server CPU time per request, memory (VmHWM) and descriptors of all its processes:", &columns);
    let mut goals = Vec::new();
    for row in rows {
        table.rows.push(vec![
            row.peer.to_string(),
            number(micros(&row.sample)),
            number(mib(row.before_bytes)),
            number(mib(row.peak_bytes)),
            row.descriptors.to_string(),
            percent(others(&row.sample)),
        ]);
        if row.peer.is_ours() {
            let goal = |what: &str, figure, limit| Goal { what: what.to_owned(), figure, limit, binding: true };
            goals.push(goal("server, MiB at the most", mib(row.peak_bytes), MEMORY_MIB));
            goals.push(goal("server, descriptors at the most", row.descriptors as f64, DESCRIPTORS as f64));
        }
    }
    let raw = rows
        .iter()
        .map(|row| (row.peer.to_string(), json!({ "cpu": figures(std::slice::from_ref(&row.sample)), "memory": row })));
    Evidence {
        bench: "file-walk".to_owned(),
        method: format!(
            "Loopback; {count} files, three quarters of 1 KiB and one quarter of 96 KiB, all in the page cache, each asked for once, in random order, \
             over {WALKERS} keep-alive connections; every byte is held against what the file has to be, and an answer that is not a 200 fails the bench. \
             The server alone on one CPU, the load on the other. One run per peer."
        ),
        tables: vec![table],
        goals,
        notes: peer_notes(chosen) + failed,
        raw: json!(raw.collect::<BTreeMap<_, _>>()),
    }
}
