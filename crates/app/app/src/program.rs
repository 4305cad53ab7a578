//! What the binaries have in common.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use config::{Count, Loaded, Report};

use crate::control::{OnListening, Source, Start, run};
use crate::prepared::Prepared;

/// Runs a program: its configuration is made by `prepare`, then served, of which `listening` is told, or only checked. Exit
/// status 2 when something is wrong with it.
pub fn main(
    program: &'static str,
    check: bool,
    prepare: impl FnOnce() -> Result<(Loaded, Source), Report>,
    listening: Option<OnListening>,
) -> ExitCode {
    let colour = std::io::stderr().is_terminal();
    let mut err = std::io::stderr();
    // Standard error may be closed; the exit status still tells.
    let (loaded, source) = match prepare() {
        Ok(prepared) => prepared,
        Err(report) => {
            let _ = writeln!(err, "{}", report.render(colour).trim_end());
            return ExitCode::from(2);
        }
    };
    for warning in &loaded.warnings {
        let _ = writeln!(err, "{warning}");
    }
    if !check {
        return run(Start { program, plan: loaded.plan, source, hints: Vec::new(), listening });
    }
    let (routes, upstreams) = (loaded.plan.routes.len(), loaded.plan.upstreams.len());
    match Prepared::new(loaded.plan) {
        Ok(prepared) => {
            for note in prepared.notes() {
                let _ = writeln!(err, "warning: {note}");
            }
            let _ =
                writeln!(std::io::stdout(), "the configuration is right (routes: {routes}, upstreams: {upstreams})");
            ExitCode::SUCCESS
        }
        Err(e) => {
            let _ = writeln!(err, "error: {e}");
            ExitCode::from(2)
        }
    }
}

/// `--workers`: a number from 1, or `auto`.
///
/// # Errors
/// Anything else, in words.
pub fn parse_workers(text: &str) -> Result<Count, String> {
    match text.parse() {
        _ if text == "auto" => Ok(Count::Auto),
        Ok(n @ 1..=255) => Ok(Count::Fixed(n)),
        _ => Err("expected a number from 1 to 255, or \"auto\"".into()),
    }
}
