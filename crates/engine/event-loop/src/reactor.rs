//! The state of one worker, found through a thread-local.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use clock::{HttpDate, Tick, Wheel};

use crate::remote::Remote;
use crate::slots::{ERROR, FIRED, READ, READ_CLOSED, SET, Slots, WRITE};
use crate::task::Tasks;
use crate::worker::Stats;

/// Reads and writes that one poll of a task may make before it lets the others run. A task that always finds
/// its socket ready (a fast peer on loopback) would otherwise keep the worker to itself.
pub(crate) const OPERATIONS_PER_POLL: u32 = 128;

pub(crate) struct Reactor {
    pub(crate) simulated: bool,
    pub(crate) registry: Option<mio::Registry>,
    pub(crate) now: Cell<Tick>,
    pub(crate) date: Cell<HttpDate>,
    pub(crate) slots: RefCell<Slots>,
    pub(crate) wheel: RefCell<Wheel>,
    pub(crate) tasks: Tasks,
    pub(crate) remote: Remote,
    /// Who waits for the end of this turn.
    pub(crate) late: RefCell<Vec<Waker>>,
    pub(crate) budget: Cell<u32>,
    pub(crate) yields: Cell<u64>,
    pub(crate) turns: Cell<u64>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Reactor>>> = const { RefCell::new(None) };
}

/// Runs `f` with this thread's reactor.
///
/// # Panics
/// When no worker runs on this thread: sockets and timers exist on workers only.
pub(crate) fn with<T>(f: impl FnOnce(&Reactor) -> T) -> T {
    match try_with(f) {
        Some(value) => value,
        None => panic!("no worker runs on this thread"),
    }
}

/// Like [`with`], for destructors and wakers, which may run where no worker is (any more).
pub(crate) fn try_with<T>(f: impl FnOnce(&Reactor) -> T) -> Option<T> {
    CURRENT.try_with(|current| current.borrow().as_deref().map(f)).ok().flatten()
}

/// Makes `reactor` this thread's, or none.
pub(crate) fn install(reactor: Option<Rc<Reactor>>) {
    let old = CURRENT.with(|current| std::mem::replace(&mut *current.borrow_mut(), reactor));
    drop(old);
}

impl Reactor {
    /// Notes what the poll reported for `token` and wakes who waits for it.
    pub(crate) fn mark_token(&self, token: usize, bits: u8) {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.of_token(token) else { return };
        slot.ready |= bits;
        let reader = (bits & (READ | READ_CLOSED | ERROR) != 0).then(|| slot.reader.take()).flatten();
        let writer = (bits & (WRITE | ERROR) != 0).then(|| slot.writer.take()).flatten();
        drop(slots);
        wake(reader);
        wake(writer);
    }

    /// Fires what is due.
    pub(crate) fn fire_timers(&self) {
        let now = self.now.get();
        let mut due = Vec::new();
        self.wheel.borrow_mut().advance(now, |index| due.push(index));
        for index in due {
            let mut slots = self.slots.borrow_mut();
            let slot = slots.at(index);
            if slot.flags & SET == 0 {
                continue;
            }
            if !slot.deadline.is_due(now) {
                // The deadline was moved later since the entry was made.
                let at = slot.deadline;
                self.wheel.borrow_mut().arm(index, at);
                continue;
            }
            slot.flags = FIRED;
            let (reader, writer) = (slot.reader.take(), slot.writer.take());
            drop(slots);
            wake(reader);
            wake(writer);
        }
    }

    pub(crate) fn set_deadline(&self, index: u32, at: Tick, kind: u8) {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.at(index);
        (slot.deadline, slot.kind, slot.flags) = (at, kind, SET);
        drop(slots);
        let mut wheel = self.wheel.borrow_mut();
        // Later than the entry: the entry moves when it fires. Earlier: it must move now.
        if wheel.armed_at(index).is_none_or(|armed| at.is_before(armed)) {
            wheel.arm(index, at);
        }
    }

    pub(crate) fn shorten_deadlines(&self, kind: u8, at: Tick) {
        let mut slots = self.slots.borrow_mut();
        let mut wheel = self.wheel.borrow_mut();
        for (index, slot) in slots.used() {
            if slot.flags & SET != 0 && slot.kind == kind && at.is_before(slot.deadline) {
                slot.deadline = at;
                wheel.arm(index, at);
            }
        }
    }

    /// Takes one operation from the running task's budget. False when it is spent: the caller then wakes its
    /// own task and says that it must wait.
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

    /// Notes who waits until the others have run; false when there are no others.
    pub(crate) fn wait_for_end_of_turn(&self, waker: &Waker) -> bool {
        let others = self.tasks.runnable() > 0;
        if others {
            self.late.borrow_mut().push(waker.clone());
        }
        others
    }

    /// Makes those who waited runnable; false when nobody did.
    pub(crate) fn wake_late(&self) -> bool {
        let mut late = self.late.borrow_mut();
        let any = !late.is_empty();
        late.drain(..).for_each(Waker::wake);
        any
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            tasks: self.tasks.len(),
            registrations: self.slots.borrow().len(),
            timers: self.wheel.borrow().len(),
            turns: self.turns.get(),
            yields: self.yields.get(),
            panics: self.tasks.panics.get(),
        }
    }
}

pub(crate) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
