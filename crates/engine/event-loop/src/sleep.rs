//! Waiting for a time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use clock::Tick;

use crate::reactor;
use crate::registration::Registration;

/// The kind of a sleep's deadline: one that no socket's deadlines have, so that [`crate::shorten_deadlines`] leaves
/// sleeps alone.
const KIND: u8 = u8::MAX;

/// Completes at its time. See [`sleep_until`].
#[derive(Debug)]
pub struct Sleep {
    registration: Registration,
}

/// Completes when the worker's clock reaches `at` (a tick is 1 ms). Takes a place in the reactor's table.
pub fn sleep_until(at: Tick) -> Sleep {
    let registration = Registration::detached();
    registration.set_deadline(at, KIND);
    Sleep { registration }
}

/// Completes after `duration`, rounded up to a whole millisecond.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(crate::now().after(duration))
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.registration.poll_broken(cx).map(|_| ())
    }
}

/// Completes when the tasks that are ready in this turn have run; at once when this is the last of them.
///
/// For writes: sent one behind the other they find their receivers awake, and the system wakes each of those once
/// and not with every single write.
pub fn end_of_turn() -> EndOfTurn {
    EndOfTurn { waited: false }
}

/// See [`end_of_turn`].
#[derive(Debug)]
pub struct EndOfTurn {
    waited: bool,
}

impl Future for EndOfTurn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waits = !self.waited && reactor::with(|r| r.wait_for_end_of_turn(cx.waker()));
        self.waited = true;
        if waits { Poll::Pending } else { Poll::Ready(()) }
    }
}
