//! User memory per idle keep-alive connection.

use std::{io, thread, time::Duration};

use serde_json::json;

use super::{Held, Options, client, load::peer_notes, measure};
use crate::{
    peers::{Peer, Stage, Wrap},
    report::{Evidence, Goal, Table, number},
    usage::{self, Memory},
};

/// Peers, the connections each holds by default, and what a connection may cost in bytes. A proxy halves the number
/// of connections that the descriptor limit allows, since each may need a second one, so it gets fewer.
const PEERS: [(Peer, usize, Option<f64>); 4] = [
    (Peer::Server, 10_000, Some(170.0)),
    (Peer::Nginx, 10_000, None),
    (Peer::Proxy, 9_000, Some(170.0)),
    (Peer::NginxProxy, 9_000, None),
];

/// Our servers give unused buffers back when they are idle; nobody is measured before.
const SETTLE: Duration = Duration::from_secs(2);

/// Connections that wait for an answer at any time, before the first look as after it. What more of them would need at once stays in a
/// peer's heap when they are gone, and thousands of idle connections would fill it: of what they cost a third was not seen when the
/// proxy had been warmed with 64.
const AT_ONCE: usize = 4;

struct Row {
    peer: Peer,
    connections: usize,
    before: Memory,
    after: Memory,
    limit: Option<f64>,
}

impl Row {
    /// Pages of files are not the connections': they come when code first runs, and their share of the PSS changes with who else has them.
    fn bytes(&self) -> f64 {
        self.each(self.before.anonymous, self.after.anonymous)
    }

    fn each(&self, before: u64, after: u64) -> f64 {
        (after as f64 - before as f64) / self.connections as f64
    }
}

pub(super) fn run(options: &Options) -> io::Result<Evidence> {
    let chosen = options.choose(&PEERS.map(|(peer, ..)| peer))?;
    let mut rows = Vec::new();
    for (peer, connections, limit) in PEERS.into_iter().filter(|(peer, ..)| chosen.contains(peer)) {
        let row = one(peer, options.connections.unwrap_or(connections), limit)?;
        eprintln!("  {peer}: {} bytes per connection", number(row.bytes()));
        rows.push(row);
    }
    Ok(evidence(&chosen, &rows))
}

/// A stage of its own, so that no other peer shares pages with this one.
fn one(peer: Peer, connections: usize, limit: Option<f64>) -> io::Result<Row> {
    let mut stage = Stage::set()?;
    let running = stage.start(peer, Wrap::default())?;
    let pids = &running.program.pids;
    // Caches and the first slabs are not the connections' memory.
    let mut warm = client(&running, AT_ONCE, 1, pids)?;
    measure(&running, warm.args(["count", "6400"]))?;
    thread::sleep(SETTLE);
    let before = usage::memory(pids)?;

    let mut hold = client(&running, connections, 1, pids)?;
    let mut held = Held::start(&running, hold.args(["hold", "--at-once", &AT_ONCE.to_string()]))?;
    thread::sleep(SETTLE);
    let after = usage::memory(pids)?;
    held.release()?;
    Ok(Row { peer, connections, before, after, limit })
}

fn evidence(chosen: &[Peer], rows: &[Row]) -> Evidence {
    let columns = [
        "peer",
        "connections",
        "anonymous before, KiB",
        "anonymous after, KiB",
        "bytes per connection",
        "the same of all PSS",
    ];
    let mut table = Table::new("User memory (kernel socket memory is counted for nobody):", &columns);
    for row in rows {
        table.rows.push(vec![
            row.peer.to_string(),
            row.connections.to_string(),
            (row.before.anonymous / 1024).to_string(),
            (row.after.anonymous / 1024).to_string(),
            number(row.bytes()),
            number(row.each(row.before.pss, row.after.pss)),
        ]);
    }
    Evidence {
        bench: "idle-memory".to_owned(),
        method: format!(
            "Each peer alone; after 6,400 requests over {AT_ONCE} connections that are then closed, and {} s of rest, its \
             anonymous memory is taken (its share where processes share it, all its processes). Then the keep-alive connections of \
             the table are opened, one request each, {AT_ONCE} in flight at a time, and after {} s of rest it is taken again. nginx \
             allocates its connection slots when it starts, which is in \"before\" and not in the difference.",
            SETTLE.as_secs(),
            SETTLE.as_secs()
        ),
        tables: vec![table],
        goals: goals(rows),
        notes: peer_notes(chosen),
        raw: rows.iter().map(figures).collect(),
    }
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let bytes = |peer| rows.iter().find(|row| row.peer == peer).map(Row::bytes);
    let mut goals: Vec<Goal> = rows
        .iter()
        .filter_map(|row| {
            let what = format!("{}, bytes per idle connection", row.peer);
            Some(Goal { what, figure: row.bytes(), limit: row.limit?, binding: row.peer == Peer::Server })
        })
        .collect();
    for (ours, theirs, binding) in [(Peer::Server, Peer::Nginx, true), (Peer::Proxy, Peer::NginxProxy, false)] {
        if let (Some(figure), Some(reference)) = (bytes(ours), bytes(theirs)) {
            let what = format!("{ours} / {theirs}, bytes per idle connection");
            goals.push(Goal { what, figure: figure / reference, limit: 0.5, binding });
        }
    }
    goals
}

fn figures(row: &Row) -> serde_json::Value {
    json!({
        "peer": row.peer.to_string(),
        "connections": row.connections,
        "pss_before": row.before.pss,
        "pss_after": row.after.pss,
        "anonymous_before": row.before.anonymous,
        "anonymous_after": row.after.anonymous,
    })
}
