//! Where sendfile overtakes writing from memory: bare loops that do either, and ours, at sizes around the switch.

use std::{collections::BTreeMap, io};

use serde_json::json;

use super::{
    Options,
    load::{Plan, Samples, Unit, figures, measure_all, noise, peer_notes, ratio},
};
use crate::{
    peers::Peer,
    report::{Evidence, Spread, Table, number},
};

const KIB: [usize; 8] = [4, 8, 16, 24, 32, 48, 64, 128];

const PLAN: Plan = Plan {
    spins: true,
    counts_upstreams: false,
    bench: "sendfile-sizes",
    peers: &[Peer::BareWrite, Peer::BareSendfile, Peer::BareRead, Peer::Server],
    bytes: 0,
    post: 0,
    cases: &[(64, 1)],
    unit: Unit::Request,
    goals: &[],
};

pub(super) fn run(options: &Options) -> io::Result<Evidence> {
    let chosen = options.choose(PLAN.peers)?;
    let mut sizes: Vec<(usize, Samples)> = Vec::new();
    for kib in KIB {
        eprintln!("  {kib} KiB");
        let (_, mut samples) = measure_all(&Plan { bytes: kib << 10, ..PLAN }, options)?;
        sizes.push((kib, samples.remove(0)));
    }
    let mut columns = vec!["KiB".to_owned()];
    columns.extend(chosen.iter().map(ToString::to_string));
    let has_both = chosen.contains(&Peer::BareSendfile) && chosen.contains(&Peer::BareWrite);
    if has_both {
        columns.push("sendfile / write".to_owned());
    }
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new("Server CPU time per request in microseconds, medians:", &columns);
    for (kib, samples) in &sizes {
        let median = |peer| Spread::of(samples[peer].iter().map(|one| Unit::Request.figure(one))).median;
        let mut row = vec![kib.to_string()];
        row.extend(chosen.iter().map(|peer| number(median(peer))));
        if has_both {
            row.push(number(ratio(Unit::Request, samples, Peer::BareSendfile, Peer::BareWrite)));
        }
        table.rows.push(row);
    }
    let noises: String =
        sizes.iter().map(|(_, samples)| noise(&chosen, samples)).find(|text| !text.is_empty()).unwrap_or_default();
    let raw = sizes.iter().map(|(kib, samples)| {
        let of = samples.iter().map(|(peer, of)| (peer.to_string(), figures(of))).collect::<BTreeMap<_, _>>();
        (kib.to_string(), of)
    });
    Ok(Evidence {
        bench: PLAN.bench.to_owned(),
        method: format!(
            "Loopback, {} keep-alive connections, closed loop, one file of each size, every answer checked. The server alone on one \
             CPU, the load on the other. {} rounds per size in which the peers take turns, and who comes first changes, {} s each after \
             {} s of warm-up, one round before that is not counted. CPU time is the scheduler's run time of all threads. The ratio is \
             the median of those within a round.",
            options.busy_connections(),
            options.few_rounds(),
            options.seconds,
            options.warmup
        ),
        tables: vec![table],
        goals: Vec::new(),
        notes: peer_notes(&chosen) + &noises,
        raw: json!(raw.collect::<BTreeMap<_, _>>()),
    })
}
