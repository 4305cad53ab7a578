//! What a worker counts.

use observe::Counter;

use crate::latency::Latency;

/// Counters of one worker. Only that worker adds; any thread may read.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections open now.
    pub open: Counter,
    /// Of those, the ones that hold bytes which their client has not taken yet.
    pub pending: Counter,
    /// Reads echoed: what one read brought, written back in full.
    pub requests: Counter,
    /// Bytes written back.
    pub bytes: Counter,
    /// Connections that their client ended in order.
    pub finished: Counter,
    /// Connections that broke, or that their client reset.
    pub broken: Counter,
    /// Connections closed because nothing moved for too long.
    pub idle: Counter,
    /// Connections closed in order when the worker stopped.
    pub stopped: Counter,
    /// Connections reset when the worker stopped, since their client did not take its bytes in time.
    pub cut: Counter,
    /// Connections closed at once because no descriptor was left.
    pub shed: Counter,
    /// From readable to written; empty unless it is measured.
    pub latency: Latency,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    Broken,
    Idle,
    Stopped,
    Cut,
}

impl Tally {
    pub(crate) fn ended(&self, end: End) {
        let counter = match end {
            End::Finished => &self.finished,
            End::Broken => &self.broken,
            End::Idle => &self.idle,
            End::Stopped => &self.stopped,
            End::Cut => &self.cut,
        };
        counter.add(1);
    }
}
