//! A switch that tasks of one worker wait for.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// Raised once, never lowered. Any number of tasks of this worker may wait for it.
#[derive(Debug, Default)]
pub struct Switch {
    raised: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Switch {
    /// Raises it and wakes who waits.
    pub fn raise(&self) {
        self.raised.set(true);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.raised.get()
    }

    /// Completes when it is raised.
    pub async fn raised(&self) {
        std::future::poll_fn(|cx| self.poll_raised(cx)).await;
    }

    fn poll_raised(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.raised.get() {
            return Poll::Ready(());
        }
        wait_in(&self.waiting, cx);
        Poll::Pending
    }
}

/// Notes the task once, however often it comes (an accept loop does with every connection).
pub(crate) fn wait_in(waiting: &RefCell<Vec<Waker>>, cx: &Context<'_>) {
    let mut waiting = waiting.borrow_mut();
    if !waiting.iter().any(|w| w.will_wake(cx.waker())) {
        waiting.push(cx.waker().clone());
    }
}
