use super::*;
use crate::latency::Latency;
use crate::second::Health;

const SECOND: u64 = 1_000_000_000;

fn second(at: u64, answered: u64) -> Second {
    let counts = Counts {
        planned: answered,
        sent: answered,
        answered,
        service: Latency::of((0..answered).map(|n| 1_000_000 + n * 777)),
        ..Counts::default()
    };
    let health = Health { cpu_share: 0.5, cpu_ns: 500_000_000, run_queue_delay_ns: 7, run_queue_turns: 1 };
    Second { at_ns: at * SECOND, width_ns: SECOND, counts, open: at % 10, health, ..Second::default() }
}

fn run(seconds: u64) -> Run {
    let mut run = Run::new("test", 0, Settings::default());
    let second = second(0, 3);
    (0..seconds).for_each(|at| run.push(Second { at_ns: at * SECOND, ..second.clone() }));
    run
}

#[test]
fn totals_are_the_sum_of_the_seconds_and_keep_their_digits() {
    let mut run = Run::new("test", 0, Settings::default());
    for at in 0..5 {
        run.push(second(at, 1_000));
    }
    assert_eq!((run.elapsed_ns, run.totals.answered, run.open_max, run.cpu_ns), (5 * SECOND, 5_000, 4, 2_500_000_000));
    assert_eq!((run.answered_per_second(), run.answered_per_cpu_second()), (1_000.0, Some(2_000.0)));
    let whole = Latency::of((0..1_000).map(|n| 1_000_000 + n * 777));
    assert_eq!(run.totals.service.percentile_ns(99.0), whole.percentile_ns(99.0));
    let row = &run.timeline[2];
    assert_eq!((row.at_ns, row.counts.answered), (2 * SECOND, 1_000));
    let (fine, coarse) = (whole.percentile_ns(99.0) as f64, row.counts.service.percentile_ns(99.0) as f64);
    assert!((coarse / fine - 1.0).abs() < 0.008);
}

#[test]
fn a_long_run_joins_rows_and_loses_nothing() {
    for seconds in [1_200, 1_201, 1_202, 2_401, 2_402, 5_003, 20_000] {
        let run = run(seconds);
        assert!(run.timeline.len() <= TIMELINE_ROWS_MAX, "{seconds}");
        assert_eq!(run.timeline.iter().map(|r| r.counts.answered).sum::<u64>(), 3 * seconds);
        assert_eq!(run.timeline.iter().map(|r| r.counts.service.count()).sum::<u64>(), 3 * seconds);
        let mut at_ns = 0;
        let width = run.timeline[0].width_ns;
        for (place, row) in run.timeline.iter().enumerate() {
            assert_eq!(row.at_ns, at_ns, "row {place} of {seconds} s");
            let last = place + 1 == run.timeline.len();
            assert!(row.width_ns == width || (last && row.width_ns < width), "row {place} of {seconds} s");
            assert!((row.health.cpu_share - 0.5).abs() < 1e-9);
            at_ns += row.width_ns;
        }
        assert_eq!(at_ns, seconds * SECOND);
    }
}

#[test]
fn workers_views_of_a_second_join() {
    let mut one = second(3, 10);
    let mut other = second(3, 20);
    (other.health.cpu_share, other.health.run_queue_delay_ns, other.health.run_queue_turns) = (0.9, 9, 2);
    other.marks.push("reload".to_owned());
    one.merge_worker(&other);
    assert_eq!((one.counts.answered, one.open, one.width_ns, one.at_ns), (30, 6, SECOND, 3 * SECOND));
    assert_eq!(one.health, Health { cpu_share: 0.9, cpu_ns: SECOND, run_queue_delay_ns: 9, run_queue_turns: 2 });
    assert_eq!(one.marks, ["reload"]);
}

#[test]
fn a_saved_run_comes_back() {
    let mut run = run(3);
    run.finish(&Rules::default());
    let text = serde_json::to_string(&run).unwrap();
    let back: Run = serde_json::from_str(&text).unwrap();
    assert_eq!(back.totals, run.totals);
    assert_eq!((back.timeline, back.verdict, back.schema), (run.timeline, run.verdict, SCHEMA));
}
