//! A number that one task raises and another waits for.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

#[derive(Default)]
pub(crate) struct Signal {
    value: Cell<usize>,
    waiting: RefCell<Vec<Waker>>,
}

impl Signal {
    pub(crate) fn raise(&self, by: usize) {
        self.value.set(self.value.get() + by);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    pub(crate) fn value(&self) -> usize {
        self.value.get()
    }

    pub(crate) async fn reaches(&self, least: usize) {
        poll_fn(|cx| {
            if self.value.get() >= least {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
