//! The load generator beside wrk: CPU time of the generator per request in the same closed loop, and the memory it takes for ten
//! thousand connections on one thread.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::json;

use super::{Options, load::peer_notes};
use crate::{
    interval::Interval,
    peers::{FILE, Peer, Running, Stage, Wrap},
    process::{LOAD_CPU, measured, on_cpu},
    report::{Evidence, Goal, Spread, Table, number},
    usage,
};

/// Who answers: the server that takes the least time, so that the generator has something to do.
const SERVER: Peer = Peer::BareEpoll;

/// Connections of the second test, on one thread.
const MANY: usize = 10_000;

/// What loadgen may take for them, in MiB.
const MEMORY_MIB: f64 = 64.0;

/// CPU time per request beside wrk's: at least as many requests for each second of it.
const BESIDE_WRK: f64 = 1.0;

/// Pause between two looks at the memory of a generator.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Generator {
    Wrk,
    Loadgen,
}

impl Generator {
    const BOTH: [Generator; 2] = [Generator::Wrk, Generator::Loadgen];

    fn name(self) -> &'static str {
        match self {
            Generator::Wrk => "wrk",
            Generator::Loadgen => "loadgen",
        }
    }
}

/// One run of a generator, from its start to its end.
#[derive(Debug, Clone, Copy, Serialize)]
struct Sample {
    requests: u64,
    cpu: Duration,
    wall: Duration,
    /// Its memory at the most (VmHWM).
    peak_bytes: u64,
}

impl Sample {
    fn micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64
    }

    fn per_cpu_second(&self) -> f64 {
        self.requests as f64 / self.cpu.as_secs_f64().max(1e-9)
    }
}

type Samples = BTreeMap<Generator, Vec<Sample>>;

pub(super) fn run(options: &Options) -> io::Result<Evidence> {
    let rounds = options.rounds.unwrap_or(9).max(1);
    let mut stage = Stage::set()?;
    let server = stage.start(SERVER, Wrap::default())?;
    let few = alternate(options, rounds, &server, options.busy_connections())?;
    let many = alternate(options, rounds, &server, MANY)?;
    let tests = [(options.busy_connections(), &few), (MANY, &many)];
    let mut goals = Vec::new();
    let mut ratios = Table::new("loadgen / wrk, CPU time per request:", &["connections", "mean", "95 % from", "to"]);
    for (connections, samples) in tests {
        let interval = beside(samples);
        eprintln!("  loadgen / wrk at {connections} connections, CPU per request: {interval}");
        let what = format!("loadgen / wrk, CPU per request, {connections} connections");
        goals.push(Goal { what, figure: interval.ratio, limit: BESIDE_WRK, binding: true });
        let cells = [interval.ratio, interval.low, interval.high].map(|figure| format!("{figure:.3}"));
        ratios.rows.push([vec![connections.to_string()], cells.to_vec()].concat());
    }
    let memory = Spread::of(many[&Generator::Loadgen].iter().map(|one| mib(one.peak_bytes))).max;
    let what = format!("loadgen, MiB of memory for {MANY} connections on one thread");
    goals.push(Goal { what, figure: memory, limit: MEMORY_MIB, binding: true });
    Ok(Evidence {
        bench: "loadgen".to_owned(),
        method: method(options, rounds),
        tables: vec![table(&tests), ratios],
        goals,
        notes: peer_notes(&[SERVER]),
        raw: tests.iter().map(|(connections, samples)| (connections.to_string(), figures(samples))).collect(),
    })
}

/// Each round runs both; who comes first changes from round to round.
fn alternate(options: &Options, rounds: usize, server: &Running, connections: usize) -> io::Result<Samples> {
    let mut order = Generator::BOTH;
    let mut samples = Samples::new();
    // Round 0 warms up the server and is not counted.
    for round in 0..=rounds {
        for generator in order {
            let sample = once(generator, options, server, connections)?;
            eprintln!(
                "  round {round}: {}, {connections} connections: {:.3} us/request, {:.1} MiB",
                generator.name(),
                sample.micros(),
                mib(sample.peak_bytes)
            );
            if round > 0 {
                samples.entry(generator).or_default().push(sample);
            }
        }
        order.reverse();
    }
    Ok(samples)
}

fn once(generator: Generator, options: &Options, server: &Running, connections: usize) -> io::Result<Sample> {
    let seconds = seconds(options, connections);
    let url = format!("http://{}{FILE}", server.address);
    let (connections, duration) = (connections.to_string(), format!("{seconds}s"));
    let mut command = match generator {
        Generator::Wrk => {
            let mut command = Command::new("wrk");
            command.args(["-t", "1", "-c", &connections, "-d", &duration, &url]);
            command
        }
        Generator::Loadgen => {
            let mut command = Command::new(measured("loadgen")?);
            command.args(["-q", "--json", "-", "-t", "1", "-c", &connections, "-d", &duration, &url]);
            command
        }
    };
    let before = usage::ended_children()?;
    let begun = Instant::now();
    let child = on_cpu(LOAD_CPU, || command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn())??;
    let (text, peak_bytes) = watch(child, generator)?;
    let wall = begun.elapsed();
    let cpu = usage::ended_children()?.saturating_sub(before);
    let requests = answered(generator, &text)
        .ok_or_else(|| io::Error::other(format!("{}: no count of requests, or errors: {text}", generator.name())))?;
    Ok(Sample { requests, cpu, wall, peak_bytes })
}

/// wrk takes whole seconds. Many connections take a while to be made, which neither keeps apart.
fn seconds(options: &Options, connections: usize) -> u64 {
    let seconds = options.seconds.ceil().max(1.0) as u64;
    if connections < MANY { seconds } else { seconds * 2 }
}

/// Waits for its end; gives what it printed, and its memory at the most.
fn watch(mut child: Child, generator: Generator) -> io::Result<(String, u64)> {
    let mut out = child.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
    let reader = thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).map(|_| text)
    });
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // Between the look and its end it may be gone.
        peak = peak.max(usage::peak(child.id()).unwrap_or(0));
        thread::sleep(LOOK);
    };
    let text = reader.join().map_err(|_| io::Error::other("the reader failed"))??;
    // A generator that is alone on a CPU and never waits is at its limit, which is what is measured: loadgen's status 3.
    if status.success() || (generator == Generator::Loadgen && status.code() == Some(3)) {
        Ok((text, peak))
    } else {
        Err(io::Error::other(format!("{} failed ({status}): {text}", generator.name())))
    }
}

/// The count of right answers, where nothing went wrong.
fn answered(generator: Generator, text: &str) -> Option<u64> {
    match generator {
        Generator::Wrk if text.contains("Non-2xx") || has_broken(text) => None,
        Generator::Wrk => {
            let line = text.lines().find(|line| line.contains(" requests in "))?;
            line.split_whitespace().next()?.parse().ok()
        }
        Generator::Loadgen => {
            let saved: serde_json::Value = serde_json::from_str(text).ok()?;
            let summary = saved.get("summary")?;
            (summary.get("errors")?.as_u64()? == 0).then(|| summary.get("answered")?.as_u64())?
        }
    }
}

/// Whether wrk had connections that broke. What it calls a timeout is an answer that took more than two seconds.
fn has_broken(text: &str) -> bool {
    let errors = text.lines().find_map(|line| line.trim().strip_prefix("Socket errors: "));
    errors.is_some_and(|line| !line.starts_with("connect 0, read 0, write 0,"))
}

fn beside(samples: &Samples) -> Interval {
    let pairs = samples[&Generator::Loadgen].iter().zip(&samples[&Generator::Wrk]);
    Interval::of(&pairs.map(|(ours, theirs)| ours.micros() / theirs.micros()).collect::<Vec<_>>())
}

fn table(tests: &[(usize, &Samples)]) -> Table {
    let mut table = Table::new(
        "The generator, user and system, from its start to its end:",
        &["generator", "connections", "requests per CPU second", "min", "max", "us per request", "requests/s", "MiB"],
    );
    for (connections, samples) in tests {
        for (generator, of) in *samples {
            let rate = Spread::of(of.iter().map(Sample::per_cpu_second));
            table.rows.push(vec![
                generator.name().to_owned(),
                connections.to_string(),
                number(rate.median),
                number(rate.min),
                number(rate.max),
                number(Spread::of(of.iter().map(Sample::micros)).median),
                number(Spread::of(of.iter().map(|one| one.requests as f64 / one.wall.as_secs_f64())).median),
                number(Spread::of(of.iter().map(|one| mib(one.peak_bytes))).max),
            ]);
        }
    }
    table
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn figures(samples: &Samples) -> serde_json::Value {
    json!(samples.iter().map(|(generator, of)| (generator.name(), of)).collect::<BTreeMap<_, _>>())
}

fn method(options: &Options, rounds: usize) -> String {
    format!(
        "Loopback, closed loop, keep-alive, one thread, body 1024 bytes; the generator alone on one CPU, `bare-epoll` on the other.          wrk counts the answers; loadgen also holds every one of them against the first, and records its time to 0.1 %.          {rounds} rounds in which the two take turns, and who comes first changes, {} s each and {} s with {MANY} connections, one round before that is not counted.          CPU time is that of the whole process, from its start to its end, to 10 ms. The ratio is the geometric mean of the ratios          within a round, its interval Student's of their logarithms. Memory is the highest resident set of all rounds (VmHWM).",
        seconds(options, 1),
        seconds(options, MANY)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_generators_print_is_understood() {
        let wrk = "Running 1s test @ http://x/\n  29330 requests in 1.10s, 34.60MB read\nRequests/sec:  26676.89\n";
        assert_eq!(answered(Generator::Wrk, wrk), Some(29_330));
        let errors = format!("{wrk}  Socket errors: connect 0, read 1, write 0, timeout 0\n");
        assert_eq!(answered(Generator::Wrk, &errors), None);
        let ours = r#"{"schema":1,"summary":{"valid":true,"answered":7,"errors":0},"run":{}}"#;
        assert_eq!(answered(Generator::Loadgen, ours), Some(7));
        assert_eq!(answered(Generator::Loadgen, &ours.replace("\"errors\":0", "\"errors\":1")), None);
    }
}
