//! A command that runs every so often while load runs.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use load::words;
use process::{Ending, end_group};

use crate::crew::Heard;
use crate::plan::nanos;
use crate::prepare::time;

/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// How long a command that still runs at the end is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long one that was asked to end may take for it.
const TIDYING: Duration = Duration::from_secs(1);

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
    thread: JoinHandle<Outcome>,
}

/// What became of the commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Those that failed.
    pub(crate) failed: u64,
    /// What became of one that still ran at the end of the run, in a sentence.
    pub(crate) last: Option<String>,
}

impl Beside {
    pub(crate) fn start(repeated: &Repeated, warm_up: Duration, marks: Sender<Heard>) -> io::Result<Beside> {
        Beside::with_patience(repeated, warm_up, marks, PATIENCE)
    }

    fn with_patience(
        repeated: &Repeated,
        warm_up: Duration,
        marks: Sender<Heard>,
        patience: Duration,
    ) -> io::Result<Beside> {
        let (stop, stopped) = bounded(1);
        let repeated = repeated.clone();
        let run = move || repeat(&repeated, warm_up, &marks, &stopped, patience);
        let thread = std::thread::Builder::new().name("beside".into()).spawn(run)?;
        Ok(Beside { stop, thread })
    }

    /// Ends it: a command that still runs is waited for, within bounds, and then ended with all that it has started.
    pub(crate) fn finish(self) -> Outcome {
        let _ = self.stop.send(());
        self.thread.join().unwrap_or(Outcome { failed: 1, last: None })
    }
}

fn repeat(
    repeated: &Repeated,
    warm_up: Duration,
    marks: &Sender<Heard>,
    stopped: &Receiver<()>,
    patience: Duration,
) -> Outcome {
    let mut failed = 0;
    let mut due = Instant::now() + warm_up + repeated.every;
    let mut number = 0;
    loop {
        match stopped.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => return Outcome { failed, last: None },
        }
        number += 1;
        due += repeated.every;
        let _ = marks.send(Heard::Mark(format!("{number}: {}", repeated.command)));
        match once(&repeated.command, stopped, patience) {
            Once::Well => {}
            Once::Badly(how) => {
                failed += 1;
                let _ = marks.send(Heard::Mark(format!("{number}: {how}")));
            }
            Once::Last { well, sentence } => {
                return Outcome { failed: failed + u64::from(!well), last: Some(sentence) };
            }
        }
    }
}

enum Once {
    Well,
    Badly(String),
    /// It still ran when the run was over.
    Last {
        well: bool,
        sentence: String,
    },
}

fn once(command: &str, stopped: &Receiver<()>, patience: Duration) -> Once {
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
            return last(&mut child, patience);
        }
    }
}

/// The run is over and the command is not.
fn last(child: &mut Child, patience: Duration) -> Once {
    let begun = Instant::now();
    if let Some(status) = wait(child, patience) {
        let waited = words::time(nanos(begun.elapsed()));
        let how = if status.success() { String::new() } else { format!(", with {status}") };
        let sentence = format!("the command still ran at the end of the run, and ended {waited} later{how}");
        return Once::Last { well: status.success(), sentence };
    }
    // Whoever is left of the group goes with it, whether its leader ends by itself or not.
    let _ = end_group(child.id(), Ending::Asked);
    let asked = wait(child, TIDYING).is_some();
    let _ = end_group(child.id(), Ending::Forced);
    let _ = child.wait();
    let how = if asked { "ended (SIGTERM)" } else { "killed (SIGTERM did not end it)" };
    let sentence = format!(
        "the command still ran {} after the end of the run, and was {how} with all it had started",
        time(patience)
    );
    Once::Last { well: true, sentence }
}

/// The end of a child raises no event that could be waited for beside a deadline.
#[expect(clippy::disallowed_methods, reason = "a thread that has nothing else to do looks again in a moment")]
pub(crate) fn rest() {
    std::thread::sleep(LOOK);
}

/// Waits so long for its end.
fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < until => rest(),
            _ => return None,
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
        (Beside::with_patience(&repeated, Duration::ZERO, send, EVERY).unwrap(), receive)
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
        assert_eq!(beside.finish().failed, 0);
    }

    #[test]
    fn one_that_fails_is_counted_and_marked_with_how() {
        let (beside, marks) = beside("exit 3");
        assert_eq!([mark(&marks), mark(&marks)], ["1: exit 3", "1: exit status: 3"]);
        assert!(beside.finish().failed >= 1);
    }

    #[test]
    fn one_that_does_not_end_is_ended_with_all_it_started_and_that_is_told() {
        // The shell waits for a child of its own, whose number is in the file.
        let file = std::env::temp_dir().join(format!("loadgen-beside-{}", std::process::id()));
        let command = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
        let (beside, marks) = beside(&command);
        assert_eq!(mark(&marks), format!("1: {command}"));
        let until = Instant::now() + Duration::from_secs(60);
        let child = loop {
            match std::fs::read_to_string(&file) {
                Ok(text) => break text.trim().to_owned(),
                Err(e) => assert!(Instant::now() < until, "{e}"),
            }
            rest();
        };
        let outcome = beside.finish();
        assert_eq!(outcome.failed, 0);
        let said = outcome.last.expect("a sentence");
        assert!(said.contains("20.0 ms after the end of the run, and was ended (SIGTERM)"), "{said}");
        // Dead, or a zombie that its new parent has not buried yet.
        let lives = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
        };
        while lives() {
            assert!(Instant::now() < until, "process {child} was left running");
            rest();
        }
        let _ = std::fs::remove_file(file);
    }

    #[test]
    fn one_that_ends_soon_after_the_run_is_waited_for() {
        let (send, marks) = Crew::inbox();
        let repeated = Repeated { command: "sleep 0.3; exit 4".into(), every: EVERY };
        let beside = Beside::with_patience(&repeated, Duration::ZERO, send, Duration::from_secs(60)).unwrap();
        assert_eq!(mark(&marks), "1: sleep 0.3; exit 4");
        let outcome = beside.finish();
        assert_eq!(outcome.failed, 1);
        let said = outcome.last.expect("a sentence");
        assert!(said.contains("ended") && said.ends_with("later, with exit status: 4"), "{said}");
    }
}
