//! `server`: serves a folder over HTTP.

mod open;
mod site;
mod stray;

use std::path::PathBuf;
use std::process::ExitCode;

use app::Source;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use config::{CertificateFiles, Count, ListenAddress, Loaded, Plan};

use crate::site::Serving;

/// Serves a folder over HTTP or HTTPS.
///
/// `server` alone serves the current folder on 127.0.0.1:8080. A request for a folder gets its index.html. Where a client takes
/// it, file.br, file.zst or file.gz is sent in the place of file, and text is compressed. Nothing outside the folder
/// can be reached, not even by a symbolic link; names that begin with a dot are not served.
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

    /// Not there: who types it is told what to write
    #[arg(short, long, value_name = "PORT", hide = true, value_parser = no_port)]
    port: Option<Never>,

    #[command(flatten)]
    serving: Serving,

    /// Speak TLS with this certificate and its chain (PEM); needs --tls-key
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with = "config")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert", conflicts_with = "config")]
    tls_key: Option<PathBuf>,

    /// Speak TLS with a certificate for localhost, signed by a local authority of your own; both are made if need be and
    /// kept in $XDG_DATA_HOME/tollgate or ~/.local/share/tollgate (authority.pem is what clients must trust)
    #[arg(long, conflicts_with_all = ["config", "tls_cert"])]
    tls: bool,

    /// Open the site in the browser
    #[arg(long, conflicts_with_all = ["config", "check"])]
    open: bool,

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

/// No value.
#[derive(Clone)]
enum Never {}

/// What `--port` is answered with, which other servers have.
fn no_port(port: &str) -> Result<Never, String> {
    Err(match port.parse::<u16>() {
        Ok(port) => format!("write --listen 127.0.0.1:{port}, or --listen 0.0.0.0:{port} for everybody on the network"),
        Err(_) => String::from("write --listen with an address and a port, such as --listen 127.0.0.1:8000"),
    })
}

const EXAMPLES: &str = "Examples:
  server                                   this folder, on http://127.0.0.1:8080/
  server ./public --listen 0.0.0.0:80      a folder, for everybody
  server ./public --dev --open             a site that is being worked on: pages reload by themselves
  server dist --spa --cache 1h --open      an application that routes in the browser
  server ./public --tls                    HTTPS, with a certificate of its own making
  server ./public --dev --tls --open       both: for what browsers offer over HTTPS only
  server --config site.toml --check        is the configuration right?";

fn main() -> ExitCode {
    let parsed = Arguments::try_parse();
    let arguments = parsed.unwrap_or_else(|error| stray::HINTS.explained(error, &mut Arguments::command()).exit());
    if arguments.open && matches!(arguments.listen, ListenAddress::Unix(..)) {
        let problem = "--open needs an IP address to listen on: browsers open no unix: socket";
        Arguments::command().error(ErrorKind::ValueValidation, problem).exit();
    }
    let scheme = if arguments.tls || arguments.tls_cert.is_some() { "https" } else { "http" };
    let listening =
        arguments.open.then(|| -> app::OnListening { Box::new(|address| open::browse_to(address, scheme)) });
    app::main("server", arguments.check, || prepare(&arguments), listening)
}

fn prepare(arguments: &Arguments) -> Result<(Loaded, Source), config::Report> {
    let (mut loaded, source) = match &arguments.config {
        Some(path) => {
            let loaded = config::load(path).map_err(|report| stray::of_config(report, path))?;
            (loaded, Source::File(path.clone(), arguments.workers))
        }
        None => {
            let mut plan = Plan::for_server(&arguments.folder, arguments.listen.clone())
                .map_err(|report| stray::of_folder(report, &arguments.folder))?;
            arguments.serving.apply(&mut plan);
            let loaded = match certificate(arguments)? {
                Some(certificate) => plan.with_tls(certificate)?,
                None => Loaded { plan, warnings: Vec::new() },
            };
            (loaded, Source::CommandLine)
        }
    };
    if let Some(workers) = arguments.workers {
        loaded.plan.runtime.workers = workers;
    }
    Ok((loaded, source))
}

/// What is to be spoken TLS with, if it is to be.
fn certificate(arguments: &Arguments) -> Result<Option<CertificateFiles>, config::Report> {
    match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(cert), Some(key)) => Ok(Some(CertificateFiles { cert: cert.clone(), key: key.clone(), ocsp: None })),
        _ if !arguments.tls => Ok(None),
        // A check makes nothing, and there is nothing to be said of what is made at the start.
        _ if arguments.check => Ok(app::check_localhost_certificate().map_err(config::Diagnostic::error)?),
        _ => Ok(Some(app::localhost_certificate().map_err(config::Diagnostic::error)?)),
    }
}
