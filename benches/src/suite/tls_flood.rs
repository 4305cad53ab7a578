//! Established TLS connections beside a flood of handshakes: how long their answers take with it and without.

use std::{collections::BTreeMap, io};

use serde_json::{Value, json};

use super::{Options, load::peer_notes};
use crate::{
    peers::{FILE, Peer, Running, Stage, Wrap},
    process::{LOAD_CPU, on_cpu},
    report::{Evidence, Goal, Spread, Table},
    secure::{self, GROUP},
};

const PEERS: [Peer; 2] = [Peer::ServerTls, Peer::NginxTls];

/// Requests a second of the established connections.
const RATE: &str = "300/s";

/// What their 99th percentile may be under the flood: below what a human notices.
const P99_MS: f64 = 20.0;

/// Milliseconds, and handshakes per second.
#[derive(Clone, Copy, Debug, serde::Serialize)]
struct Sample {
    calm_p50: f64,
    calm_p99: f64,
    flood_p50: f64,
    flood_p99: f64,
    handshakes: f64,
}

pub(super) fn run(options: &Options) -> io::Result<Evidence> {
    let chosen = options.choose(&PEERS)?;
    let mut stage = Stage::set()?;
    let running: Vec<Running> =
        chosen.iter().map(|peer| stage.start(*peer, Wrap::default())).collect::<io::Result<_>>()?;
    let mut samples: BTreeMap<Peer, Vec<Sample>> = BTreeMap::new();
    for round in 1..=options.few_rounds() {
        for one in &running {
            let sample = once(one, options.seconds)?;
            eprintln!("  round {round}: {} {sample:?}", one.peer);
            samples.entry(one.peer).or_default().push(sample);
        }
    }
    let columns = ["peer", "calm p50", "calm p99", "flood p50", "flood p99", "handshakes/s"];
    let mut table = Table::new("Milliseconds from the planned send to the answer, medians of the rounds:", &columns);
    let median = |peer: &Peer, of: fn(&Sample) -> f64| Spread::of(samples[peer].iter().map(of)).median;
    for peer in &chosen {
        let times: [fn(&Sample) -> f64; 4] = [|s| s.calm_p50, |s| s.calm_p99, |s| s.flood_p50, |s| s.flood_p99];
        let mut row = vec![peer.to_string()];
        row.extend(times.iter().map(|of| format!("{:.2}", median(peer, *of))));
        row.push(format!("{:.0}", median(peer, |s| s.handshakes)));
        table.rows.push(row);
    }
    let mut goals = Vec::new();
    if chosen.contains(&Peer::ServerTls) {
        let (what, figure) = ("server-tls, p99 under the flood in ms", median(&Peer::ServerTls, |s| s.flood_p99));
        goals.push(Goal { what: what.to_owned(), figure, limit: P99_MS, binding: true });
    }
    Ok(Evidence {
        bench: "tls-flood".to_owned(),
        method: format!(
            "Loopback, TLS 1.3, ECDSA P-256, {GROUP}. 8 established connections ask for 1024 bytes, {RATE} in all by a schedule, for \
             {} s; then again while 64 connections at a time make full handshakes as fast as the server lets them and are closed. The \
             server alone on one CPU, both load programs on the other, whose own lateness is in all figures. Handshakes are all \
             full. {} rounds, the peers in turn.",
            options.seconds,
            options.few_rounds()
        ),
        tables: vec![table],
        goals,
        notes: peer_notes(&chosen),
        raw: json!(samples.iter().map(|(peer, of)| (peer.to_string(), of)).collect::<BTreeMap<_, _>>()),
    })
}

fn once(running: &Running, seconds: f64) -> io::Result<Sample> {
    let time = format!("{}ms", (seconds * 1e3) as u64);
    let steady = ["-c", "8", "-R", RATE, "-d", &time];
    let mut command = secure::load(&steady, running.address, FILE)?;
    let calm = secure::report(&on_cpu(LOAD_CPU, || command.output())??)?;
    // The flood begins before the others and lasts longer.
    let longer = format!("{}ms", (seconds * 1e3) as u64 + 1000);
    let flood = ["handshake", "-c", "64", "-d", &longer, "--no-resumption"];
    let mut flood = secure::load_unverified(&flood, running.address, FILE)?;
    let flooding = on_cpu(LOAD_CPU, || flood.spawn())??;
    std::thread::sleep(std::time::Duration::from_millis(500));
    let mut command = secure::load(&steady, running.address, FILE)?;
    let under = on_cpu(LOAD_CPU, || command.output())?;
    let flooded = secure::report(&flooding.wait_with_output()?)?;
    let under = secure::report(&under?)?;
    let ms = |report: &Value, p: &str| report["summary"]["response"]["percentiles_ns"][p].as_f64().unwrap_or(0.0) / 1e6;
    Ok(Sample {
        calm_p50: ms(&calm, "p50"),
        calm_p99: ms(&calm, "p99"),
        flood_p50: ms(&under, "p50"),
        flood_p99: ms(&under, "p99"),
        handshakes: flooded["summary"]["answered_per_second"].as_f64().unwrap_or(0.0),
    })
}
