//! The access log: workers gather lines in a buffer of their own and hand over full buffers, a thread writes them.
//!
//! A line costs its worker no lock, no system call and no allocation. A buffer goes over when it is half full, or a tenth of a second after its
//! first line. When the writer does not keep up, whole buffers are dropped and counted: no worker waits for a disk.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::future::poll_fn;
use std::io::{self, Write};
use std::path::Path;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use config::LogTarget;
use crossbeam::channel::{Receiver, Sender, bounded};
use message::{Known, Version};
use observe::{ACCESS_LINE_MAX, Access, AccessFormat, AccessLines};
use serve::Record;

use crate::log::Log;
use crate::prepared::PrepareError;

/// A buffer is handed over when it holds so much.
const BATCH: usize = 32 << 10;
/// What a buffer has room for: the last line before it is handed over may be the longest there is.
const ROOM: usize = BATCH + ACCESS_LINE_MAX;
/// Buffers on their way to the writer, and as many on their way back. With those the writer is behind by 2 MiB.
const BATCHES: usize = 64;
/// The longest time a line waits in its buffer.
const WAIT: Duration = Duration::from_millis(100);
/// How often lost lines are complained about.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
/// How long the end of the process waits for a disk that does not take the last lines.
const PATIENCE: Duration = Duration::from_secs(2);

enum Message {
    /// So many lines.
    Lines(Vec<u8>, u64),
    /// Somebody has renamed the file.
    Reopen,
    /// The last of all.
    End,
}

/// Where the lines of all workers go. Dropped, it writes what it was given and ends.
pub(crate) struct AccessWriter {
    target: LogTarget,
    messages: Sender<Message>,
    /// Empty buffers.
    returned: Receiver<Vec<u8>>,
    lost: Arc<Lost>,
    /// Disconnected when the thread has ended.
    written: Receiver<()>,
    /// Where to complain, once that is there.
    log: Arc<OnceLock<Log>>,
}

impl AccessWriter {
    /// Opens the target and starts the thread.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn open(target: &LogTarget) -> Result<AccessWriter, PrepareError> {
        let file =
            match target {
                LogTarget::Stdout => None,
                LogTarget::File(path) => Some(appended(path).map_err(|e| {
                    PrepareError::new(format!("the access log {} cannot be opened: {e}", path.display()))
                })?),
            };
        let (messages, receive) = bounded(BATCHES);
        let (give_back, returned) = bounded(BATCHES);
        let (done, written) = bounded::<()>(0);
        let (lost, log) = (Arc::<Lost>::default(), Arc::<OnceLock<Log>>::default());
        let sink =
            Sink { target: target.clone(), file, lost: Arc::clone(&lost), log: Arc::clone(&log), complained: None };
        let thread = std::thread::Builder::new().name("access-log".into()).spawn(move || {
            let _done = done;
            sink.run(&receive, &give_back);
        });
        thread.map_err(|e| PrepareError::new(format!("no thread for the access log: {e}")))?;
        Ok(AccessWriter { target: target.clone(), messages, returned, lost, written, log })
    }

    /// Lines that were lost since it was opened.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.ever.load(Relaxed)
    }

    /// Whether it writes to that target.
    pub(crate) fn writes_to(&self, target: &LogTarget) -> bool {
        self.target == *target
    }

    /// From now on it complains there.
    pub(crate) fn complain_to(&self, log: &Log) {
        let _ = self.log.set(log.clone());
    }

    /// Has the file opened again by its name, behind the lines that were handed over before. False: too much waits to be written.
    pub(crate) fn reopen(&self) -> bool {
        self.messages.send_timeout(Message::Reopen, PATIENCE).is_ok()
    }

    /// Waits until all that was handed over is written, but not for ever.
    pub(crate) fn finish(&self) {
        let end = Instant::now() + PATIENCE;
        if self.messages.send_deadline(Message::End, end).is_ok() {
            let _ = self.written.recv_deadline(end);
        }
    }
}

fn appended(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Lines that did not get into the log.
#[derive(Default)]
struct Lost {
    /// Those that nobody was told of yet.
    unsaid: AtomicU64,
    ever: AtomicU64,
}

impl Lost {
    fn add(&self, lines: u64) {
        self.unsaid.fetch_add(lines, Relaxed);
        self.ever.fetch_add(lines, Relaxed);
    }
}

/// The writing thread's side.
struct Sink {
    target: LogTarget,
    /// None: standard output.
    file: Option<File>,
    lost: Arc<Lost>,
    log: Arc<OnceLock<Log>>,
    complained: Option<Instant>,
}

impl Sink {
    fn run(mut self, messages: &Receiver<Message>, give_back: &Sender<Vec<u8>>) {
        for message in messages {
            match message {
                Message::Lines(mut buffer, lines) => {
                    let wrote = match &mut self.file {
                        Some(file) => file.write_all(&buffer),
                        None => io::stdout().lock().write_all(&buffer),
                    };
                    if let Err(why) = wrote {
                        self.lost.add(lines);
                        self.complain(&why);
                    } else if self.lost.unsaid.load(Relaxed) > 0 {
                        self.complain(&"they came faster than they could be written");
                    }
                    buffer.clear();
                    // When enough are on their way back, this one is freed.
                    let _ = give_back.try_send(buffer);
                }
                Message::Reopen => self.reopen(),
                Message::End => return,
            }
        }
    }

    fn reopen(&mut self) {
        let LogTarget::File(path) = &self.target else { return };
        match appended(path) {
            Ok(file) => self.file = Some(file),
            // The old one goes on, under whatever name it has now.
            Err(why) => {
                if let Some(log) = self.log.get() {
                    log.error(format_args!("the access log {} cannot be opened again: {why}", path.display()));
                }
            }
        }
    }

    fn complain(&mut self, why: &dyn std::fmt::Display) {
        let now = Instant::now();
        if self.complained.is_some_and(|last| now - last < COMPLAIN_EVERY) {
            return;
        }
        if let Some(log) = self.log.get() {
            self.complained = Some(now);
            let lost = self.lost.unsaid.swap(0, Relaxed);
            log.warn(format_args!("{lost} lines of the access log were lost: {why}"));
        }
    }
}

/// A worker's side.
pub(crate) struct AccessLog {
    writer: Arc<AccessWriter>,
    gathered: RefCell<Gathered>,
}

struct Gathered {
    lines: AccessLines,
    buffer: Vec<u8>,
    count: u64,
    /// The task that hands over what has waited long enough, while it has nothing to do.
    waiting: Option<Waker>,
}

impl AccessLog {
    /// A worker's log in that form; its task ends with it.
    pub(crate) fn start(writer: &Arc<AccessWriter>, format: config::AccessFormat) -> Rc<AccessLog> {
        let lines = AccessLines::new(format_of(format));
        let gathered = Gathered { lines, buffer: Vec::with_capacity(ROOM), count: 0, waiting: None };
        let log = Rc::new(AccessLog { writer: Arc::clone(writer), gathered: RefCell::new(gathered) });
        event_loop::spawn(hand_over(Rc::downgrade(&log)));
        log
    }

    /// Writes the line of an exchange.
    pub(crate) fn write(&self, record: &Record<'_>) {
        let access = access_of(record);
        let gathered = &mut *self.gathered.borrow_mut();
        gathered.lines.put(&mut gathered.buffer, event_loop::date().unix(), &access);
        gathered.count += 1;
        if gathered.buffer.len() >= BATCH {
            self.hand_over(gathered);
        } else if let Some(task) = gathered.waiting.take() {
            task.wake();
        }
    }

    /// Hands over what is there, full or not.
    pub(crate) fn hand_over_all(&self) {
        self.hand_over(&mut self.gathered.borrow_mut());
    }

    fn hand_over(&self, gathered: &mut Gathered) {
        if gathered.buffer.is_empty() {
            return;
        }
        let empty = self.writer.returned.try_recv().unwrap_or_else(|_| Vec::with_capacity(ROOM));
        let full = std::mem::replace(&mut gathered.buffer, empty);
        let count = std::mem::take(&mut gathered.count);
        if let Err(refused) = self.writer.messages.try_send(Message::Lines(full, count)) {
            self.writer.lost.add(count);
            if let Message::Lines(mut buffer, _) = refused.into_inner() {
                buffer.clear();
                gathered.buffer = buffer;
            }
        }
    }

    fn poll_filled(&self, cx: &Context<'_>) -> Poll<()> {
        let mut gathered = self.gathered.borrow_mut();
        if gathered.buffer.is_empty() {
            gathered.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let mut gathered = self.gathered.borrow_mut();
        self.hand_over(&mut gathered);
        if let Some(task) = gathered.waiting.take() {
            task.wake();
        }
    }
}

/// Hands over what no full buffer took along.
async fn hand_over(log: Weak<AccessLog>) {
    loop {
        let filled = poll_fn(|cx| match log.upgrade() {
            Some(log) => log.poll_filled(cx).map(|()| true),
            None => Poll::Ready(false),
        });
        if !filled.await {
            return;
        }
        event_loop::sleep(WAIT).await;
        let Some(log) = log.upgrade() else { return };
        log.hand_over_all();
    }
}

fn format_of(format: config::AccessFormat) -> AccessFormat {
    match format {
        config::AccessFormat::Common => AccessFormat::Common,
        config::AccessFormat::Combined => AccessFormat::Combined,
        config::AccessFormat::Json => AccessFormat::Json,
        config::AccessFormat::Plain { colour } => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            AccessFormat::Plain { colour, utc_offset: process::utc_offset(now) }
        }
    }
}

fn access_of<'a>(record: &Record<'a>) -> Access<'a> {
    let field = |name| record.request.and_then(|request| request.fields.first(name));
    Access {
        client: record.client,
        request: record.request.map(|request| {
            let version = match request.version {
                Version::Http10 => "HTTP/1.0",
                Version::Http11 => "HTTP/1.1",
            };
            (request.method_bytes(), request.target_bytes(), version)
        }),
        host: record.request.map_or(&[], |request| request.authority_bytes()),
        status: record.status,
        bytes: record.body_bytes,
        milliseconds: record.took_ms,
        referer: field(Known::Referer),
        user_agent: field(Known::UserAgent),
        certificate: record.certificate.map(|shown| (&*shown.subject, &*shown.fingerprint)),
        failure: record.failure.map(|failure| &*failure.sentence),
    }
}
