//! A command that runs every so often while load runs.

use std::io;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::crew::Heard;

/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// A command and its period.
#[derive(Clone, Debug)]
pub(crate) struct Repeated {
    /// For `sh -c`.
    pub(crate) command: String,
    pub(crate) every: Duration,
}

/// The thread that runs it. The command begins for the first time one period after the measuring began; never twice at once.
pub(crate) struct Beside {
    stop: Sender<()>,
    thread: JoinHandle<u64>,
}

impl Beside {
    pub(crate) fn start(repeated: &Repeated, warm_up: Duration, marks: Sender<Heard>) -> io::Result<Beside> {
        let (stop, stopped) = bounded(1);
        let repeated = repeated.clone();
        let run = move || repeat(&repeated, warm_up, &marks, &stopped);
        let thread = std::thread::Builder::new().name("beside".into()).spawn(run)?;
        Ok(Beside { stop, thread })
    }

    /// Ends it, with the command if one runs, and says how many failed.
    pub(crate) fn finish(self) -> u64 {
        let _ = self.stop.send(());
        self.thread.join().unwrap_or(1)
    }
}

fn repeat(repeated: &Repeated, warm_up: Duration, marks: &Sender<Heard>, stopped: &Receiver<()>) -> u64 {
    let mut failed = 0;
    let mut due = Instant::now() + warm_up + repeated.every;
    let mut number = 0;
    loop {
        match stopped.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => return failed,
        }
        number += 1;
        due += repeated.every;
        let _ = marks.send(Heard::Mark(format!("{number}: {}", repeated.command)));
        match once(&repeated.command, stopped) {
            Once::Well => {}
            Once::Badly(how) => {
                failed += 1;
                let _ = marks.send(Heard::Mark(format!("{number}: {how}")));
            }
            Once::Stopped => return failed,
        }
    }
}

enum Once {
    Well,
    Badly(String),
    Stopped,
}

fn once(command: &str, stopped: &Receiver<()>) -> Once {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = match shell.spawn() {
        Ok(child) => child,
        Err(e) => return Once::Badly(format!("could not be started: {e}")),
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Once::Well,
            Ok(Some(status)) => return Once::Badly(status.to_string()),
            Err(e) => return Once::Badly(e.to_string()),
            Ok(None) => {}
        }
        if !matches!(stopped.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout)) {
            let _ = child.kill();
            let _ = child.wait();
            return Once::Stopped;
        }
    }
}
