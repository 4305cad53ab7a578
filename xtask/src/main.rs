//! The project's own tasks: `cargo xtask <task>`. Everything that CI runs, `cargo xtask test` runs.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod dist;
mod docs;
mod fuzz;
mod setup;
mod shell;
mod test;
mod tidy;

/// The project's own tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check which system tools the tests and benches need, and install what is missing
    Setup,
    /// Run everything that CI runs: format, clippy, tidy, build, tests, doc tests, reference, fuzz smoke
    Test,
    /// Check the architecture and the house rules (xtask/layers.toml)
    Tidy,
    /// Write configs/reference.toml from the option definitions
    Docs {
        /// Only check that the file is up to date
        #[arg(long)]
        check: bool,
    },
    /// Run the fuzz targets, all of them or the one named
    Fuzz {
        /// A target's name
        target: Option<String>,
        /// Seconds per target
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Build the programs as they are best deployed: in release, optimised by a profile of them at work (needs
    /// llvm-profdata and about 20 minutes)
    Dist,
    /// Build in release and run a bench; see `cargo xtask bench --help` for which there are
    #[command(disable_help_flag = true)]
    Bench {
        /// Passed on to the bench runner
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = match Args::parse().task {
        Task::Setup => setup::run(),
        Task::Test => test::run(),
        Task::Tidy => tidy::run(),
        Task::Docs { check } => docs::run(check),
        Task::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Task::Dist => dist::run(),
        Task::Bench { args } => bench::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("\nerror: {message}");
            ExitCode::FAILURE
        }
    }
}
