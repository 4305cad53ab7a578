//! What a socket (or a sleep, or an in-memory stream) holds in the reactor: readiness, who waits, one deadline.

use std::io;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use clock::Tick;
use mio::event::Source;
use mio::{Interest, Token};

use crate::reactor;
use crate::slots::{ERROR, FIRED, READ, READ_CLOSED, SET, WRITE};

/// Which way a wait goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Until there is something to read (or the end, or an error).
    Read,
    /// Until there is room to write (or an error).
    Write,
}

/// Readiness bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready(u8);

impl Ready {
    /// Bytes, or the end, can be read.
    pub const READ: Ready = Ready(READ);
    /// There is room to write.
    pub const WRITE: Ready = Ready(WRITE);
    /// The peer has sent its last byte.
    pub const READ_CLOSED: Ready = Ready(READ_CLOSED);
    /// All that makes a reader try. For listeners, which have no end: what was reported before somebody listened is void.
    pub const READING: Ready = Ready(READ | READ_CLOSED | ERROR);
    /// The connection is broken in both directions.
    pub const ERROR: Ready = Ready(ERROR);

    /// Both.
    pub const fn and(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }

    /// Whether any bit of `other` is in this.
    pub const fn has(self, other: Ready) -> bool {
        self.0 & other.0 != 0
    }
}

/// A place in the reactor's table, given back on drop. Belongs to its worker's thread.
#[derive(Debug)]
pub struct Registration {
    index: u32,
    /// The index means something on this thread only.
    _not_send: PhantomData<*const ()>,
}

impl Registration {
    /// A registration without a descriptor: for timers and in-memory streams, marked by [`Registration::mark`].
    pub fn detached() -> Registration {
        let index = reactor::with(|r| r.slots.borrow_mut().insert());
        Registration { index, _not_send: PhantomData }
    }

    /// Registers a descriptor once for reading and writing, edge-triggered. Nothing counts as ready until the poll
    /// says so (it does at once for what is ready already).
    ///
    /// # Errors
    /// The poll's; and `Unsupported` on a simulated worker, which has no descriptors.
    pub fn of(source: &mut impl Source) -> io::Result<Registration> {
        let registration = Registration::detached();
        reactor::with(|r| {
            let Some(registry) = r.registry.as_ref() else {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "a simulated worker has no descriptors"));
            };
            let token = Token(r.slots.borrow().token(registration.index));
            registry.register(source, token, Interest::READABLE | Interest::WRITABLE)
        })?;
        Ok(registration)
    }

    /// Takes the descriptor out of the poll; needed before closing only when it has duplicates elsewhere.
    pub fn deregister(&self, source: &mut impl Source) -> io::Result<()> {
        reactor::with(|r| r.registry.as_ref().map_or(Ok(()), |registry| registry.deregister(source)))
    }

    /// Ready at once when the direction is ready, or the deadline has fired (`TimedOut`). Otherwise the task is woken
    /// when that changes. Also yields, with the task woken again, when the task has used up its operations.
    #[inline]
    pub fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>> {
        let bits = match direction {
            Direction::Read => READ | READ_CLOSED | ERROR,
            Direction::Write => WRITE | ERROR,
        };
        let may_go_on = reactor::with(|r| {
            let mut slots = r.slots.borrow_mut();
            let slot = slots.at(self.index);
            slot.flags & FIRED == 0 && slot.ready & bits != 0 && r.spend()
        });
        if may_go_on { Poll::Ready(Ok(())) } else { self.poll_unready(cx, direction, bits) }
    }

    /// What [`Registration::poll_ready`] comes to when the operation may not go on at once.
    #[inline(never)]
    fn poll_unready(&self, cx: &mut Context<'_>, direction: Direction, bits: u8) -> Poll<io::Result<()>> {
        reactor::with(|r| {
            let mut slots = r.slots.borrow_mut();
            let slot = slots.at(self.index);
            if slot.flags & FIRED != 0 {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if slot.ready & bits != 0 {
                // Its operations are used up.
                drop(slots);
                cx.waker().wake_by_ref();
            } else {
                let before = slots.wait(self.index, direction, r.tasks.place_of(cx.waker()), cx.waker());
                drop((slots, before));
            }
            Poll::Pending
        })
    }

    /// Counts an operation as so many more: one that moved much.
    pub fn spend(&self, operations: u32) {
        reactor::with(|r| r.budget.set(r.budget.get().saturating_sub(operations)));
    }

    /// Ready when the connection is broken (both directions) or the deadline has fired. Uses the reader's place: a task
    /// waits for reading or for this, not for both from two tasks.
    pub fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        reactor::with(|r| {
            let mut slots = r.slots.borrow_mut();
            let slot = slots.at(self.index);
            if slot.flags & FIRED != 0 {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            if slot.ready & ERROR != 0 {
                return Poll::Ready(io::ErrorKind::ConnectionReset.into());
            }
            let before = slots.wait(self.index, Direction::Read, r.tasks.place_of(cx.waker()), cx.waker());
            drop((slots, before));
            Poll::Pending
        })
    }

    /// The readiness as last reported, and not cleared since.
    #[inline]
    pub fn ready(&self) -> Ready {
        reactor::with(|r| Ready(r.slots.borrow_mut().at(self.index).ready))
    }

    /// Says that an operation would block (or found less than it asked for): wait for the next edge.
    #[inline]
    pub fn clear(&self, bits: Ready) {
        reactor::with(|r| r.slots.borrow_mut().at(self.index).ready &= !bits.0);
    }

    /// Says that a read found less than it asked for: the next one waits for an edge. Not so when the end was reported
    /// already, for which no further edge comes: then it must be read on until that end.
    #[inline]
    pub fn drained(&self) {
        reactor::with(|r| {
            let mut slots = r.slots.borrow_mut();
            let slot = slots.at(self.index);
            if slot.ready & READ_CLOSED == 0 {
                slot.ready &= !READ;
            }
        });
    }

    /// Sets bits without waking anybody: the next operation will try the system call.
    pub fn assume(&self, bits: Ready) {
        reactor::with(|r| r.slots.borrow_mut().at(self.index).ready |= bits.0);
    }

    /// Sets bits and wakes who waits for them; what the poll does for descriptors.
    pub fn mark(&self, bits: Ready) {
        reactor::with(|r| {
            let token = r.slots.borrow().token(self.index);
            r.mark_token(token, bits.0);
        });
    }

    /// Sets the one deadline. When it passes, every operation answers `TimedOut` until another is set or it is
    /// cleared. `kind` is the caller's own and comes back from [`Registration::fired`].
    #[inline]
    pub fn set_deadline(&self, at: Tick, kind: u8) {
        reactor::with(|r| r.set_deadline(self.index, at, kind));
    }

    /// Takes the deadline away, fired or not.
    #[inline]
    pub fn clear_deadline(&self) {
        reactor::with(|r| r.slots.borrow_mut().at(self.index).flags = 0);
    }

    /// The kind of the deadline that has passed, if it has.
    pub fn fired(&self) -> Option<u8> {
        reactor::with(|r| {
            let mut slots = r.slots.borrow_mut();
            let slot = slots.at(self.index);
            (slot.flags & FIRED != 0).then_some(slot.kind)
        })
    }

    /// The deadline that is set, if one is.
    pub fn deadline(&self) -> Option<Tick> {
        reactor::with(|r| {
            let mut slots = r.slots.borrow_mut();
            let slot = slots.at(self.index);
            (slot.flags & SET != 0).then_some(slot.deadline)
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // A task dropped after its worker has nothing to give back.
        reactor::try_with(|r| {
            r.wheel.borrow_mut().disarm(self.index);
            let waited = r.slots.borrow_mut().remove(self.index);
            drop(waited);
        });
    }
}

#[cfg(test)]
mod tests;
