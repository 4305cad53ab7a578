//! `server`: serves a folder over HTTP.

use std::path::PathBuf;
use std::process::ExitCode;

use app::Source;
use clap::Parser;
use config::{Count, ListenAddress, Loaded, Plan};

/// Serves a folder over HTTP.
///
/// `server` alone serves the present folder on 127.0.0.1:8080. Files are found beneath the folder by the kernel itself;
/// nothing outside it can be reached. SIGTERM or Ctrl-C finishes what is under way and stops; with --config,
/// SIGHUP reads the configuration again without closing a connection.
#[derive(Parser)]
#[command(name = "server", version, after_help = EXAMPLES)]
struct Arguments {
    /// The folder to serve
    #[arg(value_name = "DIR", default_value = ".", conflicts_with = "config")]
    folder: PathBuf,

    /// Where to listen: IP:PORT, [IPv6]:PORT or unix:/PATH; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", conflicts_with = "config")]
    listen: ListenAddress,

    /// Worker threads: a number, or "auto" for one per usable CPU
    #[arg(long, value_name = "N", value_parser = app::parse_workers)]
    workers: Option<Count>,

    /// Serve what this configuration file says instead of a folder
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Only check: say what is wrong, or nothing, and exit with 2 or 0
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
