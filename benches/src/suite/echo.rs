//! The toll of our executor: `echo` beside the same system calls without one. CPU time per echo in alternated rounds, with the
//! interval of the ratio, and what can be counted exactly: user-space instructions and system calls.

use std::{collections::BTreeMap, io};

use serde_json::json;

use super::{
    ECHO_BYTES, Options, client, counted,
    load::{busy, figures, micros, noise, others, peer_notes, percent, share},
    measure,
};
use crate::{
    client::Sample,
    interval::Interval,
    peers::{Peer, Running, Stage, Wrap},
    report::{Evidence, Goal, Spread, Table, number},
};

const PEERS: [Peer; 2] = [Peer::BareEcho, Peer::Echo];

/// What the executor may cost: under 5 %.
const TOLL: f64 = 1.05;

type Samples = BTreeMap<Peer, Vec<Sample>>;

pub(super) fn run(options: &Options) -> io::Result<Evidence> {
    let rounds = options.rounds.unwrap_or(15).max(1);
    let samples = alternate(options, rounds)?;
    let ratios: Vec<f64> = samples[&Peer::Echo]
        .iter()
        .zip(&samples[&Peer::BareEcho])
        .map(|(ours, bare)| micros(ours) / micros(bare))
        .collect();
    let toll = Interval::of(&ratios);
    eprintln!("  echo / bare-echo, CPU per echo: {toll}");
    let counted = count(options)?;
    let goal = |figure: f64, what: &str, binding| Goal { what: what.to_owned(), figure, limit: TOLL, binding };
    Ok(Evidence {
        bench: "echo".to_owned(),
        method: method(options, rounds),
        tables: vec![times(&samples), ratio(toll), counted.table],
        goals: vec![
            goal(toll.ratio, "echo / bare-echo, CPU per echo", true),
            goal(toll.high, "the same, upper end of its 95 % interval", false),
        ],
        notes: peer_notes(&PEERS) + &noise(&PEERS, &samples) + &counted.notes,
        raw: json!({
            "cpu": samples.iter().map(|(peer, of)| (peer.to_string(), figures(of))).collect::<BTreeMap<_, _>>(),
            "ratio": toll,
            "counted": counted.raw,
        }),
    })
}

/// Each round measures both; who comes first changes from round to round.
fn alternate(options: &Options, rounds: usize) -> io::Result<Samples> {
    let mut stage = Stage::set()?;
    let mut running: Vec<Running> =
        PEERS.iter().map(|peer| stage.start(*peer, Wrap::default())).collect::<io::Result<_>>()?;
    let mut samples = Samples::new();
    // Round 0 warms up caches and pools and is not counted.
    for round in 0..=rounds {
        for one in &running {
            let mut command = client(one, options.busy_connections(), 1, &one.program.pids)?;
            command.args(["time", "--warmup", &options.warmup.to_string(), "--seconds", &options.seconds.to_string()]);
            let sample = measure(one, &mut command)?;
            eprintln!("  round {round}: {} {:.3} us/echo, {}", one.peer, micros(&sample), busy(&sample));
            if round > 0 {
                samples.entry(one.peer).or_default().push(sample);
            }
        }
        running.reverse();
    }
    Ok(samples)
}

fn times(samples: &Samples) -> Table {
    let mut table = Table::new(
        "Server CPU time per echo in microseconds, user and system:",
        &["peer", "median", "min", "max", "echoes/s", "its CPU busy", "others busy"],
    );
    for peer in PEERS {
        let of = &samples[&peer];
        let cpu = Spread::of(of.iter().map(micros));
        table.rows.push(vec![
            peer.to_string(),
            format!("{:.3}", cpu.median),
            format!("{:.3}", cpu.min),
            format!("{:.3}", cpu.max),
            number(Spread::of(of.iter().map(|one| one.requests as f64 / one.wall.as_secs_f64())).median),
            percent(Spread::of(of.iter().map(|one| share(one.server, one.wall))).median),
            percent(Spread::of(of.iter().map(others)).median),
        ]);
    }
    table
}

fn ratio(toll: Interval) -> Table {
    let mut table = Table::new("The toll of the executor:", &["ratio", "mean", "95 % from", "to"]);
    let cell = |figure: f64| format!("{figure:.3}");
    table.rows.push(vec!["echo / bare-echo".to_owned(), cell(toll.ratio), cell(toll.low), cell(toll.high)]);
    table
}

/// What can be counted.
struct Counted {
    table: Table,
    notes: String,
    raw: serde_json::Value,
}

fn count(options: &Options) -> io::Result<Counted> {
    let echoes = options.requests.unwrap_or(20_000);
    let mut table = Table::new("Per echo:", &["peer", "user-space instructions", "system calls", "which"]);
    let (mut notes, mut raw) = (String::new(), BTreeMap::new());
    for peer in PEERS {
        let (once, in_once) = counted::instructions_of(peer, echoes, options)?;
        let (twice, in_twice) = counted::instructions_of(peer, echoes * 2, options)?;
        let instructions = (twice - once) / echoes as f64;
        let functions = counted::difference(&in_once, in_twice, echoes);
        let calls = counted::syscalls_of(peer, echoes, options)?;
        let all: f64 = calls.values().sum();
        let mut sorted: Vec<(&String, &f64)> = calls.iter().filter(|(_, each)| **each >= 0.0005).collect();
        sorted.sort_by(|a, b| b.1.total_cmp(a.1));
        let which: Vec<String> = sorted.iter().map(|(name, each)| format!("{name} {each:.3}")).collect();
        eprintln!("  {peer}: {} instructions, {all:.3} system calls per echo", number(instructions));
        table.rows.push(vec![peer.to_string(), number(instructions), format!("{all:.3}"), which.join(", ")]);
        notes +=
            &format!("\nWhere the instructions of `{peer}` are, per echo:\n\n```\n{}```\n", counted::top(&functions));
        raw.insert(
            peer.to_string(),
            json!({ "echoes": echoes, "instructions": instructions, "by_function": functions, "system_calls": calls }),
        );
    }
    Ok(Counted { table, notes, raw: json!(raw) })
}

fn method(options: &Options, rounds: usize) -> String {
    format!(
        "Loopback, {} connections, closed loop, messages of {ECHO_BYTES} bytes, every byte checked. The server alone on one CPU, the \
         load on the other. {rounds} rounds in which the two take turns, and who comes first changes; {} s each after {} s of warm-up, \
         one whole round of warm-up before. CPU time is the scheduler's run time of all threads. The ratio is the geometric mean of the \
         ratios within a round, its interval Student's of their logarithms. Instructions (`valgrind --tool=callgrind`) and system calls \
         (`strace -c -f`) are the difference of two runs from start to end, one with twice the echoes, divided by the echoes between \
         them.",
        options.busy_connections(),
        options.seconds,
        options.warmup
    )
}
