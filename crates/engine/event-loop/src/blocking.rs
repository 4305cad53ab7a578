//! Calls that block (opening files, looking up names) run on a few threads beside the workers.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};

/// Threads of the pool, for the whole process. They wait for disks and name servers, so more than there are CPUs.
const THREADS: usize = 4;
/// Calls that may wait for a thread. Above it the pool refuses, since a queue that long means a disk that
/// does not keep up.
const QUEUE: usize = 1024;

/// Why a blocking call has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockingError {
    /// Too many calls wait already.
    Overloaded,
    /// The call panicked.
    Panicked,
}

impl fmt::Display for BlockingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BlockingError::Overloaded => "too many slow calls (files, names) wait already",
            BlockingError::Panicked => "a slow call failed unexpectedly",
        })
    }
}

impl std::error::Error for BlockingError {}

type Job = Box<dyn FnOnce() + Send>;

struct Cell<T> {
    result: Option<Result<T, BlockingError>>,
    waker: Option<Waker>,
}

/// The result of [`blocking`], to be awaited. Dropping it lets the call run to its end unheard.
pub struct Blocking<T> {
    cell: Arc<Mutex<Cell<T>>>,
}

/// Runs `work` on the blocking pool (inline on a simulated worker). Costs two allocations and a wake-up: not for
/// the steady path.
///
/// The future gives [`BlockingError::Overloaded`] when 1,024 calls wait already.
pub fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Blocking<T> {
    let cell = Arc::new(Mutex::new(Cell { result: None, waker: None }));
    let theirs = Arc::clone(&cell);
    let job: Job = Box::new(move || {
        let result = catch_unwind(AssertUnwindSafe(work)).map_err(|_| BlockingError::Panicked);
        complete(&theirs, result);
    });
    if crate::is_simulated() {
        job();
    } else if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = pool().try_send(job) {
        complete(&cell, Err(BlockingError::Overloaded));
    }
    Blocking { cell }
}

fn complete<T>(cell: &Mutex<Cell<T>>, result: Result<T, BlockingError>) {
    let mut cell = cell.lock().unwrap_or_else(|e| e.into_inner());
    cell.result = Some(result);
    let waker = cell.waker.take();
    drop(cell);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl<T> Future for Blocking<T> {
    type Output = Result<T, BlockingError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut cell = self.cell.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(result) = cell.result.take() {
            return Poll::Ready(result);
        }
        cell.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn pool() -> &'static Sender<Job> {
    static POOL: OnceLock<Sender<Job>> = OnceLock::new();
    POOL.get_or_init(|| {
        let (send, receive): (Sender<Job>, Receiver<Job>) = bounded(QUEUE);
        for n in 0..THREADS {
            let receive = receive.clone();
            let thread = std::thread::Builder::new().name(format!("blocking-{n}"));
            // With no thread at all the channel closes and every call is refused as overloaded.
            let _ = thread.spawn(move || receive.into_iter().for_each(|job| job()));
        }
        send
    })
}
