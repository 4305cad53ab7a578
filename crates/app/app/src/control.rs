//! The control thread: starts the workers, listens to signals, reloads, drains.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use config::{Action, Count, Plan, Route};
use crossbeam::channel::{Receiver, unbounded};
use event_loop::Remote;
use event_loop::signals::{Closer, Signal, Signals};
use net::Bound;

use crate::admin_listener::AdminListener;
use crate::certificates::{Certificates, Use};
use crate::facts::{Gauges, Reloads, sum, unix_now};
use crate::heap::Heap;
use crate::listeners::{self, Binding, Listening, Place};
use crate::log::{self, Log};
use crate::notices;
use crate::orders::{Order, Wakes};
use crate::prepared::{PrepareError, Prepared};
use crate::reload;
use crate::report::{self, Banner};
use crate::upstreams;
use crate::worker::{self, Ended, Spec};

/// Descriptors kept for everything that is no client connection: listeners, open files, logs, the poll itself. The pipes of workers that
/// pass on bodies come on top.
const RESERVED_DESCRIPTORS: u64 = 1300;

/// Of these, what a process has whatever it serves: standard streams, signals, logs, roots.
const PROCESS_DESCRIPTORS: u64 = 16;

/// What each worker has besides its listeners: the poll, what wakes it, what refuses connections, and the two of a file that is being opened.
const WORKER_DESCRIPTORS: u64 = 6;

/// How long a log that is to be reopened waits for the lines of workers that are stuck.
const LINES_PATIENCE: Duration = Duration::from_secs(1);

/// Where the configuration comes from, for a reload.
#[derive(Clone, Debug)]
pub enum Source {
    /// The command line: nothing to read again.
    CommandLine,
    /// This file, with the workers that the command line asked for instead of its own.
    File(PathBuf, Option<Count>),
}

/// What to run.
pub struct Start {
    /// The program's name, for the banner.
    pub program: &'static str,
    /// What to serve.
    pub plan: Plan,
    /// Where that came from.
    pub source: Source,
    /// Lines for the end of the banner.
    pub hints: Vec<String>,
    /// Who is told of the first listener's address, once the banner is out; of a Unix socket there is none.
    pub listening: Option<OnListening>,
}

/// Told of an address that is listened on.
pub type OnListening = Box<dyn FnOnce(SocketAddr)>;

/// Serves until a signal says stop. The exit status: 0 after a clean stop, 2 when it could not begin, 1 when it failed
/// while running.
pub fn run(start: Start) -> ExitCode {
    let (log, _flush) = log::stderr();
    match Control::start(start, log) {
        Ok((control, signals, ended)) => control.run(signals, ended),
        Err(e) => {
            eprintln_ignoring(format_args!("error: {e}"));
            ExitCode::from(2)
        }
    }
}

fn eprintln_ignoring(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    // Standard error may be closed; there is nobody to tell then.
    let _ = writeln!(std::io::stderr(), "{line}");
}

struct Control {
    source: Source,
    snapshot: Arc<ArcSwap<Prepared>>,
    workers: Vec<Remote>,
    bound: Listening,
    certificates: Certificates,
    gauges: Arc<Gauges>,
    admin: Option<AdminListener>,
    log: Log,
}

impl Control {
    fn start(start: Start, log: Log) -> Result<(Control, Wakes, Receiver<Ended>), PrepareError> {
        // First of all, so that no signal finds the default action.
        let signals = Signals::listen().map_err(|e| PrepareError::new(format!("cannot listen to signals: {e}")))?;
        let limit = process::raise_descriptor_limit();
        let limit = limit.map_err(|e| PrepareError::new(format!("cannot read the descriptor limit: {e}")))?;
        let max_connections = max_connections(&start.plan, limit.now, &log);
        let count = worker_count(&start.plan, max_connections, &log);
        let prepared = Arc::new(Prepared::new(start.plan)?);
        prepared.notes().for_each(|note| log.warn(note));
        prepared.access.iter().for_each(|access| access.complain_to(&log));
        let binding = listeners::bind(&prepared, &Listening::new(), count)?;
        let admin = prepared.plan.admin.as_ref().map(|to| listeners::bind_one(to, &binding.bound)).transpose()?;
        Binding::listen(binding.reserved)?;
        let snapshot = Arc::new(ArcSwap::new(Arc::clone(&prepared)));
        let (ended_send, ended) = unbounded();
        let gauges = Arc::new(Gauges {
            program: start.program,
            counters: (0..count).map(|_| Arc::default()).collect(),
            snapshot: Arc::clone(&snapshot),
            expiries: Arc::default(),
            reloads: Reloads::begun(),
            started: unix_now(),
            stopping: AtomicBool::new(false),
        });
        let heap = Heap::new(gauges.counters.clone());
        let (wake, orders) = unbounded();
        let renew = {
            let wake = wake.clone();
            // Nobody to hear it: the process is ending.
            move || drop(wake.send(Order::Renew))
        };
        let mut control = Control {
            source: start.source,
            snapshot,
            workers: Vec::new(),
            bound: binding.bound,
            certificates: Certificates::new(Arc::clone(&gauges.expiries), heap, log.clone(), renew),
            admin: None,
            gauges,
            log,
        };
        let is_live = |route: &Route| matches!(&route.action, Action::Files(files) if files.live);
        let are_pages_live = prepared.plan.routes.iter().any(is_live);
        let notices = notices::open(are_pages_live, &control.log);
        for (number, listeners) in binding.by_worker.into_iter().enumerate() {
            let spec = Spec {
                number,
                workers: count,
                pin: prepared.plan.runtime.pin,
                snapshot: Arc::clone(&control.snapshot),
                listeners,
                max_connections: upstreams::Place { worker: number as u16, workers: count }.part_of(max_connections),
                counters: Arc::clone(&control.gauges.counters[number]),
                notices: notices.clone(),
                log: control.log.clone(),
            };
            let remote = worker::start(spec, ended_send.clone());
            control.workers.push(remote.map_err(|e| PrepareError::new(format!("worker {number}: {e}")))?);
        }
        control.watch_certificates(&prepared);
        if let Some(notices) = notices {
            notices::tell(notices, control.workers.clone(), are_pages_live, control.log.clone());
        }
        control.admin = admin.map(|bound| control.start_admin(bound)).transpose()?;
        let admin = control.admin.as_ref().map(AdminListener::url);
        let banner =
            Banner { program: start.program, plan: &prepared.plan, bound: &control.bound, admin, hints: &start.hints };
        banner.print(count, max_connections);
        if let (Some(tell), Some(address)) = (start.listening, banner.first_address()) {
            tell(address);
        }
        if limit.now > limit.before {
            control.log.info(format_args!("raised the descriptor limit from {} to {}", limit.before, limit.now));
        }
        Ok((control, Wakes::new(signals, wake, orders), ended))
    }

    fn run(mut self, wakes: Wakes, ended: Receiver<Ended>) -> ExitCode {
        let failed = Arc::new(AtomicBool::new(false));
        watch(ended, self.workers.clone(), wakes.closer(), Arc::clone(&failed), self.log.clone());
        let mut stopping = false;
        for order in wakes.orders() {
            let signal = match order {
                Order::Signal(signal) => signal,
                Order::Renew if stopping => continue,
                Order::Renew => {
                    self.renew();
                    continue;
                }
                Order::End => break,
            };
            match signal {
                Signal::Reload if !stopping => self.reload(),
                Signal::Reload => self.log.info("not reloading: this process is stopping"),
                Signal::Reopen => self.reopen_logs(),
                Signal::Stop if stopping => {
                    self.log.warn("a second signal: stopping at once");
                    return ExitCode::FAILURE;
                }
                Signal::Stop => {
                    stopping = true;
                    self.gauges.stopping.store(true, Relaxed);
                    let open = sum(&self.gauges.counters, |counters| &counters.open);
                    let are = if open == 1 { "connection is" } else { "connections are" };
                    self.log.info(format_args!("stopping: {open} {are} open; waiting for what is under way"));
                    self.workers.iter().for_each(worker::order_stop);
                }
            }
        }
        self.log.info(report::totals(&self.gauges.counters));
        self.snapshot.load().access.iter().for_each(|access| access.finish());
        if failed.load(Relaxed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    /// Takes up changed files that TLS is spoken to servers with. All else stays as it is, the configuration's file too.
    fn renew(&mut self) {
        let before = self.snapshot.load_full();
        let switched = before.renewed().and_then(|renewed| match renewed {
            // A reload has read them already.
            None => Ok(()),
            Some(prepared) => self.change_to(Arc::new(prepared), &before, Change::Renewal),
        });
        if let Err(e) = switched {
            self.log.error(format_args!("the TLS files of upstreams have changed, but the old ones go on: {e}"));
            return;
        }
        let now = self.snapshot.load();
        for (upstream, (old, new)) in now.plan.upstreams.iter().zip(before.backs.iter().zip(&now.backs)) {
            if let (Some(old), Some(new)) = (old, new)
                && !old.is_same(new)
            {
                self.log.info(format_args!("took up the changed TLS files of upstream {}", upstream.name));
                new.warnings(unix_now()).iter().for_each(|sentence| self.log.warn(sentence));
            }
        }
    }

    fn reopen_logs(&self) {
        let prepared = self.snapshot.load();
        let Some(access) = &prepared.access else {
            self.log.info("nothing to reopen: there is no access log");
            return;
        };
        // What ended before the signal belongs into the file of that time, which whoever sent it may be about to read.
        drop(reload::answers(self.workers.iter().map(worker::order_hand_over_lines), LINES_PATIENCE));
        match access.reopen() {
            true => self.log.info("reopened the access log"),
            false => self.log.error("the access log is not reopened: what waits to be written does not get on"),
        }
    }

    fn reload(&mut self) {
        let Source::File(path, workers) = self.source.clone() else {
            self.log.info("nothing to reload: this process was configured by its command line");
            return;
        };
        let begun = Instant::now();
        let mut loaded = match config::load(&path) {
            Ok(loaded) => loaded,
            Err(report) => {
                self.gauges.reloads.refused();
                self.log.error(format_args!("not reloaded; the old configuration goes on:\n{report}"));
                return;
            }
        };
        for warning in &loaded.warnings {
            self.log.warn(warning.line());
        }
        if let Some(workers) = workers {
            loaded.plan.runtime.workers = workers;
        }
        match self.switch(loaded.plan) {
            Ok(()) => {
                self.gauges.reloads.done();
                let routes = self.snapshot.load().plan.routes.len();
                let ms = begun.elapsed().as_millis();
                self.log.info(format_args!("reloaded {} in {ms} ms (routes: {routes})", path.display()));
            }
            Err(e) => {
                self.gauges.reloads.refused();
                self.log.error(format_args!("not reloaded; the old configuration goes on: {e}"));
            }
        }
    }

    /// Prepares the new plan whole, on every worker too, then has them all change over. What can fail does so before anything
    /// has changed, and is undone here by dropping it.
    fn switch(&mut self, plan: Plan) -> Result<(), PrepareError> {
        let old = self.snapshot.load_full();
        if plan.runtime != old.plan.runtime {
            self.log.warn("changes in [runtime] take effect at the next start, not in a reload");
        }
        let backlogs = |plan: &Plan| plan.listeners.iter().map(|l| (l.address.clone(), l.backlog)).collect::<Vec<_>>();
        let kept = backlogs(&old.plan);
        if backlogs(&plan).iter().any(|(address, backlog)| kept.iter().any(|(a, b)| a == address && b != backlog)) {
            self.log.warn("a changed backlog takes effect at the next start: a listener that stays is not bound again");
        }
        let prepared = Arc::new(Prepared::after(plan, Some(&old))?);
        prepared.notes().for_each(|note| self.log.warn(note));
        prepared.access.iter().for_each(|access| access.complain_to(&self.log));
        self.change_to(prepared, &old, Change::Reload)
    }

    /// The second half of a change: what is prepared comes to hold in the place of `old`.
    fn change_to(&mut self, prepared: Arc<Prepared>, old: &Prepared, change: Change) -> Result<(), PrepareError> {
        let binding = listeners::bind(&prepared, &self.bound, self.workers.len())?;
        let moves_admin = prepared.plan.admin != old.plan.admin;
        let admin = prepared.plan.admin.as_ref().filter(|_| moves_admin);
        let admin = admin.map(|to| self.start_admin(listeners::bind_one(to, &self.bound)?)).transpose()?;
        reload::prepare(&self.workers, &prepared, binding.by_worker, reload::PATIENCE)?;
        // The last that can fail. Nothing is in the queues of what is given up before.
        Binding::listen(binding.reserved).inspect_err(|_| reload::forget(&self.workers, reload::PATIENCE))?;
        let keep = listeners::keys_of(&prepared.plan);
        self.snapshot.store(Arc::clone(&prepared));
        for (_, gone) in self.bound.extract_if(|key, _| !keep.contains(key)) {
            self.log.info(format_args!("no longer listening on {}", gone.url()));
            // A socket's file goes before its listener: who connects meanwhile is told that nobody is there, and not reset.
            drop(gone);
        }
        for added in binding.bound.values() {
            self.log.info(format_args!("listening on {}", added.url()));
        }
        self.bound.extend(binding.bound);
        if moves_admin {
            match &admin {
                Some(admin) => self.log.info(format_args!("admin: listening on {}", admin.url())),
                None => self.log.info("admin: no longer listening"),
            }
            self.admin = admin;
        }
        // From here on new connections get the new certificates; those that are open keep what they began with.
        match change {
            Change::Reload => self.watch_certificates(&prepared),
            // What listeners speak TLS with is not of `prepared`: the watch may have taken up other files since.
            Change::Renewal => self.certificates.put_upstreams(uses_of_upstreams(&prepared)),
        }
        for number in reload::change_over(&self.workers, reload::PATIENCE) {
            self.log.error(format_args!("worker {number} has not changed over yet; it will when it can"));
        }
        Ok(())
    }

    fn start_admin(&self, bound: (Bound, Place)) -> Result<AdminListener, PrepareError> {
        AdminListener::start(bound, Arc::clone(&self.gauges), self.log.clone())
    }

    /// Has the listeners speak TLS as `prepared` says, and its files looked after from now on.
    fn watch_certificates(&self, prepared: &Prepared) {
        let (mut plain, mut uses) = (Vec::new(), Vec::new());
        for (key, front) in listeners::keys_of(&prepared.plan).into_iter().zip(&prepared.fronts) {
            let Some(place) = self.bound.get(&key) else { continue };
            match front {
                None => plain.push(Arc::clone(&place.tls)),
                Some(front) => {
                    let (slot, front) = (Arc::clone(&place.tls), Arc::clone(front));
                    uses.push(Use::Listener { address: place.address().to_string(), slot, front });
                }
            }
        }
        uses.extend(uses_of_upstreams(prepared));
        self.certificates.put(&plain, uses);
    }
}

/// What has a configuration come to hold.
#[derive(Clone, Copy)]
enum Change {
    /// All of it was read anew.
    Reload,
    /// Only what TLS is spoken to servers with.
    Renewal,
}

fn uses_of_upstreams(prepared: &Prepared) -> impl Iterator<Item = Use> {
    prepared.backs.iter().flatten().map(|back| Use::Upstream(Arc::clone(back)))
}

/// Waits for the workers' ends on a thread of its own; ends the control thread's wait after the last. A worker that ends
/// without having been told to takes the others with it: half a server would be worse than a restart.
fn watch(ended: Receiver<Ended>, workers: Vec<Remote>, closer: Closer, failed: Arc<AtomicBool>, log: Log) {
    let wait = move || {
        for _ in 0..workers.len() {
            let Ok(Ended { number, result }) = ended.recv() else { break };
            match result {
                Ok(0) => {}
                Ok(left) => log.warn(format_args!("worker {number} cut {left} connections that took too long to end")),
                Err(why) => {
                    failed.store(true, Relaxed);
                    log.error(format_args!("worker {number} failed: {why}; stopping the others"));
                    workers.iter().for_each(worker::order_stop);
                }
            }
        }
        closer.close();
    };
    // Without this thread the process ends by its second signal only; as good as unreachable.
    let _ = std::thread::Builder::new().name("watch".into()).spawn(wait);
}

/// The connections a process takes at a time: as configured, but no more than its descriptors allow.
fn max_connections(plan: &Plan, descriptors: u64, log: &Log) -> usize {
    let proxies = plan.routes.iter().any(|r| matches!(r.action, Action::Proxy(_)));
    let workers = plan.runtime.workers.or_else(process::usable_cpus) as u64;
    // A pipe has two ends.
    let pipes = if proxies { 2 * net::PIPES_MAX as u64 * workers } else { 0 };
    // With few descriptors and many workers a quarter is less than what they have from the start: every file would be one too many.
    let needed = PROCESS_DESCRIPTORS + workers * (WORKER_DESCRIPTORS + plan.listeners.len().max(1) as u64);
    let reserved = (RESERVED_DESCRIPTORS + pipes).min(descriptors / 4).max(needed.min(descriptors / 4 * 3));
    let possible = descriptors.saturating_sub(reserved);
    // A proxied connection may need a second descriptor for its server.
    let possible = if proxies { possible / 2 } else { possible }.max(1) as usize;
    let wanted = plan.runtime.max_connections.or_else(|| possible);
    if wanted > possible {
        log.warn(format_args!(
            "max_connections is {wanted}, but the descriptor limit of {descriptors} allows about {possible}; \
             raise it (ulimit -n, LimitNOFILE)"
        ));
    }
    wanted
}

/// The workers to start: as configured, but none that could take no connection.
fn worker_count(plan: &Plan, max_connections: usize, log: &Log) -> usize {
    let wanted = plan.runtime.workers.or_else(process::usable_cpus);
    if wanted > max_connections {
        log.warn(format_args!(
            "{wanted} workers are too many for {max_connections} connections at a time: {max_connections} will serve"
        ));
    }
    wanted.min(max_connections).max(1)
}
