//! The server's own log: sentences to standard error, written by a thread of its own, so that no worker waits for a
//! terminal or a pipe.

use std::fmt::Display;
use std::hash::Hash;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clock::HttpDate;
use crossbeam::channel::{Receiver, Sender, bounded};
use observe::Level;

use crate::heard::Heard;

/// Lines that may wait to be written. Beyond that lines are dropped and counted.
const QUEUE: usize = 1024;

/// A handle to the log. Cloning it is cheap; any thread may use it.
#[derive(Clone)]
pub struct Log {
    lines: Option<Sender<String>>,
    dropped: Arc<AtomicU64>,
    /// When something was said that is said rarely, in seconds since 1970.
    rare: Arc<AtomicU64>,
    heard: Arc<Heard>,
}

/// A log that writes to standard error, and a guard that waits a moment for the last line when it is dropped.
pub fn stderr() -> (Log, Flush) {
    let (send, receive) = bounded(QUEUE);
    let (done, written) = bounded::<()>(0);
    let dropped = Arc::new(AtomicU64::new(0));
    let theirs = Arc::clone(&dropped);
    let thread = std::thread::Builder::new().name("log".into()).spawn(move || {
        let _done = done;
        write_lines(&receive, &theirs);
    });
    let log = Log { lines: thread.is_ok().then_some(send), dropped, rare: Arc::default(), heard: Arc::default() };
    (log.clone(), Flush { log, written })
}

/// How long the end of the process waits for a standard error that nobody reads.
const PATIENCE: Duration = Duration::from_millis(500);

/// Waits for the last line when dropped, but not for ever.
pub struct Flush {
    log: Log,
    /// Disconnected when the writer has ended.
    written: Receiver<()>,
}

impl Drop for Flush {
    fn drop(&mut self) {
        // Workers may still hold handles; the mark tells the writer to end all the same.
        if let Some(lines) = &self.log.lines
            && lines.send_timeout(String::new(), PATIENCE).is_ok()
        {
            let _ = self.written.recv_timeout(PATIENCE);
        }
    }
}

impl Log {
    /// A log that nobody reads; for tests and simulations.
    pub fn silent() -> Log {
        Log { lines: None, dropped: Arc::default(), rare: Arc::default(), heard: Arc::default() }
    }

    /// A log whose lines a test reads.
    #[cfg(test)]
    pub(crate) fn kept() -> (Log, Receiver<String>) {
        let (send, receive) = bounded(QUEUE);
        (Log { lines: Some(send), dropped: Arc::default(), rare: Arc::default(), heard: Arc::default() }, receive)
    }

    /// Writes a line.
    pub fn say(&self, level: Level, sentence: impl Display) {
        let Some(lines) = &self.lines else { return };
        let word = match level {
            Level::Debug => return,
            Level::Info => "info ",
            Level::Warn => "warn ",
            Level::Error => "error",
        };
        let now = now();
        let line = format!("{} {word} {sentence}\n", HttpDate::at(now).timestamp());
        if lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Writes a line about what every worker finds out of `subject`, if `worker` is the first.
    pub(crate) fn say_once(&self, worker: u16, subject: &impl Hash, level: Level, sentence: &str) {
        if self.heard.is_news(worker, subject, level >= Level::Warn, sentence, Instant::now()) {
            self.say(level, sentence);
        }
    }

    /// A line at level info.
    pub fn info(&self, sentence: impl Display) {
        self.say(Level::Info, sentence);
    }

    /// A line at level warn.
    pub fn warn(&self, sentence: impl Display) {
        self.say(Level::Warn, sentence);
    }

    /// A line at level warn, unless there was such a one within a minute: of what may be true of thousands of files.
    pub fn warn_rarely(&self, sentence: impl Display) {
        let (now, last) = (now(), self.rare.load(Relaxed));
        if now.abs_diff(last) >= 60 && self.rare.compare_exchange(last, now, Relaxed, Relaxed).is_ok() {
            self.warn(format_args!("{sentence} (more of the kind within a minute are not named)"));
        }
    }

    /// A line at level error.
    pub fn error(&self, sentence: impl Display) {
        self.say(Level::Error, sentence);
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

fn write_lines(lines: &Receiver<String>, dropped: &AtomicU64) {
    for line in lines {
        if line.is_empty() {
            return;
        }
        let mut err = std::io::stderr().lock();
        let _ = err.write_all(line.as_bytes());
        let lost = dropped.swap(0, Relaxed);
        if lost > 0 {
            let _ = writeln!(err, "... {lost} lines were dropped: they came faster than they could be written");
        }
    }
}
