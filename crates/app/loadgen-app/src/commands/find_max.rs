//! `find-max`: the highest rate at which a promise is kept.

use load::{Arrivals, Knee, KneeSearch, Outcome, Rate, Step};

use super::without_files;
use crate::arguments::FindMaxLoad;
use crate::interrupt::Interrupts;
use crate::measure::{Measured, Task, measure};
use crate::plan::{PacePlan, Plan, Rates};
use crate::prepare::{Kind, prepare, rates};
use crate::problem::Problem;
use crate::report::{self, Trial};
use crate::settings::settings;
use crate::show::{losses_only, print, save_page, say};

/// Runs steps until the search has its answer.
pub(crate) fn run(find: &FindMaxLoad, interrupts: &Interrupts) -> Result<u8, Problem> {
    let load = &find.load;
    without_files(load, "find-max")?;
    if rates(load).is_some() || load.requests.is_some() {
        return Err(Problem::usage(
            "find-max chooses the rates itself: give --from and --to, and --duration for a step",
        ));
    }
    if !(0.1..=50.0).contains(&find.resolution) {
        return Err(Problem::usage("--resolution: from 0.1 to 50 percent"));
    }
    if find.from > find.to {
        return Err(Problem::usage("--from is above --to"));
    }
    let mut plan = prepare(&crate::arguments::Load { poisson: false, ..load.clone() }, Kind::Load)?;
    let lowest = lowest(find, &plan)?;
    let mut knee = Knee::new(KneeSearch {
        start: find.from,
        limit: find.to,
        lowest,
        resolution: find.resolution / 100.0,
        ..KneeSearch::default()
    });
    let mut trials = Vec::new();
    while let Step::Try(rate) = knee.next_step() {
        let measured = step(find, &mut plan, rate, interrupts)?;
        if interrupts.happened() {
            say("interrupted: the search is not finished");
            break;
        }
        let outcome = Outcome::of(&measured.run, &find.slo);
        if !load.quiet {
            say(&format!("{rate}: {}", words(&outcome)));
        }
        trials.push(Trial::of(rate, outcome.clone(), &measured.run));
        knee.report(outcome);
    }
    print(&report::knee(&knee));
    let target = load.url.first().map_or("no target", String::as_str);
    save_page(load, || report::knee_html(target, &find.slo.to_string(), &knee, &trials))?;
    Ok(match knee.answer().and_then(load::Answer::met) {
        Some(_) => 0,
        None if knee.tried().iter().any(|tried| matches!(tried.outcome, Outcome::GeneratorLimit(_))) => 3,
        None => 1,
    })
}

/// The rate below which a step has too few requests for what is asked of them.
fn lowest(find: &FindMaxLoad, plan: &Plan) -> Result<Rate, Problem> {
    let needed = find.slo.requests_min();
    let seconds = plan.duration.map_or(f64::INFINITY, |step| step.as_secs_f64());
    let lowest = needed / seconds;
    if find.from.per_second() < lowest {
        let (from, needed) = (find.from, load::words::figure(needed));
        return Err(Problem::usage(format!(
            "--slo: {} needs {needed} requests a step at least, and at --from {from} a step of {seconds} s has {}: give a longer \
             --duration or a higher --from",
            find.slo,
            load::words::figure(find.from.per_second() * seconds)
        )));
    }
    Ok(Rate::clamped(lowest))
}

fn step(find: &FindMaxLoad, plan: &mut Plan, rate: Rate, interrupts: &Interrupts) -> Result<Measured, Problem> {
    let arrivals = if find.load.poisson { Arrivals::Poisson } else { Arrivals::Constant };
    plan.pace = PacePlan::Open(Rates::Constant(rate), arrivals);
    let task = Task { plan, settings: settings(plan, &find.load), pid: None, repeated: None };
    measure(&task, interrupts, &mut losses_only)
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Met => "kept".into(),
        Outcome::Missed(misses) => format!("not kept: {}", misses.join("; ")),
        Outcome::GeneratorLimit(why) => format!("the generator was the limit: {why}"),
    }
}
