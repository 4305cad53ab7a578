//! Calls that block (opening files, looking up names) run on a few threads beside the workers.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Waker};
use std::thread::Thread;

/// Threads of the pool, for the whole process. They wait for disks and name servers, so more than there are CPUs.
const THREADS: usize = 6;
/// Calls that may wait for a thread. Above it the pool refuses, since a queue that long means a disk that
/// does not keep up.
const QUEUE: usize = 1024;

/// So many of the threads may do what keeps a CPU busy ([`cpu_bound`]). The others are left to calls that wait: they would wait for all of
/// it besides, for half a minute behind what six hundred requests can ask for.
const CPU_BOUND_THREADS: usize = 4;
/// And so much of it may wait for them, some seconds' work. Whoever is refused does without, and is better off.
const CPU_BOUND_QUEUE: usize = 64;

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
    run(work, Kind::Waits)
}

/// The same for work that keeps a CPU busy for milliseconds, such as compressing. Only four of the six threads do any, so that no call waits
/// behind it; [`BlockingError::Overloaded`] when 64 pieces of it wait already.
pub fn cpu_bound<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Blocking<T> {
    run(work, Kind::CpuBound)
}

/// As [`cpu_bound`], for a further piece of work that has begun: it is done in turns with what begins, and takes none of its places, however
/// many wait (1,024 at the most).
pub fn cpu_bound_further<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Blocking<T> {
    run(work, Kind::Further)
}

fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static, kind: Kind) -> Blocking<T> {
    let cell = Arc::new(Mutex::new(Cell { result: None, waker: None }));
    let theirs = Arc::clone(&cell);
    let job: Job = Box::new(move || {
        let result = catch_unwind(AssertUnwindSafe(work)).map_err(|_| BlockingError::Panicked);
        complete(&theirs, result);
    });
    if crate::is_simulated() {
        job();
    } else if !pool().try_send(job, kind) {
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

/// What a job does with its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It waits for a disk, or another machine.
    Waits,
    CpuBound,
    /// CPU-bound, a piece of work that has begun.
    Further,
}

/// The queues, and who waits for something in them.
#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    cpu_bound: VecDeque<Job>,
    further: VecDeque<Job>,
    /// Of what is CPU-bound, one that has begun was taken last.
    took_further: bool,
    /// So many threads do what is CPU-bound.
    busy: usize,
    /// The one that went to rest last is woken first: its caches are warm, and a pool of which one thread is enough uses one.
    /// (A channel would wake the one that has rested longest, after it had spun for a while.)
    resting: Vec<Thread>,
}

impl Queue {
    /// What is CPU-bound, in turns: neither hundreds of streams nor what is made anew may hold up the other.
    fn next_cpu_bound(&mut self) -> Option<Job> {
        self.took_further = match self.took_further {
            true => self.cpu_bound.is_empty(),
            false => !self.further.is_empty(),
        };
        if self.took_further { self.further.pop_front() } else { self.cpu_bound.pop_front() }
    }
}

struct Pool {
    queue: Arc<Mutex<Queue>>,
    threads: usize,
}

impl Pool {
    fn start() -> Pool {
        let queue = Arc::new(Mutex::new(Queue::default()));
        let started = (0..THREADS).filter(|n| {
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new().name(format!("blocking-{n}"));
            thread
                .spawn(move || {
                    loop {
                        let (job, kind) = next(&queue);
                        job();
                        if kind != Kind::Waits {
                            lock(&queue).busy -= 1;
                        }
                    }
                })
                .is_ok()
        });
        let threads = started.count();
        Pool { queue, threads }
    }

    /// False when too many wait, or no thread could be had.
    fn try_send(&self, job: Job, kind: Kind) -> bool {
        let mut queue = lock(&self.queue);
        let (jobs, most) = match kind {
            Kind::Waits => (&mut queue.jobs, QUEUE),
            Kind::CpuBound => (&mut queue.cpu_bound, CPU_BOUND_QUEUE),
            Kind::Further => (&mut queue.further, QUEUE),
        };
        if self.threads == 0 || jobs.len() >= most {
            return false;
        }
        jobs.push_back(job);
        // Where no further thread may do it, one of those that do such work goes on with it.
        let is_for_another = kind == Kind::Waits || queue.busy < CPU_BOUND_THREADS;
        let rested = if is_for_another { queue.resting.pop() } else { None };
        drop(queue);
        if let Some(thread) = rested {
            thread.unpark();
        }
        true
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(|e| e.into_inner())
}

/// Rests until there is a job.
fn next(queue: &Mutex<Queue>) -> (Job, Kind) {
    let me = std::thread::current();
    loop {
        let mut queue = lock(queue);
        // It may have woken for nothing.
        queue.resting.retain(|thread| thread.id() != me.id());
        // Before the others, who have threads of their own.
        if queue.busy < CPU_BOUND_THREADS
            && let Some(job) = queue.next_cpu_bound()
        {
            queue.busy += 1;
            return (job, Kind::CpuBound);
        }
        if let Some(job) = queue.jobs.pop_front() {
            return (job, Kind::Waits);
        }
        queue.resting.push(me.clone());
        drop(queue);
        std::thread::park();
    }
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(Pool::start)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn one_thread_does_what_one_can_and_all_do_what_blocks() {
        let pool = Pool::start();
        let (send, receive) = crossbeam::channel::bounded(1);
        let mut names = HashSet::new();
        for _ in 0..20 {
            let send = send.clone();
            assert!(pool.try_send(
                Box::new(move || {
                    let _ = send.send(std::thread::current().id());
                }),
                Kind::Waits
            ));
            names.insert(receive.recv().expect("the job runs"));
            // It goes to rest before the next job comes.
            while lock(&pool.queue).resting.len() < THREADS {
                std::thread::yield_now();
            }
        }
        // The first job came while they still began.
        assert!(names.len() <= 2, "{names:?}");

        let gate = Arc::new(std::sync::Barrier::new(THREADS + 1));
        for _ in 0..THREADS {
            let gate = Arc::clone(&gate);
            assert!(pool.try_send(
                Box::new(move || {
                    gate.wait();
                }),
                Kind::Waits
            ));
        }
        // All wait for each other: it opens only when each has a thread of its own.
        gate.wait();
        let hold = Arc::new(Mutex::new(()));
        let held = hold.lock();
        let taken = (0..QUEUE + THREADS + 1).filter(|_| {
            let hold = Arc::clone(&hold);
            pool.try_send(
                Box::new(move || {
                    let _held = hold.lock();
                }),
                Kind::Waits,
            )
        });
        assert!((QUEUE..=QUEUE + THREADS).contains(&taken.count()));
        drop(held);
    }

    #[test]
    fn what_waits_has_threads_beside_what_is_cpu_bound() {
        let pool = Pool::start();
        let (send, receive) = crossbeam::channel::unbounded();
        let hold = Arc::new(Mutex::new(()));
        let held = hold.lock();
        let send_held = |kind| {
            let (hold, send) = (Arc::clone(&hold), send.clone());
            let job = move || {
                let _held = hold.lock();
                let _ = send.send(kind);
            };
            pool.try_send(Box::new(job), kind)
        };
        let begun = 2 * CPU_BOUND_QUEUE;
        assert!((0..begun).all(|_| send_held(Kind::Further)), "what has begun goes on");
        let taken = (0..CPU_BOUND_QUEUE + CPU_BOUND_THREADS + 1).filter(|_| send_held(Kind::CpuBound)).count();
        assert!((CPU_BOUND_QUEUE..=CPU_BOUND_QUEUE + CPU_BOUND_THREADS).contains(&taken), "{taken}");
        assert!(send_held(Kind::Further), "however many wait");
        // As many at once as there are threads left, each waiting for the others.
        let gate = Arc::new(std::sync::Barrier::new(THREADS - CPU_BOUND_THREADS));
        for _ in 0..THREADS - CPU_BOUND_THREADS {
            let (gate, send) = (Arc::clone(&gate), send.clone());
            let job = move || {
                gate.wait();
                let _ = send.send(Kind::Waits);
            };
            assert!(pool.try_send(Box::new(job), Kind::Waits));
            assert!(lock(&pool.queue).busy <= CPU_BOUND_THREADS);
        }
        for _ in 0..THREADS - CPU_BOUND_THREADS {
            assert!(receive.recv().is_ok_and(|kind| kind == Kind::Waits));
        }
        drop(held);
        let done: Vec<Kind> = (0..taken + begun + 1).map_while(|_| receive.recv().ok()).collect();
        let all_of = |wanted| done.iter().filter(|kind| **kind == wanted).count();
        assert_eq!((all_of(Kind::CpuBound), all_of(Kind::Further)), (taken, begun + 1));
    }

    #[test]
    fn what_begins_and_what_has_begun_take_turns() {
        let (send, receive) = crossbeam::channel::unbounded();
        let mut queue = Queue::default();
        let job = |kind| -> Job {
            let send = send.clone();
            Box::new(move || send.send(kind).expect("somebody listens"))
        };
        queue.further.extend((0..4).map(|_| job(Kind::Further)));
        queue.cpu_bound.extend((0..2).map(|_| job(Kind::CpuBound)));
        while let Some(job) = queue.next_cpu_bound() {
            job();
        }
        let (first, further) = (Kind::CpuBound, Kind::Further);
        assert_eq!(receive.try_iter().collect::<Vec<_>>(), [further, first, further, first, further, further]);
        queue.cpu_bound.extend((0..2).map(|_| job(Kind::CpuBound)));
        assert!((0..2).all(|_| queue.next_cpu_bound().is_some()) && queue.next_cpu_bound().is_none());
    }
}
