//! The servers that one request has been tried on.

use crate::ServerId;

/// How many servers are remembered. More tries than this are never useful; what is forgotten is only preferred
/// no less than others.
const REMEMBERED: usize = 8;

/// The servers that one request has already been tried on; held by the exchange, without the heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    servers: [ServerId; REMEMBERED],
    len: u8,
}

impl Tried {
    /// None yet.
    pub const fn none() -> Tried {
        Tried { servers: [ServerId(0); REMEMBERED], len: 0 }
    }

    /// Remembers `server`. After eight the latest replaces the one before it.
    pub fn add(&mut self, server: ServerId) {
        if self.contains(server) {
            return;
        }
        let at = usize::from(self.len).min(REMEMBERED - 1);
        self.servers[at] = server;
        self.len = at as u8 + 1;
    }

    /// Whether `server` has been tried.
    pub fn contains(&self, server: ServerId) -> bool {
        self.iter().any(|s| s == server)
    }

    /// Whether this is the first try.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Those remembered, each once.
    pub fn iter(&self) -> impl Iterator<Item = ServerId> {
        self.servers[..usize::from(self.len)].iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_remembered_once_and_the_set_is_bounded() {
        let mut tried = Tried::none();
        assert!(tried.is_empty() && !tried.contains(ServerId(0)));
        for id in [3, 3, 0] {
            tried.add(ServerId(id));
        }
        assert_eq!(tried.iter().collect::<Vec<_>>(), [ServerId(3), ServerId(0)]);
        for id in 10..30 {
            tried.add(ServerId(id));
        }
        assert_eq!(tried.iter().count(), REMEMBERED);
        assert!(tried.contains(ServerId(3)) && tried.contains(ServerId(29)));
    }
}
