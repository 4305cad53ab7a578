//! What each command does.

mod compare;
mod find_max;

use load::Run;

use crate::arguments::{Arguments, Command, Load};
use crate::beside::Repeated;
use crate::crew::End;
use crate::interrupt::Interrupts;
use crate::measure::{Measured, Task, measure};
use crate::prepare::{Kind, prepare};
use crate::problem::Problem;
use crate::settings::settings;
use crate::show::{Show, all_printed, can_save, say};

/// Does what was asked for; gives the exit status.
pub(crate) fn run(arguments: Arguments) -> Result<u8, Problem> {
    let status = obey(arguments)?;
    all_printed()?;
    Ok(status)
}

fn obey(arguments: Arguments) -> Result<u8, Problem> {
    let interrupts = Interrupts::listen();
    match arguments.command {
        None => single(&arguments.load, Kind::Load, None, &interrupts),
        Some(Command::Hold(load)) => single(&load, Kind::Hold, None, &interrupts),
        Some(Command::Churn(load)) => {
            let load = Load { no_keep_alive: true, ..load };
            single(&load, Kind::Load, None, &interrupts)
        }
        Some(Command::Handshake(load)) => {
            let load = Load { no_keep_alive: true, ..load };
            single(&load, Kind::Handshake, None, &interrupts)
        }
        Some(Command::SlowHeader(slow)) => single(&slow.load, Kind::SlowHeader(slow.every), None, &interrupts),
        Some(Command::SlowBody(slow)) => single(&slow.load, Kind::SlowBody(slow.every), None, &interrupts),
        Some(Command::SlowRead(slow)) => single(&slow.load, Kind::SlowRead(slow.every), None, &interrupts),
        Some(Command::ReloadWhile(reload)) => {
            let repeated = Repeated { command: reload.run.clone(), every: reload.every };
            single(&reload.load, Kind::Load, Some(&repeated), &interrupts)
        }
        Some(Command::FindMax(find)) => find_max::run(&find, &interrupts),
        Some(Command::Compare(compare)) => compare::run(&compare, &interrupts),
    }
}

/// One run, shown while it goes on and summed up at its end.
fn single(load: &Load, kind: Kind, repeated: Option<&Repeated>, interrupts: &Interrupts) -> Result<u8, Problem> {
    if repeated.is_some_and(|r| r.every.is_zero()) {
        return Err(Problem::usage("--every 0: the command would never rest"));
    }
    let plan = prepare(load, kind)?;
    can_save(load)?;
    let mut show = Show::new(load, &plan);
    let task = Task { plan: &plan, settings: settings(&plan, load), pid: load.pid, repeated };
    let measured = measure(&task, interrupts, &mut |sight| show.see(sight))?;
    show.end(&measured)?;
    Ok(status(&measured))
}

/// The exit status of a run.
fn status(measured: &Measured) -> u8 {
    let errors = measured.run.totals.errors.total() > 0 || measured.beside.failed > 0;
    match &measured.end {
        // It was told when it happened, and the verdict holds it.
        End::Failed(_) => 3,
        _ if !measured.run.verdict.is_valid() => 3,
        End::GaveUp(seconds) => {
            say(&format!("error: nothing was answered for {seconds} s; the rest was given up"));
            1
        }
        _ if errors => 1,
        _ if measured.run.measured_nothing() => {
            say("error: no request was answered");
            1
        }
        End::Done | End::Stopped => 0,
    }
}

/// Refuses what only a single run has.
fn without_files(load: &Load, command: &str) -> Result<(), Problem> {
    let Load { json, csv, pid, .. } = load;
    if json.is_some() || csv.is_some() || pid.is_some() {
        return Err(Problem::usage(format!("--json, --csv and --pid are for single runs; {command} makes many")));
    }
    Ok(())
}

/// Why the generator was the limit, in one sentence; `None` when it was not.
fn invalid(run: &Run) -> Option<String> {
    let findings: Vec<&str> = run.verdict.invalid.iter().map(|finding| finding.sentence.as_str()).collect();
    (!findings.is_empty()).then(|| findings.join(" "))
}
