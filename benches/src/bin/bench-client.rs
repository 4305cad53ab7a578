//! The load program of the benches. Prints one line of JSON per stretch of load; see `--help`.

use std::{
    io::{self, BufRead, Write},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use benches::{
    client::{Client, Load, Sample},
    wire,
};
use clap::{Parser, Subcommand};

/// A closed loop of keep-alive connections; every answer is checked against the first.
#[derive(Parser)]
struct Args {
    /// The server
    #[arg(long)]
    to: SocketAddr,
    /// The target of every request
    #[arg(long, default_value = "/1k.txt")]
    path: String,
    /// Connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Requests written at once per connection
    #[arg(long, default_value_t = 1)]
    depth: usize,
    /// Processes whose CPU time is taken, by id
    #[arg(long, value_delimiter = ',')]
    watch: Vec<u32>,
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Keep all connections busy for a time
    Time {
        /// Seconds before measuring starts
        #[arg(long, default_value_t = 1.0)]
        warmup: f64,
        /// Seconds measured
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
    /// Send a number of requests
    Count {
        /// How many
        requests: u64,
    },
    /// Send one request on each connection, say so, and hold the connections until standard input ends
    Hold {
        /// Connections that wait for an answer at any time
        #[arg(long, default_value_t = 32)]
        at_once: usize,
    },
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> io::Result<()> {
    wire::end_with_parent()?;
    let load = Load { to: args.to, path: args.path.clone(), connections: args.connections, depth: args.depth };
    let mut client = Client::connect(&load)?;
    match args.mode {
        Mode::Time { warmup, seconds } => {
            client.run_for(Duration::from_secs_f64(warmup), &[])?;
            print(&client.run_for(Duration::from_secs_f64(seconds), &args.watch)?)
        }
        Mode::Count { requests } => print(&client.run_count(requests, args.connections, &args.watch)?),
        Mode::Hold { at_once } => {
            print(&client.run_count(args.connections as u64 * args.depth as u64, at_once, &args.watch)?)?;
            io::stdin().lock().lines().try_for_each(|line| line.map(drop))
        }
    }
}

fn print(sample: &Sample) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(sample)?)?;
    out.flush()
}
