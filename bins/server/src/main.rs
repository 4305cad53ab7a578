//! `server`: serves a folder over HTTP.

use std::path::PathBuf;
use std::process::ExitCode;

use app::Source;
use clap::Parser;
use config::{Count, ListenAddress, Loaded, Plan};

/// Serves a folder over HTTP.
///
/// `server` alone serves the current folder on 127.0.0.1:8080. A request for a folder gets its index.html. Nothing outside
/// the folder can be reached, not even by a symbolic link; names that begin with a dot are not served.
///
/// SIGTERM or Ctrl-C finishes what is under way and stops; a second one stops at once. With --config, SIGHUP reads the
/// configuration file again without closing a connection. Exit status: 0 after a clean stop, 2 when the arguments or the
/// configuration are wrong, 1 when it failed while running.
#[derive(Parser)]
#[command(name = "server", version, after_help = EXAMPLES)]
struct Arguments {
    /// The folder to serve
    #[arg(value_name = "DIR", default_value = ".", conflicts_with = "config")]
    folder: PathBuf,

    /// Where to listen: IP:PORT, [IPv6]:PORT or unix:/PATH; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", conflicts_with = "config")]
    listen: ListenAddress,

    /// Worker threads: a number, or "auto" for one per usable CPU; overrides the configuration [default: auto]
    #[arg(long, value_name = "N", value_parser = app::parse_workers)]
    workers: Option<Count>,

    /// Serve what this configuration file (TOML) says, instead of a folder
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Check everything, start nothing: exit with 0 when it is right, else with 2 and all that is wrong
    #[arg(long)]
    check: bool,
}

const EXAMPLES: &str = "Examples:
  server                                   this folder, on http://127.0.0.1:8080/
  server ./public --listen 0.0.0.0:80      a folder, for everybody
  server --config site.toml --check        is the configuration right?";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    app::main("server", arguments.check, || prepare(&arguments))
}

fn prepare(arguments: &Arguments) -> Result<(Loaded, Source), config::Report> {
    let (mut loaded, source) = match &arguments.config {
        Some(path) => (config::load(path)?, Source::File(path.clone(), arguments.workers)),
        None => (without_warnings(Plan::for_server(&arguments.folder, arguments.listen.clone())?), Source::CommandLine),
    };
    if let Some(workers) = arguments.workers {
        loaded.plan.runtime.workers = workers;
    }
    Ok((loaded, source))
}

fn without_warnings(plan: Plan) -> Loaded {
    Loaded { plan, warnings: Vec::new() }
}
