//! Work of a fraction of a millisecond that is done on the worker itself: one piece in each turn of its loop.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use event_loop::spawn;

/// So many wait at the most, also those who have gone since.
const WAITING_MAX: usize = 128;

/// Lets one through in each turn of the worker's loop, the others wait in the order in which they came: between two of them all who
/// are ready are served, or 256 of them (`event_loop::WorkerConfig`).
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_taken: Cell<bool>,
    waiting: RefCell<VecDeque<Rc<Place>>>,
}

/// A place in the queue.
#[derive(Debug)]
struct Place {
    waker: Waker,
    is_called: Cell<bool>,
}

impl Turns {
    /// Waits until the caller may do one piece of work. False, at once: too many wait already.
    pub(crate) async fn pass(&self) -> bool {
        if !self.0.is_taken.get() {
            self.take();
            return true;
        }
        if self.0.waiting.borrow().len() >= WAITING_MAX {
            return false;
        }
        let mut place: Option<Rc<Place>> = None;
        poll_fn(|cx| match &place {
            Some(place) if place.is_called.get() => Poll::Ready(()),
            Some(_) => Poll::Pending,
            None => {
                let new = Rc::new(Place { waker: cx.waker().clone(), is_called: Cell::new(false) });
                self.0.waiting.borrow_mut().push_back(Rc::clone(&new));
                place = Some(new);
                Poll::Pending
            }
        })
        .await;
        true
    }

    fn take(&self) {
        self.0.is_taken.set(true);
        let turns = self.clone();
        // What is spawned now runs in the next turn.
        spawn(async move { turns.turn() });
    }

    fn turn(&self) {
        self.0.is_taken.set(false);
        loop {
            let Some(place) = self.0.waiting.borrow_mut().pop_front() else { return };
            // Whoever has gone meanwhile needs no turn.
            if Rc::strong_count(&place) > 1 {
                self.take();
                place.is_called.set(true);
                place.waker.wake_by_ref();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next_turn() {
        let mut is_here = true;
        poll_fn(|cx| {
            if !std::mem::take(&mut is_here) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[test]
    fn one_passes_in_a_turn_and_in_order() {
        let worker = event_loop::Worker::new(event_loop::WorkerConfig::default());
        let (worker, _remote) = worker.unwrap();
        let passed = worker.block_on(async {
            let (turns, passed, turn) = (Turns::default(), Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(0)));
            // Counts the turns.
            let counted = Rc::clone(&turn);
            spawn(async move {
                loop {
                    counted.set(counted.get() + 1);
                    next_turn().await;
                }
            });
            let tasks: Vec<_> = (0..6)
                .map(|n| {
                    let (turns, passed, turn) = (turns.clone(), Rc::clone(&passed), Rc::clone(&turn));
                    spawn(async move {
                        turns.pass().await;
                        passed.borrow_mut().push((n, turn.get()));
                    })
                })
                .collect();
            while passed.borrow().is_empty() {
                next_turn().await;
            }
            // Who has gone takes no turn, and holds up nobody.
            event_loop::cancel(tasks[5]);
            while passed.borrow().len() < 5 {
                next_turn().await;
            }
            turns.pass().await;
            passed.take()
        });
        let passed = passed.unwrap();
        assert_eq!(passed.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert!(passed.windows(2).all(|two| two[0].1 < two[1].1), "{passed:?}");
    }

    #[test]
    fn only_so_many_wait() {
        let worker = event_loop::Worker::new(event_loop::WorkerConfig::default());
        let (worker, _remote) = worker.unwrap();
        let ran = worker.block_on(async {
            let turns = Turns::default();
            assert!(turns.pass().await);
            let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(turns.pass())).collect();
            poll_fn(|cx| {
                assert!(waiting.iter_mut().all(|one| one.as_mut().poll(cx).is_pending()));
                Poll::Ready(())
            })
            .await;
            assert!(!turns.pass().await);
            // Those who have gone leave their places as their turn comes.
            drop(waiting);
            next_turn().await;
            next_turn().await;
            assert!(turns.pass().await);
        });
        ran.unwrap();
    }
}
