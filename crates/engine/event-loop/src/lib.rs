//! The reactor of a worker: one thread, one poll, the tasks that run on it.
//!
//! A [`Worker`] runs a root future and whatever that spawns, all on the thread that called
//! [`Worker::block_on`]; nothing here is `Send` but [`Remote`]. Tasks wait on [`Registration`]s (a socket's readiness
//! and one deadline) and on [`sleep_until`]; other threads reach the worker through [`Remote::send`]; slow calls
//! go through [`blocking`].
//!
//! Two drivers sit under the same code: mio (epoll, edge-triggered), and a simulated one with a virtual clock, no
//! descriptors, the blocking pool inline and a seeded order of tasks ([`Driver::Simulated`]).
//!
//! A turn: poll until the next deadline, read the clock once, mark readiness, fire timers, drain the inbox,
//! run the tasks that were ready at the start.
//!
//! Knows nothing of HTTP, nor of addresses: sockets are `net`'s.

mod blocking;
mod boxed;
mod combine;
mod driver;
mod footprint;
pub mod precise;
mod reactor;
mod registration;
mod remote;
pub mod signals;
mod sleep;
mod slots;
mod task;
mod watch;
mod worker;

pub use blocking::{Blocking, BlockingError, blocking, cpu_bound, cpu_bound_further};
pub use boxed::{Boxed, BoxedDyn};
pub use combine::{race, within};
pub use footprint::Footprint;
pub use registration::{Direction, Ready, Registration};
pub use remote::{Closed, Remote};
pub use sleep::{Sleep, sleep, sleep_until};
pub use task::{Panicked, TaskId};
pub use watch::LongTurn;
pub use worker::{Driver, Stats, Worker, WorkerConfig};

use clock::{HttpDate, Tick};

/// Puts a write off to the end of this turn, when all tasks that are ready in it have run (or until 64 have put theirs off). True: the
/// task is polled once more then, so return `Pending` now, whatever else there is to wait for. False: write at once, since no other task
/// runs in this turn, or its end has come.
///
/// Writes that leave one behind the other find their receivers awake. Spread over a turn, each of them wakes a receiver that has
/// dealt with the last one and gone to sleep; where it runs on the same machine, that costs the writer more than the write.
/// A poll more, about 150 instructions, is what it takes. And not more than 64, since what was read is to be in the CPU's caches still when
/// its answer is written.
#[inline]
pub fn put_off(cx: &mut std::task::Context<'_>) -> bool {
    reactor::with(|r| !r.is_late.get() && TaskId::of(cx.waker()).is_some_and(|task| r.tasks.put_off(task)))
}

/// The time this turn began. Costs a load; never a system call.
#[inline]
pub fn now() -> Tick {
    reactor::with(|r| r.now.get())
}

/// When this worker began, in milliseconds since the first one of the process did: what its ticks count from.
pub fn begun() -> Tick {
    reactor::with(|r| r.begun)
}

/// The wall clock of this turn, with its rendered form.
#[inline]
pub fn date() -> HttpDate {
    reactor::with(|r| r.date.get())
}

/// Starts a task on this worker. It is first polled in the next turn, and dropped when the worker ends.
pub fn spawn(future: impl Future<Output = ()> + 'static) -> TaskId {
    reactor::with(|r| r.tasks.spawn(future))
}

/// Drops a task of this worker, wherever it waits. A task cannot cancel itself.
pub fn cancel(task: TaskId) {
    let future = reactor::with(|r| r.tasks.take(task));
    drop(future);
}

/// For destructors: when they run because their task panics, notes whom it served, so that the log can name who was cut off
/// ([`Panicked::served`]). Else it costs a look at a counter.
#[inline]
pub fn served_in_panic(whom: impl FnOnce() -> String) {
    if std::thread::panicking() {
        // The reactor may be gone already when a whole worker is unwound.
        reactor::try_with(|r| r.tasks.note_served(whom()));
    }
}

/// Counters of this worker.
pub fn stats() -> Stats {
    reactor::with(|r| r.stats())
}

/// A handle with which other threads (or this one) reach this worker.
pub fn remote() -> Remote {
    reactor::with(|r| r.remote.clone())
}

/// Moves every deadline of `kind` that lies later than `at` to `at`. Costs a pass over all registrations: for
/// the beginning of a drain, not for a request.
pub fn shorten_deadlines(kind: u8, at: Tick) {
    reactor::with(|r| r.shorten_deadlines(kind, at));
}

/// Whether this worker is simulated: no descriptor may be registered then.
pub fn is_simulated() -> bool {
    reactor::with(|r| r.simulated)
}
