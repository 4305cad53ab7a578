//! The benches themselves. Each gives [`Evidence`]; `bench` prints and saves it.

use std::{
    io::{self, BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use clap::{Args, ValueEnum};

use crate::{
    client::Sample,
    peers::{Peer, Running},
    process::{LOAD_CPU, on_cpu, sibling},
    report::Evidence,
    upstreams::Upstreams,
};

mod cold;
mod counted;
mod echo;
mod event_stream;
mod files;
mod gzip;
mod idle;
mod latency;
mod load;
mod loadgen;
mod plans;
mod pool_reuse;
mod sizes;
mod ten_gigabytes;
mod tls;
mod tls_flood;
mod tls_idle;

/// A bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Bench {
    /// CPU per request for a 1 KiB file: ours, the bare loop, nginx, lighttpd, h2o, Caddy
    #[value(name = "static-1k")]
    Static1k,
    /// The same with a load that sleeps and has to be woken
    #[value(name = "static-1k-woken")]
    Static1kWoken,
    /// The same with 10,000 connections
    #[value(name = "static-1k-many")]
    Static1kMany,
    /// CPU per request for a 1 KiB file, 16 requests deep: ours, nginx
    StaticPipelined,
    /// CPU per request for a 100 KiB file: ours, a bare loop, the peers
    #[value(name = "static-100k")]
    Static100k,
    /// CPU per gigabyte for a 100 MiB file, 1 and 8 connections: ours, a bare loop, the peers
    StaticBulk,
    /// CPU per request at sizes around the switch to sendfile: bare loops that write or send the file, and ours
    SendfileSizes,
    /// Times of answers at half load, 64 and 10,000 connections: ours, h2o, nginx, lighttpd
    StaticLatency,
    /// CPU of compressing on the way, first and second time: ours, nginx
    Gzip,
    /// Memory, descriptors and CPU over 100,000 files in random order: ours and the peers
    FileWalk,
    /// Times of small answers beside a large file that is read from the disk: ours, nginx
    ColdFile,
    /// CPU per proxied request, 1 KiB: ours, the bare relay, nginx, HAProxy
    #[value(name = "proxied-1k")]
    Proxied1k,
    /// The same with 9,000 client connections and at most 512 to the origin
    #[value(name = "proxied-1k-many")]
    Proxied1kMany,
    /// CPU per proxied POST of 64 KiB: ours, bare pumps, nginx, HAProxy
    #[value(name = "proxied-post-64k")]
    ProxiedPost64k,
    /// CPU per gigabyte of proxied answers of 1 MiB: ours, bare pumps, nginx, HAProxy
    ProxiedBulk,
    /// Memory while 10 GiB go down and up through the proxy
    #[value(name = "proxied-10g")]
    Proxied10g,
    /// Times of proxied answers at half load: ours, nginx, HAProxy
    ProxiedLatency,
    /// CPU per proxied request in front of 10 and of 1,000 servers: ours, the bare relay, nginx, HAProxy
    ProxiedServers,
    /// The same over 1,000 connections, 100 to each of 10 servers or 1 to each of 1,000: ours, the bare relay, HAProxy
    ProxiedServersMany,
    /// How much later an event comes for having been proxied: ours, nginx, HAProxy
    EventStream,
    /// How often a request finds an open connection to its server, at 2 and 8 workers: ours, nginx
    PoolReuse,
    /// CPU and instructions per echo of 64 bytes: ours, the bare loop; what the executor costs
    Echo,
    /// CPU per request of the load generator, ours and wrk, and ours' memory at 10,000 connections
    Loadgen,
    /// Memory per idle connection: ours and nginx, static and proxied
    IdleMemory,
    /// CPU per request for a 1 KiB file over TLS 1.3, connections kept: ours, nginx, HAProxy
    TlsKeepalive,
    /// CPU and system calls per full TLS 1.3 handshake, P-256 and X25519: ours, nginx, HAProxy
    TlsHandshake,
    /// The same for resumed handshakes
    TlsResume,
    /// CPU per GB of a 100 MiB file over TLS 1.3: ours, nginx
    TlsBulk,
    /// Memory per idle TLS connection: ours, nginx, HAProxy
    TlsIdle,
    /// What a flood of handshakes does to the answers of established TLS connections: ours, nginx
    TlsFlood,
    /// System calls per request, by strace
    Syscalls,
    /// User-space instructions per request, by callgrind
    Instructions,
}

impl Bench {
    /// Its name on the command line and of its evidence.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// How to run the benches.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Rounds, in each of which every peer is measured once; by default 5, for loadgen 9, for times 10, and for echo 15
    #[arg(long)]
    pub rounds: Option<usize>,
    /// Seconds measured per peer and round
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Seconds of load before measuring, per peer and round
    #[arg(long, default_value_t = 1.0)]
    pub warmup: f64,
    /// Connections; by default 64, and for idle-memory 10,000
    #[arg(long)]
    pub connections: Option<usize>,
    /// Requests that are counted (syscalls, instructions)
    #[arg(long)]
    pub requests: Option<u64>,
    /// Only these peers
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Peer>,
}

impl Options {
    /// Rounds of a bench whose comparison needs no more.
    fn few_rounds(&self) -> usize {
        self.rounds.unwrap_or(5)
    }

    /// Connections that are kept busy.
    fn busy_connections(&self) -> usize {
        self.connections.unwrap_or(64)
    }

    /// Those of `peers` that are wanted and installed.
    fn choose(&self, peers: &[Peer]) -> io::Result<Vec<Peer>> {
        let wanted = peers.iter().copied().filter(|peer| self.only.is_empty() || self.only.contains(peer));
        let (chosen, absent): (Vec<Peer>, Vec<Peer>) = wanted.partition(|peer| peer.is_installed());
        absent.iter().for_each(|peer| eprintln!("  {peer} is not installed and left out ({})", peer.how_to_install()));
        if chosen.is_empty() { Err(io::Error::other("none of its peers is wanted")) } else { Ok(chosen) }
    }
}

/// Runs one bench.
pub fn run(bench: Bench, options: &Options) -> io::Result<Evidence> {
    match bench {
        Bench::Static1k => load::run(&plans::STATIC_1K, options),
        Bench::Static1kWoken => load::run(&plans::STATIC_1K_WOKEN, options),
        Bench::Static1kMany => load::run(&plans::STATIC_1K_MANY, options),
        Bench::StaticPipelined => load::run(&plans::STATIC_PIPELINED, options),
        Bench::Static100k => load::run(&plans::STATIC_100K, options),
        Bench::StaticBulk => load::run(&plans::STATIC_BULK, options),
        Bench::SendfileSizes => sizes::run(options),
        Bench::StaticLatency => latency::run(&latency::STATIC, options),
        Bench::ProxiedLatency => latency::run(&latency::PROXIED, options),
        Bench::Gzip => gzip::run(options),
        Bench::FileWalk => files::run(options),
        Bench::ColdFile => cold::run(options),
        Bench::Proxied1k => load::run(&plans::PROXIED_1K, options),
        Bench::Proxied1kMany => load::run(&plans::PROXIED_1K_MANY, options),
        Bench::ProxiedPost64k => load::run(&plans::PROXIED_POST_64K, options),
        Bench::ProxiedBulk => load::run(&plans::PROXIED_BULK, options),
        Bench::ProxiedServers => load::run(&plans::PROXIED_SERVERS, options),
        Bench::ProxiedServersMany => load::run(&plans::PROXIED_SERVERS_MANY, options),
        Bench::Proxied10g => ten_gigabytes::run(options),
        Bench::EventStream => event_stream::run(options),
        Bench::PoolReuse => pool_reuse::run(options),
        Bench::Echo => echo::run(options),
        Bench::Loadgen => loadgen::run(options),
        Bench::IdleMemory => idle::run(options),
        Bench::TlsKeepalive => tls::keepalive(options),
        Bench::TlsHandshake => tls::handshake(options),
        Bench::TlsResume => tls::resume(options),
        Bench::TlsBulk => tls::bulk(options),
        Bench::TlsIdle => tls_idle::run(options),
        Bench::TlsFlood => tls_flood::run(options),
        Bench::Syscalls => counted::syscalls(options),
        Bench::Instructions => counted::instructions(options),
    }
}

/// The messages sent to echo servers.
const ECHO_BYTES: usize = 64;

/// The load program, pinned to the load's CPU.
fn client(running: &Running, connections: usize, depth: usize, watch: &[u32]) -> io::Result<Command> {
    let mut command = Command::new(sibling("bench-client")?);
    command.args(["--to", &running.address.to_string(), "--path", &running.path, "--depth", &depth.to_string()]);
    if running.peer.is_echo() {
        command.args(["--echo", &ECHO_BYTES.to_string()]);
    }
    command.args(["--connections", &connections.to_string(), "--post", &running.post.to_string()]);
    if !watch.is_empty() {
        let watch: Vec<String> = watch.iter().map(u32::to_string).collect();
        command.args(["--watch", &watch.join(",")]);
    }
    Ok(command)
}

/// Runs the load program to its end and gives what it measured, with the connections that the proxy held just then.
fn measure_with_upstreams(running: &Running, command: &mut Command) -> io::Result<Sample> {
    let mut held = Held::start(running, command)?;
    let upstreams = Some(Upstreams::of(&running.program.pids, running.address)?);
    let sample = Sample { upstreams, ..held.sample };
    held.release()?;
    Ok(sample)
}

/// Runs the load program to its end and gives what it measured.
fn measure(running: &Running, command: &mut Command) -> io::Result<Sample> {
    let mut held = Held::start(running, command)?;
    let sample = held.sample;
    held.release()?;
    Ok(sample)
}

/// The load program after its one line of figures; it holds its connections until it is released or dropped.
struct Held {
    child: Child,
    sample: Sample,
    who: Peer,
}

impl Held {
    fn start(running: &Running, command: &mut Command) -> io::Result<Held> {
        let who = running.peer;
        let mut child = on_cpu(LOAD_CPU, || command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn())??;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        match serde_json::from_str(&line) {
            Ok(sample) => Ok(Held { child, sample, who }),
            Err(_) => {
                // What went wrong it has said itself, on standard error.
                let _ = child.kill();
                let status = child.wait()?;
                Err(io::Error::other(format!("{who}: the load failed ({status}); {}", running.program.last_words())))
            }
        }
    }

    fn release(&mut self) -> io::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("{}: the load failed ({status})", self.who)))
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
