//! A worker: its turns, from the first to the last.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use clock::{HttpDate, Tick, Wheel};
use mio::Events;

use crate::driver::{self, Engine, WAKE};
use crate::reactor::{self, Installed, OPERATIONS_PER_POLL, Reactor};
use crate::remote::{self, Message, Remote};
use crate::slots::Slots;
use crate::task::{Panicked, Tasks};
use crate::watch::{LongTurn, Watch};

/// What a worker is driven by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The system's poll and clock.
    Mio,
    /// No descriptors, a virtual clock that jumps to the next timer, tasks in an order made from the seed.
    Simulated {
        /// The same seed gives the same run.
        seed: u64,
    },
}

/// How to build a [`Worker`].
#[derive(Clone, Copy, Debug)]
pub struct WorkerConfig {
    /// What drives it.
    pub driver: Driver,
    /// Events taken from one poll. With 256 what the poll looked at is still in the CPU's caches when the tasks run, and the call's
    /// share of each is next to nothing.
    pub max_events: usize,
    /// Told of a task that panicked and was ended. The others go on.
    pub on_panic: fn(&Panicked),
    /// Told of a turn in which everybody had to wait for too long.
    pub on_long_turn: fn(LongTurn),
}

impl Default for WorkerConfig {
    fn default() -> WorkerConfig {
        WorkerConfig { driver: Driver::Mio, max_events: 256, on_panic: |_| (), on_long_turn: |_| () }
    }
}

/// When so many tasks have put something off, the end of the turn is not waited for: sockets that were read, and what is to be written
/// to them, would have left the CPU's caches by then. And Linux has the buffers of what was read given back to the CPU that made them, which
/// it interrupts when 32 wait there (half of `net.core.skb_defer_max`): with no more than that between two rounds of writes it needs none.
/// As few as this since the first to put something off waits for all that are read behind it (`benches/runs/2026-11-30-writes-gathered-by-8.md`).
const GATHERED: usize = 8;

/// Counters of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Tasks that live.
    pub tasks: usize,
    /// Places taken in the table: sockets, sleeps, in-memory streams.
    pub registrations: usize,
    /// Entries in the timer wheel.
    pub timers: usize,
    /// Turns of the loop.
    pub turns: u64,
    /// Times a task used up its operations and was made to wait for the others.
    pub yields: u64,
    /// Tasks (and work sent from elsewhere) that ended in a panic.
    pub panics: u64,
    /// Turns longer than 100 ms.
    pub long_turns: u64,
    /// The longest of those.
    pub longest_turn: Duration,
}

/// One reactor, before it runs. Make it on the thread that will run it.
pub struct Worker {
    engine: Engine,
    reactor: Rc<Reactor>,
    number: u8,
    on_long_turn: fn(LongTurn),
}

impl Worker {
    /// A worker and the handle by which other threads reach it.
    ///
    /// # Errors
    /// When the system gives no epoll or eventfd descriptor, or 256 workers live in this process already.
    pub fn new(config: WorkerConfig) -> io::Result<(Worker, Remote)> {
        let (mut engine, registry, waker) = match config.driver {
            Driver::Mio => {
                let poll = mio::Poll::new()?;
                let registry = poll.registry().try_clone()?;
                let waker = mio::Waker::new(&registry, WAKE)?;
                let events = Events::with_capacity(config.max_events.max(1));
                let engine = Engine::Mio { poll, events, begun: Instant::now(), woke: Duration::ZERO };
                (engine, Some(registry), Some(waker))
            }
            Driver::Simulated { seed } => {
                // The generator must not begin at zero.
                (Engine::Simulated { now: Tick(0), random: seed.wrapping_mul(2).wrapping_add(1) }, None, None)
            }
        };
        let remote = Remote::new(waker);
        let number =
            remote::enlist(&remote).ok_or_else(|| io::Error::other("256 workers live in this process already"))?;
        let reactor = Rc::new(Reactor {
            simulated: matches!(config.driver, Driver::Simulated { .. }),
            registry,
            begun: driver::born(&engine),
            now: Cell::new(Tick(0)),
            date: Cell::new(HttpDate::at(0)),
            slots: RefCell::new(Slots::default()),
            wheel: RefCell::new(Wheel::new(Tick(0))),
            tasks: Tasks::new(number, config.on_panic),
            remote: remote.clone(),
            due: Cell::default(),
            watch: Watch::default(),
            budget: Cell::new(OPERATIONS_PER_POLL),
            yields: Cell::new(0),
            turns: Cell::new(0),
            is_late: Cell::new(false),
        });
        engine.read_clock(&reactor);
        Ok((Worker { engine, reactor, number, on_long_turn: config.on_long_turn }, remote))
    }

    /// Runs `root` and all that it spawns on this thread until `root` is done; the other tasks are dropped then.
    ///
    /// # Errors
    /// The poll's. In a simulation, `WouldBlock` when nothing can ever happen again although `root` still waits.
    ///
    /// # Panics
    /// When another worker runs on this thread, or when `root` does.
    pub fn block_on<T>(mut self, root: impl Future<Output = T>) -> io::Result<T> {
        assert!(reactor::try_with(|_| ()).is_none(), "a worker runs on this thread already");
        let _installed = Installed::new(Rc::clone(&self.reactor));
        let mut root = pin!(root);
        // The root is no boxed task; it is run whenever its stand-in is woken.
        let woken = Rc::new(Cell::new(true));
        let mark = Rc::clone(&woken);
        let stand_in = self.reactor.tasks.spawn(std::future::poll_fn(move |_| {
            mark.set(true);
            Poll::<()>::Pending
        }));
        // It has no place of its own in a turn, and so nothing it could put off to.
        self.reactor.tasks.never_late(stand_in);
        let waker = crate::task::waker_of(stand_in);
        let mut cx = Context::from_waker(&waker);
        loop {
            if woken.replace(false) {
                self.reactor.budget.set(OPERATIONS_PER_POLL);
                if let Poll::Ready(value) = root.as_mut().poll(&mut cx) {
                    return Ok(value);
                }
            }
            if !self.turn()? && !woken.get() {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "nothing is left that could happen"));
            }
        }
    }

    /// One turn; false when a simulation has nothing left to wait for.
    fn turn(&mut self) -> io::Result<bool> {
        let r = Rc::clone(&self.reactor);
        r.turns.set(r.turns.get() + 1);
        let busy = r.tasks.runnable() > 0 || !r.remote.is_empty();
        let until = r.wheel.borrow().next_due();
        let alive = self.engine.wait(&r, busy, until, |took| {
            if let Some(long) = r.watch.turn_ended(took) {
                (self.on_long_turn)(long);
            }
        })?;
        r.fire_timers();
        r.remote.take(|message| match message {
            Message::Run(work) => r.tasks.catch("work sent by another thread", work),
            Message::Wake(task) => r.tasks.wake(task),
        });
        self.engine.order(&r);
        // What becomes runnable from here on waits for the next turn, after the sockets were looked at.
        Self::run_ready(&r);
        Self::run_late(&r);
        Ok(alive || r.tasks.runnable() > 0)
    }

    fn run_ready(r: &Reactor) {
        for _ in 0..r.tasks.runnable() {
            r.budget.set(OPERATIONS_PER_POLL);
            if r.watch.is_suspicious() {
                r.watch.time(|| {
                    let name = r.tasks.next_name();
                    r.tasks.run_one();
                    name
                });
            } else {
                r.tasks.run_one();
            }
            if r.tasks.late() >= GATHERED {
                Self::run_late(r);
            }
        }
    }

    fn run_late(r: &Reactor) {
        if r.tasks.late() > 0 {
            r.is_late.set(true);
            r.tasks.run_late(|| r.budget.set(OPERATIONS_PER_POLL));
            r.is_late.set(false);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.reactor.remote.close();
        remote::discharge(self.number);
    }
}

#[cfg(test)]
mod tests;
