//! Tasks and their wakers.
//!
//! A waker is a word: worker, generation and index packed into the pointer. Cloning and dropping it cost nothing, and
//! it may travel to any thread: from a foreign one it goes through the worker's inbox.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use crate::{boxed, footprint, reactor, remote};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a waker is one 64-bit word here; other widths need another packing");

/// A task of some worker. Stale once the task has ended: using it then does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskId(u64);

/// What of a task is looked at first: an idle connection is no larger.
const SMALL: usize = 128;

/// With so many that can run, those behind are fetched from memory ahead of their turn. What fewer need, the caches hold.
const MANY: usize = 64;

/// Generations are counted in 24 bits.
const GENERATIONS: u32 = 0x00FF_FFFF;

impl TaskId {
    fn new(worker: u8, generation: u32, index: u32) -> TaskId {
        debug_assert!(generation <= GENERATIONS);
        TaskId(u64::from(worker) << 56 | u64::from(generation) << 32 | u64::from(index))
    }

    /// The task that `waker` wakes; none when it is not one of ours.
    #[inline]
    pub(crate) fn of(waker: &Waker) -> Option<TaskId> {
        std::ptr::eq(waker.vtable(), &VTABLE).then(|| TaskId(waker.data().addr() as u64))
    }

    pub(crate) fn worker(self) -> u8 {
        (self.0 >> 56) as u8
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & GENERATIONS
    }

    fn index(self) -> usize {
        self.0 as u32 as usize
    }
}

/// What a task is: a future that can say what it is called.
pub(crate) trait Task {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
    fn name(&self) -> &'static str;
}

impl<F: Future<Output = ()>> Task for F {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Future::poll(self, cx)
    }

    fn name(&self) -> &'static str {
        std::any::type_name::<F>()
    }
}

pub(crate) type BoxedTask = Pin<Box<dyn Task>>;

struct TaskSlot {
    /// Of 24 bits, as in a [`TaskId`].
    generation: u32,
    state: State,
    future: Option<BoxedTask>,
    /// Where its boxes lie ([`crate::Boxed`]), as far as is known.
    blocks: boxed::Pair,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Waits,
    Queued,
}

/// Behind one borrow, since waking and running touch all of it.
#[derive(Default)]
struct Table {
    slots: Vec<TaskSlot>,
    free: Vec<u32>,
    queue: VecDeque<u32>,
}

impl Table {
    fn free_slot(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.generation = (slot.generation + 1) & GENERATIONS;
        slot.state = State::Free;
        self.free.push(index);
    }

    /// Queues a task that waits, if it is the one that is meant.
    #[inline]
    fn queue_if(&mut self, index: u32, is_meant: impl FnOnce(&TaskSlot) -> bool) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        if slot.state == State::Waits && is_meant(slot) {
            slot.state = State::Queued;
            self.queue.push_back(index);
        }
    }

    /// Has the CPU load what those come back to who run next but one and next but three.
    #[inline(never)]
    fn fetch_next(&self) {
        let slot = |place: usize| self.queue.get(place).and_then(|index| self.slots.get(*index as usize));
        if let Some(slot) = slot(1) {
            slot.blocks.fetch();
        }
        if let Some(future) = slot(3).and_then(|slot| slot.future.as_ref()) {
            footprint::fetch(std::ptr::from_ref(&**future).addr(), SMALL);
        }
    }
}

/// The tasks of one worker and the queue of those that can run.
pub(crate) struct Tasks {
    worker: u8,
    table: RefCell<Table>,
    /// Those that are polled once more at the end of this turn, and who is never among them.
    late: RefCell<Vec<u32>>,
    never_late: Cell<u32>,
    pub(crate) panics: Cell<u64>,
    /// Whom the task served that is just panicking.
    served: RefCell<String>,
    on_panic: fn(&Panicked),
}

/// A task that panicked and was ended (the panic hook has printed where).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    /// What the task is called.
    pub task: &'static str,
    /// Whom it served, as its destructors said by [`crate::served_in_panic`]; may be empty.
    pub served: String,
}

impl Tasks {
    pub(crate) fn new(worker: u8, on_panic: fn(&Panicked)) -> Tasks {
        Tasks {
            worker,
            table: RefCell::default(),
            late: RefCell::default(),
            never_late: Cell::new(u32::MAX),
            panics: Cell::new(0),
            served: RefCell::default(),
            on_panic,
        }
    }

    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) -> TaskId {
        let future: BoxedTask = Box::pin(future);
        let mut table = self.table.borrow_mut();
        let index = table.free.pop().unwrap_or_else(|| {
            table.slots.push(TaskSlot {
                generation: 0,
                state: State::Free,
                future: None,
                blocks: boxed::Pair::default(),
            });
            (table.slots.len() - 1) as u32
        });
        let slot = &mut table.slots[index as usize];
        (slot.future, slot.state) = (Some(future), State::Queued);
        let id = TaskId::new(self.worker, slot.generation, index);
        table.queue.push_back(index);
        id
    }

    #[inline]
    pub(crate) fn is_own(&self, task: TaskId) -> bool {
        self.worker == task.worker()
    }

    /// The place of the task that `waker` wakes; none when it is not one of this worker's.
    #[inline]
    pub(crate) fn place_of(&self, waker: &Waker) -> Option<u32> {
        TaskId::of(waker).filter(|task| self.is_own(*task)).map(|task| task.index() as u32)
    }

    /// Queues the task that has this place. Where the one that is meant has ended it costs the present one a poll for nothing.
    pub(crate) fn wake_place(&self, place: u32) {
        self.table.borrow_mut().queue_if(place, |_| true);
    }

    /// Queues a task; nothing happens when it has ended or is queued already.
    pub(crate) fn wake(&self, task: TaskId) {
        self.table.borrow_mut().queue_if(task.index() as u32, |slot| slot.generation == task.generation());
    }

    /// Ends a task and gives its future to the caller to drop, outside any borrow.
    pub(crate) fn take(&self, task: TaskId) -> Option<BoxedTask> {
        let mut table = self.table.borrow_mut();
        let slot = table.slots.get_mut(task.index())?;
        if slot.state == State::Free || slot.generation != task.generation() {
            return None;
        }
        let future = slot.future.take()?;
        table.free_slot(task.index() as u32);
        Some(future)
    }

    /// Ends all tasks; called while the reactor still stands, so that their destructors find it.
    pub(crate) fn take_all(&self) -> Vec<BoxedTask> {
        let mut table = self.table.borrow_mut();
        let mut all = Vec::new();
        for index in 0..table.slots.len() {
            if let Some(future) = table.slots[index].future.take() {
                table.free_slot(index as u32);
                all.push(future);
            }
        }
        all
    }

    #[inline]
    pub(crate) fn runnable(&self) -> usize {
        self.table.borrow().queue.len()
    }

    pub(crate) fn len(&self) -> usize {
        let table = self.table.borrow();
        table.slots.len() - table.free.len()
    }

    /// Puts the runnable tasks into another order (simulation).
    pub(crate) fn shuffle(&self, mut random: impl FnMut(usize) -> usize) {
        let queue = &mut self.table.borrow_mut().queue;
        for i in (1..queue.len()).rev() {
            queue.swap(i, random(i + 1));
        }
    }

    /// Has a task of this worker polled once more in this turn, after the others (or so many of them). False when there are no others.
    #[inline]
    pub(crate) fn put_off(&self, task: TaskId) -> bool {
        let mut late = self.late.borrow_mut();
        let index = task.index() as u32;
        if late.is_empty() && self.runnable() == 0 || index == self.never_late.get() {
            return false;
        }
        late.push(index);
        true
    }

    /// Excludes a task from being put off.
    pub(crate) fn never_late(&self, task: TaskId) {
        self.never_late.set(task.index() as u32);
    }

    /// How many were put off.
    #[inline]
    pub(crate) fn late(&self) -> usize {
        self.late.borrow().len()
    }

    /// Polls those that were put off. One that ended meanwhile costs whoever has its place now a poll for nothing.
    pub(crate) fn run_late(&self, before_each: impl Fn()) {
        let mut late = self.late.take();
        for index in late.drain(..) {
            let (generation, future) = {
                let slot = &mut self.table.borrow_mut().slots[index as usize];
                (slot.generation, slot.future.take())
            };
            if let Some(future) = future {
                before_each();
                self.run(index, generation, future);
            }
        }
        // Nobody is put off while these run; the room is kept.
        self.late.replace(late);
    }

    /// Polls the next runnable task once. False when there is none.
    #[inline]
    pub(crate) fn run_one(&self) -> bool {
        let (index, generation, future) = {
            let table = &mut *self.table.borrow_mut();
            let Some(index) = table.queue.pop_front() else { return false };
            if table.queue.len() >= MANY {
                table.fetch_next();
            }
            let slot = &mut table.slots[index as usize];
            if slot.state == State::Queued {
                slot.state = State::Waits;
            }
            (index, slot.generation, slot.future.take())
        };
        // A task that was cancelled while queued has no future any more.
        if let Some(future) = future {
            self.run(index, generation, future);
        }
        true
    }

    fn run(&self, index: u32, generation: u32, mut future: BoxedTask) {
        // Dropping a waker does nothing, through a pointer.
        let waker = ManuallyDrop::new(waker_of(TaskId::new(self.worker, generation, index)));
        let mut cx = Context::from_waker(&waker);
        // A panic costs the task that panicked, no other.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx)));
        match polled {
            Ok(Poll::Pending) => {
                let slot = &mut self.table.borrow_mut().slots[index as usize];
                slot.future = Some(future);
                if let Some(blocks) = boxed::take_latest() {
                    slot.blocks = blocks;
                }
            }
            Ok(Poll::Ready(())) => self.finish(index, future),
            Err(_) => {
                self.tell(future.name());
                self.finish(index, future);
            }
        }
    }

    /// What the next runnable task is called.
    pub(crate) fn next_name(&self) -> &'static str {
        let table = self.table.borrow();
        let task = table.queue.front().and_then(|index| table.slots[*index as usize].future.as_ref());
        task.map_or("a task that was cancelled", |future| future.name())
    }

    /// Runs what is no task; its panic costs nobody else.
    pub(crate) fn catch(&self, name: &'static str, work: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            self.tell(name);
        }
    }

    #[cold]
    fn tell(&self, task: &'static str) {
        self.panics.set(self.panics.get() + 1);
        (self.on_panic)(&Panicked { task, served: self.served.take() });
    }

    /// Notes whom the panicking task served.
    pub(crate) fn note_served(&self, whom: String) {
        let mut served = self.served.borrow_mut();
        // The first is the one: when a whole worker is unwound, all of its tasks come by.
        if served.is_empty() {
            *served = whom;
        }
    }

    fn finish(&self, index: u32, future: BoxedTask) {
        let name = future.name();
        self.catch(name, || drop(future));
        self.table.borrow_mut().free_slot(index);
    }
}

pub(crate) fn waker_of(task: TaskId) -> Waker {
    // SAFETY: the vtable's functions treat the data as the number it is and never as an address, and they are
    // thread-safe: on a foreign thread they go through the worker's inbox.
    unsafe { Waker::from_raw(raw(std::ptr::without_provenance(task.0 as usize))) }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(raw, wake, wake, |_| {});

const fn raw(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

fn wake(data: *const ()) {
    let task = TaskId(data.addr() as u64);
    if reactor::try_with(|r| r.wake(task)).is_none() {
        remote::wake_elsewhere(task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_packs_and_unpacks() {
        let id = TaskId::new(255, 0x00FF_FFFE, 77);
        assert_eq!((id.worker(), id.generation(), id.index()), (255, 0x00FF_FFFE, 77));
    }

    #[test]
    fn a_task_slot_stays_small() {
        // Every idle connection has one.
        assert_eq!(size_of::<TaskSlot>(), 32);
    }
}
