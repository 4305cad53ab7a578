//! What is counted exactly: system calls and user-space instructions per request. Each peer runs twice from start to
//! end under a counting program, with N and with 2 N requests; the difference is N requests and nothing else.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{Options, client, load::peer_notes, measure};
use crate::{
    peers::{Peer, Stage, Wrap},
    report::{Evidence, Goal, Table, number},
};

const PEERS: [Peer; 6] = [Peer::Server, Peer::BareEpoll, Peer::Nginx, Peer::Proxy, Peer::NginxProxy, Peer::Haproxy];

pub(super) fn syscalls(options: &Options) -> io::Result<Evidence> {
    let chosen = options.choose(&PEERS)?;
    let requests = options.requests.unwrap_or(20_000);
    let mut table = Table::new("System calls per request:", &["peer", "all", "which"]);
    let (mut goals, mut raw) = (Vec::new(), BTreeMap::new());
    for &peer in &chosen {
        let per_request = syscalls_of(peer, requests, options)?;
        let all: f64 = per_request.values().sum();
        let mut sorted: Vec<(&String, &f64)> = per_request.iter().filter(|(_, count)| **count >= 0.0005).collect();
        sorted.sort_by(|a, b| b.1.total_cmp(a.1));
        let which: Vec<String> = sorted.iter().map(|(name, count)| format!("{name} {count:.3}")).collect();
        eprintln!("  {peer}: {all:.3} system calls per request ({})", which.join(", "));
        table.rows.push(vec![peer.to_string(), format!("{all:.3}"), which.join(", ")]);
        let limit = if peer.is_proxy() { 4.4 } else { 2.2 };
        if peer.is_ours() {
            goals.push(Goal { what: format!("{peer}, system calls per request"), figure: all, limit, binding: true });
        }
        raw.insert(peer.to_string(), json!(per_request));
    }
    Ok(Evidence {
        bench: "syscalls".to_owned(),
        method: format!(
            "`strace -c -f` around each peer from start to end, {} keep-alive connections, with {requests} and with \
             {} requests of a 1 KiB body; the difference divided by {requests}.",
            options.busy_connections(),
            requests * 2
        ),
        tables: vec![table],
        goals,
        notes: peer_notes(&chosen),
        raw: json!(raw),
    })
}

pub(super) fn syscalls_of(peer: Peer, requests: u64, options: &Options) -> io::Result<BTreeMap<String, f64>> {
    let once = |requests| -> io::Result<BTreeMap<String, f64>> {
        let mut stage = Stage::set()?;
        let file = stage.folder().join("strace.txt");
        let command = ["strace", "-c", "-f", "-qq", "-o", &file.to_string_lossy()].map(str::to_owned);
        count(&mut stage, peer, &command, true, requests, options)?;
        Ok(strace_counts(&fs::read_to_string(file)?))
    };
    let (one, two) = (once(requests)?, once(requests * 2)?);
    Ok(difference(&one, two, requests))
}

/// The calls per name in the table that `strace -c` prints. Columns: time share, seconds, microseconds per call,
/// calls, errors (empty when none), name.
pub(super) fn strace_counts(text: &str) -> BTreeMap<String, f64> {
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let name = *cells.last()?;
        let calls = cells.get(3)?.parse().ok()?;
        (name != "total").then(|| (name.to_owned(), calls))
    });
    rows.collect()
}

pub(super) fn instructions(options: &Options) -> io::Result<Evidence> {
    let chosen = options.choose(&PEERS)?;
    let requests = options.requests.unwrap_or(4_000);
    let mut table = Table::new("User-space instructions per request:", &["peer", "instructions"]);
    let (mut goals, mut raw, mut notes) = (Vec::new(), BTreeMap::new(), peer_notes(&chosen));
    for &peer in &chosen {
        let (one, in_one) = instructions_of(peer, requests, options)?;
        let (two, in_two) = instructions_of(peer, requests * 2, options)?;
        let each = (two - one) / requests as f64;
        eprintln!("  {peer}: {} instructions per request", number(each));
        table.rows.push(vec![peer.to_string(), number(each)]);
        let functions = difference(&in_one, in_two, requests);
        if peer.is_ours() {
            let limit = if peer.is_proxy() { 7_000.0 } else { 3_500.0 };
            let what = format!("{peer}, instructions per request");
            goals.push(Goal { what, figure: each, limit, binding: true });
            notes += &format!("\nWhere they go in `{peer}`, per request:\n\n```\n{}```\n", top(&functions));
        }
        raw.insert(
            peer.to_string(),
            json!({ "requests": requests, "once": one, "twice": two, "by_function": functions }),
        );
    }
    Ok(Evidence {
        bench: "instructions".to_owned(),
        method: format!(
            "`valgrind --tool=callgrind` around each peer from start to end, {} keep-alive connections, with {requests} \
             and with {} requests of a 1 KiB body; the difference divided by {requests}. Repeats within 1 %.",
            options.busy_connections(),
            requests * 2
        ),
        tables: vec![table],
        goals,
        notes,
        raw: json!(raw),
    })
}

/// All instructions of one run, and those of each function without what it calls.
pub(super) fn instructions_of(
    peer: Peer,
    requests: u64,
    options: &Options,
) -> io::Result<(f64, BTreeMap<String, f64>)> {
    let mut stage = Stage::set()?;
    let file = stage.folder().join("callgrind.out");
    let out = format!("--callgrind-out-file={}", file.to_string_lossy());
    let command = ["valgrind", "--tool=callgrind", &out].map(str::to_owned);
    count(&mut stage, peer, &command, false, requests, options)?;
    let text = fs::read_to_string(&file)?;
    let total = text.lines().filter_map(|line| line.strip_prefix("totals: ")?.trim().parse::<f64>().ok()).next_back();
    let total = total.ok_or_else(|| io::Error::other(format!("{peer}: callgrind wrote no totals")))?;
    let output = Command::new("callgrind_annotate").args(["--auto=no", "--threshold=100"]).arg(file).output()?;
    Ok((total, functions(&String::from_utf8_lossy(&output.stdout))))
}

/// The functions in the table that `callgrind_annotate` prints. It has a row per function and file (code from
/// elsewhere is inlined into a function); the rows of a function are added up.
fn functions(text: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for line in text.lines() {
        // "1,234 (12.3%)  FILE:FUNCTION [OBJECT]"
        let row = || {
            let (cost, rest) = line.split_once('(')?;
            let name = rest.split_once("%)")?.1.split(" [").next()?.split_once(':')?.1;
            Some((name.trim(), cost.trim().replace(',', "").parse::<f64>().ok()?))
        };
        if let Some((name, cost)) = row() {
            *sums.entry(name.to_owned()).or_insert(0.0) += cost;
        }
    }
    sums
}

/// What `two` has more than `one`, per request.
pub(super) fn difference(
    one: &BTreeMap<String, f64>,
    two: BTreeMap<String, f64>,
    requests: u64,
) -> BTreeMap<String, f64> {
    let each = two.into_iter().map(|(name, amount)| {
        let less = one.get(&name).copied().unwrap_or(0.0);
        (name, (amount - less) / requests as f64)
    });
    each.collect()
}

/// The functions that take most, as text.
pub(super) fn top(functions: &BTreeMap<String, f64>) -> String {
    let mut sorted: Vec<(&String, &f64)> = functions.iter().filter(|(_, each)| **each >= 1.0).collect();
    sorted.sort_by(|a, b| b.1.total_cmp(a.1));
    sorted.iter().take(60).map(|(name, each)| format!("{each:>8.0}  {name}\n")).collect()
}

/// Runs `peer` under `command` from start to end with `requests` requests.
fn count(
    stage: &mut Stage,
    peer: Peer,
    command: &[String],
    is_parent: bool,
    requests: u64,
    options: &Options,
) -> io::Result<()> {
    let mut running = stage.start(peer, Wrap { command, single_process: true })?;
    let mut load = client(&running, options.busy_connections(), 1, &[])?;
    measure(&running, load.args(["count", &requests.to_string()]))?;
    running.program.stop(is_parent)?;
    written(&output_of(command))
}

/// The file that the counting program was told to write: its last argument, or what follows the equals sign.
fn output_of(command: &[String]) -> PathBuf {
    let last = command.last().map(String::as_str).unwrap_or_default();
    PathBuf::from(last.split_once('=').map_or(last, |(_, path)| path))
}

/// Waits until `file` is there; the counting program writes it as it ends.
pub(super) fn written(file: &Path) -> io::Result<()> {
    let start = Instant::now();
    while fs::metadata(file).map_or(0, |found| found.len()) == 0 {
        if start.elapsed() > Duration::from_secs(10) {
            return Err(io::Error::other("the counting program wrote nothing"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straces_table_is_read() {
        let text = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 55.01    0.100000           5     20000           recvfrom
 44.99    0.090000           4     20001         3 sendto
------ ----------- ----------- --------- --------- ----------------
100.00    0.190000           4     40001         3 total
";
        let expected = [("recvfrom", 20000.0), ("sendto", 20001.0)].map(|(name, calls)| (name.to_owned(), calls));
        assert_eq!(strace_counts(text), BTreeMap::from(expected));
    }

    #[test]
    fn callgrinds_rows_are_added_up_per_function() {
        let text = "\
--------------------------------------------------------------------------------
Ir
--------------------------------------------------------------------------------
28,664,530 (100.0%)  PROGRAM TOTALS

1,666,862 ( 5.81%)  a/src/task.rs:<F as event_loop::task::Task>::poll [/x/server]
  334,138 ( 1.17%)  b/src/lib.rs:<F as event_loop::task::Task>::poll [/x/server]
1,279,877 ( 4.46%)  ???:__memcpy [/lib/libc.so]
";
        let expected = [("<F as event_loop::task::Task>::poll", 2_001_000.0), ("__memcpy", 1_279_877.0)];
        assert_eq!(functions(text), BTreeMap::from(expected.map(|(name, cost)| (name.to_owned(), cost))));
    }
}
