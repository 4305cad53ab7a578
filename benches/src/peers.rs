//! The servers and proxies that the benches compare, each set up as its experts would for the task.

use std::{
    fmt, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use clap::ValueEnum;
use tempfile::TempDir;

use crate::{
    process::{LOAD_CPU, Program, SERVER_CPU, free_address, sibling},
    wire,
};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Peer {
    /// Our static file server.
    Server,
    /// Our reverse proxy.
    Proxy,
    /// The yardstick of a server: no parsing.
    BareEpoll,
    /// The yardstick of a proxy: no parsing.
    BareRelay,
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
    /// HAProxy proxying, one thread, connections shared among clients.
    Haproxy,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Peer::Server => "server",
            Peer::Proxy => "proxy",
            Peer::BareEpoll => "bare-epoll",
            Peer::BareRelay => "bare-relay",
            Peer::Echo => "echo",
            Peer::BareEcho => "bare-echo",
            Peer::Nginx => "nginx",
            Peer::NginxRead => "nginx-read",
            Peer::NginxProxy => "nginx-proxy",
            Peer::Haproxy => "haproxy",
        })
    }
}

impl Peer {
    /// It passes requests on to the origin.
    pub fn is_proxy(self) -> bool {
        matches!(self, Peer::Proxy | Peer::BareRelay | Peer::NginxProxy | Peer::Haproxy)
    }

    /// It is ours, the thing under test.
    pub fn is_ours(self) -> bool {
        matches!(self, Peer::Server | Peer::Proxy | Peer::Echo)
    }

    /// It speaks no HTTP, and gives back what it is sent.
    pub fn is_echo(self) -> bool {
        matches!(self, Peer::Echo | Peer::BareEcho)
    }

    /// A part of a sentence: how it is set up.
    pub fn set_up(self) -> &'static str {
        match self {
            Peer::Server => "`server DIR --workers 1`, nothing else",
            Peer::Proxy => "`proxy --to ORIGIN --workers 1`, nothing else",
            Peer::BareEpoll => "epoll, one read and one write of fixed bytes per request, no parsing",
            Peer::BareRelay => "epoll, two reads and two writes per request, no parsing",
            Peer::Echo => "`echo --workers 1`, nothing else",
            Peer::BareEcho => {
                "epoll with the same registrations, one recv and one send per echo, partial writes kept; no executor, no timers"
            }
            Peer::Nginx => "one worker, open_file_cache, sendfile, no access log, endless keep-alive",
            Peer::NginxRead => "the same without sendfile, which takes fewer system calls for a small file",
            Peer::NginxProxy => "one worker, upstream keepalive 128, X-Forwarded-For and -Proto, no access log",
            Peer::Haproxy => "one thread, http-reuse always, X-Forwarded-For and -Proto, no log",
        }
    }
}

/// Where the benches run: a temporary folder with the file that is served, and the origin of the proxies.
#[derive(Debug)]
pub struct Stage {
    folder: TempDir,
    origin: Option<(Program, SocketAddr)>,
}

/// A peer that answers.
#[derive(Debug)]
pub struct Running {
    /// Who.
    pub peer: Peer,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its processes.
    pub program: Program,
}

/// What to put around a peer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wrap<'a> {
    /// A program and its arguments that come before the peer's own command line (strace, valgrind).
    pub command: &'a [String],
    /// One process without a master, where the peer would have one.
    pub single_process: bool,
}

/// The file that is served.
pub const FILE: &str = "/1k.txt";
const FILE_BYTES: usize = 1024;

impl Stage {
    /// Sets the stage; the origin is started with the first proxy.
    pub fn set() -> io::Result<Stage> {
        let folder = TempDir::with_prefix("tollgate-bench-")?;
        // A worker that gave up root must still be able to read the file.
        open_to_all(folder.path())?;
        let site = folder.path().join("site");
        fs::create_dir(&site)?;
        open_to_all(&site)?;
        fs::write(site.join("1k.txt"), wire::body(FILE_BYTES))?;
        Ok(Stage { folder, origin: None })
    }

    /// The folder for files of a bench's own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts `peer` on the server's CPU and waits until it answers.
    pub fn start(&mut self, peer: Peer, wrap: Wrap<'_>) -> io::Result<Running> {
        let address = free_address()?;
        let mut line: Vec<String> = wrap.command.to_vec();
        line.extend(self.command_line(peer, address, wrap.single_process)?);
        let (first, rest) = line.split_first().ok_or_else(|| io::Error::other("an empty command line"))?;
        let log = self.folder().join(format!("{peer}.log"));
        let told = |error| io::Error::other(format!("{peer}: {error}"));
        let mut program = Program::start(Command::new(first).args(rest), SERVER_CPU, &log).map_err(told)?;
        let file = (!peer.is_echo()).then_some(FILE);
        program.wait_until_it_answers(address, file).map_err(told)?;
        Ok(Running { peer, address, program })
    }

    fn command_line(&mut self, peer: Peer, address: SocketAddr, single: bool) -> io::Result<Vec<String>> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let listen = address.to_string();
        let origin = if peer.is_proxy() { self.origin()?.to_string() } else { String::new() };
        let words = |program: &str, more: &[&str]| -> io::Result<Vec<String>> {
            let mut line = vec![text(sibling(program)?)];
            line.extend(more.iter().map(|word| (*word).to_owned()));
            Ok(line)
        };
        let site = text(self.folder().join("site"));
        match peer {
            Peer::Server => words("server", &[&site, "--listen", &listen, "--workers", "1"]),
            Peer::Proxy => words("proxy", &["--listen", &listen, "--to", &origin, "--workers", "1"]),
            Peer::BareEpoll => words("bare-epoll", &["--listen", &listen]),
            Peer::Echo => words("echo", &["--listen", &listen, "--workers", "1"]),
            Peer::BareEcho => words("bare-echo", &["--listen", &listen]),
            Peer::BareRelay => words("bare-relay", &["--listen", &listen, "--to", &origin]),
            Peer::Nginx | Peer::NginxRead => {
                let sendfile = if peer == Peer::Nginx { "sendfile on; tcp_nopush on;" } else { "sendfile off;" };
                self.nginx(peer, single, &nginx_static(address, &site, sendfile))
            }
            Peer::NginxProxy => self.nginx(peer, single, &nginx_proxy(address, &origin)),
            Peer::Haproxy => {
                let file = self.folder().join("haproxy.cfg");
                fs::write(&file, haproxy(address, &origin))?;
                Ok(["haproxy".to_owned(), "-db".to_owned(), "-f".to_owned(), text(file)].into())
            }
        }
    }

    fn nginx(&self, peer: Peer, single: bool, http: &str) -> io::Result<Vec<String>> {
        let folder = self.folder().join(peer.to_string());
        fs::create_dir_all(&folder)?;
        open_to_all(&folder)?;
        fs::write(folder.join("nginx.conf"), nginx_frame(single, http))?;
        let folder = folder.to_string_lossy();
        Ok(["nginx", "-p", &folder, "-c", "nginx.conf", "-e", "error.log"].map(str::to_owned).into())
    }

    /// The origin's address; starts it the first time.
    fn origin(&mut self) -> io::Result<SocketAddr> {
        if let Some((_, address)) = &self.origin {
            return Ok(*address);
        }
        let address = free_address()?;
        let mut command = Command::new(sibling("bare-epoll")?);
        command.args(["--listen", &address.to_string()]);
        let mut program = Program::start(&mut command, LOAD_CPU, &self.folder().join("origin.log"))?;
        program.wait_until_it_answers(address, Some(FILE))?;
        self.origin = Some((program, address));
        Ok(address)
    }
}

fn open_to_all(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// The part of nginx's configuration that all its tasks share. Paths are relative to its prefix, the folder.
fn nginx_frame(single: bool, http: &str) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let master = if single { "off" } else { "on" };
    format!(
        "{user}
daemon off;
master_process {master};
worker_processes 1;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log error.log crit;
events {{ worker_connections 16384; use epoll; multi_accept on; }}
http {{
    access_log off;
    default_type text/plain;
    tcp_nodelay on;
    keepalive_timeout 3600s;
    keepalive_requests 1000000000;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    {http}
}}
"
    )
}

fn nginx_static(address: SocketAddr, site: &str, sendfile: &str) -> String {
    format!(
        "{sendfile}
    open_file_cache max=1000 inactive=1h;
    open_file_cache_valid 60s;
    open_file_cache_min_uses 1;
    open_file_cache_errors on;
    server {{ listen {address} backlog=4096; root {site}; }}"
    )
}

fn nginx_proxy(address: SocketAddr, origin: &str) -> String {
    format!(
        "upstream origin {{
        server {origin};
        keepalive 128; keepalive_requests 1000000000; keepalive_timeout 3600s;
    }}
    server {{
        listen {address} backlog=4096;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}"
    )
}

fn haproxy(address: SocketAddr, origin: &str) -> String {
    format!(
        "global
    nbthread 1
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
    http-reuse always
    option forwardfor
frontend front
    bind {address} backlog 4096
    http-request set-header X-Forwarded-Proto http
    default_backend back
backend back
    server origin {origin} pool-max-conn 128
"
    )
}
