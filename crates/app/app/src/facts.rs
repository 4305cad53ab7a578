//! What the admin listener tells of this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use admin::{Exposition, Facts};
use arc_swap::ArcSwap;
use balance::ServerId;
use config::ServerAddress;
use observe::{Counter, Counters, Expiries, Kind};

use crate::prepared::Prepared;

/// All that can be told, shared with those who change it.
pub(crate) struct Gauges {
    /// Which program it is.
    pub(crate) program: &'static str,
    /// By worker.
    pub(crate) counters: Vec<Arc<Counters>>,
    pub(crate) snapshot: Arc<ArcSwap<Prepared>>,
    pub(crate) expiries: Arc<Expiries>,
    pub(crate) reloads: Reloads,
    /// When the process began, seconds since 1970.
    pub(crate) started: u64,
    /// A signal has said that the process is to end.
    pub(crate) stopping: AtomicBool,
}

/// What became of the orders to reload.
#[derive(Default)]
pub(crate) struct Reloads {
    done: AtomicU64,
    refused: AtomicU64,
    last_was_refused: AtomicBool,
    /// Seconds since 1970 at which the present configuration came to hold.
    since: AtomicU64,
}

impl Reloads {
    /// The configuration of the start holds from now on.
    pub(crate) fn begun() -> Reloads {
        Reloads { since: AtomicU64::new(unix_now()), ..Reloads::default() }
    }

    /// Another configuration holds from now on.
    pub(crate) fn done(&self) {
        self.done.fetch_add(1, Relaxed);
        self.last_was_refused.store(false, Relaxed);
        self.since.store(unix_now(), Relaxed);
    }

    /// There was one, and it was wrong: the old one goes on.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
        self.last_was_refused.store(true, Relaxed);
    }
}

/// Tells what the [`Gauges`] show.
pub(crate) struct ProcessFacts(pub(crate) Arc<Gauges>);

impl Facts for ProcessFacts {
    fn metrics(&self) -> Exposition {
        let mut to = Exposition::new();
        let Gauges { program, counters, snapshot, expiries, reloads, .. } = &*self.0;
        let prepared = snapshot.load();
        let version = env!("CARGO_PKG_VERSION");
        to.gauge("tollgate_build_info", "1; which program it is.", &[("program", *program), ("version", version)], 1.0);
        clients(&mut to, counters);
        upstream_connections(&mut to, counters);
        failures(&mut to, counters);
        servers(&mut to, &prepared);
        certificates(&mut to, expiries);
        configuration(&mut to, reloads, &prepared);
        process(&mut to, self.0.started);
        to
    }

    fn not_ready(&self) -> Option<String> {
        self.0.stopping.load(Relaxed).then(|| "This process is stopping: it serves what is under way.".to_owned())
    }
}

/// What all workers have counted of something.
pub(crate) fn sum(counters: &[Arc<Counters>], of: impl Fn(&Counters) -> &Counter) -> u64 {
    counters.iter().map(|counters| of(counters).value()).sum()
}

/// How often all workers have counted a failure of that kind.
pub(crate) fn failures_of(counters: &[Arc<Counters>], kind: Kind) -> u64 {
    counters.iter().map(|counters| counters.failures(kind)).sum()
}

fn clients(to: &mut Exposition, counters: &[Arc<Counters>]) {
    // By worker: whether clients are shared out evenly is worth a look.
    for (number, counters) in counters.iter().enumerate() {
        let worker = number.to_string();
        let labels: &[(&'static str, &str)] = &[("worker", &worker)];
        let (open, accepted) = (counters.open.value() as f64, counters.accepted.value());
        to.gauge("tollgate_connections_open", "Connections of clients that are open.", labels, open);
        to.counter(
            "tollgate_connections_accepted_total",
            "Connections of clients that were accepted.",
            labels,
            accepted,
        );
        to.counter("tollgate_requests_total", "Requests whose head was read.", labels, counters.requests.value());
    }
    let refused = "Connections that were closed at once: max_connections were open, or no descriptor was left.";
    for (why, value) in [("limit", sum(counters, |c| &c.over_limit)), ("descriptors", sum(counters, |c| &c.shed))] {
        to.counter("tollgate_connections_refused_total", refused, &[("why", why)], value);
    }
    let shaken = sum(counters, |c| &c.handshakes);
    to.counter("tollgate_tls_handshakes_total", "TLS handshakes with clients that came to a connection.", &[], shaken);
    let help = "TLS handshakes with clients that failed, by the reason.";
    for (number, reason) in serve::handshake_failures().enumerate() {
        let failed = counters.iter().map(|counters| counters.handshake_failures(number)).sum();
        to.counter("tollgate_tls_handshake_failures_total", help, &[("reason", reason)], failed);
    }
    let tunnels = sum(counters, |c| &c.tunnels) as f64;
    to.gauge("tollgate_tunnels_open", "Connections that have switched protocols and are open.", &[], tunnels);
    let tunnelled = sum(counters, |c| &c.tunnelled);
    to.counter("tollgate_tunnels_total", "Connections that have switched protocols.", &[], tunnelled);
}

fn upstream_connections(to: &mut Exposition, counters: &[Arc<Counters>]) {
    let connects = sum(counters, |c| &c.connects);
    let (reused, moved) = (sum(counters, |c| &c.reused), sum(counters, |c| &c.handed_over));
    let help = "Requests to servers by the connection that they took: a new one, one that the worker had open, or one \
                that another worker had open. What is not new is reused.";
    for (from, value) in [("new", connects), ("own", reused.saturating_sub(moved)), ("other_worker", moved)] {
        to.counter("tollgate_upstream_connections_total", help, &[("from", from)], value);
    }
    let retries = sum(counters, |c| &c.retries);
    to.counter("tollgate_upstream_retries_total", "Requests that were sent to a server again.", &[], retries);
    let ejections = sum(counters, |c| &c.ejections);
    let help = "Times that a worker ejected a server for its failures.";
    to.counter("tollgate_upstream_ejections_total", help, &[], ejections);
}

fn failures(to: &mut Exposition, counters: &[Arc<Counters>]) {
    let help = "Failures by their verdict; docs/verdicts.md explains each code.";
    for kind in Kind::ALL {
        let labels = [("code", kind.code()), ("side", kind.side().name()), ("phase", kind.phase().name())];
        to.counter("tollgate_failures_total", help, &labels, failures_of(counters, kind));
    }
}

fn servers(to: &mut Exposition, prepared: &Prepared) {
    let help = "1 while the checks of a server are good or it was not checked yet, 0 while they are bad.";
    for (upstream, health) in prepared.plan.upstreams.iter().zip(&prepared.healths) {
        let Some(health) = health else { continue };
        for (number, server) in (0..).zip(&upstream.servers) {
            let address = ServerAddress { address: server.address.clone(), tls: server.tls }.to_string();
            let up = if health.is_up(ServerId(number)) { 1.0 } else { 0.0 };
            to.gauge("tollgate_upstream_server_up", help, &[("upstream", &upstream.name), ("server", &address)], up);
        }
    }
}

fn certificates(to: &mut Exposition, expiries: &Expiries) {
    let help = "Until when a certificate of a listener is good, seconds since 1970.";
    for expiry in expiries.list() {
        let labels = [("name", &*expiry.name), ("serial", &expiry.serial)];
        to.gauge("tollgate_certificate_not_after_seconds", help, &labels, expiry.not_after as f64);
        if let Some(until) = expiry.ocsp_until {
            let help = "Until when the OCSP response of a certificate is good and stapled, seconds since 1970.";
            to.gauge("tollgate_ocsp_response_until_seconds", help, &labels, until as f64);
        }
    }
}

fn configuration(to: &mut Exposition, reloads: &Reloads, prepared: &Prepared) {
    let help = "Orders to reload, by whether another configuration came to hold.";
    for (result, counter) in [("done", &reloads.done), ("refused", &reloads.refused)] {
        to.counter("tollgate_reloads_total", help, &[("result", result)], counter.load(Relaxed));
    }
    let good = if reloads.last_was_refused.load(Relaxed) { 0.0 } else { 1.0 };
    to.gauge("tollgate_last_reload_successful", "0 when the last order to reload was refused.", &[], good);
    let since = reloads.since.load(Relaxed) as f64;
    to.gauge(
        "tollgate_configuration_since_seconds",
        "Since when the configuration holds, seconds since 1970.",
        &[],
        since,
    );
    let routes = prepared.plan.routes.len() as f64;
    to.gauge("tollgate_routes", "Routes of the configuration.", &[], routes);
    if let Some(access) = &prepared.access {
        let dropped = access.lost();
        to.counter("tollgate_access_log_lines_dropped_total", "Lines that the disk was too slow for.", &[], dropped);
    }
}

/// Under the names that every Prometheus client has.
fn process(to: &mut Exposition, started: u64) {
    to.gauge("process_start_time_seconds", "When the process began, seconds since 1970.", &[], started as f64);
    to.gauge("process_cpu_seconds_total", "User and system CPU time.", &[], process::cpu_time().as_secs_f64());
    if let Ok(resident) = process::resident() {
        to.gauge("process_resident_memory_bytes", "Resident memory.", &[], resident as f64);
    }
    if let Ok(open) = process::open_descriptors() {
        to.gauge("process_open_fds", "Open descriptors.", &[], open as f64);
    }
    to.gauge("process_max_fds", "The most descriptors it may have.", &[], process::most_descriptors() as f64);
}

/// Seconds since 1970, by the clock on the wall.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
