//! A hierarchical timer wheel (Varghese and Lauck): four levels of 64 slots, one tick of a millisecond.
//!
//! Entries are named by the caller's own small integers (a slab index), linked through one table, so arming a
//! timer allocates nothing once the table is as long as the slab.

use crate::tick::Tick;

const LEVELS: usize = 4;
const SLOTS: usize = 64;
const BITS: u32 = 6;
/// How far ahead the wheel reaches: 2^24 ms, 4.6 hours. Later entries wait at its far end and move on from there.
const REACH: u32 = (1 << (BITS * LEVELS as u32)) - 1;
const NONE: u32 = u32::MAX;
/// The first entry of a slot has none before it, and this plus the slot's number in its place: it alone has to know the slot when it
/// leaves. So there are fewer than 2^31 entries.
const FIRST: u32 = 1 << 31;

/// 12 bytes; a test holds it there, since every idle connection pays it.
#[derive(Clone, Copy)]
struct Node {
    /// [`NONE`]: not armed.
    prev: u32,
    next: u32,
    at: Tick,
}

const IDLE: Node = Node { prev: NONE, next: NONE, at: Tick(0) };

/// A timer wheel. [`Wheel::arm`] and [`Wheel::disarm`] entries; ask [`Wheel::next_due`] how long to wait; call
/// [`Wheel::advance`] with the present and it names what is due. All but `advance` cost a few nanoseconds.
pub struct Wheel {
    heads: [[u32; SLOTS]; LEVELS],
    occupied: [u64; LEVELS],
    nodes: Vec<Node>,
    now: Tick,
    armed: usize,
}

impl Wheel {
    /// An empty wheel at time `now`.
    pub fn new(now: Tick) -> Wheel {
        Wheel { heads: [[NONE; SLOTS]; LEVELS], occupied: [0; LEVELS], nodes: Vec::new(), now, armed: 0 }
    }

    /// How many entries are armed.
    pub fn len(&self) -> usize {
        self.armed
    }

    /// Whether nothing is armed.
    pub fn is_empty(&self) -> bool {
        self.armed == 0
    }

    /// Arms entry `id` for `at`, moving it when it is armed already. A time in the past is due at the next advance.
    pub fn arm(&mut self, id: u32, at: Tick) {
        if id as usize >= self.nodes.len() {
            self.nodes.resize(id as usize + 1, IDLE);
        }
        self.disarm(id);
        self.link(id, at);
        self.armed += 1;
    }

    /// Disarms entry `id`; nothing happens when it is not armed.
    pub fn disarm(&mut self, id: u32) {
        let Some(node) = self.nodes.get(id as usize).copied() else { return };
        match node.prev {
            NONE => return,
            first @ FIRST.. => {
                let slot = (first - FIRST) as usize;
                let (level, slot) = (slot / SLOTS, slot % SLOTS);
                self.heads[level][slot] = node.next;
                if node.next == NONE {
                    self.occupied[level] &= !(1 << slot);
                }
            }
            prev => self.nodes[prev as usize].next = node.next,
        }
        if node.next != NONE {
            self.nodes[node.next as usize].prev = node.prev;
        }
        self.nodes[id as usize].prev = NONE;
        self.armed -= 1;
    }

    fn link(&mut self, id: u32, at: Tick) {
        // The present tick's slot was emptied already: what is due now waits for the next one.
        let ahead = if at.is_before(self.now) { 0 } else { at.0.wrapping_sub(self.now.0) };
        let ahead = ahead.clamp(1, REACH);
        let when = self.now.0.wrapping_add(ahead);
        let level = ((31 - ahead.leading_zeros()) / BITS) as usize;
        let slot = ((when >> (BITS * level as u32)) as usize) % SLOTS;
        let head = self.heads[level][slot];
        self.nodes[id as usize] = Node { prev: FIRST + (level * SLOTS + slot) as u32, next: head, at };
        if head != NONE {
            self.nodes[head as usize].prev = id;
        }
        self.heads[level][slot] = id;
        self.occupied[level] |= 1 << slot;
    }

    /// The earliest time at which [`Wheel::advance`] has something to do: due entries, or entries to move to a finer
    /// level (never later than the first due entry).
    pub fn next_due(&self) -> Option<Tick> {
        let mut best: Option<Tick> = None;
        for level in 0..LEVELS {
            if self.occupied[level] == 0 {
                continue;
            }
            let shift = BITS * level as u32;
            let here = self.now.0 >> shift;
            // Slots are counted from the one after the present; the present slot itself means a full turn.
            let turned = self.occupied[level].rotate_right((here % SLOTS as u32 + 1) % SLOTS as u32);
            let steps = turned.trailing_zeros() + 1;
            let at = Tick((here.wrapping_add(steps)) << shift);
            best = Some(best.map_or(at, |b| b.min(at)));
        }
        best
    }

    /// Moves to `now` and calls `due` with each entry whose time has come; those are disarmed.
    pub fn advance(&mut self, now: Tick, mut due: impl FnMut(u32)) {
        while let Some(at) = self.next_due() {
            if !at.is_due(now) {
                break;
            }
            self.now = at;
            for level in (0..LEVELS).rev() {
                let shift = BITS * level as u32;
                // A level's slot is emptied when the present enters it.
                if at.0 & ((1u32 << shift) - 1) == 0 {
                    self.empty_slot(level, (at.0 >> shift) as usize % SLOTS, &mut due);
                }
            }
        }
        if self.now.is_before(now) {
            self.now = now;
        }
    }

    fn empty_slot(&mut self, level: usize, slot: usize, due: &mut impl FnMut(u32)) {
        let mut id = std::mem::replace(&mut self.heads[level][slot], NONE);
        self.occupied[level] &= !(1 << slot);
        while id != NONE {
            let node = self.nodes[id as usize];
            self.nodes[id as usize].prev = NONE;
            if node.at.is_due(self.now) {
                self.armed -= 1;
                due(id);
            } else {
                self.link(id, node.at);
            }
            id = node.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs random operations on the wheel and on a plain list and compares what becomes due.
    fn agrees_with_a_list(seed: u64, start: u32) {
        let mut state = seed;
        let mut random = move |n: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % n
        };
        let mut now = Tick(start);
        let mut wheel = Wheel::new(now);
        let mut list: Vec<Option<Tick>> = vec![None; 200];
        for _ in 0..5_000 {
            let id = random(200) as u32;
            match random(4) {
                0 | 1 => {
                    let ahead = [10, 100, 5_000, 300_000, 20_000_000][random(5) as usize];
                    let at = Tick(now.0.wrapping_add(1 + random(ahead) as u32));
                    wheel.arm(id, at);
                    list[id as usize] = Some(at);
                }
                2 => {
                    wheel.disarm(id);
                    list[id as usize] = None;
                }
                _ => {
                    let step = [1, 3, 70, 4_000, 300_000][random(5) as usize];
                    if let (Some(next), true) = (wheel.next_due(), step == 3) {
                        assert!(list.iter().flatten().all(|at| !at.is_before(next)));
                    }
                    now = Tick(now.0.wrapping_add(step));
                    let mut got = Vec::new();
                    wheel.advance(now, |id| got.push(id));
                    got.sort_unstable();
                    let want: Vec<u32> =
                        (0..200).filter(|i| list[*i as usize].is_some_and(|at| at.is_due(now))).collect();
                    want.iter().for_each(|i| list[*i as usize] = None);
                    assert_eq!(got, want);
                }
            }
            assert_eq!(wheel.len(), list.iter().flatten().count());
        }
    }

    #[test]
    fn fires_what_a_plain_list_would() {
        for seed in 0..20 {
            agrees_with_a_list(seed, 0);
            agrees_with_a_list(seed, u32::MAX - 50_000);
        }
    }

    #[test]
    fn a_node_stays_small() {
        assert_eq!(size_of::<Node>(), 12);
    }

    #[test]
    fn the_past_is_due_at_the_next_tick() {
        let mut wheel = Wheel::new(Tick(100));
        wheel.arm(0, Tick(50));
        let mut fired = false;
        wheel.advance(Tick(101), |_| fired = true);
        assert!(fired && wheel.is_empty());
    }
}
