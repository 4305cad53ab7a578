//! The servers that a policy may choose from.

use crate::ServerId;

/// A set of servers of which a member is found by its number among them, at the same cost however many there are.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    list: Vec<ServerId>,
    /// For each server its place in `list`, [`OUT`] when it is not in.
    place: Vec<u32>,
    /// A bit for each server, so that the first member is found a word at a time.
    bits: Vec<u64>,
}

const OUT: u32 = u32::MAX;

impl Members {
    /// An empty set with room for servers 0 to `count`.
    pub(crate) fn none_of(count: usize) -> Members {
        Members { list: Vec::with_capacity(count), place: vec![OUT; count], bits: vec![0; count.div_ceil(64)] }
    }

    /// False when it was in already, or is unknown.
    pub(crate) fn insert(&mut self, server: ServerId) -> bool {
        match self.place.get_mut(server.index()) {
            Some(place) if *place == OUT => *place = self.list.len() as u32,
            _ => return false,
        }
        self.list.push(server);
        self.bits[server.index() / 64] |= 1 << (server.index() % 64);
        true
    }

    /// False when it was not in.
    pub(crate) fn remove(&mut self, server: ServerId) -> bool {
        if !self.contains(server) {
            return false;
        }
        let at = std::mem::replace(&mut self.place[server.index()], OUT);
        self.list.swap_remove(at as usize);
        if let Some(moved) = self.list.get(at as usize) {
            self.place[moved.index()] = at;
        }
        self.bits[server.index() / 64] &= !(1 << (server.index() % 64));
        true
    }

    pub(crate) fn contains(&self, server: ServerId) -> bool {
        self.place.get(server.index()).is_some_and(|place| *place != OUT)
    }

    /// The members in no order.
    pub(crate) fn list(&self) -> &[ServerId] {
        &self.list
    }

    /// The member with the lowest number.
    pub(crate) fn first(&self) -> Option<ServerId> {
        let word = self.bits.iter().position(|word| *word != 0)?;
        Some(ServerId(word as u32 * 64 + self.bits[word].trailing_zeros()))
    }
}
