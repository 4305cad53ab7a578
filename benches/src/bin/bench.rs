//! The bench runner: `cargo xtask bench NAME...`.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use benches::{
    machine::Machine,
    process,
    suite::{self, Bench, Options},
};
use clap::{Parser, ValueEnum};

/// Measures Tollgate beside a yardstick and its peers, over loopback, and saves the evidence.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Args {
    /// Which benches
    #[arg(required_unless_present = "all")]
    bench: Vec<Bench>,
    /// All of them
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    options: Options,
    /// Where the server, proxy, echo and loadgen that are measured come from, instead of from beside the bench; `cargo xtask
    /// bench --dist` names the folder of `cargo xtask dist`. The evidence has "-dist" in its name
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
    /// One short round, nothing saved: to see that a bench works
    #[arg(long)]
    quick: bool,
    /// Save nothing
    #[arg(long)]
    no_save: bool,
    /// Fail when a binding limit is missed
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("bench: a binding limit is missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the benches; false when `--check` was asked for and does not hold.
fn run(mut args: Args) -> io::Result<bool> {
    if args.quick {
        (args.options.rounds, args.options.seconds, args.options.warmup) = (Some(1), 0.5, 0.1);
        args.options.requests.get_or_insert(1000);
    }
    if let Some(folder) = &args.programs {
        if !folder.join("proxy").is_file() {
            return Err(io::Error::other(format!(
                "there is no proxy in {}; `cargo xtask dist` makes one",
                folder.display()
            )));
        }
        process::measure_from(folder.clone());
    }
    let benches = if args.all { Bench::value_variants() } else { &args.bench };
    let machine = Machine::look();
    let folder = runs().join(machine.folder());
    let mut holds = true;
    for bench in benches {
        eprintln!("{}", bench.name());
        let mut evidence = suite::run(*bench, &args.options)?;
        if args.programs.is_some() {
            evidence.bench += "-dist";
            evidence.notes +=
                "\nOur programs are those of `cargo xtask dist`, optimised by a profile of them at work.\n";
        }
        println!("\n{}: {}, commit {}\n", bench.name(), machine.words, machine.commit);
        println!("{}\n{}", evidence.results(), evidence.notes);
        if !args.quick && !args.no_save {
            evidence.save(&machine, &folder)?;
            println!("saved benches/runs/{}/{}.md\n", machine.folder(), evidence.bench);
        }
        holds &= evidence.holds();
    }
    Ok(holds || !args.check)
}

/// Where the evidence of all machines and days is kept.
fn runs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("runs")
}
