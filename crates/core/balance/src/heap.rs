//! The least loaded server at the top, without a look at all of them.

use crate::ServerId;

/// A binary heap in which every server's load can be changed. Equal loads take turns by weight: each turn puts a server's next one
/// off by its stride, which is the shorter the greater its weight; of equal strides the one that was chosen longest ago comes first.
///
/// What a server missed while others were less loaded is not made up for: its turn then counts from the present one.
#[derive(Clone, Debug)]
pub(crate) struct LeastLoaded {
    heap: Vec<Entry>,
    /// For each server its place in the heap, [`OUT`] when it is not in.
    place: Vec<u32>,
    /// For each server its load and when its turn is, in the heap or not.
    keys: Vec<(u64, u64)>,
    /// No turn that is given from now on counts from before this.
    present: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: (u64, u64),
    server: ServerId,
}

const OUT: u32 = u32::MAX;

/// Turns are counted from 0 again beyond this.
const LATE: u64 = 1 << 62;

impl LeastLoaded {
    pub(crate) fn none_of(count: usize) -> LeastLoaded {
        LeastLoaded { heap: Vec::with_capacity(count), place: vec![OUT; count], keys: vec![(0, 0); count], present: 0 }
    }

    pub(crate) fn insert(&mut self, server: ServerId) -> bool {
        if self.place.get(server.index()).is_none_or(|place| *place != OUT) {
            return false;
        }
        self.heap.push(Entry { key: self.keys[server.index()], server });
        self.rise(self.heap.len() - 1);
        true
    }

    pub(crate) fn remove(&mut self, server: ServerId) -> bool {
        if !self.contains(server) {
            return false;
        }
        let at = std::mem::replace(&mut self.place[server.index()], OUT) as usize;
        self.heap.swap_remove(at);
        if at < self.heap.len() {
            self.settle(at);
        }
        true
    }

    pub(crate) fn contains(&self, server: ServerId) -> bool {
        self.place.get(server.index()).is_some_and(|place| *place != OUT)
    }

    /// Changes the load of `server`.
    #[inline]
    pub(crate) fn set_load(&mut self, server: ServerId, load: u64) {
        let Some(key) = self.keys.get_mut(server.index()) else { return };
        key.0 = load;
        let key = *key;
        self.follow(server, key);
    }

    /// `server` has got a request, which makes its load this; its next turn comes a stride later.
    #[inline]
    pub(crate) fn take_turn(&mut self, server: ServerId, load: u64, stride: u32) {
        let Some(key) = self.keys.get_mut(server.index()) else { return };
        let turn = key.1.max(self.present);
        *key = (load, turn + u64::from(stride));
        let key = *key;
        // One more, so that none of equal strides catches up with another.
        self.present = turn + 1;
        self.follow(server, key);
        if turn > LATE {
            self.count_anew();
        }
    }

    /// `server` has got a request that was not its turn, which makes its load this. Its next turn is a stride from now at the least;
    /// those of the others stay, and however many of these it gets, it owes no more.
    pub(crate) fn put_off(&mut self, server: ServerId, load: u64, stride: u32) {
        let Some(key) = self.keys.get_mut(server.index()) else { return };
        *key = (load, key.1.max(self.present + u64::from(stride)));
        let key = *key;
        self.follow(server, key);
    }

    fn follow(&mut self, server: ServerId, key: (u64, u64)) {
        let at = self.place[server.index()];
        if at != OUT {
            self.heap[at as usize].key = key;
            self.settle(at as usize);
        }
    }

    #[cold]
    fn count_anew(&mut self) {
        // Turns of the past are equal already, so the order stays.
        self.keys.iter_mut().for_each(|key| key.1 = key.1.saturating_sub(self.present));
        self.heap.iter_mut().for_each(|entry| entry.key.1 = entry.key.1.saturating_sub(self.present));
        self.present = 0;
    }

    pub(crate) fn least(&self) -> Option<ServerId> {
        self.heap.first().map(|entry| entry.server)
    }

    /// The least loaded that will do. Looks at all: for further tries.
    pub(crate) fn least_of(&self, will_do: impl Fn(ServerId) -> bool) -> Option<ServerId> {
        self.heap.iter().filter(|e| will_do(e.server)).min_by_key(|e| e.key).map(|e| e.server)
    }

    fn settle(&mut self, at: usize) {
        let at = self.rise(at);
        self.sink(at);
    }

    fn rise(&mut self, mut at: usize) -> usize {
        let entry = self.heap[at];
        while at > 0 {
            let above = (at - 1) / 2;
            if self.heap[above].key <= entry.key {
                break;
            }
            self.put(at, self.heap[above]);
            at = above;
        }
        self.put(at, entry);
        at
    }

    fn sink(&mut self, mut at: usize) {
        let entry = self.heap[at];
        loop {
            let left = 2 * at + 1;
            let right = left + 1;
            let Some(mut below) = self.heap.get(left).map(|_| left) else { break };
            if self.heap.get(right).is_some_and(|e| e.key < self.heap[left].key) {
                below = right;
            }
            if entry.key <= self.heap[below].key {
                break;
            }
            self.put(at, self.heap[below]);
            at = below;
        }
        self.put(at, entry);
    }

    fn put(&mut self, at: usize, entry: Entry) {
        self.heap[at] = entry;
        self.place[entry.server.index()] = at as u32;
    }

    /// No entry is lighter than the one above it, and places are right.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        for (at, entry) in self.heap.iter().enumerate() {
            assert!(at == 0 || self.heap[(at - 1) / 2].key <= entry.key);
            assert_eq!(self.place[entry.server.index()] as usize, at);
            assert_eq!(self.keys[entry.server.index()], entry.key);
        }
        assert_eq!(self.place.iter().filter(|p| **p != OUT).count(), self.heap.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_top_is_the_least(
            steps in proptest::collection::vec((0u32..20, 0u8..5, 0u64..5), 1..300),
            from in prop::sample::select(vec![0, LATE - 40]),
        ) {
            let mut heap = LeastLoaded::none_of(20);
            heap.present = from;
            for (server, what, load) in steps {
                let server = ServerId(server);
                match what {
                    0 => _ = heap.insert(server),
                    1 => _ = heap.remove(server),
                    2 => heap.take_turn(server, load, 1 + server.0 % 7),
                    3 => heap.put_off(server, load, 1 + server.0 % 7),
                    _ => heap.set_load(server, load),
                }
                heap.check_invariants();
                prop_assert_eq!(heap.least(), heap.least_of(|_| true));
            }
        }
    }

    #[test]
    fn turns_go_on_when_they_are_counted_anew() {
        let mut heap = LeastLoaded::none_of(2);
        (0..2).for_each(|i| _ = heap.insert(ServerId(i)));
        heap.present = LATE - 50;
        let mut turns = |count| -> Vec<u32> {
            let turn = |_| {
                let server = heap.least().unwrap();
                heap.take_turn(server, 0, [4, 12][server.index()]);
                server.0
            };
            (0..count).map(turn).collect()
        };
        let heavy = turns(60).windows(4).filter(|four| four.iter().filter(|id| **id == 0).count() == 3).count();
        assert!(heavy >= 52, "3 of 4, whichever 4, also across the change: {heavy} of 57");
        assert!(heap.present < 1_000);
    }
}
