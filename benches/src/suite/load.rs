//! Server CPU time per request, or per gigabyte, under a closed loop of keep-alive connections, peers in alternating rounds.

use std::{collections::BTreeMap, io, time::Duration};

use serde_json::json;

use super::{Options, client, measure, measure_with_upstreams};
use crate::{
    client::Sample,
    peers::{Peer, Running, Served, Stage, Wrap},
    report::{Evidence, Goal, Spread, Table, number},
    upstreams::{LATELY_MS, Upstreams},
};

/// What distinguishes the benches.
pub(super) struct Plan {
    pub(super) bench: &'static str,
    /// The first is what the others are compared with.
    pub(super) peers: &'static [Peer],
    /// Length of the file in bytes.
    pub(super) bytes: usize,
    /// Length of the body that each request brings; 0: none.
    pub(super) post: usize,
    /// One after the other: so many connections, so many requests deep.
    pub(super) cases: &'static [Case],
    pub(super) unit: Unit,
    /// Whether the load never sleeps ([`crate::client::Load`]): where it has its CPU for itself, which behind a proxy the origin shares.
    pub(super) spins: bool,
    /// Whether a proxy's connections to the origin are counted: in runs that are about their number.
    pub(super) counts_upstreams: bool,
    /// (subject, reference, at most, binding)
    pub(super) goals: &'static [(Peer, Peer, f64, bool)],
}

/// What CPU time is counted by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Unit {
    /// Microseconds per request.
    Request,
    /// Milliseconds per 10^9 bytes.
    Gigabyte,
}

impl Unit {
    pub(super) fn figure(self, sample: &Sample) -> f64 {
        match self {
            Unit::Request => micros(sample),
            Unit::Gigabyte => sample.server.as_secs_f64() * 1e3 / (sample.bytes.max(1) as f64 / 1e9),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Unit::Request => "CPU time per request in microseconds",
            Unit::Gigabyte => "CPU time per gigabyte in milliseconds",
        }
    }

    fn short(self) -> &'static str {
        match self {
            Unit::Request => "us/request",
            Unit::Gigabyte => "ms/GB",
        }
    }
}

impl Plan {
    fn served(&self) -> Served {
        Served { post: self.post, ..Served::of(self.bytes) }
    }
}

/// So many connections, and so many requests deep.
pub(super) type Case = (usize, usize);

/// The samples of one case.
pub(super) type Samples = BTreeMap<Peer, Vec<Sample>>;

pub(super) fn run(plan: &Plan, options: &Options) -> io::Result<Evidence> {
    let chosen = options.choose(plan.peers)?;
    let (cases, samples) = measure_all(plan, options)?;
    Ok(evidence(plan, options, &chosen, &cases, &samples))
}

/// All rounds of all cases: how many connections and how many requests deep, and what each peer came to.
pub(super) fn measure_all(plan: &Plan, options: &Options) -> io::Result<(Vec<Case>, Vec<Samples>)> {
    let chosen = options.choose(plan.peers)?;
    let mut stage = Stage::serving(plan.served())?;
    // All stand ready from the start; who is not being measured sleeps.
    let mut running: Vec<Running> =
        chosen.iter().map(|peer| stage.start(*peer, Wrap::default())).collect::<io::Result<_>>()?;
    let cases: Vec<Case> = match options.connections {
        Some(connections) => vec![(connections, plan.cases[0].1)],
        None => plan.cases.to_vec(),
    };
    let mut samples: Vec<Samples> = cases.iter().map(|_| Samples::new()).collect();
    // Round 0 warms up caches and pools and is not counted.
    for round in 0..=options.few_rounds() {
        for (case, of_case) in cases.iter().zip(&mut samples) {
            for one in &running {
                let sample = once(plan, *case, options, one)?;
                let figure = number(plan.unit.figure(&sample));
                eprintln!("  round {round}: {} {figure} {}, {}", one.peer, plan.unit.short(), busy(&sample));
                if round > 0 {
                    of_case.entry(one.peer).or_default().push(sample);
                }
            }
        }
        running.reverse();
    }
    Ok((cases, samples))
}

fn once(plan: &Plan, (connections, depth): Case, options: &Options, running: &Running) -> io::Result<Sample> {
    let mut command = client(running, connections, depth, &running.program.pids)?;
    if plan.spins {
        command.arg("--spin");
    }
    command.args(["time", "--warmup", &options.warmup.to_string(), "--seconds", &options.seconds.to_string()]);
    if plan.counts_upstreams { measure_with_upstreams(running, &mut command) } else { measure(running, &mut command) }
}

fn evidence(plan: &Plan, options: &Options, chosen: &[Peer], cases: &[Case], samples: &[Samples]) -> Evidence {
    let (mut tables, mut goals, mut noises) = (Vec::new(), Vec::new(), String::new());
    for (case, samples) in cases.iter().zip(samples) {
        tables.push(table(plan, chosen, *case, samples));
        let wanted = plan.goals.iter().filter(|(a, b, ..)| chosen.contains(a) && chosen.contains(b));
        goals.extend(wanted.map(|&(subject, reference, limit, binding)| Goal {
            what: format!("{subject} / {reference}, {}", goal_words(plan, cases, *case)),
            figure: ratio(plan.unit, samples, subject, reference),
            limit,
            binding,
        }));
        noises = noise(chosen, samples);
    }
    let raw = cases.iter().zip(samples).map(|((connections, _), samples)| {
        let of = samples.iter().map(|(peer, of)| (peer.to_string(), figures(of))).collect::<BTreeMap<_, _>>();
        (connections.to_string(), of)
    });
    Evidence {
        bench: plan.bench.to_owned(),
        method: method(plan, options, chosen, cases),
        tables,
        goals,
        notes: peer_notes(chosen) + &noises,
        raw: json!(raw.collect::<BTreeMap<_, _>>()),
    }
}

fn goal_words(plan: &Plan, cases: &[Case], case: Case) -> String {
    let per = match plan.unit {
        Unit::Request => "CPU per request",
        Unit::Gigabyte => "CPU per GB",
    };
    if cases.len() > 1 { format!("{per}, {}", connections_words(case.0)) } else { per.to_owned() }
}

fn connections_words(connections: usize) -> String {
    if connections == 1 { "1 connection".to_owned() } else { format!("{connections} connections") }
}

fn table(plan: &Plan, chosen: &[Peer], case: Case, samples: &Samples) -> Table {
    let rate = match plan.unit {
        Unit::Request => "requests/s",
        Unit::Gigabyte => "MB/s",
    };
    let over = format!("/ {}", chosen[0]);
    let mut heads = vec!["peer", "median", "min", "max", &over, rate, "its CPU busy", "others busy"];
    if plan.counts_upstreams {
        heads.extend(["connections to the origin", "in use"]);
    }
    let mut table = Table::new(
        &format!("Server {}, {}, user and system of all its processes:", plan.unit.words(), connections_words(case.0)),
        &heads,
    );
    for peer in chosen {
        let of = &samples[peer];
        let cpu = Spread::of(of.iter().map(|one| plan.unit.figure(one)));
        let rate = |one: &Sample| match plan.unit {
            Unit::Request => one.requests as f64 / one.wall.as_secs_f64(),
            Unit::Gigabyte => one.bytes as f64 / 1e6 / one.wall.as_secs_f64(),
        };
        let upstreams = |figure: fn(Upstreams) -> usize| {
            number(Spread::of(of.iter().filter_map(|one| one.upstreams).map(|one| figure(one) as f64)).median)
        };
        let mut row = vec![
            peer.to_string(),
            number(cpu.median),
            number(cpu.min),
            number(cpu.max),
            number(ratio(plan.unit, samples, *peer, chosen[0])),
            number(Spread::of(of.iter().map(rate)).median),
            percent(Spread::of(of.iter().map(|one| share(one.server, one.wall))).median),
            percent(Spread::of(of.iter().map(others)).median),
        ];
        if plan.counts_upstreams {
            row.extend([upstreams(|one| one.held), upstreams(|one| one.used)]);
        }
        table.rows.push(row);
    }
    table
}

fn method(plan: &Plan, options: &Options, chosen: &[Peer], cases: &[Case]) -> String {
    let cases: Vec<String> = cases
        .iter()
        .map(|(connections, depth)| {
            let depth = if *depth > 1 { format!(", {depth} requests deep") } else { String::new() };
            format!("{connections}{depth}")
        })
        .collect();
    let is_large = plan.served().is_large();
    let origin = match chosen.iter().any(|peer| peer.is_proxy()) {
        true if is_large => {
            " The origin is `bare-origin` on the load's CPU. nginx has buffers that hold the whole body of a request and 1 MiB of an answer; \
             HAProxy has buffers of 128 KiB and may splice."
        }
        true => " The origin is `bare-epoll` on the load's CPU.",
        false => "",
    };
    let counted = if plan.counts_upstreams {
        format!(
            " The connections to the origin are those at the end of each sample, in use those of them that a request went out on in its last \
             {LATELY_MS} ms (`ss`)."
        )
    } else {
        String::new()
    };
    let spins = match plan.spins {
        true => {
            " The load never sleeps, so that no server has to wake it: what that costs under a hypervisor, and how often it happens when \
             the two are about equally fast, says nothing of the server."
        }
        false => "",
    };
    let post = if plan.post > 0 { format!("POST of {} bytes, ", plan.post) } else { String::new() };
    format!(
        "Loopback, {} keep-alive connections, closed loop, {post}body {} bytes, every answer checked. The server alone \
         on one CPU, the load on the other.{spins}{origin} {} rounds in which the peers take turns, and who comes first changes, \
         {} s each after {} s of warm-up, one whole round of warm-up before. CPU time is the scheduler's run time of all threads. \
         Ratios are medians of the ratios within a round. \"Others busy\" is what ran on the machine besides the server, the load \
         and the idle, in CPUs: noise, and for a proxy the origin.{counted}",
        cases.join(" and "),
        plan.bytes,
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
pub(super) fn ratio(unit: Unit, samples: &Samples, subject: Peer, reference: Peer) -> f64 {
    let pairs = samples[&subject].iter().zip(&samples[&reference]);
    Spread::of(pairs.map(|(subject, reference)| unit.figure(subject) / unit.figure(reference))).median
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
            "bytes": sample.bytes,
            "wall_us": sample.wall.as_micros(),
            "server_cpu_us": sample.server.as_micros(),
            "load_cpu_us": sample.client.as_micros(),
            "machine_busy_us": sample.machine.as_micros(),
            "upstreams_held": sample.upstreams.map(|upstreams| upstreams.held),
            "upstreams_used": sample.upstreams.map(|upstreams| upstreams.used),
        })
    };
    samples.iter().map(one).collect()
}
