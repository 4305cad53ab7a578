//! `proxy`: a reverse proxy and load balancer.

mod stray;

use std::path::PathBuf;
use std::process::ExitCode;

use app::Source;
use clap::{Args, CommandFactory, Parser, Subcommand};
use config::{Count, ListenAddress, Loaded, Plan, ServerAddress};

/// Forwards HTTP requests to other servers and balances them.
///
/// Without arguments a built-in demonstration runs: a welcome page, and /api/* balanced over three small servers of its
/// own. With --to everything is forwarded to the servers named there; with --config, routes decide.
///
/// SIGHUP reads the configuration file again without closing a connection. SIGTERM or Ctrl-C finishes what is under way
/// and stops; a second one stops at once. Exit status: 0 after a clean stop, 2 when the arguments or the configuration are
/// wrong, 1 when it failed while running.
#[derive(Parser)]
#[command(name = "proxy", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Command {
    /// Certificates
    Cert {
        #[command(subcommand)]
        what: Cert,
    },
}

#[derive(Subcommand)]
enum Cert {
    /// Makes a certificate for trying things out, signed by a local authority of your own
    ///
    /// The authority is made once and kept in your data folder ($XDG_DATA_HOME/tollgate or ~/.local/share/tollgate); a client
    /// that trusts it takes every certificate made so. Never use them where others are served.
    Dev {
        /// The names and addresses the certificate is for, such as example.test, *.example.test or 127.0.0.1
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,

        /// The folder to write NAME.pem, NAME.key and the authority's certificate into, made if there is none
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
}

#[derive(Args)]
struct Run {
    /// The configuration file (TOML): listeners, routes and upstreams
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listen", "to"])]
    config: Option<PathBuf>,

    /// Check everything, start nothing: exit with 0 when it is right, else with 2 and all that is wrong
    #[arg(long)]
    check: bool,

    /// Where to listen with --to: IP:PORT, [IPv6]:PORT or unix:/PATH; port 0 lets the system choose [default:
    /// 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", requires = "to")]
    listen: Option<ListenAddress>,

    /// The servers to forward to, in turn: IP:PORT, NAME:PORT or unix:/PATH, with https:// in
    /// front to speak TLS, one or several
    #[arg(long, value_name = "ADDR", num_args = 1.., value_delimiter = ',')]
    to: Vec<ServerAddress>,

    /// Worker threads: a number, or "auto" for one per usable CPU; overrides the configuration [default: auto]
    #[arg(long, value_name = "N", value_parser = app::parse_workers)]
    workers: Option<Count>,
}

const EXAMPLES: &str = "Examples:
  proxy                                     the demonstration, on http://127.0.0.1:8080/
  proxy --to 127.0.0.1:3000                 one server behind http://127.0.0.1:8080/
  proxy --listen 0.0.0.0:80 --to 10.0.0.1:3000 10.0.0.2:3000
  proxy --config tollgate.toml --check      is the configuration right?
  proxy --config tollgate.toml
  proxy cert dev example.test               a certificate for trying TLS
  kill -HUP $(pidof proxy)                  read the configuration again";

/// Where `--to` without `--listen` listens.
const LISTEN: &str = "127.0.0.1:8080";

fn main() -> ExitCode {
    let parsed = Arguments::try_parse();
    let Arguments { command, run: arguments } =
        parsed.unwrap_or_else(|error| stray::HINTS.explained(error, &mut Arguments::command()).exit());
    if let Some(Command::Cert { what: Cert::Dev { names, out } }) = command {
        return app::make_dev_certificate(&names, &out);
    }
    if arguments.config.is_none() && arguments.to.is_empty() && !arguments.check {
        return app::run_demo("proxy", arguments.workers);
    }
    app::main("proxy", arguments.check, || prepare(&arguments), None)
}

fn prepare(arguments: &Run) -> Result<(Loaded, Source), config::Report> {
    let (mut loaded, source) = match &arguments.config {
        Some(path) => (config::load(path)?, Source::File(path.clone(), arguments.workers)),
        None => {
            let listen = arguments.listen.clone().or_else(|| LISTEN.parse().ok());
            let listen = listen.unwrap_or_else(|| ListenAddress::Tcp(([127, 0, 0, 1], 8080).into()));
            (without_warnings(Plan::for_proxy(listen, &arguments.to)?), Source::CommandLine)
        }
    };
    if let Some(workers) = arguments.workers {
        loaded.plan.runtime.workers = workers;
    }
    Ok((loaded, source))
}

fn without_warnings(plan: Plan) -> Loaded {
    Loaded { plan, warnings: Vec::new() }
}
