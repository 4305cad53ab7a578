//! A worker thread: echoes until the control thread orders it to stop.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::Sender;
use echo_service::{Clock, Echo, Tally, serve};
use event_loop::{Panicked, Remote, Worker, WorkerConfig};
use net::{Bound, Listener};

use crate::report::Log;

/// What a worker is started with.
pub(crate) struct Spec {
    pub(crate) number: usize,
    pub(crate) listener: Bound,
    pub(crate) tally: Arc<Tally>,
    pub(crate) max_events: usize,
    pub(crate) idle: Duration,
    pub(crate) measure: bool,
    pub(crate) log: Log,
}

/// How a worker ended.
pub(crate) struct Ended {
    pub(crate) number: usize,
    pub(crate) result: Result<(), String>,
}

/// Starts the thread. `ended` hears of its end, however it comes.
pub(crate) fn start(spec: Spec, ended: Sender<Ended>) -> io::Result<(Remote, JoinHandle<()>)> {
    let (send, receive) = crossbeam::channel::bounded(1);
    let number = spec.number;
    let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(spec, &send)));
        let result = result.unwrap_or_else(|_| Err("it panicked; the message stands above".into()));
        let _ = ended.send(Ended { number, result });
    })?;
    let remote = receive.recv().map_err(|_| io::Error::other("a worker ended before it began"))??;
    Ok((remote, thread))
}

/// Nanoseconds since the first call, from 1 on.
fn nanos() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    BEGAN.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1
}

thread_local! {
    /// This thread's worker, for the order in its inbox and for panics.
    static ECHO: RefCell<Option<(Rc<Echo>, Log)>> = const { RefCell::new(None) };
}

fn work(spec: Spec, started: &Sender<io::Result<Remote>>) -> Result<(), String> {
    let config = WorkerConfig { max_events: spec.max_events, on_panic: log_panic, ..WorkerConfig::default() };
    let (worker, remote) = match Worker::new(config) {
        Ok(made) => made,
        Err(e) => {
            let _ = started.send(Err(e));
            return Err("it could not be started".into());
        }
    };
    let root = async {
        let listener = match Listener::new(spec.listener) {
            Ok(listener) => listener,
            Err(e) => {
                let _ = started.send(Err(e));
                return Err("it could not listen".into());
            }
        };
        let echo = Echo::new(spec.tally, spec.idle, spec.measure.then_some(nanos as Clock));
        ECHO.set(Some((Rc::clone(&echo), spec.log.clone())));
        let _ = started.send(Ok(remote));
        serve(listener, echo, |sentence| spec.log.warn(sentence)).await;
        ECHO.set(None);
        Ok(())
    };
    worker.block_on(root).map_err(|e| e.to_string())?
}

fn log_panic(Panicked { task, served }: &Panicked) {
    ECHO.with_borrow(|here| {
        if let Some((_, log)) = here {
            log.error(format_args!("a task panicked and was ended, with the connection of {served} only: {task}"));
        }
    });
}

/// Orders a worker to end its connections, giving them `patience` to take what is theirs.
pub(crate) fn order_stop(remote: &Remote, patience: Duration) {
    // A worker that has ended needs no order.
    let _ = remote.send(move || {
        ECHO.with_borrow(|here| {
            if let Some((echo, _)) = here {
                echo.stop(patience);
            }
        });
    });
}
