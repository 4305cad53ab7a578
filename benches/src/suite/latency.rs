//! The time that answers take at half load: the same open-loop rate for all peers, in rounds of an order that is drawn each time.

use std::{
    collections::BTreeMap,
    io,
    process::{Command, Stdio},
};

use serde::Serialize;
use serde_json::{Value, json};

use super::{Options, client, load::peer_notes, measure};
use crate::{
    interval::Interval,
    peers::{Peer, Running, Stage, Wrap},
    process::{LOAD_CPU, on_cpu, sibling},
    report::{Evidence, Goal, Spread, Table, number},
    tree::Dice,
};

/// What distinguishes the benches.
pub(super) struct Plan {
    bench: &'static str,
    peers: &'static [Peer],
    /// So many connections, one case after the other.
    cases: &'static [usize],
    /// Whose times are to be no longer than whose.
    goals: &'static [(Peer, Peer)],
}

pub(super) const STATIC: Plan = Plan {
    bench: "static-latency",
    peers: &[Peer::Server, Peer::H2o, Peer::Nginx, Peer::Lighttpd],
    cases: &[64, 10_000],
    goals: &[(Peer::Server, Peer::H2o)],
};

pub(super) const PROXIED: Plan = Plan {
    bench: "proxied-latency",
    peers: &[Peer::Proxy, Peer::NginxProxy, Peer::Haproxy],
    cases: &[64, 1_000],
    goals: &[(Peer::Proxy, Peer::NginxProxy), (Peer::Proxy, Peer::Haproxy)],
};

/// Single rounds spread.
const ROUNDS: usize = 10;

/// Times of one run, in microseconds from when a request was planned.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Times {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    /// Answers a second.
    pub(super) rate: f64,
    /// Whether the generator vouches for the run.
    pub(super) valid: bool,
}

type Samples = BTreeMap<Peer, Vec<Times>>;

struct Case {
    connections: usize,
    rate: u64,
    samples: Samples,
}

pub(super) fn run(plan: &Plan, options: &Options) -> io::Result<Evidence> {
    let chosen = options.choose(plan.peers)?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let mut stage = Stage::set()?;
    let running: Vec<Running> =
        chosen.iter().map(|peer| stage.start(*peer, Wrap::default())).collect::<io::Result<_>>()?;
    let mut cases = Vec::new();
    for connections in options.connections.map_or(plan.cases.to_vec(), |one| vec![one]) {
        let rate = half_load(options, &running, connections)?;
        eprintln!("  {connections} connections, {rate} requests/s");
        let (mut samples, mut order) = (Samples::new(), Dice::new(1));
        for round in 0..=rounds {
            // What slows the machine now and then keeps time with rounds of one order, and would fall on the same peers all along.
            for at in order.shuffle(running.len()) {
                let one = &running[at];
                let times = paced(options, one, connections, rate)?;
                eprintln!("  round {round}: {} p50 {} us, p99 {} us", one.peer, number(times.p50), number(times.p99));
                if round > 0 {
                    samples.entry(one.peer).or_default().push(times);
                }
            }
        }
        cases.push(Case { connections, rate, samples });
    }
    Ok(evidence(plan, options, &chosen, rounds, &cases))
}

/// Half of what the slowest of the peers answers in a closed loop.
fn half_load(options: &Options, running: &[Running], connections: usize) -> io::Result<u64> {
    let mut least = f64::MAX;
    for one in running {
        let mut command = client(one, connections, 1, &[])?;
        command.args(["time", "--warmup", "0.5", "--seconds", &options.seconds.min(2.0).to_string()]);
        let sample = measure(one, &mut command)?;
        least = least.min(sample.requests as f64 / sample.wall.as_secs_f64());
    }
    Ok((least / 2000.0).round().max(1.0) as u64 * 1000)
}

/// Runs the load generator in an open loop.
pub(super) fn paced(options: &Options, running: &Running, connections: usize, rate: u64) -> io::Result<Times> {
    let url = format!("http://{}{}", running.address, running.path);
    let (connections, rate) = (connections.to_string(), rate.to_string());
    let (seconds, warm) = (format!("{}ms", options.seconds * 1e3), format!("{}ms", options.warmup * 1e3));
    let mut command = Command::new(sibling("loadgen")?);
    command.args(["-q", "--json", "-", "-t", "1", "-c", &connections, "-R", &rate, "--poisson"]);
    command.args(["-d", &seconds, "--warm-up", &warm, &url]).stdin(Stdio::null()).stderr(Stdio::piped());
    let output = on_cpu(LOAD_CPU, || command.output())??;
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = || {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        io::Error::other(format!("{}: the load failed ({}): {said}", running.peer, output.status))
    };
    let saved: Value = serde_json::from_str(&text).map_err(|_| failed())?;
    times(&saved).ok_or_else(failed)
}

/// What the generator saved; `None` where answers failed.
fn times(saved: &Value) -> Option<Times> {
    let summary = saved.get("summary")?;
    if summary.get("errors")?.as_u64()? > 0 {
        return None;
    }
    let response = summary.get("response")?.get("percentiles_ns")?;
    let micros = |name: &str| Some(response.get(name)?.as_f64()? / 1e3);
    Some(Times {
        p50: micros("p50")?,
        p99: micros("p99")?,
        p999: micros("p99.9")?,
        rate: summary.get("answered_per_second")?.as_f64()?,
        valid: summary.get("valid")?.as_bool()?,
    })
}

fn evidence(plan: &Plan, options: &Options, chosen: &[Peer], rounds: usize, cases: &[Case]) -> Evidence {
    let (mut tables, mut goals) = (Vec::new(), Vec::new());
    for case in cases {
        tables.push(table(case, chosen));
        let wanted = plan.goals.iter().filter(|(ours, theirs)| chosen.contains(ours) && chosen.contains(theirs));
        goals.extend(wanted.map(|(ours, theirs)| {
            let pairs = case.samples[ours].iter().zip(&case.samples[theirs]);
            let ratio = Interval::of(&pairs.map(|(ours, theirs)| ours.p99 / theirs.p99).collect::<Vec<_>>());
            eprintln!("  {ours} / {theirs}, p99, {} connections: {ratio}", case.connections);
            let what = format!(
                "{ours} / {theirs}, p99, {} connections (95 %: {:.2} to {:.2})",
                case.connections, ratio.low, ratio.high
            );
            Goal { what, figure: ratio.ratio, limit: 1.0, binding: true }
        }));
    }
    let origin = if chosen.iter().any(|peer| peer.is_proxy()) { ", with the origin `bare-epoll`" } else { "" };
    Evidence {
        bench: plan.bench.to_owned(),
        method: format!(
            "Loopback, body 1024 bytes, every answer checked, open loop at independent random times (`loadgen --rate R --poisson`), the server alone \
             on one CPU, the load on the other{origin}. R is half of what the slowest of the peers answers in a closed loop of as many connections. {rounds} rounds in \
             which the peers take turns, and who comes first changes, {} s each after {} s of warm-up, one round before that is not counted. \
             Times count from when a request was planned. Ratios are geometric means of those within a round. \"Doubted\" are runs in which the generator \
             itself was late.",
            options.seconds, options.warmup
        ),
        tables,
        goals,
        notes: peer_notes(chosen),
        raw: cases
            .iter()
            .map(|case| {
                let of =
                    case.samples.iter().map(|(peer, of)| (peer.to_string(), json!(of))).collect::<BTreeMap<_, _>>();
                (case.connections.to_string(), json!({ "rate": case.rate, "peers": of }))
            })
            .collect(),
    }
}

fn table(case: &Case, chosen: &[Peer]) -> Table {
    let mut table = Table::new(
        &format!("{} connections, {} requests a second, in microseconds:", case.connections, case.rate),
        &["peer", "p50", "p99", "p99 min", "p99 max", "p99.9", "answered/s", "doubted"],
    );
    for peer in chosen {
        let of = &case.samples[peer];
        let spread = |figure: fn(&Times) -> f64| Spread::of(of.iter().map(figure));
        let p99 = spread(|one| one.p99);
        table.rows.push(vec![
            peer.to_string(),
            number(spread(|one| one.p50).median),
            number(p99.median),
            number(p99.min),
            number(p99.max),
            number(spread(|one| one.p999).median),
            number(spread(|one| one.rate).median),
            of.iter().filter(|one| !one.valid).count().to_string(),
        ]);
    }
    table
}
