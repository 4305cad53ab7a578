//! The queue before an upstream whose servers are full.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use balance::ServerId;

use crate::lease::{Lease, Wanted};
use crate::upstream::Upstream;

/// Those who wait for a server with room, in the order they came.
#[derive(Default)]
pub(crate) struct Queue {
    /// Also of those who have left, until their turn comes or they are too many.
    places: RefCell<VecDeque<Rc<Waiter>>>,
    /// How many of them wait.
    waiting: Cell<usize>,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.get() == 0
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.get()
    }

    fn join(&self, waiter: &Rc<Waiter>) {
        self.places.borrow_mut().push_back(Rc::clone(waiter));
        self.waiting.set(self.waiting.get() + 1);
    }

    /// Somebody does not wait any longer. Thousands may leave at once, so none looks for his place.
    fn leave(&self, waiter: &Waiter) {
        waiter.state.set(State::Left);
        let waiting = self.waiting.get() - 1;
        self.waiting.set(waiting);
        let mut places = self.places.borrow_mut();
        if places.len() > 2 * waiting + 64 {
            places.retain(|place| place.state.get() == State::Waits);
        }
    }

    /// Who is next.
    pub(crate) fn front(&self) -> Option<Rc<Waiter>> {
        let mut places = self.places.borrow_mut();
        while places.front()?.state.get() == State::Left {
            places.pop_front();
        }
        places.front().map(Rc::clone)
    }

    /// The front has a server.
    pub(crate) fn call(&self, front: &Waiter, server: ServerId) {
        self.places.borrow_mut().pop_front();
        self.waiting.set(self.waiting.get() - 1);
        front.state.set(State::Granted(server));
        if let Some(waker) = front.waker.take() {
            waker.wake();
        }
    }
}

pub(crate) struct Waiter {
    wanted: Wanted,
    state: Cell<State>,
    waker: RefCell<Option<Waker>>,
}

/// ```text
/// Waits ── a server has room ──▶ Granted ──▶ Left (with the server)
///   └── gives up ──▶ Left
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waits,
    Granted(ServerId),
    Left,
}

/// A place in the queue; left on drop. What was granted meanwhile and not taken goes to the next.
pub struct Place<'u> {
    upstream: &'u Upstream,
    waiter: Rc<Waiter>,
}

impl Waiter {
    /// What it waits for.
    pub(crate) fn wanted(&self) -> Wanted {
        self.wanted
    }
}

impl<'u> Place<'u> {
    /// The last place.
    pub(crate) fn at_the_end(upstream: &'u Upstream, wanted: Wanted) -> Place<'u> {
        let waiter = Rc::new(Waiter { wanted, state: Cell::new(State::Waits), waker: RefCell::default() });
        upstream.queue.join(&waiter);
        Place { upstream, waiter }
    }

    /// Ready when a server has room.
    pub fn poll_lease(&self, cx: &mut Context<'_>) -> Poll<Lease<'u>> {
        if let State::Granted(server) = self.waiter.state.get() {
            self.waiter.state.set(State::Left);
            return Poll::Ready(Lease::begun(self.upstream, server, self.waiter.wanted));
        }
        self.waiter.waker.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        match self.waiter.state.get() {
            State::Granted(server) => self.upstream.end(server, None, None),
            State::Waits => self.upstream.queue.leave(&self.waiter),
            State::Left => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter() -> Rc<Waiter> {
        Rc::new(Waiter { wanted: Wanted::default(), state: Cell::new(State::Waits), waker: RefCell::default() })
    }

    #[test]
    fn who_has_left_is_passed_over_and_not_counted() {
        let queue = Queue::default();
        let waiters: Vec<_> = (0..5).map(|_| waiter()).collect();
        waiters.iter().for_each(|waiter| queue.join(waiter));
        queue.leave(&waiters[0]);
        queue.leave(&waiters[2]);
        assert_eq!(queue.len(), 3);
        for n in [1, 3, 4] {
            let front = queue.front().unwrap();
            assert!(Rc::ptr_eq(&front, &waiters[n]), "{n}");
            queue.call(&front, ServerId(7));
            assert_eq!(front.state.get(), State::Granted(ServerId(7)));
        }
        assert!(queue.front().is_none() && queue.is_empty());
    }

    #[test]
    fn those_who_have_left_do_not_pile_up() {
        let queue = Queue::default();
        let first = waiter();
        queue.join(&first);
        for _ in 0..10_000 {
            let waiter = waiter();
            queue.join(&waiter);
            queue.leave(&waiter);
            assert!(queue.places.borrow().len() <= 100);
        }
        assert!(queue.front().is_some_and(|front| Rc::ptr_eq(&front, &first)));
    }
}
