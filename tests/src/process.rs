//! Child processes that cannot be forgotten.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;

/// A running child. Dropped, it is killed and reaped; what it printed is shown when its test is failing.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    out: Arc<Lines>,
    err: Arc<Lines>,
    ended: Option<ExitStatus>,
}

/// How a program that ran to its end ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Process {
    /// Starts it, with nothing on standard input.
    pub fn start(command: &mut Command) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        let out = Lines::collect(child.stdout.take().expect("piped"));
        let err = Lines::collect(child.stderr.take().expect("piped"));
        Process { name, child, out, err, ended: None }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a line of standard output gives something.
    pub fn out_line<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        self.out_lines(|lines| lines.iter().find_map(|line| find(line)))
    }

    /// Waits until the lines of standard output give something.
    pub fn out_lines<T>(&self, find: impl Fn(&[String]) -> Option<T>) -> T {
        let lines = self.out.wait(|lines| find(lines).is_some());
        find(&lines).unwrap_or_else(|| {
            panic!("{} did not print what was waited for; it printed {lines:#?} and logged\n{}", self.name, self.log())
        })
    }

    /// Waits until at least `count` lines of standard error contain `text`.
    pub fn logged(&self, text: &str, count: usize) {
        let has = |lines: &[String]| lines.iter().filter(|line| line.contains(text)).count() >= count;
        let lines = self.err.wait(has);
        assert!(has(&lines), "{} did not log {text:?} {count} times; it logged {lines:#?}", self.name);
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        self.err.text()
    }

    /// The warnings and errors in its log, but for those of turns that took long: a machine that does much else gives no time.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.log();
        let is_one = |line: &&str| [" warn ", " error "].iter().any(|level| line.contains(level));
        let complaints = log.lines().filter(is_one).filter(|line| !line.contains(" a worker's turn took "));
        complaints.map(str::to_owned).collect()
    }

    /// What it wrote to standard output so far.
    pub fn out(&self) -> String {
        self.out.text()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        assert!(self.ended.is_none(), "{} has ended", self.name);
        kill_process(Pid::from_child(&self.child), signal).expect("a signal of ours is allowed");
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.ended.is_none() && self.child.try_wait().expect("our child").is_none()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Ended {
        // Its outputs end with it; only then can waiting not hang.
        self.out.wait(|_| false);
        self.err.wait(|_| false);
        let over = self.out.is_ended() && self.err.is_ended();
        assert!(over, "{} did not end within {PATIENCE:?}; it logged\n{}", self.name, self.log());
        let status = self.child.wait().expect("our child");
        self.ended = Some(status);
        Ended { code: status.code(), out: self.out(), err: self.log() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!("--- {} said on standard error:\n{}---", self.name, self.log());
        }
    }
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Ended {
    Process::start(command).wait()
}

/// What a pipe brought so far, line by line.
#[derive(Debug, Default)]
struct Lines {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn collect(pipe: impl Read + Send + 'static) -> Arc<Lines> {
        let lines = Arc::new(Lines::default());
        let theirs = Arc::clone(&lines);
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let mut state = theirs.state.lock().expect("no panic");
                state.bytes.extend_from_slice(&line);
                state.lines.push(String::from_utf8_lossy(&line).trim_end().into());
                drop(state);
                theirs.changed.notify_all();
                line.clear();
            }
            theirs.state.lock().expect("no panic").ended = true;
            theirs.changed.notify_all();
        });
        lines
    }

    /// Waits until `enough`, the end, or the end of patience; gives the lines so far.
    fn wait(&self, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock().expect("no panic");
        while !enough(&state.lines) && !state.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).expect("no panic").0;
        }
        state.lines.clone()
    }

    fn is_ended(&self) -> bool {
        self.state.lock().expect("no panic").ended
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.state.lock().expect("no panic").bytes).into_owned()
    }
}
