//! The programs against real clients and real servers, over real sockets.

mod access_log;
mod admin;
mod answers_that_break;
mod balancing;
mod buffered;
mod connections_that_fail;
mod demonstration;
mod dropped_packets;
mod error_pages;
mod faults;
mod files;
mod files_by_name;
mod files_coded;
mod files_crawled;
mod files_dev;
mod files_in_parts;
mod files_like_nginx;
mod files_listed;
mod files_served_as_told;
mod files_under_way;
mod files_video;
mod forwarding;
mod guide;
mod hand_over;
mod health;
mod interim;
mod large_bodies;
mod life;
mod probes;
mod proxy_protocol;
mod proxy_protocol_peers;
mod reloads;
mod reloads_that_fail;
mod resilience;
mod retries;
mod routes;
mod sticky;
mod streams;
mod tls;
mod tls_bodies;
mod tls_browser;
mod tls_hostile;
mod tls_reloads;
mod tls_told;
mod tls_upstreams;
mod trusted;
mod tunnels;
mod upstream_keys;
mod upstreams;
mod verdicts;
mod verdicts_of_clients;
mod websockets;

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
};

use tests::{Client, Tollgate};

/// A proxy in front of these servers, with more lines for the upstream.
pub(crate) fn proxy_with(origins: &[SocketAddr], upstream: &str) -> Tollgate {
    let servers: Vec<String> = origins.iter().map(|o| format!("\"{o}\"")).collect();
    Tollgate::config(&format!(
        "[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"api\" }}\n\n[upstream.api]\nservers = [{}]\n{upstream}\n",
        servers.join(", ")
    ))
}

/// Waits on an origin that a test can sit out.
pub(crate) const SHORT: &str = "timeouts = { connect = \"300ms\", header = \"300ms\", body = \"300ms\" }";

/// Keeps `clients` busy with GETs while `work` runs; each must be answered with 200 and whole. `work` is given how to wait until so
/// many more are served (or a client has failed), and told how many were.
pub(crate) fn under_load(proxy: &Tollgate, clients: usize, work: impl FnOnce(&dyn Fn(usize) -> usize)) {
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let serve = || {
            let mut client = Client::connect(proxy.address());
            while !stop.load(SeqCst) {
                let reply = client.get("/");
                assert_eq!((reply.status, reply.complete), (200, true), "{}", reply.text());
                served.fetch_add(1, SeqCst);
            }
        };
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(serve)).collect();
        work(&|more| {
            let from = served.load(SeqCst);
            let enough = |now: &usize| *now > from + more || clients.iter().any(|c| c.is_finished());
            tests::eventually("more requests", || served.load(SeqCst), enough) - from
        });
        stop.store(true, SeqCst);
    });
}
