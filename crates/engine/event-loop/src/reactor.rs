//! The state of one worker, found through a thread-local.

use std::cell::{Cell, RefCell};
use std::ptr;
use std::rc::Rc;

use clock::{HttpDate, Tick, Wheel};

use crate::registration::Direction;
use crate::remote::{self, Remote};
use crate::slots::{ERROR, FIRED, READ, READ_CLOSED, SET, Slots, WRITE, Waiter};
use crate::task::{TaskId, Tasks};
use crate::watch::Watch;
use crate::worker::Stats;

/// Reads and writes that one poll of a task may make before it lets the others run. A task that always finds
/// its socket ready (a fast peer on loopback) would otherwise keep the worker to itself.
pub(crate) const OPERATIONS_PER_POLL: u32 = 128;

pub(crate) struct Reactor {
    pub(crate) simulated: bool,
    pub(crate) registry: Option<mio::Registry>,
    /// When it began, in milliseconds of the process.
    pub(crate) begun: Tick,
    pub(crate) now: Cell<Tick>,
    pub(crate) date: Cell<HttpDate>,
    pub(crate) slots: RefCell<Slots>,
    pub(crate) wheel: RefCell<Wheel>,
    pub(crate) tasks: Tasks,
    pub(crate) remote: Remote,
    /// What the wheel gave out in this turn; kept, so that a turn with timers allocates nothing.
    pub(crate) due: Cell<Vec<u32>>,
    pub(crate) watch: Watch,
    pub(crate) budget: Cell<u32>,
    pub(crate) yields: Cell<u64>,
    pub(crate) turns: Cell<u64>,
    /// The turn has come to its end, where those run who put something off.
    pub(crate) is_late: Cell<bool>,
}

/// Room for so many fired timers is kept.
const DUE_KEPT: usize = 1024;

thread_local! {
    /// A plain pointer, since it is read some twenty times a request: no reference count, no destructor to register.
    static CURRENT: Cell<*const Reactor> = const { Cell::new(ptr::null()) };
}

/// Runs `f` with this thread's reactor.
///
/// # Panics
/// When no worker runs on this thread: sockets and timers exist on workers only.
#[inline]
pub(crate) fn with<T>(f: impl FnOnce(&Reactor) -> T) -> T {
    match try_with(f) {
        Some(value) => value,
        None => no_worker(),
    }
}

#[cold]
fn no_worker() -> ! {
    panic!("no worker runs on this thread")
}

/// Like [`with`], for destructors and wakers, which may run where no worker is (any more).
#[inline]
pub(crate) fn try_with<T>(f: impl FnOnce(&Reactor) -> T) -> Option<T> {
    let current = CURRENT.get();
    // SAFETY: not null only while an `Installed` lives, which holds the reactor. That one ends in the frame of `block_on`,
    // beneath which everything runs that a worker runs: no `f` outlives it.
    unsafe { current.as_ref() }.map(f)
}

/// Makes a reactor this thread's as long as it lives.
pub(crate) struct Installed(Rc<Reactor>);

impl Installed {
    pub(crate) fn new(reactor: Rc<Reactor>) -> Installed {
        CURRENT.set(Rc::as_ptr(&reactor));
        Installed(reactor)
    }
}

/// Drops the tasks while their reactor still stands, then takes it from the thread; also when the root panics.
impl Drop for Installed {
    fn drop(&mut self) {
        // A destructor may spawn or wake others; a few rounds end that.
        for _ in 0..8 {
            let tasks = self.0.tasks.take_all();
            if tasks.is_empty() {
                break;
            }
            drop(tasks);
        }
        CURRENT.set(ptr::null());
    }
}

impl Reactor {
    /// Notes what the poll reported for `token` and wakes who waits for it.
    pub(crate) fn mark_token(&self, token: usize, bits: u8) {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.of_token(token) else { return };
        slot.ready |= bits;
        let reader = if bits & (READ | READ_CLOSED | ERROR) != 0 { slot.reader.take() } else { Waiter::NOBODY };
        let writer = if bits & (WRITE | ERROR) != 0 { slot.writer.take() } else { Waiter::NOBODY };
        drop(slots);
        self.wake_both(token as u32, reader, writer);
    }

    /// Fires what is due.
    pub(crate) fn fire_timers(&self) {
        let now = self.now.get();
        let mut due = self.due.take();
        self.wheel.borrow_mut().advance(now, |index| due.push(index));
        for index in due.drain(..) {
            let mut slots = self.slots.borrow_mut();
            let slot = slots.at(index);
            slot.disarmed();
            if slot.flags & SET == 0 {
                continue;
            }
            if !slot.deadline.is_due(now) {
                // The deadline was moved later since the entry was made.
                let at = slot.deadline;
                slot.arm(at);
                self.wheel.borrow_mut().arm(index, at);
                continue;
            }
            slot.flags = FIRED;
            let (reader, writer) = (slot.reader.take(), slot.writer.take());
            drop(slots);
            self.wake_both(index, reader, writer);
        }
        // What a burst of timers needed is not kept.
        due.shrink_to(DUE_KEPT);
        self.due.set(due);
    }

    #[inline]
    fn wake_both(&self, index: u32, reader: Waiter, writer: Waiter) {
        for (direction, waiter) in [(Direction::Read, reader), (Direction::Write, writer)] {
            if let Some(task) = waiter.task() {
                self.tasks.wake_place(task);
            } else if waiter == Waiter::FOREIGN {
                let waker = self.slots.borrow_mut().take_foreign(index, direction);
                waker.into_iter().for_each(std::task::Waker::wake);
            }
        }
    }

    /// Makes a task runnable, of this worker or of another.
    #[inline]
    pub(crate) fn wake(&self, task: TaskId) {
        if self.tasks.is_own(task) { self.tasks.wake(task) } else { remote::wake_elsewhere(task) }
    }

    pub(crate) fn set_deadline(&self, index: u32, at: Tick, kind: u8) {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.at(index);
        (slot.deadline, slot.kind, slot.flags) = (at, kind, SET);
        // Later than the entry: the entry moves when it fires. Earlier: it must move now.
        if slot.arm(at) {
            self.wheel.borrow_mut().arm(index, at);
        }
    }

    pub(crate) fn shorten_deadlines(&self, kind: u8, at: Tick) {
        let mut slots = self.slots.borrow_mut();
        let mut wheel = self.wheel.borrow_mut();
        for (index, slot) in slots.used() {
            if slot.flags & SET != 0 && slot.kind == kind && at.is_before(slot.deadline) {
                slot.deadline = at;
                if slot.arm(at) {
                    wheel.arm(index, at);
                }
            }
        }
    }

    /// Takes one operation from the running task's budget. False when it is spent: the caller then wakes its
    /// own task and says that it must wait.
    #[inline]
    pub(crate) fn spend(&self) -> bool {
        match self.budget.get() {
            0 => {
                self.yields.set(self.yields.get() + 1);
                false
            }
            left => {
                self.budget.set(left - 1);
                true
            }
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            tasks: self.tasks.len(),
            registrations: self.slots.borrow().len(),
            timers: self.wheel.borrow().len(),
            turns: self.turns.get(),
            yields: self.yields.get(),
            panics: self.tasks.panics.get(),
            long_turns: self.watch.long_turns.get(),
            longest_turn: self.watch.longest.get(),
        }
    }
}
