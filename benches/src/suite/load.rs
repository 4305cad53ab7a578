//! Server CPU time per request under a closed loop of keep-alive connections, peers in alternating rounds.

use std::{collections::BTreeMap, io, time::Duration};

use serde_json::json;

use super::{Options, client, measure};
use crate::{
    client::Sample,
    peers::{Peer, Running, Stage, Wrap},
    report::{Evidence, Goal, Spread, Table, number},
};

/// What distinguishes the three benches.
struct Plan {
    bench: &'static str,
    /// The first is what the others are compared with.
    peers: &'static [Peer],
    depth: usize,
    /// (subject, reference, at most, binding)
    goals: &'static [(Peer, Peer, f64, bool)],
}

pub(super) fn static_1k(options: &Options) -> io::Result<Evidence> {
    let goals = &[(Peer::Server, Peer::BareEpoll, 1.25, true), (Peer::Server, Peer::Nginx, 0.65, false)];
    let peers = &[Peer::BareEpoll, Peer::Server, Peer::Nginx, Peer::NginxRead];
    run(&Plan { bench: "static-1k", peers, depth: 1, goals }, options)
}

pub(super) fn static_pipelined(options: &Options) -> io::Result<Evidence> {
    let goals = &[(Peer::Server, Peer::Nginx, 0.2, true), (Peer::Server, Peer::NginxRead, 0.2, true)];
    let peers = &[Peer::Nginx, Peer::Server, Peer::NginxRead];
    run(&Plan { bench: "static-pipelined", peers, depth: 16, goals }, options)
}

pub(super) fn proxied_1k(options: &Options) -> io::Result<Evidence> {
    let goals = &[
        (Peer::Proxy, Peer::BareRelay, 1.25, true),
        (Peer::Proxy, Peer::NginxProxy, 0.75, false),
        (Peer::Proxy, Peer::Haproxy, 0.75, false),
    ];
    let peers = &[Peer::BareRelay, Peer::Proxy, Peer::NginxProxy, Peer::Haproxy];
    run(&Plan { bench: "proxied-1k", peers, depth: 1, goals }, options)
}

fn run(plan: &Plan, options: &Options) -> io::Result<Evidence> {
    let chosen = options.choose(plan.peers)?;
    let mut stage = Stage::set()?;
    // All stand ready from the start; who is not being measured sleeps.
    let running: Vec<Running> =
        chosen.iter().map(|peer| stage.start(*peer, Wrap::default())).collect::<io::Result<_>>()?;
    let mut samples: BTreeMap<Peer, Vec<Sample>> = BTreeMap::new();
    // Round 0 warms up caches and pools and is not counted.
    for round in 0..=options.few_rounds() {
        for one in &running {
            let sample = once(plan, options, one)?;
            eprintln!("  round {round}: {} {} us/request, {}", one.peer, number(micros(&sample)), busy(&sample));
            if round > 0 {
                samples.entry(one.peer).or_default().push(sample);
            }
        }
    }
    Ok(evidence(plan, options, &chosen, &samples))
}

fn once(plan: &Plan, options: &Options, running: &Running) -> io::Result<Sample> {
    let mut command = client(running, options.busy_connections(), plan.depth, &running.program.pids)?;
    command.args(["time", "--warmup", &options.warmup.to_string(), "--seconds", &options.seconds.to_string()]);
    measure(running, &mut command)
}

fn evidence(plan: &Plan, options: &Options, chosen: &[Peer], samples: &BTreeMap<Peer, Vec<Sample>>) -> Evidence {
    let mut table = Table::new(
        "Server CPU time per request in microseconds, user and system of all its processes:",
        &["peer", "median", "min", "max", &format!("/ {}", chosen[0]), "requests/s", "its CPU busy", "others busy"],
    );
    for peer in chosen {
        let of = &samples[peer];
        let cpu = Spread::of(of.iter().map(micros));
        table.rows.push(vec![
            peer.to_string(),
            number(cpu.median),
            number(cpu.min),
            number(cpu.max),
            number(ratio(samples, *peer, chosen[0])),
            number(Spread::of(of.iter().map(|one| one.requests as f64 / one.wall.as_secs_f64())).median),
            percent(Spread::of(of.iter().map(|one| share(one.server, one.wall))).median),
            percent(Spread::of(of.iter().map(others)).median),
        ]);
    }
    let goals = plan.goals.iter().filter(|(a, b, ..)| chosen.contains(a) && chosen.contains(b));
    let goals = goals.map(|&(subject, reference, limit, binding)| Goal {
        what: format!("{subject} / {reference}, CPU per request"),
        figure: ratio(samples, subject, reference),
        limit,
        binding,
    });
    Evidence {
        bench: plan.bench.to_owned(),
        method: method(plan, options, chosen),
        tables: vec![table],
        goals: goals.collect(),
        notes: peer_notes(chosen) + &noise(chosen, samples),
        raw: json!(samples.iter().map(|(peer, of)| (peer.to_string(), figures(of))).collect::<BTreeMap<_, _>>()),
    }
}

fn method(plan: &Plan, options: &Options, chosen: &[Peer]) -> String {
    let depth = if plan.depth > 1 { format!(", {} requests deep", plan.depth) } else { String::new() };
    let origin =
        if chosen.iter().any(|peer| peer.is_proxy()) { " The origin is `bare-epoll` on the load's CPU." } else { "" };
    format!(
        "Loopback, {} keep-alive connections{depth}, closed loop, body 1024 bytes, every answer checked. The server alone \
         on one CPU, the load on the other.{origin} {} rounds in which the peers take turns, {} s each after {} s of \
         warm-up, one whole round of warm-up before. CPU time is the scheduler's run time of all threads. Ratios are \
         medians of the ratios within a round. \"Others busy\" is what ran on the machine besides the server, the load \
         and the idle, in CPUs: noise, and for a proxy the origin.",
        options.busy_connections(),
        options.few_rounds(),
        options.seconds,
        options.warmup
    )
}

/// A warning when something else ran beside the bench. Behind a proxy that cannot be told from the origin.
pub(super) fn noise(chosen: &[Peer], samples: &BTreeMap<Peer, Vec<Sample>>) -> String {
    const QUIET: f64 = 0.1;
    let direct = chosen.iter().filter(|peer| !peer.is_proxy());
    let most = direct.map(|peer| Spread::of(samples[peer].iter().map(others)).median).fold(0.0, f64::max);
    if most <= QUIET {
        return String::new();
    }
    format!("\nThe machine was not quiet: other programs took up to {} of a CPU. Run this again.\n", percent(most))
}

/// How each peer is set up, as a list.
pub(super) fn peer_notes(chosen: &[Peer]) -> String {
    chosen.iter().map(|peer| format!("- {peer}: {}\n", peer.set_up())).collect()
}

/// The median over the rounds of the two peers' ratio within the round, so that a disturbance that lasts longer than
/// a round falls on both.
fn ratio(samples: &BTreeMap<Peer, Vec<Sample>>, subject: Peer, reference: Peer) -> f64 {
    let pairs = samples[&subject].iter().zip(&samples[&reference]);
    Spread::of(pairs.map(|(subject, reference)| micros(subject) / micros(reference))).median
}

pub(super) fn micros(sample: &Sample) -> f64 {
    sample.server.as_secs_f64() * 1e6 / sample.requests.max(1) as f64
}

pub(super) fn share(part: Duration, wall: Duration) -> f64 {
    part.as_secs_f64() / wall.as_secs_f64()
}

/// CPUs' worth of what is neither the server nor the load.
pub(super) fn others(sample: &Sample) -> f64 {
    share(sample.machine.saturating_sub(sample.server + sample.client), sample.wall)
}

pub(super) fn busy(sample: &Sample) -> String {
    format!("server {} busy, others {}", percent(share(sample.server, sample.wall)), percent(others(sample)))
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

pub(super) fn figures(samples: &[Sample]) -> serde_json::Value {
    let one = |sample: &Sample| {
        json!({
            "requests": sample.requests,
            "wall_us": sample.wall.as_micros(),
            "server_cpu_us": sample.server.as_micros(),
            "load_cpu_us": sample.client.as_micros(),
            "machine_busy_us": sample.machine.as_micros(),
        })
    };
    samples.iter().map(one).collect()
}
