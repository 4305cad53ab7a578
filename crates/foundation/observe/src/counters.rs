//! Counters of one worker.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::kind::Kind;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one worker. Only that worker adds (a load and a store, no locked instruction); any thread may read.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)*
            failures: Failures,
            handshake_failures: [Counter; HANDSHAKE_FAILURES],
        }
    };
}

/// The most reasons by which failed handshakes are told apart.
pub const HANDSHAKE_FAILURES: usize = 20;

/// One for each kind.
#[derive(Debug)]
struct Failures([Counter; Kind::COUNT]);

impl Default for Failures {
    fn default() -> Failures {
        Failures(std::array::from_fn(|_| Counter::default()))
    }
}

/// One number that its worker counts up (or up and down).
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. From the owning worker only.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes `n` away. From the owning worker only.
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    /// The present value; from any thread.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

counters! {
    /// Connections accepted.
    accepted,
    /// Connections open now.
    open,
    /// Connections closed at once because `max_connections` were open.
    over_limit,
    /// Connections closed at once because the process had no descriptor left.
    shed,
    /// TLS handshakes with clients that came to a connection.
    handshakes,
    /// Requests whose head was read.
    requests,
    /// Connections made to servers of an upstream.
    connects,
    /// Requests that used an idle upstream connection.
    reused,
    /// Those of them that came from another worker.
    handed_over,
    /// Requests that were sent to a server again.
    retries,
    /// Times that a server was ejected.
    ejections,
    /// Connections that switched protocols.
    tunnelled,
    /// Those of them that are open now.
    tunnels,
}

impl Counters {
    /// Counts a failure. From the owning worker only.
    pub fn failed(&self, kind: Kind) {
        self.failures.0[kind as usize].add(1);
    }

    /// Counts a TLS handshake that failed, under the number of its reason; whoever counts knows what it stands for. From the owning
    /// worker only.
    pub fn handshake_failed(&self, reason: usize) {
        if let Some(counter) = self.handshake_failures.get(reason) {
            counter.add(1);
        }
    }

    /// How often a handshake failed for that reason.
    pub fn handshake_failures(&self, reason: usize) -> u64 {
        self.handshake_failures.get(reason).map_or(0, Counter::value)
    }

    /// How often a failure of that kind was counted.
    pub fn failures(&self, kind: Kind) -> u64 {
        self.failures.0[kind as usize].value()
    }
}
