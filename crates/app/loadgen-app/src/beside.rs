//! A command that runs every so often while load runs.

use std::io;
use std::os::unix::process::CommandExt;
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
    // A group of its own: Ctrl-C ends the run, not the command in the middle of its work.
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crew::Crew;

    const EVERY: Duration = Duration::from_millis(20);

    fn beside(command: &str) -> (Beside, Receiver<Heard>) {
        let (send, receive) = Crew::inbox();
        let repeated = Repeated { command: command.into(), every: EVERY };
        (Beside::start(&repeated, Duration::ZERO, send).unwrap(), receive)
    }

    fn mark(marks: &Receiver<Heard>) -> String {
        match marks.recv_timeout(Duration::from_secs(10)) {
            Ok(Heard::Mark(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_command_runs_again_and_again_and_each_time_is_marked() {
        let begun = Instant::now();
        let (beside, marks) = beside("true");
        assert_eq!([mark(&marks), mark(&marks)], ["1: true", "2: true"]);
        assert!(begun.elapsed() >= EVERY * 2);
        assert_eq!(beside.finish(), 0);
    }

    #[test]
    fn one_that_fails_is_counted_and_marked_with_how() {
        let (beside, marks) = beside("exit 3");
        assert_eq!([mark(&marks), mark(&marks)], ["1: exit 3", "1: exit status: 3"]);
        assert!(beside.finish() >= 1);
    }

    #[test]
    fn one_that_does_not_end_is_ended_with_the_run_and_is_no_failure() {
        let (beside, marks) = beside("exec sleep 60");
        assert_eq!(mark(&marks), "1: exec sleep 60");
        let begun = Instant::now();
        assert_eq!(beside.finish(), 0);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
