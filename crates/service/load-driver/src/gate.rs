//! Waiting for each other on one worker.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

/// Lets so many through at once; the others wait in line.
#[derive(Debug)]
pub(crate) struct Gate {
    free: Cell<usize>,
    waiting: RefCell<VecDeque<Waker>>,
}

/// A place behind the gate, given back on drop.
#[derive(Debug)]
pub(crate) struct Pass<'a>(&'a Gate);

impl Gate {
    pub(crate) fn new(places: usize) -> Gate {
        Gate { free: Cell::new(places.max(1)), waiting: RefCell::default() }
    }

    /// Completes when there is a place.
    pub(crate) async fn enter(&self) -> Pass<'_> {
        std::future::poll_fn(|cx| self.poll_enter(cx)).await;
        Pass(self)
    }

    fn poll_enter(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.free.get().checked_sub(1) {
            Some(left) => {
                self.free.set(left);
                Poll::Ready(())
            }
            None => {
                self.waiting.borrow_mut().push_back(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.free.set(self.0.free.get() + 1);
        let next = self.0.waiting.borrow_mut().pop_front();
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

/// A switch that is raised once and for all; any number of tasks wait for it.
#[derive(Debug, Default)]
pub(crate) struct Switch {
    raised: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Switch {
    pub(crate) fn raise(&self) {
        self.raised.set(true);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised.get()
    }

    /// Completes when it is raised. The list of those who wait is not searched: call it again only when woken.
    pub(crate) async fn raised(&self) {
        std::future::poll_fn(|cx| self.poll_raised(cx)).await;
    }

    pub(crate) fn poll_raised(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.raised.get() {
            return Poll::Ready(());
        }
        self.waiting.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_gate_lets_so_many_through_and_the_next_in_line_when_one_leaves() {
        let gate = Gate::new(2);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let (mut a, mut b, mut c) = (pin!(gate.enter()), pin!(gate.enter()), pin!(gate.enter()));
        let Poll::Ready(first) = a.as_mut().poll(&mut cx) else { panic!("there was a place") };
        let Poll::Ready(_second) = b.as_mut().poll(&mut cx) else { panic!("there were two places") };
        assert!(c.as_mut().poll(&mut cx).is_pending());
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        drop(first);
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(c.as_mut().poll(&mut cx).is_ready());
    }

    #[test]
    fn a_gate_without_places_would_hold_everybody_for_ever_so_it_has_one() {
        let gate = Gate::new(0);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(gate.enter()).poll(&mut cx).is_ready());
    }

    #[test]
    fn a_switch_wakes_all_who_wait_and_stays_raised() {
        let switch = Switch::default();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        assert!(switch.poll_raised(&mut cx).is_pending() && switch.poll_raised(&mut cx).is_pending());
        assert!(!switch.is_raised());
        switch.raise();
        assert_eq!(woken.0.load(Ordering::SeqCst), 2);
        assert!(switch.poll_raised(&mut cx).is_ready() && switch.is_raised());
        switch.raise();
        assert_eq!(woken.0.load(Ordering::SeqCst), 2, "nobody waits any more");
    }
}
