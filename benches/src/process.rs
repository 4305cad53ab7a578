//! Starting the programs under test on a CPU of their own, and ending them by their ids, also after a failure.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

use crate::usage;

/// The CPU of the server under test.
pub const SERVER_CPU: usize = 0;
/// The CPU of the load, and of the origin behind a proxy.
pub const LOAD_CPU: usize = 1;

/// How long a program may take to answer its first request, and to end. Under valgrind both take seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks at a program that starts or ends.
const LOOK: Duration = Duration::from_millis(20);

/// A running program. Dropping it ends it and all its descendants.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// The program and its descendants, parents first, as they were once it answered.
    pub pids: Vec<u32>,
    /// What it prints goes here.
    log: PathBuf,
}

impl Program {
    /// Starts `command` pinned to `cpu`. Its output goes to `log`.
    pub fn start(command: &mut Command, cpu: usize, log: &Path) -> io::Result<Program> {
        let output = File::create(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = on_cpu(cpu, || command.spawn())?
            .map_err(|error| io::Error::other(format!("cannot start {}: {error}", name(command))))?;
        let pids = vec![child.id()];
        Ok(Program { child, pids, log: log.to_path_buf() })
    }

    /// Waits until the program answers a request for `path` at `address`, or without a path gives back what it is sent; then its
    /// worker processes exist too.
    pub fn wait_until_it_answers(&mut self, address: SocketAddr, path: Option<&str>) -> io::Result<()> {
        self.wait_until(address, |address| path.map_or_else(|| ask_back(address), |path| ask(address, path)))
    }

    /// Waits until `ask` has its answer from `address`; then the program's worker processes exist too.
    pub fn wait_until(&mut self, address: SocketAddr, ask: impl Fn(SocketAddr) -> io::Result<()>) -> io::Result<()> {
        let start = Instant::now();
        while let Err(error) = ask(address) {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("ended at start ({status}): {}", self.last_words())));
            }
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("does not answer ({error}): {}", self.last_words())));
            }
            thread::sleep(LOOK);
        }
        self.pids = usage::tree(self.child.id());
        Ok(())
    }

    /// Asks the program itself, not what was wrapped around it, to end, and waits until it has.
    pub fn stop(&mut self, wrapped: bool) -> io::Result<()> {
        let pid = if wrapped { self.pids.get(1).copied() } else { None };
        send(pid.unwrap_or(self.child.id()), Signal::TERM);
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("does not end: {}", self.last_words())));
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// The last lines that the program printed.
    pub fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.trim().lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let tree = usage::tree(self.child.id());
            send(self.child.id(), Signal::TERM);
            let start = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < Duration::from_secs(3) {
                thread::sleep(LOOK);
            }
            if matches!(self.child.try_wait(), Ok(None)) {
                tree.into_iter().for_each(|pid| send(pid, Signal::KILL));
            }
        }
        let _ = self.child.wait();
    }
}

/// Runs `work` while this thread, and so whatever it starts, is pinned to `cpu`.
pub fn on_cpu<T>(cpu: usize, work: impl FnOnce() -> T) -> io::Result<T> {
    let before = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    one.set(cpu);
    sched_setaffinity(None, &one)
        .map_err(|error| io::Error::other(format!("cannot use CPU {cpu} (the benches need two): {error}")))?;
    let done = work();
    sched_setaffinity(None, &before)?;
    Ok(done)
}

/// A port that nobody listens on now, on any address of this machine: what is free on one of loopback's may still be in use on another, by
/// thousands of connections of the last bench, and then whoever listens on all of them is refused.
pub fn free_address() -> io::Result<SocketAddr> {
    let port = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port();
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

static MEASURED: OnceLock<PathBuf> = OnceLock::new();

/// Has the programs that are measured come from `folder`, where it has them. To be called once, before anything is measured.
pub fn measure_from(folder: PathBuf) {
    let _ = MEASURED.set(folder);
}

/// A program of this workspace that is measured: from the folder that was named for it, or built beside the running one.
pub fn measured(name: &str) -> io::Result<PathBuf> {
    let elsewhere = MEASURED.get().map(|folder| folder.join(name));
    elsewhere.filter(|path| path.is_file()).map_or_else(|| sibling(name), Ok)
}

/// A program of this workspace, built beside the running one.
pub fn sibling(name: &str) -> io::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.is_file() { Ok(path) } else { Err(io::Error::other(format!("{name} is not built beside this program"))) }
}

fn name(command: &Command) -> String {
    Path::new(command.get_program()).file_name().unwrap_or(OsStr::new("?")).to_string_lossy().into_owned()
}

/// One request over a connection of its own; an error until the answer is a 200.
fn ask(address: SocketAddr, path: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    if start == *b"HTTP/1.1 200" { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&start).into_owned())) }
}

/// A few bytes over a connection of their own; an error until they come back.
fn ask_back(address: SocketAddr) -> io::Result<()> {
    const SENT: &[u8; 4] = b"back";
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(SENT)?;
    let mut got = [0; 4];
    stream.read_exact(&mut got)?;
    if got == *SENT { Ok(()) } else { Err(io::Error::other("it does not give back what it is sent")) }
}

fn send(pid: u32, signal: Signal) {
    // A process that is gone already is what was wanted.
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}
