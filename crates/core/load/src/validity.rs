//! When the generator, and not the target, was what was measured.

use serde::{Deserialize, Serialize};

use crate::run::Run;
use crate::second::{Second, StatusCounts};
use crate::words;

/// What can be wrong with a run, or worth knowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Worker threads had no CPU time left.
    CpuSaturated,
    /// Worker threads waited for a CPU that others used.
    CpuStarved,
    /// Requests went out late by the generator's fault.
    SendLag,
    /// Fewer requests were sent than planned, by the generator's fault.
    ScheduleNotKept,
    /// The generator ran out of descriptors, ports or the like.
    LocalErrors,
    /// A part of the generator was lost while it worked.
    Mishap,
    /// Nothing was measured.
    Nothing,
    /// Somebody ended it before its end.
    Interrupted,
    /// Slow peers were suffered until the end.
    Suffered,
    /// Requests were due and found no free connection: the target (or the number of connections) was the limit.
    Backlog,
    /// A percentile that is shown rests on very few answers.
    FewAnswers,
    /// No plan to measure from: a stall of the target delays requests unseen.
    ClosedLoop,
}

/// One thing found, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is, for programs.
    pub code: Code,
    /// The same for people, with its figures.
    pub sentence: String,
}

/// Whether the figures of a run may be believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Why the run is INVALID; empty when it is valid.
    pub invalid: Vec<Finding>,
    /// What a reader should know all the same.
    pub notes: Vec<Finding>,
}

impl Verdict {
    /// Whether the target, and not the generator, was measured.
    pub fn is_valid(&self) -> bool {
        self.invalid.is_empty()
    }
}

/// The bounds by which a run is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// A thread that used (or waited for) more than this share of a CPU had none to spare.
    pub busy_share_max: f64,
    /// ... if that was so in more than this share of the time.
    pub busy_time_max: f64,
    /// The generator's lateness, as a share of the reported time at the same percentile (the median and p99).
    pub lag_share_max: f64,
    /// Lateness below this is never held against a run, in nanoseconds.
    pub lag_ns_floor: u64,
    /// The share of the run that a worker thread may wait for a CPU in all: so many answers are stamped late.
    pub run_queue_time_max: f64,
    /// The mean wait for a CPU, as a share of the reported median.
    pub run_queue_share_max: f64,
    /// Waits for a CPU below this on average are never held against a run, in nanoseconds.
    pub run_queue_ns_floor: u64,
    /// A run shorter than this, in nanoseconds, is not judged by CPU time: the system counts it too coarsely.
    pub cpu_judged_ns_min: u64,
    /// The share of planned requests that may be missing by the generator's fault.
    pub missing_share_max: f64,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            busy_share_max: 0.95,
            busy_time_max: 0.2,
            lag_share_max: 0.2,
            lag_ns_floor: 100_000,
            run_queue_time_max: 0.2,
            run_queue_share_max: 0.25,
            run_queue_ns_floor: 100_000,
            cpu_judged_ns_min: 50_000_000,
            missing_share_max: 0.01,
        }
    }
}

/// Judges a run by `rules`.
pub fn judge(run: &Run, rules: &Rules) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.invalid.extend(run.mishaps.iter().cloned().map(|sentence| Finding { code: Code::Mishap, sentence }));
    let invalid = [local_errors(run), cpu(run, rules), send_lag(run, rules), schedule_not_kept(run, rules)];
    verdict.invalid.extend(invalid.into_iter().flatten());
    let notes = [interrupted(run), nothing(run), suffered(run), backlog(run), few_answers(run), closed_loop(run)];
    verdict.notes.extend(notes.into_iter().flatten());
    verdict
}

fn finding(code: Code, sentence: String) -> Option<Finding> {
    Some(Finding { code, sentence })
}

fn local_errors(run: &Run) -> Option<Finding> {
    let (kind, _) = run.totals.errors.iter().find(|(kind, _)| kind.is_local())?;
    let count = words::count(run.totals.errors.local());
    finding(Code::LocalErrors, format!("{count} requests or connections failed on the generator's side ({kind})."))
}

fn cpu(run: &Run, rules: &Rules) -> Option<Finding> {
    if run.elapsed_ns < rules.cpu_judged_ns_min {
        return None;
    }
    saturated(run, rules).or_else(|| starved(run, rules)).or_else(|| waits_long(run, rules))
}

/// Whether worker threads had no time left, for want of CPU or of their turn on it.
fn saturated(run: &Run, rules: &Rules) -> Option<Finding> {
    let busy = || run.timeline.iter().filter(|row| row.health.busy_share(row.width_ns) > rules.busy_share_max);
    let time = |rows: &mut dyn Iterator<Item = &Second>| rows.map(|row| row.width_ns as f64).sum::<f64>();
    let (all, busy_time) = (time(&mut run.timeline.iter()), time(&mut busy()));
    if busy_time <= rules.busy_time_max * all {
        return None;
    }
    let used = busy().map(|row| row.health.cpu_share * row.width_ns as f64).sum::<f64>() / busy_time;
    let waited = busy().map(|row| row.health.run_queue_delay_ns as f64).sum::<f64>() / busy_time;
    let (used_words, share) = (words::percent(used), words::percent(busy_time / all));
    if waited > 0.1 {
        let waited = words::percent(waited);
        return finding(
            Code::CpuStarved,
            format!(
                "The generator had no time left: for {share} of the run its busiest thread ran {used_words} of the time and \
                 waited {waited} for a CPU that others used."
            ),
        );
    }
    let sentence = format!(
        "The generator had no time left: for {share} of the run its busiest thread used {used_words} of a CPU."
    );
    finding(Code::CpuSaturated, sentence)
}

/// Whether worker threads waited for a CPU for a good part of the time: as many answers lay unread meanwhile.
fn starved(run: &Run, rules: &Rules) -> Option<Finding> {
    let waited: u64 = run.timeline.iter().map(|row| row.health.run_queue_delay_ns).sum();
    let share = waited as f64 / run.elapsed_ns.max(1) as f64;
    if share <= rules.run_queue_time_max {
        return None;
    }
    let share = words::percent(share);
    finding(
        Code::CpuStarved,
        format!("The generator waited {share} of the time for a CPU that others used; the answers waited with it."),
    )
}

/// Whether the mean wait for a CPU is a good part of what is reported as the target's time.
fn waits_long(run: &Run, rules: &Rules) -> Option<Finding> {
    let (delay, turns) = run.timeline.iter().fold((0, 0), |(delay, turns), row| {
        (delay + row.health.run_queue_delay_ns, turns + row.health.run_queue_turns)
    });
    let mean = delay.checked_div(turns)?;
    // Where nothing was answered there is no time that the wait could have spoilt: held and slow connections.
    if run.totals.headline().is_empty() {
        return None;
    }
    let median = run.totals.headline().percentile_ns(50.0);
    if mean <= rules.run_queue_ns_floor || mean as f64 <= rules.run_queue_share_max * median as f64 {
        return None;
    }
    finding(
        Code::CpuStarved,
        format!(
            "The generator's threads waited {} for a CPU on average, where the median reported is {}.",
            words::time(mean),
            words::time(median)
        ),
    )
}

fn send_lag(run: &Run, rules: &Rules) -> Option<Finding> {
    let totals = &run.totals;
    if totals.response.is_empty() {
        return None;
    }
    let late = |percent: f64| {
        let (lag, time) = (totals.send_lag.percentile_ns(percent), totals.response.percentile_ns(percent));
        (lag > rules.lag_ns_floor && lag as f64 > rules.lag_share_max * time as f64).then_some((lag, time))
    };
    let (name, (lag, time)) = [("median", 50.0), ("p99", 99.0)].into_iter().find_map(|(n, p)| Some((n, late(p)?)))?;
    finding(
        Code::SendLag,
        format!(
            "The generator sent late: its own lateness has a {name} of {}, where the {name} reported is {}.",
            words::time(lag),
            words::time(time)
        ),
    )
}

fn schedule_not_kept(run: &Run, rules: &Rules) -> Option<Finding> {
    let totals = &run.totals;
    // What no connection could be made for stands among the errors, for what it is.
    let accounted = [totals.sent, run.backlog_at_end, totals.errors.of_connecting()];
    let missing = accounted.into_iter().fold(totals.planned, u64::saturating_sub);
    if missing as f64 <= rules.missing_share_max * totals.planned as f64 {
        return None;
    }
    finding(
        Code::ScheduleNotKept,
        format!(
            "The schedule was not kept: {} of {} planned requests were never sent, and not for want of a free connection.",
            words::count(missing),
            words::count(totals.planned)
        ),
    )
}

fn nothing(run: &Run) -> Option<Finding> {
    if !run.measured_nothing() {
        return None;
    }
    let what = if run.totals.statuses == StatusCounts::default() { "answered" } else { "answered as it should be" };
    finding(Code::Nothing, format!("No request was {what}, so that there are no times to report."))
}

fn interrupted(run: &Run) -> Option<Finding> {
    let came = run.interrupted.as_ref()?;
    finding(Code::Interrupted, format!("The run was interrupted after {came}; what follows is of that part."))
}

fn suffered(run: &Run) -> Option<Finding> {
    let suffered = run.suffered_to_the_end();
    let (count, all, time) =
        (words::count(suffered), words::count(run.settings.connections), words::time(run.elapsed_ns));
    let sentence = format!(
        "The target still suffered {count} of {all} slow peers when the {time} were over; a longer run shows when it has had enough."
    );
    (suffered > 0).then_some(Finding { code: Code::Suffered, sentence })
}

fn backlog(run: &Run) -> Option<Finding> {
    if run.backlog_at_end == 0 {
        return None;
    }
    finding(
        Code::Backlog,
        format!(
            "At the end {} requests were due and had found no free connection; their waiting is in no percentile. The target \
             did not keep up, or there were too few connections.",
            words::count(run.backlog_at_end)
        ),
    )
}

/// Answers that a percentile should rest on: so many lie above it.
const TAIL_MIN: u64 = 10;

fn few_answers(run: &Run) -> Option<Finding> {
    let answered = run.totals.answered;
    let mut shaky =
        [("p99.9", 1_000), ("p99", 100), ("p90", 10)].into_iter().filter(|(_, of)| answered / of < TAIL_MIN);
    let (name, of) = shaky.next_back().filter(|_| answered > 0)?;
    finding(
        Code::FewAnswers,
        format!(
            "{name} and above rest on very few answers ({} in all); {} or more would make {name} steady.",
            words::count(answered),
            words::count(of * TAIL_MIN)
        ),
    )
}

fn closed_loop(run: &Run) -> Option<Finding> {
    if run.settings.open_loop || run.settings.slow || run.totals.answered == 0 {
        return None;
    }
    finding(
        Code::ClosedLoop,
        "Closed loop: each connection waits for its answer before it sends again, so that a stall of the target delays \
         requests without being counted for them. A rate (-R) measures that."
            .to_owned(),
    )
}

#[cfg(test)]
mod tests;
