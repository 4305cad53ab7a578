//! The table of registrations: readiness bits, who waits, and one deadline each.

use std::task::Waker;

use clock::Tick;

pub(crate) const READ: u8 = 1;
pub(crate) const WRITE: u8 = 2;
pub(crate) const READ_CLOSED: u8 = 4;
pub(crate) const ERROR: u8 = 8;

/// Deadline flags.
pub(crate) const SET: u8 = 1;
pub(crate) const FIRED: u8 = 2;

/// 48 bytes; a test holds it there, since every idle connection pays it.
pub(crate) struct Slot {
    pub(crate) generation: u32,
    pub(crate) deadline: Tick,
    pub(crate) ready: u8,
    pub(crate) flags: u8,
    pub(crate) kind: u8,
    used: bool,
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
}

/// A table with stable indices. A freed index is used again under another generation.
#[derive(Default)]
pub(crate) struct Slots {
    entries: Vec<Slot>,
    free: Vec<u32>,
}

impl Slots {
    pub(crate) fn insert(&mut self) -> u32 {
        if let Some(index) = self.free.pop() {
            self.entries[index as usize].used = true;
            return index;
        }
        let index = self.entries.len() as u32;
        self.entries.push(Slot {
            generation: 0,
            deadline: Tick(0),
            ready: 0,
            flags: 0,
            kind: 0,
            used: true,
            reader: None,
            writer: None,
        });
        index
    }

    pub(crate) fn remove(&mut self, index: u32) {
        let slot = &mut self.entries[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        (slot.ready, slot.flags, slot.kind, slot.used) = (0, 0, 0, false);
        (slot.reader, slot.writer) = (None, None);
        self.free.push(index);
    }

    pub(crate) fn at(&mut self, index: u32) -> &mut Slot {
        &mut self.entries[index as usize]
    }

    /// The slot an event speaks of, unless its index was freed (or freed and taken again) since.
    pub(crate) fn of_token(&mut self, token: usize) -> Option<&mut Slot> {
        let (generation, index) = ((token >> 32) as u32, token as u32);
        self.entries.get_mut(index as usize).filter(|s| s.used && s.generation == generation)
    }

    pub(crate) fn token(&self, index: u32) -> usize {
        (self.entries[index as usize].generation as usize) << 32 | index as usize
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub(crate) fn used(&mut self) -> impl Iterator<Item = (u32, &mut Slot)> {
        self.entries.iter_mut().enumerate().filter(|(_, s)| s.used).map(|(i, s)| (i as u32, s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_stays_small() {
        assert_eq!(size_of::<Slot>(), 48);
    }

    #[test]
    fn a_late_event_for_a_freed_slot_finds_nothing() {
        let mut slots = Slots::default();
        let a = slots.insert();
        let token = slots.token(a);
        assert!(slots.of_token(token).is_some());
        slots.remove(a);
        assert!(slots.of_token(token).is_none());
        assert_eq!(slots.insert(), a);
        assert!(slots.of_token(token).is_none());
    }
}
