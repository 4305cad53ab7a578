//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use load::parse::{self, RateText};
use load::{Rate, Slo};

/// Sends HTTP requests, or bytes to be echoed, and says how they were answered, and whether the figures may be believed.
///
/// Closed loop: each connection sends its next request when it has its answer. Open loop (--rate): requests are sent when
/// the plan says, and latency counts from the planned time, so that a server that stalls cannot hide it.
#[derive(Debug, Parser)]
#[command(
    name = "loadgen",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = EXAMPLES,
    max_term_width = 110
)]
pub struct Arguments {
    /// Another thing to do than plain load.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The load.
    #[command(flatten)]
    pub load: Load,
}

const EXAMPLES: &str = "\
Examples:
  loadgen -c 10000 -n 100000 http://localhost:8080/        a hundred thousand requests over ten thousand connections
  loadgen -c 64 -d 30s --warm-up 5s http://localhost:8080/ as fast as the server answers, for half a minute
  loadgen -R 20000/s --poisson -d 1m http://localhost/     as many users would; latency from the planned time
  loadgen --ramp 1k..50k -d 1m --html run.html http://localhost:8080/
  loadgen tcp://localhost:8080 --bytes 64 -c 100           an echo server; every byte is compared
  loadgen --unix /run/app.sock http://localhost/status
  loadgen find-max --slo 'p99<5ms,errors=0' http://localhost:8080/
  loadgen compare http://localhost:8080/ http://localhost:8081/

Exit status: 0 all was well; 1 there were errors; 2 wrong usage; 3 the generator itself was the limit, so that the
figures say little about the server.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open connections and leave them idle; with --pid, say what each costs the server
    Hold(Load),
    /// A new connection for every request
    Churn(Load),
    /// Make connections, with their TLS handshake if the URL is https, and close them; at once, so that TLS 1.3 has brought no
    /// ticket yet and each handshake is a full one (resumed ones: --no-keep-alive)
    Handshake(Load),
    /// Send request heads a line at a time, and see how long the server suffers it
    SlowHeader(SlowLoad),
    /// Send request bodies a byte at a time, and see how long the server suffers it
    SlowBody(SlowLoad),
    /// Read answers a few bytes at a time, and see how long the server suffers it
    SlowRead(SlowLoad),
    /// Load, while a command runs every so often; the timeline shows when
    ReloadWhile(ReloadLoad),
    /// Search the highest rate at which the server keeps a promise
    FindMax(FindMaxLoad),
    /// Measure two servers in turns, or hold two saved runs against each other
    Compare(CompareLoad),
}

fn group(name: &str) -> Result<String, String> {
    match tls::Group::of_name(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err("the groups are X25519MLKEM768, X25519, P-256 and P-384".into()),
    }
}

/// `slow-*`.
#[derive(Debug, Args)]
pub struct SlowLoad {
    /// The time between two steps
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub every: Duration,
    #[command(flatten)]
    /// The load.
    pub load: Load,
}

/// `reload-while`.
#[derive(Debug, Args)]
pub struct ReloadLoad {
    /// The command, for `sh -c`
    #[arg(long, value_name = "COMMAND")]
    pub run: String,
    /// The time from one start of it to the next
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub every: Duration,
    #[command(flatten)]
    /// The load.
    pub load: Load,
}

/// `find-max`.
#[derive(Debug, Args)]
pub struct FindMaxLoad {
    /// The promise: conditions with commas between, as p99<5ms,errors=0
    #[arg(long, value_name = "SLO", default_value = "p99<10ms,errors=0")]
    pub slo: Slo,
    /// The rate to begin with
    #[arg(long, value_name = "RATE", default_value = "1000/s", value_parser = parse::rate)]
    pub from: Rate,
    /// The highest rate to try
    #[arg(long, value_name = "RATE", default_value = "1M/s", value_parser = parse::rate)]
    pub to: Rate,
    /// How closely to find it, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    pub resolution: f64,
    #[command(flatten)]
    /// The load; --duration is the length of a step.
    pub load: Load,
}

/// `compare`.
#[derive(Debug, Args)]
pub struct CompareLoad {
    /// Rounds: each measures both, in an order that is drawn
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub rounds: u32,
    #[command(flatten)]
    /// The load; the URLs are the two sides, or two files that --json wrote.
    pub load: Load,
}

/// Load and its target: what all commands have in common.
#[derive(Clone, Debug, Args)]
pub struct Load {
    /// http[s]://HOST[:PORT]/PATH, tcp://HOST:PORT (echo) or http+unix://%2Fpath%2Fof%2Fsocket/PATH; may be repeated
    #[arg(value_name = "URL", required_unless_present = "urls")]
    pub url: Vec<String>,

    /// Connections
    #[arg(short, long, value_name = "N", default_value = "50", value_parser = parse::count, help_heading = "Load")]
    pub connections: u64,
    /// Requests in all, instead of a duration
    #[arg(short = 'n', long, value_name = "N", value_parser = parse::count, help_heading = "Load",
          conflicts_with_all = ["duration", "rate", "ramp", "steps", "warm_up"])]
    pub requests: Option<u64>,
    /// How long to measure [default: 10s]
    #[arg(short, long, value_name = "TIME", value_parser = duration, help_heading = "Load")]
    pub duration: Option<Duration>,
    /// Open loop: this many requests a second, whatever the server does
    #[arg(short = 'R', long, value_name = "RATE", value_parser = constant_rate, help_heading = "Load")]
    pub rate: Option<RateText>,
    /// Open loop: from one rate to another, evenly: 1k..50k
    #[arg(long, value_name = "A..B", value_parser = ramp, conflicts_with = "rate", help_heading = "Load")]
    pub ramp: Option<RateText>,
    /// Open loop: several rates, each for an equal part of the duration: 1k,2k,4k
    #[arg(long, value_name = "A,B,..", value_parser = steps, conflicts_with_all = ["rate", "ramp"],
          help_heading = "Load")]
    pub steps: Option<RateText>,
    /// Open loop: at independent random times (Poisson) instead of equal distances
    #[arg(long, help_heading = "Load")]
    pub poisson: bool,
    /// Load that is sent before the measuring begins
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = duration, help_heading = "Load")]
    pub warm_up: Duration,
    /// Requests under way at once on one connection
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024),
          help_heading = "Load")]
    pub pipeline: u32,
    /// A new connection for every request
    #[arg(long, help_heading = "Load")]
    pub no_keep_alive: bool,
    /// The seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Load")]
    pub seed: u64,

    /// The method [default: GET, or POST with a body]
    #[arg(short = 'X', long, value_name = "METHOD", help_heading = "Request")]
    pub method: Option<String>,
    /// A field of the request, as "Name: value"; may be repeated
    #[arg(short = 'H', long = "header", value_name = "FIELD", help_heading = "Request")]
    pub headers: Vec<String>,
    /// The body
    #[arg(long, value_name = "TEXT", help_heading = "Request")]
    pub body: Option<String>,
    /// The body, from a file
    #[arg(long, value_name = "FILE", conflicts_with = "body", help_heading = "Request")]
    pub body_file: Option<PathBuf>,
    /// A made-up body of that size: 64, 16KiB, 1MiB
    #[arg(long, value_name = "SIZE", value_parser = parse::size, conflicts_with_all = ["body", "body_file"],
          help_heading = "Request")]
    pub body_size: Option<u64>,
    /// tcp:// only: the size of a message [default: 64]
    #[arg(long, value_name = "SIZE", value_parser = parse::size, help_heading = "Request")]
    pub bytes: Option<u64>,
    /// A file of URLs, one a line, each with a weight before it if it has one: "3 http://localhost/a"
    #[arg(long, value_name = "FILE", help_heading = "Request")]
    pub urls: Option<PathBuf>,
    /// The shares of the URLs that were given as arguments: 70,20,10. With --rate each server gets its share of the rate; else the
    /// connections are shared out
    #[arg(long, value_name = "N,N,..", value_delimiter = ',', help_heading = "Request")]
    pub weights: Vec<u32>,

    /// Connect to this Unix socket, whatever host the URL names
    #[arg(long, value_name = "PATH", help_heading = "Connections")]
    pub unix: Option<PathBuf>,
    /// Local addresses to connect from, in turn: 127.0.0.1-127.0.0.20, with commas between several
    #[arg(long, value_name = "RANGE", help_heading = "Connections")]
    pub source: Option<String>,
    /// https: believe any certificate
    #[arg(long, help_heading = "Connections")]
    pub insecure: bool,
    /// https: the certificates to trust, as PEM, instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure", help_heading = "Connections")]
    pub ca: Option<PathBuf>,
    /// https: a full handshake for every connection
    #[arg(long, help_heading = "Connections")]
    pub no_resumption: bool,
    /// https: offer this key exchange group only: X25519MLKEM768, X25519, P-256 or P-384
    #[arg(long, value_name = "NAME", value_parser = group, help_heading = "Connections")]
    pub group: Option<String>,
    /// How long a connection attempt may take, TLS handshake included
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration, help_heading = "Connections")]
    pub connect_timeout: Duration,
    /// How long an answer may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, help_heading = "Connections")]
    pub timeout: Duration,
    /// How long to wait at the end for answers under way
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration, help_heading = "Connections")]
    pub drain: Duration,
    /// Worker threads, in all processes
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=255),
          help_heading = "Connections")]
    pub threads: u32,
    /// Worker processes [default: as many as the connections need descriptors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=255), help_heading = "Connections")]
    pub processes: Option<u32>,

    /// What must equal the first answer
    #[arg(long, value_enum, default_value_t = Sameness::All, help_heading = "Judgement")]
    pub verify: Sameness,
    /// The status that every answer must have; otherwise any below 400 that the first one had
    #[arg(long, value_name = "STATUS", value_parser = status, help_heading = "Judgement")]
    pub expect_status: Option<u16>,
    /// The server's process: what its memory does meanwhile
    #[arg(long, value_name = "PID", help_heading = "Judgement")]
    pub pid: Option<u32>,

    /// Save the run as JSON; - for standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub json: Option<PathBuf>,
    /// Save the timeline as CSV, and the percentiles beside it (a.csv: a.percentiles.csv); - for the timeline on standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub csv: Option<PathBuf>,
    /// Save a report for the browser
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,
    /// Nothing but errors while it runs
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,
}

/// `--verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sameness {
    /// Status, length and content
    All,
    /// Status and length
    Length,
    /// The status
    Status,
    /// Nothing: answers below 400 of any kind are right
    Nothing,
}

fn status(text: &str) -> Result<u16, String> {
    let known = text.parse().ok().filter(|status| (200..=599).contains(status));
    known.ok_or_else(|| format!("`{text}` is no status of an answer: those are from 200 to 599"))
}

fn duration(text: &str) -> Result<Duration, parse::BadText> {
    parse::duration_ns(text).map(Duration::from_nanos)
}

fn constant_rate(text: &str) -> Result<RateText, String> {
    match parse::rates(text).map_err(|e| e.to_string())? {
        rate @ RateText::Constant(_) => Ok(rate),
        RateText::Ramp(..) => Err("that is a ramp: use --ramp".into()),
        RateText::Steps(_) => Err("these are steps: use --steps".into()),
    }
}

fn ramp(text: &str) -> Result<RateText, String> {
    match parse::rates(text).map_err(|e| e.to_string())? {
        ramp @ RateText::Ramp(..) => Ok(ramp),
        _ => Err("a ramp is written as 1k..50k".into()),
    }
}

fn steps(text: &str) -> Result<RateText, String> {
    match parse::rates(text).map_err(|e| e.to_string())? {
        RateText::Ramp(..) => Err("steps are written as 1k,2k,4k".into()),
        RateText::Constant(rate) => Ok(RateText::Steps(vec![rate])),
        steps @ RateText::Steps(_) => Ok(steps),
    }
}
