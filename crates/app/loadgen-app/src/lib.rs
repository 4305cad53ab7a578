//! The load generator: from arguments to a plan, from the plan to workers, from their seconds to a report.
//!
//! ```text
//! arguments ─ prepare ─▶ Plan ─ crew ─▶ workers: threads, or processes that run this program again
//!                                          │ seconds
//!                     report ◀─ Run ◀─ merge ┘
//! ```
//!
//! Exit statuses: 0 all was well; 1 there were errors, or a promise was not kept; 2 wrong usage; 3 the generator was the limit,
//! or could not work.

mod arguments;
mod beside;
mod commands;
mod crew;
mod interrupt;
mod limits;
mod measure;
mod merge;
mod plan;
mod prepare;
mod problem;
mod processes;
mod render;
pub mod report;
mod settings;
mod show;
mod source;
mod url;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

pub use arguments::{Arguments, Command, CompareLoad, FindMaxLoad, Load, ReloadLoad, Sameness, SlowLoad};

/// The program: reads its arguments (or, as a worker process, its orders) and works.
pub fn main() -> ExitCode {
    if processes::is_worker() {
        // The parent sees a pipe that ends too early, and says so.
        return if processes::work().is_ok() { ExitCode::SUCCESS } else { ExitCode::from(3) };
    }
    run(Arguments::parse())
}

/// Does what the arguments say.
pub fn run(arguments: Arguments) -> ExitCode {
    match commands::run(arguments) {
        Ok(status) => ExitCode::from(status),
        Err(problem) => {
            // Standard error may be closed; the exit status still tells.
            let _ = writeln!(std::io::stderr(), "error: {}", problem.sentence());
            ExitCode::from(problem.status())
        }
    }
}
