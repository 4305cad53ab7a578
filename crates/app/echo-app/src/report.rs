//! The reporter thread: the log on standard error and the statistics on standard output, in one place, so that a live view is
//! never torn by a line of the log.

use std::fmt::Display;
use std::io::{self, Write};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::figures;
use crate::view::View;

/// Lines that may wait to be written. Beyond that lines are dropped.
const QUEUE: usize = 1024;

/// How long the end of the process waits for an output that nobody reads.
const PATIENCE: Duration = Duration::from_millis(500);

const SECOND: Duration = Duration::from_secs(1);

enum Message {
    Line(String),
    Finish,
}

/// A handle to the log. Cloning it is cheap; any thread may use it, and none waits.
#[derive(Clone)]
pub(crate) struct Log {
    lines: Sender<Message>,
}

impl Log {
    pub(crate) fn info(&self, sentence: impl Display) {
        self.say("info ", sentence);
    }

    pub(crate) fn warn(&self, sentence: impl Display) {
        self.say("warn ", sentence);
    }

    pub(crate) fn error(&self, sentence: impl Display) {
        self.say("error", sentence);
    }

    fn say(&self, level: &str, sentence: impl Display) {
        // What does not fit is lost: nobody reads then.
        let _ = self.lines.try_send(Message::Line(format!("{} {level} {sentence}\n", figures::timestamp(unix_now()))));
    }
}

/// The seconds of the wall clock.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The running reporter.
pub(crate) struct Reporter {
    messages: Sender<Message>,
    /// Disconnected when the thread has nothing more to do.
    written: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Reporter {
    /// Starts the thread; with a view it reports every second.
    pub(crate) fn start(view: Option<View>) -> io::Result<Reporter> {
        let (messages, receive) = bounded(QUEUE);
        let (done, written) = bounded::<()>(0);
        let thread = std::thread::Builder::new().name("report".into()).spawn(move || {
            let _done = done;
            report(&receive, view);
        })?;
        Ok(Reporter { messages, written, thread })
    }

    pub(crate) fn log(&self) -> Log {
        Log { lines: self.messages.clone() }
    }

    /// Has everything written that waits, and waits for that a moment.
    pub(crate) fn finish(self) {
        if self.messages.send_timeout(Message::Finish, PATIENCE).is_ok()
            && self.written.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Disconnected)
        {
            let _ = self.thread.join();
        }
    }
}

fn report(messages: &Receiver<Message>, mut view: Option<View>) {
    let mut next = Instant::now() + SECOND;
    loop {
        let message = match &view {
            Some(_) => messages.recv_deadline(next),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match message {
            Ok(Message::Line(line)) => {
                if let Some(view) = &mut view {
                    view.make_way();
                }
                // Standard error may be closed; there is nobody to tell then.
                let _ = io::stderr().write_all(line.as_bytes());
                if let Some(view) = &mut view {
                    view.draw();
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some(view) = &mut view {
                    view.second();
                }
                next = (next + SECOND).max(Instant::now());
            }
            Ok(Message::Finish) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
