//! User memory per idle TLS connection.

use std::{
    io,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{Options, load::peer_notes};
use crate::{
    peers::{FILE, Peer, Stage, Wrap},
    process::{LOAD_CPU, on_cpu},
    report::{Evidence, Goal, Table, number},
    secure::{self, GROUP},
    usage::{self, Memory},
};

const PEERS: [Peer; 3] = [Peer::ServerTls, Peer::NginxTls, Peer::HaproxyTls];

/// A connection may cost so many bytes, and at most this part of nginx's.
const BYTES: f64 = 4_500.0;
const OF_NGINX: f64 = 0.3;

/// Our servers give unused buffers back when they are idle, and pages of the heap within some seconds; nobody is measured before.
const SETTLE: Duration = Duration::from_secs(6);

struct Row {
    peer: Peer,
    before: Memory,
    after: Memory,
    bytes: f64,
}

pub(super) fn run(options: &Options) -> io::Result<Evidence> {
    let chosen = options.choose(&PEERS)?;
    let short = options.requests.is_some();
    let connections = options.connections.unwrap_or(if short { 300 } else { 5_000 });
    let rows: Vec<Row> = chosen.iter().map(|peer| one(*peer, connections)).collect::<io::Result<_>>()?;
    let columns = ["peer", "PSS before, KiB", "PSS after, KiB", "bytes per connection", "of them anonymous"];
    let mut table = Table::new("User memory (kernel socket memory is counted for nobody):", &columns);
    for row in &rows {
        let anonymous = (row.after.anonymous as f64 - row.before.anonymous as f64) / connections as f64;
        let pss = [row.before.pss / 1024, row.after.pss / 1024].map(|kib| kib.to_string());
        table
            .rows
            .push([vec![row.peer.to_string()], pss.to_vec(), vec![number(row.bytes), number(anonymous)]].concat());
    }
    let bytes = |peer| rows.iter().find(|row| row.peer == peer).map(|row| row.bytes);
    let mut goals = Vec::new();
    if let Some(figure) = bytes(Peer::ServerTls) {
        let what = format!("{}, bytes per idle connection", Peer::ServerTls);
        goals.push(Goal { what, figure, limit: BYTES, binding: true });
        if let Some(reference) = bytes(Peer::NginxTls) {
            let what = format!("{} / {}, bytes per idle connection", Peer::ServerTls, Peer::NginxTls);
            goals.push(Goal { what, figure: figure / reference, limit: OF_NGINX, binding: true });
        }
    }
    Ok(Evidence {
        bench: "tls-idle".to_owned(),
        method: format!(
            "Each peer alone; after 2,000 requests over 64 TLS 1.3 connections ({GROUP}) that are then closed, and {} s of rest, its \
             PSS is taken (all its processes). Then {connections} connections are opened, which ask for 1024 bytes in turn, \
             and go idle; after {} s of rest the PSS is taken again. nginx allocates its connection slots when it starts, which \
             is in \"before\".",
            SETTLE.as_secs(),
            SETTLE.as_secs()
        ),
        tables: vec![table],
        goals,
        notes: peer_notes(&chosen),
        raw: rows
            .iter()
            .map(|row| json!({"peer": row.peer.to_string(), "pss_before": row.before.pss, "pss_after": row.after.pss}))
            .collect(),
    })
}

fn one(peer: Peer, connections: usize) -> io::Result<Row> {
    let mut stage = Stage::set()?;
    let running = stage.start(peer, Wrap::default())?;
    let pids = &running.program.pids;
    secure::measure(&running, &["-c", "64", "-n", "2000"], FILE)?;
    thread::sleep(SETTLE);
    let before = usage::memory(pids)?;
    // Half of the time at a rate that comes round to every connection, the rest at next to none. The look is in the second half.
    let steps = format!("{},1", connections / 3);
    let arguments = ["-c", &connections.to_string(), "--steps", &steps, "-d", "18s", "--connect-timeout", "60s"];
    let mut command = secure::load(&arguments, running.address, FILE)?;
    let begun = Instant::now();
    let mut load = Load(on_cpu(LOAD_CPU, || command.spawn())??);
    let opened = || open_sockets(pids).map(|open| open >= connections);
    while !opened()? {
        if begun.elapsed() > Duration::from_secs(60) || load.0.try_wait()?.is_some() {
            return Err(io::Error::other(format!("{peer}: the connections were not made")));
        }
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(Duration::from_secs(9) + SETTLE);
    if load.0.try_wait()?.is_some() {
        return Err(io::Error::other(format!("{peer}: the connections had gone when memory was looked at")));
    }
    let after = usage::memory(pids)?;
    load.end()?;
    let bytes = (after.pss as f64 - before.pss as f64) / connections as f64;
    eprintln!("  {peer}: {} bytes per connection", number(bytes));
    Ok(Row { peer, before, after, bytes })
}

/// How many sockets the processes have.
fn open_sockets(pids: &[u32]) -> io::Result<usize> {
    let mut sockets = 0;
    for pid in pids {
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
            let target = entry.and_then(|entry| std::fs::read_link(entry.path()));
            sockets += usize::from(target.is_ok_and(|target| target.to_string_lossy().starts_with("socket:")));
        }
    }
    Ok(sockets)
}

/// The load program; dropped, it is ended.
struct Load(Child);

impl Load {
    /// Waits for its end, and sees that all was answered.
    fn end(mut self) -> io::Result<()> {
        let mut text = Vec::new();
        if let Some(mut out) = self.0.stdout.take() {
            io::Read::read_to_end(&mut out, &mut text)?;
        }
        let status = self.0.wait()?;
        secure::report(&std::process::Output { status, stdout: text, stderr: Vec::new() }).map(drop)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}
