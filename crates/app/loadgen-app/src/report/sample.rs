//! Runs made up for the tests of the reports.

use load::validity::Rules;
use load::{Counts, ErrorKind, Health, Latency, Random, Run, Second, Settings, TargetCounts};

const SECOND: u64 = 1_000_000_000;

/// Ten seconds at 10,000/s, a target that answers in about a millisecond and stalls when it reloads.
pub(super) fn open_loop() -> Run {
    run(true, |_| {})
}

/// The same as fast as answers come; no errors.
pub(super) fn closed_loop() -> Run {
    run(false, |second| {
        second.counts.errors = Default::default();
        second.counts.examples.clear();
    })
}

/// A run in which the generator had no CPU time left.
pub(super) fn invalid() -> Run {
    run(true, |second| second.health.cpu_share = 0.99)
}

/// A run whose target could not be reached.
pub(super) fn unanswered() -> Run {
    run(true, |second| {
        second.counts = Counts { planned: 10, sent: 0, ..Counts::default() };
        second.counts.errors.add(ErrorKind::ConnectRefused, 10);
        second.counts.keep_example(ErrorKind::ConnectRefused, || "Connection refused (os error 111)".to_owned());
    })
}

/// Two targets, one of which answers nothing.
pub(super) fn two_targets() -> Run {
    let mut run = run(false, |second| {
        let time = second.counts.service.clone();
        let answers = TargetCounts { answered: 9_995, failed: 0, time };
        second.counts.targets = vec![answers, TargetCounts { failed: 5, ..TargetCounts::default() }];
    });
    run.settings.targets = vec!["http://a/".to_owned(), "http://b/<i>".to_owned()];
    run
}

/// What a target can put where it is shown.
pub(super) const HOSTILE: &str = "</title></svg><script>alert('1')</script>\"&\x1b[2J\u{202E}\r\n,=1+1";

/// A run with such texts in every place.
pub(super) fn hostile() -> Run {
    let mut run = run(true, |second| {
        second.marks.push(HOSTILE.to_owned());
        second.counts.examples.iter_mut().for_each(|example| example.text = HOSTILE.to_owned());
    });
    run.settings.targets = vec![HOSTILE.to_owned()];
    run.settings.words.push((HOSTILE.to_owned(), HOSTILE.to_owned()));
    run.program = HOSTILE.to_owned();
    run
}

fn run(open_loop: bool, change: impl Fn(&mut Second)) -> Run {
    let words =
        [("rate", "10,000/s, Poisson"), ("duration", "10 s"), ("warm-up", "2 s"), ("method", "GET"), ("seed", "1")];
    let settings = Settings {
        targets: vec!["http://localhost:8080/index.html?a=1&b=<2>".to_owned()],
        open_loop,
        slow: false,
        connections: 100,
        concurrency: 100,
        workers: 2,
        words: words.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
    };
    let mut run = Run::new("loadgen 0.1.0", 1_790_000_000_000, settings);
    let mut random = Random::new(17);
    for at in 0..10 {
        let mut second = second(&mut random, at, open_loop);
        change(&mut second);
        run.push(second);
    }
    run.finish(&Rules::default());
    run
}

fn second(random: &mut Random, at: u64, open_loop: bool) -> Second {
    let stalled = at == 6;
    let service: Vec<u64> = (0..9_995).map(|_| (800_000.0 * (0.35 * random.normal()).exp()) as u64).collect();
    // In the stall of 300 ms, three in ten requests are due before it ends, and wait.
    let waits =
        |random: &mut Random| if stalled && random.below(10) < 3 { (3e8 * random.unit()) as u64 } else { 9_000 };
    let response: Vec<u64> = service.iter().map(|ns| ns + waits(random)).collect();
    let mut counts = Counts {
        planned: 10_000,
        sent: 10_000,
        answered: 9_995,
        bytes_in: 9_995 * 1_200,
        bytes_out: 10_000 * 80,
        connected: if at == 0 { 100 } else { 0 },
        service: Latency::of(service),
        ..Counts::default()
    };
    counts.statuses.add(200, 9_995);
    counts.statuses.add(503, 2);
    counts.errors.add(ErrorKind::Reset, 3);
    counts.errors.add(ErrorKind::FailureStatus, 2);
    counts.keep_example(ErrorKind::Reset, || "Connection reset by peer (os error 104)".to_owned());
    if at == 0 {
        counts.connect = Latency::of((0..100).map(|n| 100_000 + n * 1_000));
    }
    if open_loop {
        counts.response = Latency::of(response);
        counts.send_lag = Latency::of((0..10_000).map(|_| (20_000.0 * random.exponential()) as u64));
    }
    Second {
        at_ns: at * SECOND,
        width_ns: SECOND,
        counts,
        open: 100,
        open_max: 100,
        in_flight: 0,
        backlog: 0,
        health: Health {
            cpu_share: 0.25 + random.below(64) as f64 / 1024.0,
            cpu_ns: 400_000_000,
            run_queue_delay_ns: 15_000_000,
            run_queue_turns: 8_000,
        },
        marks: if stalled { vec!["reload".to_owned()] } else { Vec::new() },
    }
}
