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

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

pub use arguments::{Arguments, Command, CompareLoad, FindMaxLoad, Load, ReloadLoad, Sameness, SlowLoad};

/// The program: reads its arguments (or, as a worker process, its orders) and works.
pub fn main() -> ExitCode {
    if processes::is_worker() {
        // The parent sees a pipe that ends too early, and says so.
        return if processes::work().is_ok() { ExitCode::SUCCESS } else { ExitCode::from(3) };
    }
    let matches = command().get_matches();
    let parsed = match ignored_by_saved_runs(&matches) {
        Some(argument) => {
            let _ = writeln!(
                std::io::stderr(),
                "error: --{argument}: two saved runs are compared, and nothing is measured"
            );
            return ExitCode::from(2);
        }
        None => Arguments::from_arg_matches(&matches),
    };
    parsed.map_or_else(|error| error.exit(), run)
}

/// The command line. A negative number is a bad value of its option, which says what is wrong with it, and no option.
fn command() -> clap::Command {
    let negative = |argument: clap::Arg| match argument.get_action().takes_values() && !argument.is_positional() {
        true => argument.allow_negative_numbers(true),
        false => argument,
    };
    Arguments::command().mut_args(negative).mut_subcommands(|command| command.mut_args(negative))
}

/// An option of measuring that was given to `compare` for two saved runs.
fn ignored_by_saved_runs(matches: &ArgMatches) -> Option<String> {
    let ("compare", compare) = matches.subcommand()? else { return None };
    let urls = compare.get_many::<String>("url")?;
    if urls.into_iter().any(|url| url.contains("://")) {
        return None;
    }
    let given = |id: &&str| compare.value_source(id) == Some(ValueSource::CommandLine);
    let used = ["url", "html", "quiet", "json", "csv", "pid"];
    let mut names = compare.ids().map(clap::Id::as_str).filter(|id| !used.contains(id) && !id.contains("Load"));
    names.find(given).map(|id| id.replace('_', "-"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_made_and_negative_numbers_are_bad_values() {
        command().debug_assert();
        let error = command().try_get_matches_from(["loadgen", "-c", "-1", "http://a/"]).unwrap_err().to_string();
        assert!(error.contains("'-1'") && !error.contains("tip"), "{error}");
    }

    #[test]
    fn two_saved_runs_take_no_option_of_measuring() {
        let ignored = |line: &str| {
            let matches = command().try_get_matches_from(line.split(' ')).unwrap();
            ignored_by_saved_runs(&matches)
        };
        assert_eq!(ignored("loadgen compare a.json b.json --html x -q"), None);
        assert_eq!(ignored("loadgen compare a.json b.json --rounds 3"), Some("rounds".to_owned()));
        assert_eq!(ignored("loadgen compare --no-keep-alive a.json b.json"), Some("no-keep-alive".to_owned()));
        assert_eq!(ignored("loadgen compare --rounds 3 http://a/ http://b/"), None);
    }
}
