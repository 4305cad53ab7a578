//! The idle connections to one server, on one worker.

use std::cell::RefCell;
use std::task::{Context, Waker};
use std::time::Duration;

use buf::{Class, ReadBuf};
use clock::Tick;
use net::{Stream, Transport};

use crate::upstream::KeepAlive;

/// An open connection and its history.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) born: Tick,
    /// Exchanges it carried.
    pub(crate) uses: u32,
}

struct Idle {
    connection: Connection,
    since: Tick,
}

/// Idle connections, the latest used on top: the others age, and the pool shrinks by itself.
#[derive(Default)]
pub(crate) struct Pool {
    idle: RefCell<Vec<Idle>>,
}

impl Pool {
    /// The connection that was used last and is still good.
    pub(crate) fn take(&self, now: Tick, keep: &KeepAlive) -> Option<Connection> {
        loop {
            let idle = self.idle.borrow_mut().pop()?;
            if is_good(&idle, now, keep) {
                return Some(idle.connection);
            }
        }
    }

    /// Keeps a connection, if it may be used again and there is room.
    pub(crate) fn give(&self, connection: Connection, now: Tick, keep: &KeepAlive) {
        let mut idle = self.idle.borrow_mut();
        let worn_out = connection.uses >= keep.max_requests || is_old(connection.born, now, keep.max_age);
        if !worn_out && idle.len() < keep.idle {
            connection.stream.clear_deadline();
            idle.push(Idle { connection, since: now });
        }
    }

    /// Closes what was idle for too long, and what its server has closed.
    pub(crate) fn prune(&self, now: Tick, keep: &KeepAlive) {
        self.idle.borrow_mut().retain(|idle| is_good(idle, now, keep));
    }

    pub(crate) fn len(&self) -> usize {
        self.idle.borrow().len()
    }

    pub(crate) fn clear(&self) {
        let idle = self.idle.take();
        drop(idle);
    }
}

/// An idle connection on which something arrived was closed by its server, or never was in step.
fn is_good(idle: &Idle, now: Tick, keep: &KeepAlive) -> bool {
    !is_old(idle.since, now, keep.idle_timeout)
        && !is_old(idle.connection.born, now, keep.max_age)
        && is_quiet(&idle.connection.stream)
}

/// Whether nothing has arrived. A last read that filled its window exactly leaves that open: one more read tells.
fn is_quiet(stream: &Stream) -> bool {
    if !stream.maybe_readable() {
        return true;
    }
    let mut window = ReadBuf::new(Class::K4);
    let read = stream.poll_read(&mut Context::from_waker(Waker::noop()), &mut window);
    // Pending with the bit still set: the task's operations are used up, and nothing is known.
    read.is_pending() && !stream.maybe_readable()
}

fn is_old(since: Tick, now: Tick, max: Duration) -> bool {
    now.since(since) >= max
}
