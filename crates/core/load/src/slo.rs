//! Service level objectives: what a run must keep to count as good.

use std::fmt;
use std::str::FromStr;

use crate::parse::{self, BadText};
use crate::run::Run;
use crate::second::StatusCounts;
use crate::words;

/// The conditions of an objective, all of which must be kept: `p99<5ms,errors=0`.
///
/// Percentiles and maximum are of the response time (from the planned send) where there is a plan, and failed,
/// unanswered and unsent requests count as slower than any bound: whoever answers the easy half only does not keep a
/// promise about all.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Percentile { percent: f64, bound_ns: u64 },
    Mean { bound_ns: u64 },
    ErrorCount { bound: u64 },
    ErrorShare { bound: f64 },
    Answered { per_second_min: f64 },
}

/// The answers that a step needs for a condition that is about no percentile.
const ANSWERS_MIN: f64 = 10.0;

impl Slo {
    /// So many requests a run needs for its percentiles to say anything: one of them has to lie above each.
    pub fn requests_min(&self) -> f64 {
        let needed = |term: &Term| match *term {
            Term::Percentile { percent, .. } if percent < 100.0 => (100.0 / (100.0 - percent)).round(),
            _ => 0.0,
        };
        self.terms.iter().map(needed).fold(ANSWERS_MIN, f64::max)
    }

    /// Which conditions a run did not keep, a sentence each; empty when it kept all.
    pub fn misses(&self, run: &Run) -> Vec<String> {
        if run.totals.answered == 0 {
            let answers = run.totals.statuses != StatusCounts::default();
            return vec![
                if answers { "no request was answered as it should be" } else { "no request was answered" }.into(),
            ];
        }
        self.terms.iter().filter_map(|term| term.miss(run)).collect()
    }
}

impl Term {
    fn miss(&self, run: &Run) -> Option<String> {
        let errors = run.totals.errors.total();
        let asked = requests(run);
        match *self {
            Term::Percentile { percent, bound_ns } => {
                match run.totals.headline().percentile_of_all_ns(percent, asked) {
                    Some(ns) if ns < bound_ns => None,
                    Some(ns) => {
                        Some(format!("{} was {}, not below {}", name(percent), words::time(ns), words::time(bound_ns)))
                    }
                    None => Some(format!(
                        "{} is not below {}: {} of {} requests had no right answer",
                        name(percent),
                        words::time(bound_ns),
                        words::count(asked - run.totals.answered),
                        words::count(asked),
                    )),
                }
            }
            Term::Mean { bound_ns } => {
                let mean = run.totals.headline().mean_ns().round() as u64;
                let sentence = || format!("the average was {}, not below {}", words::time(mean), words::time(bound_ns));
                (mean >= bound_ns).then(sentence)
            }
            Term::ErrorCount { bound } => {
                let sentence = || format!("{} errors, where {} are allowed", words::count(errors), words::count(bound));
                (errors > bound).then(sentence)
            }
            Term::ErrorShare { bound } => {
                let share = errors as f64 / asked.max(1) as f64;
                let sentence =
                    || format!("{} of the requests failed, not below {}", words::percent(share), words::percent(bound));
                (share >= bound).then(sentence)
            }
            Term::Answered { per_second_min } => {
                let rate = run.answered_per_second();
                let sentence = || {
                    format!("{}/s were answered, not above {}/s", words::figure(rate), words::figure(per_second_min))
                };
                (rate <= per_second_min).then(sentence)
            }
        }
    }
}

/// How many requests there were to answer: those that were answered or failed, those that were due and never sent,
/// and in an open loop those under way at the end beyond what is under way at any moment (twice Little's law). The rest
/// of the latter had no time to be answered.
fn requests(run: &Run) -> u64 {
    let totals = &run.totals;
    let usual = 2.0 * run.answered_per_second() * totals.service.mean_ns() / 1e9;
    let stuck = if run.settings.open_loop { run.in_flight_at_end.saturating_sub(usual.ceil() as u64) } else { 0 };
    (totals.answered + totals.errors.total()).saturating_add(run.backlog_at_end).saturating_add(stuck)
}

fn name(percent: f64) -> String {
    if percent == 100.0 { "the maximum".to_owned() } else { format!("p{percent}") }
}

impl FromStr for Slo {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Slo, BadText> {
        let terms = text.split(',').map(|term| parse_term(term.trim())).collect::<Result<_, _>>()?;
        Ok(Slo { terms })
    }
}

const FORMS: &str = "an objective is a list such as `p99<5ms,errors=0`; there are pNN, avg and max with `<` and a time, \
                     `errors=N`, `errors<N%` and `rate>N/s`";

fn parse_term(term: &str) -> Result<Term, BadText> {
    let place = term.find(['<', '>', '=']).ok_or_else(|| BadText::new(format!("`{term}`: {FORMS}")))?;
    let (name, sign, value) = (term[..place].trim(), &term[place..=place], term[place + 1..].trim());
    let bad = || BadText::new(format!("`{term}`: {FORMS}"));
    match (name, sign) {
        ("errors", "=") => Ok(Term::ErrorCount { bound: parse::count(value)? }),
        ("errors", "<") => parse::share(value).map(|bound| Term::ErrorShare { bound }).ok_or_else(bad),
        ("rate", ">") => Ok(Term::Answered { per_second_min: parse::rate(value)?.per_second() }),
        ("avg" | "mean", "<") => Ok(Term::Mean { bound_ns: parse::duration_ns(value)? }),
        ("max", "<") => Ok(Term::Percentile { percent: 100.0, bound_ns: parse::duration_ns(value)? }),
        (_, "<") => {
            let percent = name.strip_prefix('p').and_then(percentile).ok_or_else(bad)?;
            Ok(Term::Percentile { percent, bound_ns: parse::duration_ns(value)? })
        }
        _ => Err(bad()),
    }
}

/// `50`, `99`, `99.9`: above 0 and below 100.
fn percentile(text: &str) -> Option<f64> {
    let percent: f64 = text.bytes().all(|b| b.is_ascii_digit() || b == b'.').then(|| text.parse().ok())??;
    (percent > 0.0 && percent < 100.0).then_some(percent)
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, term) in self.terms.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            match term {
                Term::Percentile { percent: 100.0, bound_ns } => write!(f, "max < {}", words::time(*bound_ns))?,
                Term::Percentile { percent, bound_ns } => write!(f, "p{percent} < {}", words::time(*bound_ns))?,
                Term::Mean { bound_ns } => write!(f, "avg < {}", words::time(*bound_ns))?,
                Term::ErrorCount { bound } => write!(f, "errors = {}", words::count(*bound))?,
                Term::ErrorShare { bound } => write!(f, "errors < {}", words::percent(*bound))?,
                Term::Answered { per_second_min } => write!(f, "rate > {}/s", words::figure(*per_second_min))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error_kind::ErrorKind;
    use crate::latency::Latency;
    use crate::run::Settings;

    /// A run of a second whose answers took 1 to `answered` microseconds.
    fn run(answered: u64, errors: u64, backlog: u64) -> Run {
        let mut run = Run::new("test", 0, Settings::default());
        run.elapsed_ns = 1_000_000_000;
        run.totals.answered = answered;
        run.totals.service = Latency::of((1..=answered).map(|n| n * 1_000));
        run.totals.errors.add(ErrorKind::Timeout, errors);
        run.backlog_at_end = backlog;
        run
    }

    fn misses(slo: &str, run: &Run) -> Vec<String> {
        slo.parse::<Slo>().unwrap().misses(run)
    }

    #[test]
    fn a_run_that_keeps_everything_misses_nothing() {
        let good = run(1_000, 0, 0);
        assert!(misses("p50<501us, p99<1ms,max<1.1ms,avg<502us,errors=0,errors<1%,rate>999/s", &good).is_empty());
    }

    #[test]
    fn a_percentile_needs_a_request_above_it() {
        let needed = |slo: &str| slo.parse::<Slo>().unwrap().requests_min();
        assert_eq!(needed("errors=0,max<1s,p50<1s"), 10.0);
        assert_eq!(needed("p99<5ms,errors=0"), 100.0);
        assert_eq!(needed("p99<5ms,p99.9<9ms"), 1_000.0);
    }

    #[test]
    fn each_miss_is_a_sentence_with_its_figures() {
        let bad = run(1_000, 20, 0);
        assert_eq!(misses("p50<100us", &bad), ["p50 was 510 µs, not below 100 µs"]);
        assert_eq!(misses("errors=5", &bad), ["20 errors, where 5 are allowed"]);
        assert_eq!(misses("errors<1%", &bad), ["2 % of the requests failed, not below 1 %"]);
        assert_eq!(misses("rate>5k", &bad), ["1,000/s were answered, not above 5,000/s"]);
        assert_eq!(misses("avg<1us,p50<1s", &bad), ["the average was 500 µs, not below 1.00 µs"]);
    }

    #[test]
    fn requests_without_an_answer_are_slower_than_any_bound() {
        assert!(misses("p99<1s", &run(1_000, 10, 0)).is_empty());
        let failed = ["p99 is not below 1.00 s: 20 of 1,020 requests had no right answer"];
        assert_eq!(misses("p99<1s", &run(1_000, 20, 0)), failed);
        assert_eq!(misses("p99<1s", &run(1_000, 0, 20)), failed);
        assert_eq!(misses("errors=0", &run(0, 0, 0)), ["no request was answered"]);
        // At 1,000/s and 0.5 ms some request is always under way; a hundred are not.
        let mut stuck = run(1_000, 0, 0);
        (stuck.settings.open_loop, stuck.in_flight_at_end) = (true, 1);
        assert!(misses("p99.9<1s", &stuck).is_empty());
        stuck.in_flight_at_end = 102;
        assert_eq!(misses("p99<1s", &stuck), ["p99 is not below 1.00 s: 100 of 1,100 requests had no right answer"]);
    }

    #[test]
    fn texts_that_are_no_objective_are_told_the_forms() {
        for bad in
            ["", "p99", "p99<5", "p100<5ms", "p0<1s", "p-5<1s", "q99<5ms", "errors<5", "errors>0", "max=3ms", "p99>5ms"]
        {
            assert!(bad.parse::<Slo>().is_err(), "{bad}");
        }
        assert!("speed<5ms".parse::<Slo>().unwrap_err().to_string().contains("`p99<5ms,errors=0`"));
        let slo: Slo = "p99.9<5ms,errors=0,errors<0.1%,avg<1ms,rate>1k,max<1s".parse().unwrap();
        let shown = "p99.9 < 5.00 ms, errors = 0, errors < 0.1 %, avg < 1.00 ms, rate > 1,000/s, max < 1.00 s";
        assert_eq!(slo.to_string(), shown);
    }
}
