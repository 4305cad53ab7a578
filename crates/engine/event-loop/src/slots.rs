//! The table of registrations: readiness bits, who waits, and one deadline each.

use std::task::Waker;

use clock::Tick;

use crate::registration::Direction;

pub(crate) const READ: u8 = 1;
pub(crate) const WRITE: u8 = 2;
pub(crate) const READ_CLOSED: u8 = 4;
pub(crate) const ERROR: u8 = 8;

/// Deadline flags.
pub(crate) const SET: u8 = 1;
pub(crate) const FIRED: u8 = 2;

/// States of a slot: somebody has it; it has an entry in the wheel.
const USED: u8 = 1;
const ARMED: u8 = 2;

/// Who waits for a direction of a slot, in four bytes: nobody, a task of this worker (by its place among them), or a waker that is none
/// of theirs (a combinator's of another library), which is then kept beside the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiter(u32);

impl Waiter {
    // No task has these: they would be the 4-billionth and its neighbour.
    pub(crate) const NOBODY: Waiter = Waiter(u32::MAX);
    pub(crate) const FOREIGN: Waiter = Waiter(u32::MAX - 1);

    /// The task's place, if it is one.
    #[inline]
    pub(crate) fn task(self) -> Option<u32> {
        (self.0 < Waiter::FOREIGN.0).then_some(self.0)
    }

    #[inline]
    pub(crate) fn take(&mut self) -> Waiter {
        std::mem::replace(self, Waiter::NOBODY)
    }
}

/// 24 bytes; a test holds it there, since every idle connection pays it.
pub(crate) struct Slot {
    pub(crate) generation: u32,
    pub(crate) deadline: Tick,
    /// When its entry in the wheel is due, if it is [`ARMED`]. What the wheel knows too, but on a line of its own: this one is at hand.
    armed: Tick,
    pub(crate) ready: u8,
    pub(crate) flags: u8,
    pub(crate) kind: u8,
    state: u8,
    pub(crate) reader: Waiter,
    pub(crate) writer: Waiter,
}

impl Slot {
    /// Notes that the entry in the wheel is due at `at`. False when it is already due by then: it moves when it fires.
    #[inline]
    pub(crate) fn arm(&mut self, at: Tick) -> bool {
        let moves = self.state & ARMED == 0 || at.is_before(self.armed);
        if moves {
            (self.armed, self.state) = (at, self.state | ARMED);
        }
        moves
    }

    /// The wheel has let go of its entry.
    #[inline]
    pub(crate) fn disarmed(&mut self) {
        self.state &= !ARMED;
    }
}

/// A table with stable indices. A freed index is used again under another generation.
#[derive(Default)]
pub(crate) struct Slots {
    entries: Vec<Slot>,
    free: Vec<u32>,
    foreign: Vec<(u32, Direction, Waker)>,
}

impl Slots {
    pub(crate) fn insert(&mut self) -> u32 {
        if let Some(index) = self.free.pop() {
            self.entries[index as usize].state = USED;
            return index;
        }
        let index = self.entries.len() as u32;
        self.entries.push(Slot {
            generation: 0,
            deadline: Tick(0),
            armed: Tick(0),
            ready: 0,
            flags: 0,
            kind: 0,
            state: USED,
            reader: Waiter::NOBODY,
            writer: Waiter::NOBODY,
        });
        index
    }

    /// Frees a place. Wakers of strangers who waited there are to be dropped when the table is not borrowed: what that does is theirs.
    #[must_use]
    pub(crate) fn remove(&mut self, index: u32) -> [Option<Waker>; 2] {
        let slot = &mut self.entries[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        (slot.ready, slot.flags, slot.kind, slot.state) = (0, 0, 0, 0);
        let waiters = [(Direction::Read, slot.reader.take()), (Direction::Write, slot.writer.take())];
        self.free.push(index);
        waiters.map(|(direction, waiter)| match waiter {
            Waiter::FOREIGN => self.take_foreign(index, direction),
            _ => None,
        })
    }

    /// Notes who waits: `task`, the place of one of ours, or else whom `waker` wakes. Who waited for that direction before is forgotten; a
    /// waker of strangers is given out, as in [`Slots::remove`].
    #[inline]
    #[must_use]
    pub(crate) fn wait(&mut self, index: u32, direction: Direction, task: Option<u32>, waker: &Waker) -> Option<Waker> {
        let slot = self.at(index);
        let place = match direction {
            Direction::Read => &mut slot.reader,
            Direction::Write => &mut slot.writer,
        };
        match task {
            Some(task) if *place != Waiter::FOREIGN => {
                *place = Waiter(task);
                None
            }
            task => self.wait_foreign(index, direction, task, waker),
        }
    }

    /// The task, or else the waker, takes the place; what was kept for it beside the table goes.
    #[cold]
    fn wait_foreign(&mut self, index: u32, direction: Direction, task: Option<u32>, waker: &Waker) -> Option<Waker> {
        let before = self.take_foreign(index, direction);
        let waiter = task.map_or(Waiter::FOREIGN, Waiter);
        if waiter == Waiter::FOREIGN {
            self.foreign.push((index, direction, waker.clone()));
        }
        let slot = self.at(index);
        match direction {
            Direction::Read => slot.reader = waiter,
            Direction::Write => slot.writer = waiter,
        }
        before
    }

    /// The waker that is none of ours and waits there.
    pub(crate) fn take_foreign(&mut self, index: u32, direction: Direction) -> Option<Waker> {
        let at = self.foreign.iter().position(|(i, d, _)| (*i, *d) == (index, direction))?;
        Some(self.foreign.swap_remove(at).2)
    }

    #[inline]
    pub(crate) fn at(&mut self, index: u32) -> &mut Slot {
        &mut self.entries[index as usize]
    }

    /// The slot an event speaks of, unless its index was freed (or freed and taken again) since.
    pub(crate) fn of_token(&mut self, token: usize) -> Option<&mut Slot> {
        let (generation, index) = ((token >> 32) as u32, token as u32);
        self.entries.get_mut(index as usize).filter(|s| s.state & USED != 0 && s.generation == generation)
    }

    pub(crate) fn token(&self, index: u32) -> usize {
        (self.entries[index as usize].generation as usize) << 32 | index as usize
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub(crate) fn used(&mut self) -> impl Iterator<Item = (u32, &mut Slot)> {
        self.entries.iter_mut().enumerate().filter(|(_, s)| s.state & USED != 0).map(|(i, s)| (i as u32, s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_stays_small() {
        assert_eq!(size_of::<Slot>(), 24);
    }

    #[test]
    fn a_foreign_waker_keeps_its_place_until_it_is_taken_or_replaced() {
        struct Count(std::sync::atomic::AtomicU32);
        impl std::task::Wake for Count {
            fn wake(self: std::sync::Arc<Count>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let count = std::sync::Arc::new(Count(0.into()));
        let foreign = Waker::from(std::sync::Arc::clone(&count));
        let mut slots = Slots::default();
        let a = slots.insert();
        assert!(slots.wait(a, Direction::Read, None, &foreign).is_none());
        assert!(slots.wait(a, Direction::Write, Some(7), Waker::noop()).is_none());
        assert_eq!((slots.at(a).reader, slots.at(a).writer.task()), (Waiter::FOREIGN, Some(7)));
        slots.take_foreign(a, Direction::Read).expect("it waits").wake();
        assert_eq!(count.0.load(std::sync::atomic::Ordering::Relaxed), 1);
        // Replaced by another, then by a task, then freed: never more than one is kept.
        assert!(slots.wait(a, Direction::Read, None, &foreign).is_none());
        assert!(slots.wait(a, Direction::Read, None, &foreign).is_some());
        assert_eq!(slots.foreign.len(), 1);
        assert!(slots.wait(a, Direction::Read, Some(7), Waker::noop()).is_some());
        assert_eq!((slots.foreign.len(), slots.at(a).reader.task()), (0, Some(7)));
        assert!(slots.wait(a, Direction::Write, None, &foreign).is_none());
        assert!(matches!(slots.remove(a), [None, Some(_)]));
        assert_eq!(slots.foreign.len(), 0);
    }

    #[test]
    fn a_late_event_for_a_freed_slot_finds_nothing() {
        let mut slots = Slots::default();
        let a = slots.insert();
        let token = slots.token(a);
        assert!(slots.of_token(token).is_some());
        let _ = slots.remove(a);
        assert!(slots.of_token(token).is_none());
        assert_eq!(slots.insert(), a);
        assert!(slots.of_token(token).is_none());
    }
}
