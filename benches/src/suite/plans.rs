//! What the benches of a closed loop serve, to how many, and what they hold it against.

use super::load::{Plan, Unit};
use crate::peers::Peer;

/// Everybody who serves a small file, the yardstick first.
const SMALL: &[Peer] =
    &[Peer::BareEpoll, Peer::Server, Peer::Nginx, Peer::NginxRead, Peer::Lighttpd, Peer::H2o, Peer::Caddy];

/// Beside the bare loop, and below every peer.
const SMALL_GOALS: &[(Peer, Peer, f64, bool)] = &[
    (Peer::Server, Peer::BareEpoll, 1.2, true),
    (Peer::Server, Peer::Nginx, 1.0, true),
    (Peer::Server, Peer::NginxRead, 1.0, true),
    (Peer::Server, Peer::Lighttpd, 1.0, true),
    (Peer::Server, Peer::H2o, 1.0, true),
    (Peer::Server, Peer::Caddy, 1.0, true),
    (Peer::Server, Peer::Nginx, 0.63, false),
];

pub(super) const STATIC_1K: Plan = Plan {
    bench: "static-1k",
    peers: SMALL,
    bytes: 1024,
    post: 0,
    cases: &[(64, 1)],
    unit: Unit::Request,
    goals: SMALL_GOALS,
    spins: true,
    counts_upstreams: false,
};

pub(super) const STATIC_1K_MANY: Plan = Plan { bench: "static-1k-many", cases: &[(10_000, 1)], ..STATIC_1K };

/// The same with a load that sleeps while it has nothing to do, and has to be woken.
pub(super) const STATIC_1K_WOKEN: Plan = Plan { bench: "static-1k-woken", spins: false, ..STATIC_1K };

pub(super) const STATIC_PIPELINED: Plan = Plan {
    bench: "static-pipelined",
    peers: &[Peer::Nginx, Peer::Server, Peer::NginxRead],
    bytes: 1024,
    post: 0,
    cases: &[(64, 16)],
    unit: Unit::Request,
    goals: &[(Peer::Server, Peer::Nginx, 0.2, true), (Peer::Server, Peer::NginxRead, 0.2, true)],
    spins: true,
    counts_upstreams: false,
};

pub(super) const STATIC_100K: Plan = Plan {
    bench: "static-100k",
    peers: &[Peer::BareSendfile, Peer::Server, Peer::Nginx, Peer::Lighttpd, Peer::H2o, Peer::Caddy],
    bytes: 100 * 1024,
    post: 0,
    cases: &[(64, 1)],
    unit: Unit::Request,
    goals: &[(Peer::Server, Peer::Nginx, 1.0, true)],
    spins: true,
    counts_upstreams: false,
};

pub(super) const STATIC_BULK: Plan = Plan {
    bench: "static-bulk",
    peers: &[Peer::BareSendfile, Peer::Server, Peer::ServerAny, Peer::Nginx, Peer::Lighttpd, Peer::H2o, Peer::Caddy],
    bytes: 100 << 20,
    post: 0,
    cases: &[(1, 1), (8, 1)],
    unit: Unit::Gigabyte,
    goals: &[
        (Peer::Server, Peer::Lighttpd, 1.0, true),
        (Peer::ServerAny, Peer::Lighttpd, 1.0, false),
        (Peer::Server, Peer::Nginx, 1.0, false),
        (Peer::Server, Peer::H2o, 1.0, false),
    ],
    spins: false,
    counts_upstreams: false,
};

pub(super) const PROXIED_SERVERS: Plan = Plan {
    bench: "proxied-servers",
    peers: &[
        Peer::Proxy10,
        Peer::Proxy1000,
        Peer::BareRelay10,
        Peer::BareRelay1000,
        Peer::NginxProxy10,
        Peer::NginxProxy1000,
        Peer::Haproxy10,
        Peer::Haproxy1000,
    ],
    bytes: 1024,
    post: 0,
    cases: &[(64, 1)],
    unit: Unit::Request,
    goals: &[
        (Peer::Proxy1000, Peer::Proxy10, 1.05, false),
        // What is the kernel's share of it, and what others come to.
        (Peer::BareRelay1000, Peer::BareRelay10, 1.05, false),
        (Peer::NginxProxy1000, Peer::NginxProxy10, 1.05, false),
        (Peer::Haproxy1000, Peer::Haproxy10, 1.05, false),
    ],
    spins: false,
    counts_upstreams: false,
};

/// With 64 clients ten servers are reached over some 64 sockets and a thousand over a thousand, which are cold. Here both are reached over a
/// thousand, all of them busy, so that each waits as long for its next use and only the number of servers differs.
pub(super) const PROXIED_SERVERS_MANY: Plan = Plan {
    bench: "proxied-servers-many",
    peers: &[
        Peer::Proxy10x100,
        Peer::Proxy1000x1,
        Peer::BareRelay10x100,
        Peer::BareRelay1000x1,
        Peer::Haproxy10x100,
        Peer::Haproxy1000x1,
    ],
    cases: &[(2_000, 1)],
    goals: &[
        (Peer::Proxy1000x1, Peer::Proxy10x100, 1.05, false),
        (Peer::BareRelay1000x1, Peer::BareRelay10x100, 1.05, false),
        (Peer::Haproxy1000x1, Peer::Haproxy10x100, 1.05, false),
    ],
    spins: false,
    counts_upstreams: true,
    ..PROXIED_SERVERS
};

pub(super) const PROXIED_1K: Plan = Plan {
    bench: "proxied-1k",
    peers: &[Peer::BareRelay, Peer::Proxy, Peer::NginxProxy, Peer::Haproxy, Peer::Pingora, Peer::Sozu],
    bytes: 1024,
    post: 0,
    cases: &[(64, 1)],
    unit: Unit::Request,
    goals: &[
        (Peer::Proxy, Peer::BareRelay, 1.25, true),
        (Peer::Proxy, Peer::NginxProxy, 0.75, false),
        (Peer::Proxy, Peer::Haproxy, 0.75, false),
    ],
    spins: false,
    counts_upstreams: false,
};

pub(super) const PROXIED_1K_MANY: Plan = Plan {
    bench: "proxied-1k-many",
    peers: &[Peer::BareRelay512, Peer::Proxy512, Peer::NginxProxy512, Peer::Haproxy512],
    cases: &[(9_000, 1)],
    goals: &[
        (Peer::Proxy512, Peer::BareRelay512, 1.25, false),
        (Peer::Proxy512, Peer::NginxProxy512, 0.75, false),
        (Peer::Proxy512, Peer::Haproxy512, 0.75, false),
    ],
    ..PROXIED_1K
};

pub(super) const PROXIED_POST_64K: Plan = Plan {
    bench: "proxied-post-64k",
    peers: LARGE,
    post: 64 << 10,
    goals: &[
        (Peer::Proxy, Peer::NginxProxy, 0.7, false),
        (Peer::Proxy, Peer::Haproxy, 1.0, false),
        (Peer::Proxy, Peer::BareCopy, 1.25, false),
        (Peer::Proxy, Peer::BareSplice, 1.25, false),
    ],
    ..PROXIED_1K
};

pub(super) const PROXIED_BULK: Plan = Plan {
    bench: "proxied-bulk",
    peers: LARGE,
    bytes: 1 << 20,
    unit: Unit::Gigabyte,
    goals: &[
        (Peer::Proxy, Peer::NginxProxy, 1.0, false),
        (Peer::Proxy, Peer::Haproxy, 1.0, false),
        (Peer::Proxy, Peer::BareCopy, 1.0, false),
        (Peer::Proxy, Peer::BareSplice, 1.25, false),
    ],
    ..PROXIED_1K
};

/// Who passes on large messages, the yardsticks first.
const LARGE: &[Peer] = &[Peer::BareCopy, Peer::BareSplice, Peer::Proxy, Peer::NginxProxy, Peer::Haproxy];
