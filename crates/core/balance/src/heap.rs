//! The least loaded server at the top, without a look at all of them.

use crate::ServerId;

/// A binary heap in which every server's load can be changed. Equal loads take turns: the one that was chosen longest ago comes
/// first.
#[derive(Clone, Debug)]
pub(crate) struct LeastLoaded {
    heap: Vec<Entry>,
    /// For each server its place in the heap, [`OUT`] when it is not in.
    place: Vec<u32>,
    /// For each server its load and turn, in the heap or not.
    keys: Vec<(u64, u64)>,
    turns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: (u64, u64),
    server: ServerId,
}

const OUT: u32 = u32::MAX;

impl LeastLoaded {
    pub(crate) fn none_of(count: usize) -> LeastLoaded {
        LeastLoaded {
            heap: Vec::with_capacity(count),
            place: vec![OUT; count],
            keys: (0..count as u64).map(|i| (0, i)).collect(),
            turns: count as u64,
        }
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

    /// Changes the load of `server`; `chosen` puts it behind its equals.
    pub(crate) fn set_load(&mut self, server: ServerId, load: u64, chosen: bool) {
        let Some(key) = self.keys.get_mut(server.index()) else { return };
        key.0 = load;
        if chosen {
            key.1 = self.turns;
            self.turns += 1;
        }
        let (key, at) = (*key, self.place[server.index()]);
        if at != OUT {
            self.heap[at as usize].key = key;
            self.settle(at as usize);
        }
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
        fn the_top_is_the_least(steps in proptest::collection::vec((0u32..20, 0u8..3, 0u64..5), 1..300)) {
            let mut heap = LeastLoaded::none_of(20);
            for (server, what, load) in steps {
                let server = ServerId(server);
                match what {
                    0 => _ = heap.insert(server),
                    1 => _ = heap.remove(server),
                    _ => heap.set_load(server, load, load % 2 == 0),
                }
                heap.check_invariants();
                prop_assert_eq!(heap.least(), heap.least_of(|_| true));
            }
        }
    }
}
