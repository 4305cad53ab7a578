//! Real servers and clients from the system's packages.

use std::{
    ffi::OsStr,
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{Ended, PATIENCE, Process, folder, process};

/// A running server that is not ours.
#[derive(Debug)]
pub struct Peer {
    /// The child.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    _folder: TempDir,
}

impl Peer {
    /// A URL of its.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Runs curl, silent and with a time limit, to its end.
pub fn curl<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ended {
    process::run(Command::new("curl").args(["-sS", "-q", "--max-time", "9", "--noproxy", "*"]).args(args))
}

/// nginx with these directives inside its `server` block; root of its files is `root`.
pub fn nginx(root: &Path, server: &str) -> Peer {
    nginx_listening("", root, server)
}

/// The same with more parameters for its `listen`.
pub fn nginx_listening(listen: &str, root: &Path, server: &str) -> Peer {
    on_a_free_port(|folder, port| {
        let file = folder.join("nginx.conf");
        let here = folder.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {here}/{kind};\n"))
            .concat();
        let text = format!(
            "daemon off;\nmaster_process off;\npid {here}/pid;\nerror_log stderr warn;\n\
             events {{ worker_connections 256; }}\n\
             http {{\ninclude /etc/nginx/mime.types;\ndefault_type application/octet-stream;\naccess_log off;\n{temporary}\
             server {{\nlisten 127.0.0.1:{port} {listen};\nroot {};\n{server}\n}}\n}}\n",
            root.display()
        );
        fs::write(&file, text).expect("a file of ours");
        let mut command = Command::new(system("nginx"));
        command.arg("-p").arg(folder).arg("-c").arg(file).args(["-e", "stderr"]);
        command
    })
}

/// HAProxy in HTTP mode in front of these servers.
pub fn haproxy(servers: &[SocketAddr]) -> Peer {
    let lines = servers.iter().enumerate().map(|(i, s)| format!("  server s{i} {s}\n")).collect::<String>();
    haproxy_with("", &format!("  option forwardfor\n{lines}"))
}

/// HAProxy with more parameters for its `bind`, and these lines.
pub fn haproxy_with(bind: &str, lines: &str) -> Peer {
    on_a_free_port(|folder, port| {
        let file = folder.join("haproxy.cfg");
        let text = format!(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n\
             listen main\n  bind 127.0.0.1:{port} {bind}\n{lines}\n"
        );
        fs::write(&file, text).expect("a file of ours");
        let mut command = Command::new(system("haproxy"));
        command.args(["-q", "-db", "-f"]).arg(file);
        command
    })
}

/// A server in Node: `handler` is the body of `(request, response) => { ... }`.
pub fn node(handler: &str) -> Peer {
    let script = format!(
        "const server = require('http').createServer((request, response) => {{ {handler} }});\n\
         server.keepAliveTimeout = 60000;\n\
         server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port));"
    );
    says_its_port(Command::new("node").arg("-e").arg(script))
}

/// A server in Node that speaks whatever `handler` makes of its `socket`: the body of `(socket) => { ... }`.
pub fn node_net(handler: &str) -> Peer {
    let script = format!(
        "const server = require('net').createServer(socket => {{ {handler} }});\n\
         server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port));"
    );
    says_its_port(Command::new("node").arg("-e").arg(script))
}

/// Python's `http.server` over a folder, HTTP/1.1.
pub fn python(root: &Path) -> Peer {
    let script = "import http.server, functools, sys\n\
                  handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])\n\
                  http.server.SimpleHTTPRequestHandler.protocol_version = 'HTTP/1.1'\n\
                  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)\n\
                  print('port', server.server_address[1], flush=True)\n\
                  server.serve_forever()\n";
    says_its_port(Command::new("python3").args(["-c", script]).arg(root))
}

/// Chromium without a window, to print the document of the address that is still to be given, as scripts have made it when it is loaded.
/// With it the folder of its profile, to be kept until it has ended. None where there is no Chromium; that is said.
pub fn chromium() -> Option<(Command, TempDir)> {
    let browsers = ["chromium", "chromium-browser", "google-chrome"];
    let there = |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    let Some(browser) = browsers.iter().find(there) else {
        eprintln!("NOT RUN: there is no Chromium here; `cargo xtask setup` installs it");
        return None;
    };
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    command.args(["--autoplay-policy=no-user-gesture-required", "--timeout=8000", "--dump-dom"]);
    let profile = folder();
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    Some((command, profile))
}

fn says_its_port(command: &mut Command) -> Peer {
    let process = Process::start(command);
    let port = process.out_line(|line| line.strip_prefix("port ").and_then(|p| p.trim().parse::<u16>().ok()));
    Peer { process, address: ([127, 0, 0, 1], port).into(), _folder: folder() }
}

/// Starts a server that cannot choose a port itself: on one that was free a moment ago, and again if it was not any more.
fn on_a_free_port(command: impl Fn(&Path, u16) -> Command) -> Peer {
    for _ in 0..5 {
        let folder = folder();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let mut process = Process::start(&mut command(folder.path(), address.port()));
        let deadline = Instant::now() + PATIENCE;
        while process.is_running() {
            if TcpStream::connect(address).is_ok() {
                return Peer { process, address, _folder: folder };
            }
            assert!(Instant::now() < deadline, "it does not listen; it said\n{}", process.log());
            // Nothing tells when it listens.
            sleep(Duration::from_millis(10));
        }
        eprintln!("it ended at once; it said\n{}", process.wait().err);
    }
    panic!("no free port could be found for it");
}

/// The path of a server: the system's own folders are not in everybody's PATH.
fn system(program: &str) -> PathBuf {
    let folders = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(|folder| Path::new(folder).join(program));
    folders.into_iter().find(|path| path.is_file()).unwrap_or_else(|| program.into())
}
