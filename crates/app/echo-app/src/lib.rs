//! The `echo` program around its service: workers, signals, statistics, totals.
//!
//! [`run`] binds, starts the workers, and listens to signals: SIGTERM and SIGINT end all connections in order and print the
//! totals, a second one ends the process at once. A reporter thread is the only one that writes while it runs, so that no worker waits
//! for a terminal or a pipe.

mod figures;
mod report;
mod view;
mod worker;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, unbounded};
use echo_service::Tally;
use event_loop::Remote;
use event_loop::signals::{Closer, Signal, Signals};
use net::Address;

use crate::report::Reporter;
use crate::view::View;
use crate::worker::{Ended, Spec};

/// How long clients have, once we stop, to take what was sent to them.
const FLUSH_PATIENCE: Duration = Duration::from_secs(5);

/// The queue of connections not yet accepted, per worker. The system caps it (net.core.somaxconn).
const BACKLOG: u32 = 4096;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen.
    pub listen: Address,
    /// Worker threads; 0: one per usable CPU.
    pub workers: usize,
    /// Events taken from one poll.
    pub max_events: usize,
    /// Whether to say every second what goes on.
    pub stats: bool,
    /// How long a connection may wait without a byte moving.
    pub idle: Duration,
}

/// Echoes until a signal says stop. The exit status: 0 after a clean stop, 2 when it could not begin, 1 when it failed while
/// running or was stopped by a second signal.
pub fn run(options: &Options) -> ExitCode {
    match Running::start(options) {
        Ok(running) => running.until_stopped(),
        Err(sentence) => {
            // Standard error may be closed; the exit status still tells.
            let _ = writeln!(std::io::stderr(), "error: {sentence}");
            ExitCode::from(2)
        }
    }
}

struct Running {
    signals: Signals,
    reporter: Reporter,
    workers: Vec<Remote>,
    threads: Vec<JoinHandle<()>>,
    tallies: Vec<Arc<Tally>>,
    ended: Receiver<Ended>,
    address: Address,
    began: Instant,
}

impl Running {
    fn start(options: &Options) -> Result<Running, String> {
        // First of all, so that no signal finds the default action.
        let signals = Signals::listen().map_err(|e| format!("cannot listen to signals: {e}"))?;
        let limit = process::raise_descriptor_limit().map_err(|e| format!("cannot read the descriptor limit: {e}"))?;
        let count = if options.workers == 0 { process::usable_cpus() } else { options.workers };
        let listeners = net::bind(&options.listen, count, BACKLOG).map_err(|e| refused(&options.listen, &e))?;
        let address = listeners.first().map_or_else(|| options.listen.clone(), |one| one.address().clone());
        let tallies: Vec<Arc<Tally>> = (0..count).map(|_| Arc::default()).collect();
        let live = options.stats && std::io::stdout().is_terminal();
        let view = options.stats.then(|| View::new(tallies.clone(), live));
        let reporter = Reporter::start(view).map_err(|e| format!("cannot start the reporter thread: {e}"))?;
        let (ended_send, ended) = unbounded();
        let (mut workers, mut threads) = (Vec::new(), Vec::new());
        for (number, (listener, tally)) in listeners.into_iter().zip(&tallies).enumerate() {
            let spec = Spec {
                number,
                listener,
                tally: Arc::clone(tally),
                max_events: options.max_events,
                idle: options.idle,
                measure: options.stats,
                log: reporter.log(),
            };
            let started = worker::start(spec, ended_send.clone());
            let (remote, thread) = started.map_err(|e| format!("worker {number}: {e}"))?;
            workers.push(remote);
            threads.push(thread);
        }
        // Before the first line of statistics, a second from now.
        banner(options, &address, count, limit.now);
        if limit.now > limit.before {
            reporter.log().info(format_args!("raised the descriptor limit from {} to {}", limit.before, limit.now));
        }
        Ok(Running { signals, reporter, workers, threads, tallies, ended, address, began: Instant::now() })
    }

    fn until_stopped(mut self) -> ExitCode {
        let failed = Arc::new(AtomicBool::new(false));
        let log = self.reporter.log();
        let closer = self.signals.closer();
        match watch(self.ended, self.workers.clone(), closer, Arc::clone(&failed), self.reporter.log()) {
            Ok(thread) => self.threads.push(thread),
            // As good as unreachable; the process ends by its second signal then.
            Err(e) => log.error(format_args!("cannot start the watching thread: {e}")),
        }
        let mut stopping = false;
        while let Some(signal) = self.signals.wait() {
            match signal {
                Signal::Reload => log.info("nothing to reload: this process was configured by its command line"),
                Signal::Reopen => log.info("nothing to reopen: this process has no log of its own"),
                Signal::Stop if stopping => {
                    log.warn("a second signal: stopping at once");
                    self.reporter.finish();
                    return ExitCode::FAILURE;
                }
                Signal::Stop => {
                    stopping = true;
                    let open: u64 = self.tallies.iter().map(|t| t.open.value()).sum();
                    let patience = FLUSH_PATIENCE.as_secs();
                    log.info(format_args!(
                        "stopping: {open} connections are open; waiting up to {patience} s for those that have bytes to take"
                    ));
                    self.workers.iter().for_each(|worker| worker::order_stop(worker, FLUSH_PATIENCE));
                }
            }
        }
        // All of them have ended, or are about to return.
        self.threads.into_iter().for_each(|thread| drop(thread.join()));
        self.reporter.finish();
        let totals = figures::totals(&self.tallies, self.began.elapsed());
        // Whoever closed standard output does not want to hear.
        let _ = std::io::stdout().write_all(totals.as_bytes());
        if let Address::Unix(path) = &self.address {
            let _ = std::fs::remove_file(path);
        }
        if failed.load(Relaxed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// Waits for the workers' ends on a thread of its own; ends the control thread's wait after the last. A worker that fails
/// takes the others with it: half a server would be worse than a restart.
fn watch(
    ended: Receiver<Ended>,
    workers: Vec<Remote>,
    closer: Closer,
    failed: Arc<AtomicBool>,
    log: report::Log,
) -> io::Result<JoinHandle<()>> {
    let wait = move || {
        for _ in 0..workers.len() {
            let Ok(Ended { number, result }) = ended.recv() else { break };
            if let Err(why) = result {
                failed.store(true, Relaxed);
                log.error(format_args!("worker {number} failed: {why}; stopping the others"));
                workers.iter().for_each(|worker| worker::order_stop(worker, FLUSH_PATIENCE));
            }
        }
        closer.close();
    };
    std::thread::Builder::new().name("watch".into()).spawn(wait)
}

/// Prints to standard output what was set up. `listening on ...` comes last: who starts this program can wait for it, since the
/// socket is bound by then.
fn banner(options: &Options, address: &Address, workers: usize, descriptors: u64) {
    let port = match address {
        Address::Tcp(addr) => format!("port {}, ", addr.port()),
        _ => String::new(),
    };
    let plural = if workers == 1 { "" } else { "s" };
    let text = format!(
        "tollgate echo {}\n  {port}edge-triggered, at most {} events per wait\n  {workers} worker{plural}, at most {descriptors} \
         descriptors, idle connections close after {}\n  listening on {address}\n",
        env!("CARGO_PKG_VERSION"),
        options.max_events,
        figures::duration(options.idle),
    );
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

fn refused(address: &Address, error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    let why = match error.kind() {
        ErrorKind::AddrInUse => "another program listens there already; stop it, or choose another address".to_owned(),
        ErrorKind::PermissionDenied => {
            "this user may not; ports below 1024 and system folders need more rights".to_owned()
        }
        ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        ErrorKind::NotFound => "the folder of the socket does not exist".to_owned(),
        _ => error.to_string(),
    };
    format!("cannot listen on {address}: {why}")
}
