//! The servers and proxies that the benches compare, each set up as its experts would for the task.

use std::fmt;

use clap::ValueEnum;

mod configuration;
mod stage;

pub use configuration::nginx_of_many;
pub use stage::{FILE, Running, Served, Stage, Wrap};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Peer {
    /// Our static file server.
    Server,
    /// Our reverse proxy.
    Proxy,
    /// The same in front of ten servers.
    #[value(name = "proxy-10")]
    Proxy10,
    /// The same in front of a thousand.
    #[value(name = "proxy-1000")]
    Proxy1000,
    /// The yardstick of a server: no parsing.
    BareEpoll,
    /// The yardstick of a proxy: no parsing.
    BareRelay,
    /// The same in front of ten servers.
    #[value(name = "bare-relay-10")]
    BareRelay10,
    /// The same in front of a thousand.
    #[value(name = "bare-relay-1000")]
    BareRelay1000,
    /// nginx in front of ten servers.
    #[value(name = "nginx-proxy-10")]
    NginxProxy10,
    /// The same in front of a thousand.
    #[value(name = "nginx-proxy-1000")]
    NginxProxy1000,
    /// HAProxy in front of ten servers.
    #[value(name = "haproxy-10")]
    Haproxy10,
    /// The same in front of a thousand.
    #[value(name = "haproxy-1000")]
    Haproxy1000,
    /// Our reverse proxy with at most 512 requests under way to its server.
    #[value(name = "proxy-512")]
    Proxy512,
    /// The yardstick of a proxy with as many connections.
    #[value(name = "bare-relay-512")]
    BareRelay512,
    /// nginx that keeps as many connections.
    #[value(name = "nginx-proxy-512")]
    NginxProxy512,
    /// HAProxy with as many connections.
    #[value(name = "haproxy-512")]
    Haproxy512,
    /// Our reverse proxy in front of ten servers with a hundred connections to each, all of them busy.
    #[value(name = "proxy-10x100")]
    Proxy10x100,
    /// The same in front of a thousand with one to each.
    #[value(name = "proxy-1000x1")]
    Proxy1000x1,
    /// The yardstick of a proxy with as many connections.
    #[value(name = "bare-relay-10x100")]
    BareRelay10x100,
    /// The same in front of a thousand.
    #[value(name = "bare-relay-1000x1")]
    BareRelay1000x1,
    /// HAProxy in front of ten servers with a hundred connections to each.
    #[value(name = "haproxy-10x100")]
    Haproxy10x100,
    /// The same in front of a thousand with one to each.
    #[value(name = "haproxy-1000x1")]
    Haproxy1000x1,
    /// The yardstick of a proxy of large messages: copies bytes.
    BareCopy,
    /// The same through a pipe.
    BareSplice,
    /// A bare loop that writes a file from memory.
    BareWrite,
    /// A bare loop that reads a file and writes it.
    BareRead,
    /// A bare loop that sends a file by sendfile.
    BareSendfile,
    /// Our echo server: the event loop alone.
    Echo,
    /// The yardstick of the event loop: the same system calls, no executor.
    BareEcho,
    /// nginx serving a file, with its open-file cache and sendfile.
    Nginx,
    /// nginx serving a file, with its open-file cache and without sendfile.
    NginxRead,
    /// nginx proxying, with a keep-alive pool.
    NginxProxy,
    /// nginx compressing a file with gzip at its quickest level.
    NginxGzip,
    /// HAProxy proxying, one thread, connections shared among clients.
    Haproxy,
    /// Pingora proxying, one thread (benches/pingora).
    Pingora,
    /// Sozu proxying, one worker.
    Sozu,
    /// Our static file server over TLS.
    ServerTls,
    /// nginx serving a file over TLS, with OpenSSL.
    NginxTls,
    /// HAProxy answering with a file's content over TLS, with OpenSSL.
    HaproxyTls,
    /// Our static file server on all addresses, so that its connections are paced where the system paces.
    ServerAny,
    /// lighttpd serving a file.
    Lighttpd,
    /// h2o serving a file.
    H2o,
    /// Caddy serving a file.
    Caddy,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Peer::Server => "server",
            Peer::Proxy => "proxy",
            Peer::Proxy10 => "proxy-10",
            Peer::Proxy1000 => "proxy-1000",
            Peer::BareEpoll => "bare-epoll",
            Peer::BareRelay => "bare-relay",
            Peer::BareRelay10 => "bare-relay-10",
            Peer::BareRelay1000 => "bare-relay-1000",
            Peer::NginxProxy10 => "nginx-proxy-10",
            Peer::NginxProxy1000 => "nginx-proxy-1000",
            Peer::Haproxy10 => "haproxy-10",
            Peer::Haproxy1000 => "haproxy-1000",
            Peer::Proxy512 => "proxy-512",
            Peer::BareRelay512 => "bare-relay-512",
            Peer::NginxProxy512 => "nginx-proxy-512",
            Peer::Haproxy512 => "haproxy-512",
            Peer::Proxy10x100 => "proxy-10x100",
            Peer::Proxy1000x1 => "proxy-1000x1",
            Peer::BareRelay10x100 => "bare-relay-10x100",
            Peer::BareRelay1000x1 => "bare-relay-1000x1",
            Peer::Haproxy10x100 => "haproxy-10x100",
            Peer::Haproxy1000x1 => "haproxy-1000x1",
            Peer::BareCopy => "bare-copy",
            Peer::BareSplice => "bare-splice",
            Peer::BareWrite => "bare-write",
            Peer::BareRead => "bare-read",
            Peer::BareSendfile => "bare-sendfile",
            Peer::Echo => "echo",
            Peer::BareEcho => "bare-echo",
            Peer::Nginx => "nginx",
            Peer::NginxRead => "nginx-read",
            Peer::NginxProxy => "nginx-proxy",
            Peer::NginxGzip => "nginx-gzip",
            Peer::Haproxy => "haproxy",
            Peer::Pingora => "pingora",
            Peer::Sozu => "sozu",
            Peer::ServerTls => "server-tls",
            Peer::NginxTls => "nginx-tls",
            Peer::HaproxyTls => "haproxy-tls",
            Peer::ServerAny => "server-any",
            Peer::Lighttpd => "lighttpd",
            Peer::H2o => "h2o",
            Peer::Caddy => "caddy",
        })
    }
}

impl Peer {
    /// It passes requests on to the origin.
    pub fn is_proxy(self) -> bool {
        matches!(self, Peer::Proxy | Peer::BareRelay | Peer::NginxProxy | Peer::Haproxy)
            || matches!(self, Peer::BareCopy | Peer::BareSplice | Peer::Pingora | Peer::Sozu)
            || self.servers().is_some()
            || self.most().is_some()
    }

    /// The most connections to the origin, where that matters.
    pub(crate) fn most(self) -> Option<usize> {
        match self {
            Peer::Proxy512 | Peer::BareRelay512 | Peer::NginxProxy512 | Peer::Haproxy512 => Some(512),
            Peer::Proxy10x100 | Peer::BareRelay10x100 | Peer::Haproxy10x100 => Some(1_000),
            Peer::Proxy1000x1 | Peer::BareRelay1000x1 | Peer::Haproxy1000x1 => Some(1_000),
            _ => None,
        }
    }

    /// How many addresses of the origin it is in front of, where that matters.
    pub(crate) fn servers(self) -> Option<u32> {
        match self {
            Peer::Proxy10 | Peer::BareRelay10 | Peer::NginxProxy10 | Peer::Haproxy10 => Some(10),
            Peer::Proxy10x100 | Peer::BareRelay10x100 | Peer::Haproxy10x100 => Some(10),
            Peer::Proxy1000x1 | Peer::BareRelay1000x1 | Peer::Haproxy1000x1 => Some(1_000),
            Peer::Proxy1000 | Peer::BareRelay1000 | Peer::NginxProxy1000 | Peer::Haproxy1000 => Some(1_000),
            _ => None,
        }
    }

    /// It is ours, the thing under test.
    pub fn is_ours(self) -> bool {
        matches!(self, Peer::Server | Peer::Proxy | Peer::Proxy10 | Peer::Proxy1000 | Peer::Proxy512)
            || matches!(self, Peer::Proxy10x100 | Peer::Proxy1000x1 | Peer::Echo | Peer::ServerTls | Peer::ServerAny)
    }

    /// It speaks TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Peer::ServerTls | Peer::NginxTls | Peer::HaproxyTls)
    }

    /// It speaks no HTTP, and gives back what it is sent.
    pub fn is_echo(self) -> bool {
        matches!(self, Peer::Echo | Peer::BareEcho)
    }

    /// The program of somebody else that it needs.
    fn needs(self) -> Option<&'static str> {
        match self {
            Peer::Nginx | Peer::NginxRead | Peer::NginxProxy | Peer::NginxGzip | Peer::NginxTls => Some("nginx"),
            Peer::NginxProxy10 | Peer::NginxProxy1000 | Peer::NginxProxy512 => Some("nginx"),
            Peer::Haproxy | Peer::Haproxy10 | Peer::Haproxy1000 | Peer::Haproxy512 => Some("haproxy"),
            Peer::Haproxy10x100 | Peer::Haproxy1000x1 | Peer::HaproxyTls => Some("haproxy"),
            Peer::Pingora => Some("pingora-peer"),
            Peer::Sozu => Some("sozu"),
            Peer::Lighttpd => Some("lighttpd"),
            Peer::H2o => Some("h2o"),
            Peer::Caddy => Some("caddy"),
            _ => None,
        }
    }

    /// Whether what it needs is installed.
    pub fn is_installed(self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        self.needs().is_none_or(|program| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
    }

    /// What to do where it is not.
    pub fn how_to_install(self) -> &'static str {
        match self {
            Peer::Pingora => "cargo install --path benches/pingora; it needs cmake",
            Peer::Sozu => "cargo install sozu --locked; it needs protoc",
            _ => "cargo xtask setup installs it",
        }
    }

    /// A part of a sentence: how it is set up.
    pub fn set_up(self) -> &'static str {
        match self {
            Peer::Server => "`server DIR --workers 1`, nothing else",
            Peer::Proxy => "`proxy --to ORIGIN --workers 1`, nothing else",
            Peer::Proxy10 => "the same in front of ten addresses of the origin, round robin",
            Peer::Proxy1000 => "the same in front of a thousand addresses of the origin",
            Peer::BareEpoll => "epoll, one read and one write of fixed bytes per request, no parsing",
            Peer::BareRelay10 | Peer::NginxProxy10 | Peer::Haproxy10 => {
                "in front of ten addresses of the origin, round robin"
            }
            Peer::BareRelay1000 | Peer::NginxProxy1000 | Peer::Haproxy1000 => {
                "in front of a thousand addresses of the origin, round robin"
            }
            Peer::BareRelay => "epoll, two reads and two writes per request, no parsing",
            Peer::Proxy512 => {
                "`max_connections = 512` for the server, a queue with room for all others, 512 idle connections kept"
            }
            Peer::BareRelay512 => "as bare-relay; what comes while 512 connections are busy waits unread",
            Peer::NginxProxy512 => {
                "one worker, `keepalive 512`; its free version has no queue, so that a limit (`max_conns`) would answer 502"
            }
            Peer::Haproxy512 => "one thread, `maxconn 512 pool-max-conn 512` for the server, http-reuse always, no log",
            Peer::Proxy10x100 => {
                "`max_connections = 100` for each of ten servers, a queue with room for all others, so that all connections are busy and each is used \
                 as long after its last use as any"
            }
            Peer::Proxy1000x1 => "the same with `max_connections = 1` for each of a thousand servers",
            Peer::BareRelay10x100 | Peer::BareRelay1000x1 => {
                "as bare-relay; who comes while all connections are busy waits unread for the next that is not"
            }
            Peer::Haproxy10x100 => {
                "one thread, `maxconn 100 pool-max-conn 100` for each server, http-reuse always, no log"
            }
            Peer::Haproxy1000x1 => "the same with 1",
            Peer::BareCopy => {
                "epoll, a connection to the origin for each client's, reads of up to 64 KiB written as they come, no parsing"
            }
            Peer::BareSplice => "the same, from socket to socket through a pipe (`splice`)",
            Peer::Echo => "`echo --workers 1`, nothing else",
            Peer::BareEcho => {
                "epoll with the same registrations, one recv and one send per echo, partial writes kept; no executor, no timers"
            }
            Peer::BareWrite => "epoll, one read and one vectored write of a head and a file held in memory, no parsing",
            Peer::BareRead => "the same, the file read by pread for each answer",
            Peer::BareSendfile => "the same, the head by send with MSG_MORE and the file by sendfile",
            Peer::Nginx => "one worker, open_file_cache, sendfile, tcp_nopush, no access log, endless keep-alive",
            Peer::NginxRead => "the same without sendfile, which takes fewer system calls for a small file",
            Peer::NginxProxy => "one worker, upstream keepalive 128, X-Forwarded-For and -Proto, no access log",
            Peer::NginxGzip => "nginx with `gzip on; gzip_comp_level 1` for JSON and what it costs least otherwise",
            Peer::Haproxy => "one thread, http-reuse always, X-Forwarded-For and -Proto, no log",
            Peer::ServerTls => "`server DIR --tls-cert F --tls-key F --workers 1`, nothing else",
            Peer::NginxTls => {
                "as nginx, with TLS 1.3, session tickets and no session cache (one worker needs none), records of 16 KiB"
            }
            Peer::HaproxyTls => "one thread, TLS 1.3, answers by `http-request return` with the file in memory, no log",
            Peer::Pingora => "`benches/pingora`, one thread, 512 idle connections kept, no modules",
            Peer::Sozu => "one worker process beside its master, no access log",
            Peer::ServerAny => {
                "`server DIR --listen 0.0.0.0:PORT --workers 1`: paced as the system has it, which over loopback `server` and the yardsticks are not"
            }
            Peer::Lighttpd => "one process, epoll, its sendfile backend and stat cache, no access log",
            Peer::H2o => "one thread, file.dir, no access log, nothing compressed",
            Peer::Caddy => "file_server, GOMAXPROCS 1, no access log, no admin endpoint",
        }
    }
}
