use super::*;
use crate::error_kind::ErrorKind;
use crate::latency::Latency;
use crate::run::Settings;
use crate::second::{Counts, Health};

const SECOND: u64 = 1_000_000_000;

/// Ten seconds at 10,000/s, answered within 2 ms, by a generator that is at its ease.
fn good(open_loop: bool) -> Vec<Second> {
    (0..10)
        .map(|at| Second {
            at_ns: at * SECOND,
            width_ns: SECOND,
            counts: counts(open_loop),
            health: ease(),
            ..Second::default()
        })
        .collect()
}

fn counts(open_loop: bool) -> Counts {
    let times = || (0..10_000u64).map(|n| 500_000 + n * 150);
    let mut counts =
        Counts { planned: 10_000, sent: 10_000, answered: 10_000, service: Latency::of(times()), ..Counts::default() };
    if open_loop {
        counts.response = Latency::of(times());
        counts.send_lag = Latency::of((0..10_000).map(|n| 5_000 + n));
    }
    counts
}

fn ease() -> Health {
    Health { cpu_share: 0.4, cpu_ns: 400_000_000, run_queue_delay_ns: 10_000_000, run_queue_turns: 5_000 }
}

fn verdict(open_loop: bool, change: impl Fn(&mut Second)) -> Verdict {
    let mut run = Run::new("test", 0, Settings { open_loop, ..Settings::default() });
    for mut second in good(open_loop) {
        change(&mut second);
        run.push(second);
    }
    run.finish(&Rules::default());
    run.verdict
}

fn only(verdict: &Verdict) -> (Code, &str) {
    assert_eq!(verdict.invalid.len(), 1, "{verdict:?}");
    (verdict.invalid[0].code, &verdict.invalid[0].sentence)
}

#[test]
fn a_generator_at_its_ease_is_believed_without_a_word() {
    assert_eq!(verdict(true, |_| {}), Verdict::default());
}

#[test]
fn a_closed_loop_is_valid_and_says_what_it_hides() {
    let closed = verdict(false, |_| {});
    assert!(closed.is_valid());
    assert_eq!(closed.notes.iter().map(|n| n.code).collect::<Vec<_>>(), [Code::ClosedLoop]);
}

#[test]
fn a_saturated_cpu_is_the_generators_limit() {
    let result = verdict(true, |s| s.health.cpu_share = 0.98);
    let sentence = "The generator had no time left: for 100 % of the run its busiest thread used 98 % of a CPU.";
    assert_eq!(only(&result), (Code::CpuSaturated, sentence));
    // For two seconds of ten it is forgiven, for three not.
    let busy_until = |end| move |s: &mut Second| s.health.cpu_share = if s.at_ns < end * SECOND { 0.99 } else { 0.4 };
    assert!(verdict(true, busy_until(2)).is_valid());
    assert!(!verdict(true, busy_until(3)).is_valid());
}

#[test]
fn a_thread_that_waits_for_its_cpu_has_no_time_left_either() {
    let result = verdict(true, |s| (s.health.cpu_share, s.health.run_queue_delay_ns) = (0.5, SECOND / 2));
    let sentence = "The generator had no time left: for 100 % of the run its busiest thread ran 50 % of the time and \
                    waited 50 % for a CPU that others used.";
    assert_eq!(only(&result), (Code::CpuStarved, sentence));
}

#[test]
fn a_thread_that_waits_a_quarter_of_the_time_stamps_as_many_answers_late() {
    // Many short waits: none is long, and the thread has time to spare.
    let waiting = |ns| move |s: &mut Second| (s.health.run_queue_delay_ns, s.health.run_queue_turns) = (ns, 15_000);
    let sentence = "The generator waited 25 % of the time for a CPU that others used; the answers waited with it.";
    assert_eq!(only(&verdict(true, waiting(250_000_000))), (Code::CpuStarved, sentence));
    assert!(verdict(true, waiting(150_000_000)).is_valid());
}

#[test]
fn long_waits_for_a_cpu_count_against_short_times() {
    // 200 waits of 1 ms each, where the median is 1.25 ms: seldom, but each as long as an answer.
    let result = verdict(true, |s| (s.health.run_queue_delay_ns, s.health.run_queue_turns) = (200_000_000, 200));
    let sentence = "The generator's threads waited 1.00 ms for a CPU on average, where the median reported is 1.25 ms.";
    assert_eq!(only(&result), (Code::CpuStarved, sentence));
    assert!(
        verdict(true, |s| (s.health.run_queue_delay_ns, s.health.run_queue_turns) = (200_000_000, 2_000)).is_valid()
    );
    assert!(verdict(true, |s| s.health.run_queue_turns = 0).is_valid(), "turns that are not known accuse nobody");
}

#[test]
fn lateness_is_judged_by_the_times_that_it_spoils() {
    let lag = |ns: u64| move |s: &mut Second| s.counts.send_lag = Latency::of((0..10_000).map(|_| ns));
    let result = verdict(true, lag(400_000));
    let sentence =
        "The generator sent late: its own lateness has a median of 400 µs, where the median reported is 1.25 ms.";
    assert_eq!(only(&result), (Code::SendLag, sentence));
    assert!(verdict(true, lag(200_000)).is_valid(), "16 % of the median");
    // The same lateness is nothing beside times of 100 ms.
    let slow = |s: &mut Second| {
        lag(400_000)(s);
        s.counts.response = Latency::of((0..10_000u64).map(|n| 100_000_000 + n));
    };
    assert!(verdict(true, slow).is_valid());
    // Two in a hundred are late: the median is right, p99 is not.
    let tail = |s: &mut Second| {
        s.counts.send_lag = Latency::of((0..10_000).map(|n| if n % 50 == 0 { 1_000_000 } else { 1_000 }))
    };
    assert!(only(&verdict(true, tail)).1.contains("p99 of 1.00 ms"));
}

#[test]
fn planned_requests_must_be_sent_unless_the_target_kept_all_connections() {
    let result = verdict(true, |s| s.counts.sent = 9_800);
    let sentence = "The schedule was not kept: 2,000 of 100,000 planned requests were never sent, and not for want of a free connection.";
    assert_eq!(only(&result), (Code::ScheduleNotKept, sentence));
    assert!(verdict(true, |s| s.counts.sent = 9_950).is_valid(), "half a percent");
    let waiting = verdict(true, |s| (s.counts.sent, s.backlog) = (9_800, 2_000));
    assert!(waiting.is_valid());
    assert_eq!(waiting.notes[0].code, Code::Backlog);
    let refused = verdict(true, |s| {
        s.counts.sent = 9_800;
        s.counts.errors.add(ErrorKind::ConnectRefused, 200);
    });
    assert!(refused.is_valid(), "the target refused them: {refused:?}");
}

#[test]
fn the_generators_own_errors_make_a_run_invalid_and_the_targets_do_not() {
    let result = verdict(true, |s| s.counts.errors.add(ErrorKind::LocalDescriptors, 3));
    let sentence = "30 requests or connections failed on the generator's side (generator out of descriptors).";
    assert_eq!(only(&result), (Code::LocalErrors, sentence));
    assert!(verdict(true, |s| s.counts.errors.add(ErrorKind::Reset, 3)).is_valid());
}

#[test]
fn few_answers_and_none_are_noted() {
    let few = verdict(true, |s| (s.counts.answered, s.counts.planned, s.counts.sent) = (50, 50, 50));
    assert!(few.is_valid());
    assert_eq!(
        few.notes[0].sentence,
        "p99 and above rest on very few answers (500 in all); 1,000 or more would make p99 steady."
    );
    let none = verdict(true, |s| s.counts = Counts::default());
    assert_eq!(none.notes.iter().map(|n| n.code).collect::<Vec<_>>(), [Code::Nothing]);
}

#[test]
fn a_run_that_asks_nothing_is_not_judged_by_times_it_does_not_have() {
    let idle = |s: &mut Second| {
        s.counts = Counts { connected: 100, ..Counts::default() };
        (s.health.run_queue_delay_ns, s.health.run_queue_turns) = (50_000_000, 10);
    };
    assert_eq!(verdict(false, idle), Verdict::default());
}

#[test]
fn a_run_of_a_moment_is_not_judged_by_cpu_time() {
    let mut run = Run::new("test", 0, Settings::default());
    let health = Health { cpu_share: 1.0, run_queue_delay_ns: SECOND, ..ease() };
    run.push(Second { width_ns: 300_000, counts: counts(false), health, ..Second::default() });
    run.finish(&Rules::default());
    assert!(run.verdict.is_valid(), "{:?}", run.verdict);
}

#[test]
fn a_lost_worker_is_invalid_and_an_interruption_is_told() {
    let mut run = Run::new("test", 0, Settings { open_loop: true, ..Settings::default() });
    good(true).into_iter().for_each(|second| run.push(second));
    run.interrupted = Some("10.0 s of 60.0 s".to_owned());
    run.finish(&Rules::default());
    assert!(run.verdict.is_valid());
    let note = Finding {
        code: Code::Interrupted,
        sentence: "The run was interrupted after 10.0 s of 60.0 s; what follows is of that part.".to_owned(),
    };
    assert_eq!(run.verdict.notes, [note]);
    run.mishaps.push("Worker process 2 of 2 was killed.".to_owned());
    run.finish(&Rules::default());
    assert_eq!(only(&run.verdict), (Code::Mishap, "Worker process 2 of 2 was killed."));
}

#[test]
fn slow_peers_that_are_suffered_to_the_end_are_a_finding() {
    let settings = Settings { slow: true, connections: 5, ..Settings::default() };
    let mut run = Run::new("test", 0, settings);
    let counts = Counts { planned: 5, sent: 5, ..Counts::default() };
    run.push(Second { width_ns: SECOND, counts, in_flight: 4, health: ease(), ..Second::default() });
    run.finish(&Rules::default());
    let codes: Vec<Code> = run.verdict.notes.iter().map(|note| note.code).collect();
    assert_eq!((run.verdict.is_valid(), codes.as_slice()), (true, [Code::Suffered].as_slice()));
    assert!(run.verdict.notes[0].sentence.contains("4 of 5 slow peers when the 1.00 s were over"), "{:?}", run.verdict);
    run.in_flight_at_end = 0;
    run.finish(&Rules::default());
    assert_eq!(run.verdict.notes[0].code, Code::Nothing);
}
