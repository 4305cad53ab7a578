//! Where the benches run, and how each peer is started there.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{Peer, configuration};
use crate::{
    process::{LOAD_CPU, Program, SERVER_CPU, free_address, measured, sibling},
    secure, wire,
};

/// Where the benches run: a temporary folder with the file that is served, and the origin of the proxies.
#[derive(Debug)]
pub struct Stage {
    folder: TempDir,
    served: Served,
    /// The origin, and its program where the stage has started it.
    origin: Option<(Option<Program>, SocketAddr)>,
}

/// A peer that answers.
#[derive(Debug)]
pub struct Running {
    /// Who.
    pub peer: Peer,
    /// Where it listens.
    pub address: SocketAddr,
    /// The target that it is asked for.
    pub path: String,
    /// The length of the body that each request brings; 0: none.
    pub post: usize,
    /// Its processes.
    pub program: Program,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Served {
    /// The target, `/1k.txt`.
    pub path: String,
    /// Its length.
    pub bytes: usize,
    /// The length of the body that each request brings; 0: none.
    pub post: usize,
}

/// What to put around a peer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wrap<'a> {
    /// A program and its arguments that come before the peer's own command line (strace, valgrind).
    pub command: &'a [String],
    /// One process without a master, where the peer would have one.
    pub single_process: bool,
}

/// The file that is served where a bench is not about its size.
pub const FILE: &str = "/1k.txt";
const FILE_BYTES: usize = 1024;

/// Above this many bytes an answer does not fit into every socket at once.
const LARGE: usize = 16 * 1024;

impl Served {
    /// A file of that size, named after it.
    pub fn of(bytes: usize) -> Served {
        let name = match bytes {
            n if n >= 1 << 20 && n % (1 << 20) == 0 => format!("/{}m.txt", n >> 20),
            n if n % 1024 == 0 => format!("/{}k.txt", n >> 10),
            n => format!("/{n}.txt"),
        };
        Served { path: name, bytes, post: 0 }
    }

    /// Whether messages are too large to be one read and one write.
    pub fn is_large(&self) -> bool {
        self.post > 0 || self.bytes > LARGE
    }
}

impl Stage {
    /// Sets the stage with a file of 1 KiB; the origin is started with the first proxy.
    pub fn set() -> io::Result<Stage> {
        Stage::serving(Served::of(FILE_BYTES))
    }

    /// Sets the stage with that file.
    pub fn serving(served: Served) -> io::Result<Stage> {
        let folder = TempDir::with_prefix("tollgate-bench-")?;
        // A worker that gave up root must still be able to read the file.
        open_to_all(folder.path())?;
        let site = folder.path().join("site");
        fs::create_dir(&site)?;
        open_to_all(&site)?;
        let file = site.join(served.path.trim_start_matches('/'));
        file.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(file, wire::body(served.bytes))?;
        Ok(Stage { folder, served, origin: None })
    }

    /// Sets the stage in front of an origin that is there already. It answers for [`FILE`] too.
    pub fn in_front_of(origin: SocketAddr) -> io::Result<Stage> {
        Ok(Stage { origin: Some((None, origin)), ..Stage::set()? })
    }

    /// Puts one more file of so many bytes beside the served one; gives its path as requests name it.
    pub fn add_file(&self, name: &str, bytes: usize) -> io::Result<String> {
        fs::write(self.site().join(name), wire::body(bytes))?;
        Ok(format!("/{name}"))
    }

    /// The folder for files of a bench's own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder that is served.
    pub fn site(&self) -> PathBuf {
        self.folder.path().join("site")
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
        if peer.is_tls() {
            let path = self.served.path.as_str();
            program.wait_until(address, |address| secure::ask(address, path)).map_err(told)?;
        } else {
            let file = (!peer.is_echo()).then_some(self.served.path.as_str());
            program.wait_until_it_answers(address, file).map_err(told)?;
        }
        Ok(Running { peer, address, path: self.served.path.clone(), post: self.served.post, program })
    }

    fn command_line(&mut self, peer: Peer, address: SocketAddr, single: bool) -> io::Result<Vec<String>> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let listen = address.to_string();
        let origin = if peer.is_proxy() { self.origin()?.to_string() } else { String::new() };
        let words = |program: &str, more: &[&str]| -> io::Result<Vec<String>> {
            let mut line = vec![text(measured(program)?)];
            line.extend(more.iter().map(|word| (*word).to_owned()));
            Ok(line)
        };
        let site = text(self.site());
        let file = text(self.site().join(self.served.path.trim_start_matches('/')));
        let bare = |how| words("bare-file", &["--listen", &listen, "--file", &file, "--how", how]);
        match peer {
            Peer::Server => words("server", &[&site, "--listen", &listen, "--workers", "1"]),
            Peer::ServerAny => {
                let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())).to_string();
                words("server", &[&site, "--listen", &listen, "--workers", "1"])
            }
            Peer::Proxy => words("proxy", &["--listen", &listen, "--to", &origin, "--workers", "1"]),
            Peer::Proxy512 => words("proxy", &["--config", &self.proxy_of_few(address)?]),
            Peer::Proxy10 | Peer::Proxy1000 | Peer::Proxy10x100 | Peer::Proxy1000x1 => {
                words("proxy", &["--config", &self.proxy_of(address, peer)?])
            }
            Peer::BareRelay
            | Peer::BareRelay512
            | Peer::BareRelay10
            | Peer::BareRelay1000
            | Peer::BareRelay10x100
            | Peer::BareRelay1000x1 => {
                let servers = peer.servers().unwrap_or(1).to_string();
                let most = peer.most().unwrap_or(usize::MAX).to_string();
                words("bare-relay", &["--listen", &listen, "--to", &origin, "--servers", &servers, "--most", &most])
            }
            Peer::BareEpoll => words("bare-epoll", &["--listen", &listen, "--body", &self.served.bytes.to_string()]),
            Peer::BareWrite => bare("write"),
            Peer::BareRead => bare("read"),
            Peer::BareSendfile => bare("sendfile"),
            Peer::Echo => words("echo", &["--listen", &listen, "--workers", "1"]),
            Peer::BareEcho => words("bare-echo", &["--listen", &listen]),
            Peer::BareCopy => words("bare-pump", &["--listen", &listen, "--to", &origin, "--how", "copy"]),
            Peer::BareSplice => words("bare-pump", &["--listen", &listen, "--to", &origin, "--how", "splice"]),
            Peer::Nginx | Peer::NginxRead | Peer::NginxGzip => {
                self.nginx(peer, single, &configuration::nginx_static(&listen, &site, nginx_sends(peer)))
            }
            Peer::NginxProxy | Peer::NginxProxy10 | Peer::NginxProxy1000 | Peer::NginxProxy512 => {
                let http =
                    configuration::nginx_proxy(address, &self.servers(peer)?, peer.most(), self.served.is_large());
                self.nginx(peer, single, &http)
            }
            Peer::Haproxy
            | Peer::Haproxy10
            | Peer::Haproxy1000
            | Peer::Haproxy512
            | Peer::Haproxy10x100
            | Peer::Haproxy1000x1 => {
                let text = configuration::haproxy(address, &self.servers(peer)?, peer.most(), self.served.is_large());
                let file = self.write(&format!("{peer}.cfg"), &text)?;
                Ok(["haproxy", "-db", "-f", &file].map(str::to_owned).into())
            }
            Peer::Pingora => Ok(["pingora-peer", &listen, &origin].map(str::to_owned).into()),
            Peer::Sozu => {
                let socket = text(self.folder().join("sozu.sock"));
                let file = self.write("sozu.toml", &configuration::sozu(address, &origin, &socket))?;
                Ok(["sozu", "start", "-c", &file].map(str::to_owned).into())
            }
            Peer::ServerTls => {
                let [cert, key, _] = secure::certificate(self.folder())?;
                let more = ["--listen", &listen, "--workers", "1", "--tls-cert", &cert, "--tls-key", &key];
                words("server", &[&[site.as_str()], &more[..]].concat())
            }
            Peer::NginxTls => {
                let [cert, key, _] = secure::certificate(self.folder())?;
                let listen = format!("{address} ssl");
                let more = format!(
                    "ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3; ssl_session_tickets on; \
                     ssl_session_cache off; sendfile on; tcp_nopush on;"
                );
                self.nginx(peer, single, &configuration::nginx_static(&listen, &site, &more))
            }
            Peer::HaproxyTls => {
                let [_, _, both] = secure::certificate(self.folder())?;
                let file = self.write("haproxy-tls.cfg", &secure::haproxy(address, &both, &file))?;
                Ok(["haproxy", "-db", "-f", &file].map(str::to_owned).into())
            }
            Peer::Lighttpd => {
                let file = self.write("lighttpd.conf", &configuration::lighttpd(address, &site))?;
                Ok(["lighttpd", "-D", "-f", &file].map(str::to_owned).into())
            }
            Peer::H2o => {
                let file = self.write("h2o.yaml", &configuration::h2o(address, &site))?;
                Ok(["h2o", "-m", "worker", "-c", &file].map(str::to_owned).into())
            }
            Peer::Caddy => {
                let file = self.write("Caddyfile", &configuration::caddy(address, &site))?;
                let home = format!("HOME={}", self.folder().to_string_lossy());
                let line = ["env", &home, "GOMAXPROCS=1", "caddy", "run", "--adapter", "caddyfile", "--config", &file];
                Ok(line.map(str::to_owned).into())
            }
        }
    }

    /// Writes a file of its own for a peer, and says where.
    fn write(&self, name: &str, text: &str) -> io::Result<String> {
        let file = self.folder().join(name);
        fs::write(&file, text)?;
        Ok(file.to_string_lossy().into_owned())
    }

    /// The configuration of our proxy in front of so many servers, which all are the origin under other names.
    fn proxy_of(&mut self, address: SocketAddr, peer: Peer) -> io::Result<String> {
        let servers = self.servers(peer)?;
        let each = peer.most().map(|most| most / servers.len());
        let server = |server: &SocketAddr| match each {
            Some(each) => format!("{{ address = \"{server}\", max_connections = {each} }}"),
            None => format!("\"{server}\""),
        };
        let servers: Vec<String> = servers.iter().map(server).collect();
        let more = match each {
            Some(each) => {
                format!("queue = 16384\ntimeouts = {{ queue = \"60s\" }}\nkeep_alive = {{ idle = {each} }}\n")
            }
            None => String::new(),
        };
        let text = format!(
            "[runtime]\nworkers = 1\n[[listener]]\naddress = \"{address}\"\n[[route]]\nproxy = {{ upstream = \"origin\" }}\n\
             [upstream.origin]\nservers = [{}]\n{more}",
            servers.join(", ")
        );
        self.write(&format!("{peer}.toml"), &text)
    }

    /// The configuration of our proxy with at most 512 requests under way to its server.
    fn proxy_of_few(&mut self, address: SocketAddr) -> io::Result<String> {
        let origin = self.origin()?;
        let text = format!(
            "[runtime]\nworkers = 1\n[[listener]]\naddress = \"{address}\"\n[[route]]\nproxy = {{ upstream = \"origin\" }}\n\
             [upstream.origin]\nservers = [{{ address = \"{origin}\", max_connections = 512 }}]\nqueue = 16384\n\
             keep_alive = {{ idle = 512 }}\ntimeouts = {{ queue = \"60s\" }}\n"
        );
        self.write("proxy-512.toml", &text)
    }

    /// The origin under as many names as `peer` is in front of.
    fn servers(&mut self, peer: Peer) -> io::Result<Vec<SocketAddr>> {
        Ok(wire::addresses(self.origin()?, peer.servers().unwrap_or(1)))
    }

    fn nginx(&self, peer: Peer, single: bool, http: &str) -> io::Result<Vec<String>> {
        let folder = self.folder().join(peer.to_string());
        fs::create_dir_all(&folder)?;
        open_to_all(&folder)?;
        fs::write(folder.join("nginx.conf"), configuration::nginx_frame(single, http))?;
        let folder = folder.to_string_lossy();
        Ok(["nginx", "-p", &folder, "-c", "nginx.conf", "-e", "error.log"].map(str::to_owned).into())
    }

    /// The origin's address; starts it the first time.
    fn origin(&mut self) -> io::Result<SocketAddr> {
        if let Some((_, address)) = &self.origin {
            return Ok(*address);
        }
        // On all of loopback's addresses, so that it can stand for many servers.
        let address = free_address()?;
        let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        let program = if self.served.is_large() { "bare-origin" } else { "bare-epoll" };
        let mut command = Command::new(sibling(program)?);
        command.args(["--listen", &listen.to_string(), "--body", &self.served.bytes.to_string()]);
        let mut program = Program::start(&mut command, LOAD_CPU, &self.folder().join("origin.log"))?;
        program.wait_until_it_answers(address, Some(&self.served.path))?;
        self.origin = Some((Some(program), address));
        Ok(address)
    }
}

/// How nginx is told to send files.
fn nginx_sends(peer: Peer) -> &'static str {
    match peer {
        Peer::NginxRead => "sendfile off;",
        Peer::NginxGzip => {
            "sendfile on; tcp_nopush on; gzip on; gzip_comp_level 1; gzip_types application/json; types { application/json json; }"
        }
        _ => "sendfile on; tcp_nopush on;",
    }
}

fn open_to_all(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}
