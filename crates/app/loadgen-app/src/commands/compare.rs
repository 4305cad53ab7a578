//! `compare`: two servers in turns, or two saved runs.

use std::path::Path;

use load::compare::{Comparison, Metric, Side, differences, order};
use load::{Run, Settings};

use super::{invalid, status, without_files};
use crate::arguments::{CompareLoad, Load};
use crate::interrupt::Interrupts;
use crate::measure::{Measured, Task, measure};
use crate::prepare::{Kind, prepare, rates};
use crate::problem::Problem;
use crate::report;
use crate::settings::settings;
use crate::show::{losses_only, print, save_page, say};

/// What is compared.
const PERCENTILES: [f64; 2] = [50.0, 99.0];

/// Rounds that one comparison may have.
const ROUNDS_MAX: u32 = 1000;

pub(crate) fn run(compare: &CompareLoad, interrupts: &Interrupts) -> Result<u8, Problem> {
    without_files(&compare.load, "compare")?;
    let [a, b] = compare.load.url.as_slice() else {
        return Err(Problem::usage("compare takes two URLs, or two files that --json wrote"));
    };
    if a.contains("://") != b.contains("://") {
        return Err(Problem::usage("compare takes two URLs or two files, not one of each"));
    }
    if !a.contains("://") {
        return saved(&compare.load, a, b);
    }
    if !(2..=ROUNDS_MAX).contains(&compare.rounds) {
        return Err(Problem::usage(format!("--rounds: from 2 to {ROUNDS_MAX}")));
    }
    rounds(compare, [a, b], interrupts)
}

/// With a plan throughput is given, and times are compared; without one throughput comes first.
fn metrics(open_loop: bool) -> Vec<Metric> {
    let first = if open_loop { None } else { Some(Metric::Throughput) };
    first.into_iter().chain([Metric::Mean]).chain(PERCENTILES.map(Metric::Percentile)).collect()
}

fn saved(load: &Load, a: &str, b: &str) -> Result<u8, Problem> {
    let runs = [read(a)?, read(b)?];
    let differing = differences(&runs[0], &runs[1]);
    print(&report::differences([a, b], &differing));
    let compared = metrics(runs[0].settings.open_loop && runs[1].settings.open_loop).into_iter();
    let compared: Result<Vec<Comparison>, _> =
        compared.map(|metric| Comparison::of_runs(metric, (a, &runs[0]), (b, &runs[1]))).collect();
    let compared = compared.map_err(|e| Problem::usage(e.to_string()))?;
    print(&report::comparison(&compared));
    let doubtful = [a, b].into_iter().zip(&runs).filter_map(|(name, run)| invalid(run).map(|why| (name, why)));
    let doubtful: Vec<_> = doubtful.collect();
    doubtful.iter().for_each(|(name, why)| say(&format!("INVALID: {name}: {why}")));
    let doubt: Vec<String> = doubtful.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    let doubt = Some(doubt.join(" ")).filter(|doubt| !doubt.is_empty());
    save_page(load, || report::comparison_html(&compared, &differing, doubt.as_deref()))?;
    Ok(if doubtful.is_empty() { 0 } else { 3 })
}

fn read(file: &str) -> Result<Run, Problem> {
    let wrong = |why: String| Problem::usage(format!("{file}: {why}"));
    let text = std::fs::read_to_string(Path::new(file)).map_err(|e| wrong(e.to_string()))?;
    crate::report::from_json(&text).map_err(|e| wrong(e.to_string()))
}

fn rounds(compare: &CompareLoad, urls: [&String; 2], interrupts: &Interrupts) -> Result<u8, Problem> {
    let load = &compare.load;
    let sides = urls.map(|url| Load { url: vec![url.clone()], ..load.clone() });
    let plans = [prepare(&sides[0], Kind::Load)?, prepare(&sides[1], Kind::Load)?];
    let words: [Settings; 2] = [settings(&plans[0], &sides[0]), settings(&plans[1], &sides[1])];
    let mut runs: Vec<[Option<Run>; 2]> = Vec::new();
    let mut worst = 0;
    for round in 0..compare.rounds {
        let mut pair = [None, None];
        for side in order(round, load.seed) {
            let at = usize::from(side == Side::B);
            let task = Task { plan: &plans[at], settings: words[at].clone(), pid: None, repeated: None };
            let measured = measure(&task, interrupts, &mut losses_only)?;
            if interrupts.happened() {
                say("interrupted: the rounds until now are compared");
                break;
            }
            note(load, round, urls[at], &measured);
            worst = worst.max(status(&measured));
            pair[at] = Some(measured.run);
        }
        if pair.iter().all(Option::is_some) {
            runs.push(pair);
        } else {
            break;
        }
    }
    let mut compared = Vec::new();
    for metric in metrics(rates(load).is_some()) {
        let value = |run: &Option<Run>| run.as_ref().and_then(|run| metric.of(run));
        let pairs: Vec<(f64, f64)> = runs.iter().filter_map(|[a, b]| Some((value(a)?, value(b)?))).collect();
        let result = Comparison::paired(metric, urls[0], urls[1], &pairs);
        compared.push(result.map_err(|e| Problem::local(e.to_string()))?);
    }
    print(&report::comparison(&compared));
    let doubtful = runs.iter().flatten().flatten().filter(|run| invalid(run).is_some()).count();
    let doubt =
        format!("in {doubtful} of {} runs the generator was the limit; do not use these figures.", runs.len() * 2);
    let doubt = Some(doubt).filter(|_| doubtful > 0);
    if let Some(doubt) = &doubt {
        print(&format!("\nINVALID: {doubt}\n"));
    }
    save_page(load, || report::comparison_html(&compared, &[], doubt.as_deref()))?;
    Ok(worst)
}

fn note(load: &Load, round: u32, url: &str, measured: &Measured) {
    if !load.quiet {
        let run = &measured.run;
        let rate = Metric::Throughput.of(run).map_or_else(|| "no answers".into(), |v| Metric::Throughput.show(v));
        let errors = run.totals.errors.total();
        let errors = if errors > 0 { format!(", {errors} errors") } else { String::new() };
        let invalid = invalid(run).map(|why| format!(" INVALID: {why}")).unwrap_or_default();
        say(&format!("round {}: {url}: {rate}{errors}{invalid}", round + 1));
    }
}
