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
