//! The idle connections to one server, on one worker.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buf::{Class, ReadBuf};
use clock::Tick;
use net::{PROBED_AFTER, Stream, Transport};

use crate::hand_over::Sign;
use crate::server::place_of;
use crate::upstream::KeepAlive;

/// An open connection and its history. In a box as long as it lives: it is handed back and forth with every exchange.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) born: Tick,
    /// When its last exchange ended; means something in the pool only.
    idle_since: Tick,
    /// Exchanges it carried.
    pub(crate) uses: u32,
    /// Which state of its server's addresses it was last held against; 0: none yet.
    pub(crate) era: u32,
    /// Where it leads; 0: nobody has asked yet.
    place: u32,
    /// The PROXY header that it began with.
    header: Option<Box<[u8]>>,
}

impl Connection {
    /// A connection that was opened just now.
    pub(crate) fn new(stream: Stream, now: Tick, header: Option<Box<[u8]>>) -> Box<Connection> {
        Box::new(Connection { stream, born: now, idle_since: now, uses: 0, era: 0, place: 0, header })
    }
}

impl Connection {
    /// Where it leads, as a number. Asked of the system once.
    fn place(&mut self) -> u32 {
        if self.place == 0 {
            let at = self.stream.peer().and_then(|peer| peer.socket_addr());
            self.place = at.map_or(1, place_of);
        }
        self.place
    }
}

/// Which connections are kept, with its times in milliseconds: they are compared with each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    pub(crate) idle: usize,
    idle_timeout: u32,
    max_requests: u32,
    max_age: u32,
}

impl From<&KeepAlive> for Keep {
    fn from(keep: &KeepAlive) -> Keep {
        let KeepAlive { idle, max_requests, .. } = *keep;
        Keep { idle, idle_timeout: millis(keep.idle_timeout), max_requests, max_age: millis(keep.max_age) }
    }
}

impl Keep {
    /// Whether a connection may be idle for so long that its peer is to be asked meanwhile whether it is still there.
    pub(crate) fn outlasts_a_probe(&self) -> bool {
        self.idle > 0 && self.idle_timeout > millis(PROBED_AFTER)
    }
}

/// Rounded up, and no longer than ticks can tell.
pub(crate) fn millis(time: Duration) -> u32 {
    Tick(0).after(time).0
}

/// Idle connections, the latest used on top: the others age, and the pool shrinks by itself.
pub(crate) struct Pool {
    #[expect(clippy::vec_box, reason = "the boxes outlive their stay here")]
    idle: RefCell<Vec<Box<Connection>>>,
    /// What other workers see of it, where there are any.
    sign: Option<Sign>,
    /// Whether something came over one of them that was no answer.
    unasked: Cell<bool>,
}

impl Pool {
    /// An empty pool.
    pub(crate) fn new(sign: Option<Sign>) -> Pool {
        Pool { idle: RefCell::default(), sign, unasked: Cell::new(false) }
    }

    /// The connection that was used last and is still good.
    pub(crate) fn take(&self, now: Tick, keep: &Keep) -> Option<Box<Connection>> {
        loop {
            let mut idle = self.idle.borrow_mut();
            let connection = idle.pop()?;
            if let Some(sign) = &self.sign
                && idle.is_empty()
            {
                sign.show(None);
            }
            drop(idle);
            if self.is_good(&connection, now, keep) {
                return Some(connection);
            }
        }
    }

    /// The same among those that began with this PROXY header.
    pub(crate) fn take_for(&self, now: Tick, keep: &Keep, header: &[u8]) -> Option<Box<Connection>> {
        loop {
            let mut idle = self.idle.borrow_mut();
            let place = idle.iter().rposition(|connection| connection.header.as_deref() == Some(header))?;
            let connection = idle.remove(place);
            drop(idle);
            if self.is_good(&connection, now, keep) {
                return Some(connection);
            }
        }
    }

    /// The same among those that lead to a place ([`place_of`]).
    #[cold]
    pub(crate) fn take_at(&self, now: Tick, keep: &Keep, place: u32) -> Option<Box<Connection>> {
        loop {
            let mut idle = self.idle.borrow_mut();
            let at = (0..idle.len()).rev().find(|at| idle[*at].place() == place)?;
            let connection = idle.remove(at);
            drop(idle);
            self.show();
            if self.is_good(&connection, now, keep) {
                return Some(connection);
            }
        }
    }

    /// Where there is no room, and none that is kept leads where this one does, one goes of those of which there are several.
    #[cold]
    pub(crate) fn make_room_for(&self, connection: &mut Connection, keep: &Keep) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < keep.idle {
            return;
        }
        let place = connection.place();
        if idle.iter_mut().any(|other| other.place() == place) {
            return;
        }
        let places: Vec<u32> = idle.iter_mut().map(|other| other.place()).collect();
        if let Some(at) = (0..places.len()).find(|at| places[at + 1..].contains(&places[*at])) {
            idle.remove(at);
        }
    }

    /// Keeps a connection, if it may be used again and there is room. No deadline is set on it any more.
    pub(crate) fn give(&self, mut connection: Box<Connection>, now: Tick, keep: &Keep) {
        let mut idle = self.idle.borrow_mut();
        let worn_out = connection.uses >= keep.max_requests || is_old(connection.born, now, keep.max_age);
        if !worn_out && connection.header.is_some() && idle.len() >= keep.idle && !idle.is_empty() {
            // Those that speak for clients who have gone would keep out the others until they are too old.
            idle.remove(0);
        }
        if !worn_out && idle.len() < keep.idle {
            debug_assert!(connection.stream.registration().deadline().is_none());
            connection.idle_since = now;
            if let Some(sign) = &self.sign
                && idle.is_empty()
            {
                sign.show(Some(now));
            }
            idle.push(connection);
        }
    }

    /// The connection that was used least lately, if it has been idle for `settled` and is still good: for another worker.
    pub(crate) fn part(&self, now: Tick, keep: &Keep, settled: u32) -> Option<Box<Connection>> {
        loop {
            let mut idle = self.idle.borrow_mut();
            let settled = idle.first().is_some_and(|connection| is_old(connection.idle_since, now, settled));
            let connection = settled.then(|| idle.remove(0));
            drop(idle);
            self.show();
            let connection = connection?;
            if self.is_good(&connection, now, keep) {
                return Some(connection);
            }
        }
    }

    /// Takes over what `other` keeps, the latest used of it, as much as there is room for.
    pub(crate) fn inherit(&self, other: &Pool, keep: &Keep) {
        let mut inherited = other.idle.take();
        other.show();
        let surplus = inherited.len().saturating_sub(keep.idle);
        drop(inherited.drain(..surplus));
        self.idle.replace(inherited);
        self.show();
    }

    fn show(&self) {
        if let Some(sign) = &self.sign {
            sign.show(self.idle.borrow().first().map(|connection| connection.idle_since));
        }
    }

    /// Closes what was idle for too long, and what its server has closed.
    pub(crate) fn prune(&self, now: Tick, keep: &Keep) {
        self.idle.borrow_mut().retain(|connection| self.is_good(connection, now, keep));
        self.show();
    }

    /// Closes those that `current` is false for.
    pub(crate) fn retain(&self, mut current: impl FnMut(&mut Connection) -> bool) {
        self.idle.borrow_mut().retain_mut(|connection| current(connection));
        self.show();
    }

    pub(crate) fn len(&self) -> usize {
        self.idle.borrow().len()
    }

    pub(crate) fn clear(&self) {
        let idle = self.idle.take();
        drop(idle);
        self.show();
    }

    /// Whether something came over an idle connection, since this was asked last, that nobody had asked for.
    pub(crate) fn take_unasked(&self) -> bool {
        self.unasked.take()
    }

    /// An idle connection on which something arrived was closed by its server, or never was in step.
    #[inline(always)]
    fn is_good(&self, connection: &Connection, now: Tick, keep: &Keep) -> bool {
        !is_old(connection.idle_since, now, keep.idle_timeout)
            && !is_old(connection.born, now, keep.max_age)
            && (!connection.stream.maybe_readable() || self.is_quiet_after_all(&connection.stream))
    }

    #[cold]
    fn is_quiet_after_all(&self, stream: &Stream) -> bool {
        let arrived = look(stream);
        self.unasked.set(self.unasked.get() || arrived == Arrived::Bytes);
        arrived == Arrived::Nothing
    }
}

/// Whether nothing has arrived.
#[inline]
pub(crate) fn is_quiet(stream: &Stream) -> bool {
    !stream.maybe_readable() || look(stream) == Arrived::Nothing
}

/// What came over an idle connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrived {
    Nothing,
    /// Its end, perhaps with a word why.
    End,
    Bytes,
}

/// A last read that filled its window exactly leaves open whether there is more: one more read tells.
#[cold]
fn look(stream: &Stream) -> Arrived {
    let mut window = ReadBuf::new(Class::K4);
    match stream.poll_read(&mut Context::from_waker(Waker::noop()), &mut window) {
        // Pending with the bit still set: the task's operations are used up, and nothing is known.
        Poll::Pending => {
            if stream.maybe_readable() {
                Arrived::End
            } else {
                Arrived::Nothing
            }
        }
        Poll::Ready(Ok(0)) => Arrived::End,
        // Some servers say so before they close a connection that was idle for too long.
        Poll::Ready(Ok(_)) if window.filled().get(9..12) == Some(b"408") => Arrived::End,
        Poll::Ready(Ok(_)) => Arrived::Bytes,
        Poll::Ready(Err(_)) => Arrived::End,
    }
}

#[inline(always)]
fn is_old(since: Tick, now: Tick, max: u32) -> bool {
    now.millis_since(since) >= max
}
