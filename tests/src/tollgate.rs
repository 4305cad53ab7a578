//! The product's programs as they are started in tests.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{Process, binaries};

/// A running `server`, `proxy` or `echo`, with a folder of its own for its configuration.
#[derive(Debug)]
pub struct Tollgate {
    /// The child.
    pub process: Process,
    listening: Vec<String>,
    folder: TempDir,
    reloads: usize,
}

/// An empty folder that is removed with its value.
pub fn folder() -> TempDir {
    tempfile::Builder::new().prefix("tollgate-test-").tempdir().expect("a temporary folder")
}

impl Tollgate {
    /// The command of a program.
    pub fn command(program: &str) -> Command {
        Command::new(binaries::path(program))
    }

    /// `server DIR`, on a free port.
    pub fn server(root: &Path) -> Tollgate {
        let mut command = Tollgate::command("server");
        command.arg(root).args(["--listen", "127.0.0.1:0", "--workers", "1"]);
        Tollgate::listening(&mut command, 1, folder())
    }

    /// `echo` with these arguments, on a free port.
    pub fn echo(arguments: &[&str]) -> Tollgate {
        let mut command = Tollgate::command("echo");
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        Tollgate::listening(&mut command, 1, folder())
    }

    /// `proxy --to ORIGIN...`, on a free port.
    pub fn proxy(origins: &[SocketAddr]) -> Tollgate {
        let mut command = Tollgate::command("proxy");
        command.args(["--listen", "127.0.0.1:0", "--workers", "1", "--to"]);
        command.args(origins.iter().map(SocketAddr::to_string));
        Tollgate::listening(&mut command, 1, folder())
    }

    /// `proxy --config F` with one worker, on a free port, where reasons are told, unless `text` has listeners of its own.
    pub fn config(text: &str) -> Tollgate {
        Tollgate::config_in(folder(), text)
    }

    /// The same with a folder that holds what the configuration names.
    pub fn config_in(folder: TempDir, text: &str) -> Tollgate {
        let (text, listeners) = completed(text);
        let file = folder.path().join("tollgate.toml");
        fs::write(&file, text).expect("a file of ours");
        let mut command = Tollgate::command("proxy");
        command.arg("--config").arg(&file);
        Tollgate::listening(&mut command, listeners, folder)
    }

    /// Starts `command` and waits until it listens on so many addresses.
    pub fn listening(command: &mut Command, listeners: usize, folder: TempDir) -> Tollgate {
        let process = Process::start(command);
        let listening = process.out_lines(|lines| {
            let found = lines.iter().filter_map(|line| line.strip_prefix("  listening on ")).map(str::to_owned);
            Some(found.collect::<Vec<_>>()).filter(|found| found.len() == listeners)
        });
        Tollgate { process, listening, folder, reloads: 0 }
    }

    /// Its configuration file's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its configuration file.
    pub fn file(&self) -> PathBuf {
        self.folder().join("tollgate.toml")
    }

    /// What it says it listens on, in order.
    pub fn listening_on(&self) -> &[String] {
        &self.listening
    }

    /// Its first address.
    pub fn address(&self) -> SocketAddr {
        let text =
            self.listening[0].split_once("://").map_or(&*self.listening[0], |(_, rest)| rest).trim_end_matches('/');
        text.parse().unwrap_or_else(|_| panic!("no IP address: {text}"))
    }

    /// A URL of its.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.listening[0].starts_with("https://") { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address())
    }

    /// A URL of its admin listener, as the banner says where that is.
    pub fn admin_url(&self, path: &str) -> String {
        let at = self.process.out_line(|line| line.strip_prefix("  health and metrics at ").map(str::to_owned));
        format!("{}{path}", at.trim_end_matches('/'))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Writes another configuration, has it read, and waits until it holds. Listeners of the old one stay.
    pub fn reload(&mut self, text: &str) {
        let (text, _) = completed(text);
        fs::write(self.file(), text).expect("a file of ours");
        self.process.signal(Signal::HUP);
        self.reloads += 1;
        self.process.logged(" reloaded ", self.reloads);
    }

    /// Stops it in order and expects that it ends well.
    pub fn stop(mut self) {
        self.process.signal(Signal::TERM);
        let ended = self.process.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    }
}

/// `text` with a listener on a free port and one worker, where it names neither; and how many listeners it has.
fn completed(text: &str) -> (String, usize) {
    let mut text = text.to_owned();
    if !text.contains("[runtime]") {
        text += "\n[runtime]\nworkers = 1\n";
    }
    let listeners = text.matches("[[listener]]").count();
    if listeners == 0 {
        text += "\n[[listener]]\naddress = \"127.0.0.1:0\"\nreason = true\n";
    }
    (text, listeners.max(1))
}
