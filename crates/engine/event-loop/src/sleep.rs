//! Waiting for a time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use clock::Tick;

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
