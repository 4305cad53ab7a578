//! The highest rate that keeps an objective: where to look next, and what was found.

mod answer;

use serde::{Deserialize, Serialize};

use crate::rate::Rate;
use crate::run::Run;
use crate::slo::Slo;
use crate::validity::Code;
use crate::words;

pub use answer::Answer;

/// How to search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KneeSearch {
    /// The first rate to try.
    pub start: Rate,
    /// No rate above it is tried.
    pub limit: Rate,
    /// No rate below it is tried.
    pub lowest: Rate,
    /// The search ends when the rates that do and do not keep the objective are this close: 0.05 for 5 %.
    pub resolution: f64,
    /// A rate near the knee is tried up to so often, and the majority decides.
    pub repeats: u32,
    /// Steps at most.
    pub steps_max: u32,
}

impl Default for KneeSearch {
    fn default() -> KneeSearch {
        let (start, limit, lowest) = (Rate::clamped(1_000.0), Rate::MAX, Rate::MIN);
        KneeSearch { start, limit, lowest, resolution: 0.05, repeats: 3, steps_max: 60 }
    }
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The objective was kept.
    Met,
    /// It was not, for these reasons ([`Slo::misses`](crate::Slo::misses)).
    Missed(Vec<String>),
    /// The step was INVALID: the generator was the limit, for this reason, and nothing is known of the target.
    GeneratorLimit(String),
}

impl Outcome {
    /// The outcome of a finished step.
    ///
    /// A generator that was late only adds to the times it reports, so that an objective that was kept all the same is kept
    /// by the target; unless requests were missing, and it was never asked for the rate. One that was not kept is blamed
    /// on the target only if the run is valid.
    pub fn of(run: &Run, slo: &Slo) -> Outcome {
        let missing = |code| matches!(code, Code::ScheduleNotKept | Code::LocalErrors);
        let invalid = &run.verdict.invalid;
        if let Some(finding) = invalid.iter().find(|finding| missing(finding.code)) {
            return Outcome::GeneratorLimit(finding.sentence.clone());
        }
        let misses = slo.misses(run);
        match invalid.first() {
            _ if misses.is_empty() => Outcome::Met,
            Some(finding) => Outcome::GeneratorLimit(finding.sentence.clone()),
            None => Outcome::Missed(misses),
        }
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Run a step at this rate and [`Knee::report`] its outcome.
    Try(Rate),
    /// Nothing: [`Knee::answer`] has the answer.
    Done,
}

/// A step that was run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// At which rate.
    pub rate: Rate,
    /// What came of it.
    pub outcome: Outcome,
}

/// The search for the knee.
///
/// Ask [`Knee::next_step`]; run a step at the rate it names, from a rested target, and [`Knee::report`] the outcome; repeat
/// until it is done. It knows no clock and no target.
///
/// ```text
///            met               missed by majority            close enough
///   Climb ---------> Climb x2 ---------------------> Narrow -------------> Confirm ---> Done
///     | missed by majority, nothing met yet            ^  |                   | missed by majority:
///     v                                                |  +-- halves the      | a lower ceiling
///   Descend /2 ---------------------------------------+       distance        v
///     | below start / 1024                  met        <--------------- Narrow or Descend
///     v
///   NeverMet
/// ```
///
/// While it climbs, one success is enough to go on, since a mistake is found out when the end is confirmed; a failure
/// always needs a majority, since one hiccup would otherwise be taken for the knee.
#[derive(Clone, Debug)]
pub struct Knee {
    search: KneeSearch,
    phase: Phase,
    /// The highest rate that kept the objective, below `ceiling`.
    floor: Option<Rate>,
    ceiling: Option<Ceiling>,
    tried: Vec<Tried>,
    answer: Option<Answer>,
}

#[derive(Clone, Debug)]
struct Ceiling {
    rate: Rate,
    reason: String,
    /// Whether the generator, and not the target, gave out there.
    generator: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Climb(Rate),
    Descend(Rate),
    Narrow(Rate),
    Confirm(Rate),
    Done,
}

/// How far below the start a target is looked for that keeps the objective.
const DESCENT_MAX: f64 = 1_024.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vote {
    Met,
    Missed,
    Generator,
}

impl Knee {
    /// A search that has not begun. A resolution below 0.1 % and repeats of 0 are taken as these and 1.
    pub fn new(mut search: KneeSearch) -> Knee {
        search.resolution = search.resolution.max(0.001);
        search.repeats = search.repeats.max(1);
        let start = if search.start < search.limit { search.start } else { search.limit };
        let mut knee =
            Knee { search, phase: Phase::Climb(start), floor: None, ceiling: None, tried: Vec::new(), answer: None };
        if search.steps_max == 0 {
            knee.finish(Answer::OutOfSteps { met: None, missed: None });
        }
        knee
    }

    /// What to do next. Asking again gives the same.
    pub fn next_step(&self) -> Step {
        match self.phase {
            Phase::Climb(rate) | Phase::Descend(rate) | Phase::Narrow(rate) | Phase::Confirm(rate) => Step::Try(rate),
            Phase::Done => Step::Done,
        }
    }

    /// Takes the outcome of the step that [`Knee::next_step`] asked for. Ignored when the search is done.
    pub fn report(&mut self, outcome: Outcome) {
        let Step::Try(rate) = self.next_step() else { return };
        self.tried.push(Tried { rate, outcome });
        let decided = match (self.phase, self.votes(rate, Vote::Met)) {
            (Phase::Climb(_), 1..) => Some(Vote::Met),
            _ => self.majority(rate),
        };
        match decided {
            Some(Vote::Met) => self.met(rate),
            Some(vote) => self.gave_out(rate, vote == Vote::Generator),
            None => {}
        }
        if self.tried.len() >= self.search.steps_max as usize && self.phase != Phase::Done {
            let missed = self.ceiling.as_ref().map(|ceiling| ceiling.rate);
            self.finish(Answer::OutOfSteps { met: self.floor, missed });
        }
    }

    /// What was found, once [`Knee::next_step`] says that it is done.
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    /// The steps so far, in order.
    pub fn tried(&self) -> &[Tried] {
        &self.tried
    }

    fn met(&mut self, rate: Rate) {
        self.floor = Some(rate);
        match self.phase {
            Phase::Climb(_) if rate >= self.search.limit => self.phase = Phase::Confirm(rate),
            Phase::Climb(_) => {
                let doubled = Rate::clamped(rate.per_second() * 2.0);
                self.phase = Phase::Climb(if doubled < self.search.limit { doubled } else { self.search.limit });
            }
            _ => self.narrow(),
        }
        if let Phase::Confirm(rate) = self.phase
            && self.majority(rate) == Some(Vote::Met)
        {
            self.conclude(rate);
        }
    }

    fn gave_out(&mut self, rate: Rate, generator: bool) {
        let reason = self.reason(rate, generator);
        self.ceiling = Some(Ceiling { rate, reason, generator });
        if self.floor.is_some_and(|floor| floor >= rate) {
            // What one success on the way up seemed to show does not hold: the next lower one counts.
            self.floor = self.highest_met_below(rate);
        }
        match self.floor {
            Some(_) => self.narrow(),
            None => self.descend(rate),
        }
        if let Phase::Confirm(rate) = self.phase
            && self.majority(rate) == Some(Vote::Met)
        {
            self.conclude(rate);
        }
    }

    /// Halves the distance between floor and ceiling, by ratio; at the resolution, confirms the floor.
    fn narrow(&mut self) {
        let (Some(floor), Some(ceiling)) = (self.floor, &self.ceiling) else { return };
        let ratio = ceiling.rate.per_second() / floor.per_second();
        self.phase = if ratio <= 1.0 + self.search.resolution {
            Phase::Confirm(floor)
        } else {
            Phase::Narrow(Rate::clamped(floor.per_second() * ratio.sqrt()))
        };
    }

    fn descend(&mut self, rate: Rate) {
        let lower = Rate::clamped(rate.per_second() / 2.0);
        let lowest = Rate::clamped(self.search.start.per_second() / DESCENT_MAX);
        if lower < lowest || lower < self.search.lowest || lower >= rate {
            let ceiling = self.ceiling.take();
            let reason = ceiling.as_ref().map(|c| c.reason.clone()).unwrap_or_default();
            self.finish(match ceiling {
                Some(Ceiling { generator: true, .. }) => Answer::GeneratorLimit { met: None, limited: rate, reason },
                _ => Answer::NeverMet { lowest: rate, reason },
            });
        } else {
            self.phase = Phase::Descend(lower);
        }
    }

    fn conclude(&mut self, met: Rate) {
        let answer = match self.ceiling.take() {
            None => Answer::NeverMissed { limit: met },
            Some(Ceiling { rate, reason, generator: true }) => {
                Answer::GeneratorLimit { met: Some(met), limited: rate, reason }
            }
            Some(Ceiling { rate, reason, generator: false }) => Answer::Knee { met, missed: rate, reason },
        };
        self.finish(answer);
    }

    fn finish(&mut self, answer: Answer) {
        self.phase = Phase::Done;
        self.answer = Some(answer);
    }

    fn votes(&self, rate: Rate, vote: Vote) -> u32 {
        self.tried.iter().filter(|t| t.rate == rate && vote_of(&t.outcome) == vote).count() as u32
    }

    /// The outcome that more than half of the repeats of a rate had or must have; `None` when it is still open. Where
    /// all repeats are used up without one, the objective was not kept reliably.
    fn majority(&self, rate: Rate) -> Option<Vote> {
        let needed = self.search.repeats / 2 + 1;
        let votes = [Vote::Met, Vote::Missed, Vote::Generator].map(|vote| (vote, self.votes(rate, vote)));
        let all: u32 = votes.iter().map(|(_, count)| count).sum();
        let decided = votes.into_iter().find(|(_, count)| *count >= needed).map(|(vote, _)| vote);
        decided.or((all >= self.search.repeats).then_some(Vote::Missed))
    }

    /// The highest rate below `rate` that had a success and was not found wanting.
    fn highest_met_below(&self, rate: Rate) -> Option<Rate> {
        let held = |tried: &&Tried| {
            tried.rate < rate
                && tried.outcome == Outcome::Met
                && !matches!(self.majority(tried.rate), Some(Vote::Missed | Vote::Generator))
        };
        self.tried.iter().filter(held).map(|t| t.rate).max_by(|a, b| a.per_second().total_cmp(&b.per_second()))
    }

    /// The words of the last step at `rate` that went wrong, by the generator's fault or not.
    fn reason(&self, rate: Rate, generator: bool) -> String {
        let words = |tried: &Tried| match &tried.outcome {
            Outcome::Missed(reasons) if !generator => Some(reasons.join("; ")),
            Outcome::GeneratorLimit(reason) if generator => Some(reason.clone()),
            _ => None,
        };
        let last = self.tried.iter().rev().filter(|t| t.rate == rate).find_map(words);
        let mut reason =
            last.unwrap_or_else(|| format!("its {} tries ended differently", words::count(self.search.repeats.into())));
        // It stands behind a colon, in a sentence that has its own full stop.
        reason.truncate(reason.trim_end_matches(['.', ' ']).len());
        if let Some(rest) = reason.strip_prefix("The ") {
            reason = format!("the {rest}");
        }
        reason
    }
}

fn vote_of(outcome: &Outcome) -> Vote {
    match outcome {
        Outcome::Met => Vote::Met,
        Outcome::Missed(_) => Vote::Missed,
        Outcome::GeneratorLimit(_) => Vote::Generator,
    }
}

#[cfg(test)]
mod tests;
