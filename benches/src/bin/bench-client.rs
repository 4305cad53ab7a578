//! The load program of the benches. Prints one line of JSON per stretch of load; see `--help`.

use std::{
    io::{self, BufRead, Write},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use benches::{
    client::{Client, Load},
    echoes::{Plan, churn, paced},
    pull::pull,
    tree::Tree,
    walk::Walk,
    wire,
};
use clap::{Parser, Subcommand};
use serde::Serialize;

/// A closed loop of keep-alive connections; every answer is checked against the first.
#[derive(Parser)]
struct Args {
    /// The server
    #[arg(long)]
    to: SocketAddr,
    /// The target of every request
    #[arg(long, default_value = "/1k.txt")]
    path: String,
    /// Accept gzip
    #[arg(long)]
    gzip: bool,
    /// Connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Send messages of so many bytes to an echo server instead of HTTP requests
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    echo: Option<u32>,
    /// POST a body of so many bytes with every request
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    post: usize,
    /// Requests written at once per connection
    #[arg(long, default_value_t = 1)]
    depth: usize,
    /// Never sleep while waiting for answers, so that the server need not wake this program: takes a whole CPU
    #[arg(long)]
    spin: bool,
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
    /// Ask for every file of a tree once, in random order
    Walk {
        /// What is in it
        tree: Tree,
        /// The number of the first file
        #[arg(long, default_value_t = 0)]
        first: usize,
        /// How many files
        #[arg(long)]
        count: usize,
    },
    /// Read one answer after the other at a pace, without looking at them, until standard input ends; says how many bytes came
    Pull {
        /// MB a second
        #[arg(long)]
        rate: f64,
    },
    /// Send messages on a plan, to an echo server; times count from when each was planned to be sent
    Paced {
        /// Messages a second over all connections
        #[arg(long)]
        rate: f64,
        /// Seconds
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// Connect, echo a message, close: one after the other, to an echo server
    Churn {
        /// How many connections
        connects: u64,
    },
    /// Send one request on each connection, say so, and hold the connections until standard input ends
    Hold {
        /// Connections that wait for an answer at any time
        #[arg(long, default_value_t = 32)]
        at_once: usize,
    },
}

fn main() -> ExitCode {
    wire::ended("bench-client", run(&Args::parse()))
}

fn run(args: &Args) -> io::Result<()> {
    wire::end_with_parent()?;
    let bytes = args.echo.map(|bytes| bytes as usize);
    match args.mode {
        Mode::Paced { rate, seconds } if rate > 0.0 && seconds > 0.0 && args.connections > 0 => {
            let (bytes, time) = (bytes.unwrap_or(64), Duration::from_secs_f64(seconds));
            return print(&paced(&Plan { to: args.to, connections: args.connections, bytes, rate, time })?);
        }
        Mode::Paced { .. } => return Err(io::Error::other("a plan needs a rate, a time and connections")),
        Mode::Walk { tree, first, count } => {
            let walk = Walk { to: args.to, tree, first, count, connections: args.connections, gzip: args.gzip };
            return print(&walk.run(&args.watch)?);
        }
        Mode::Pull { rate } => return print(&pull(args.to, &args.path, rate)?),
        Mode::Churn { connects } => return churn(args.to, connects, bytes.unwrap_or(64)),
        _ => {}
    }
    let load = Load {
        to: args.to,
        path: args.path.clone(),
        fields: if args.gzip { "Accept-Encoding: gzip\r\n".to_owned() } else { String::new() },
        connections: args.connections,
        depth: args.depth,
        echo: bytes,
        post: args.post,
        spins: args.spin,
    };
    let mut client = Client::connect(&load)?;
    match args.mode {
        Mode::Time { warmup, seconds } => {
            client.run_for(Duration::from_secs_f64(warmup), &[])?;
            print(&client.run_for(Duration::from_secs_f64(seconds), &args.watch)?)
        }
        Mode::Count { requests } => print(&client.run_count(requests, args.connections, &args.watch)?),
        Mode::Paced { .. } | Mode::Churn { .. } | Mode::Walk { .. } | Mode::Pull { .. } => Ok(()),
        Mode::Hold { at_once } => {
            print(&client.run_count(args.connections as u64 * args.depth as u64, at_once, &args.watch)?)?;
            io::stdin().lock().lines().try_for_each(|line| line.map(drop))
        }
    }
}

fn print(sample: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(sample)?)?;
    out.flush()
}
