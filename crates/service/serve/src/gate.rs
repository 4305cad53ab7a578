//! How many steps of handshakes a worker takes in one turn, and whose.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use event_loop::spawn;

/// Steps of handshakes that a worker takes in one turn of its loop. A step is a signature and a key exchange at most, about
/// half a millisecond; established connections wait for so many of them, however many clients connect at once.
const STEPS_PER_TURN: usize = 4;

thread_local! {
    static GATE: Gate = Gate::default();
}

/// Lets [`STEPS_PER_TURN`] handshakes go on in each turn; the others wait in the order in which they came. Those that have
/// begun go before those that have not, all but one a turn: so few are half done at once, each with its session and its
/// buffers, and still nobody who begins can be kept out by others who go on and on. Waiting for the client's bytes
/// takes no place, so that slow clients keep nobody out.
#[derive(Default)]
struct Gate {
    taken: Cell<usize>,
    /// The task that begins the next turn is on its way.
    turning: Cell<bool>,
    begun: Queue,
    fresh: Queue,
}

type Queue = RefCell<VecDeque<Rc<Place>>>;

/// A place in the queue.
struct Place {
    waker: Waker,
    called: Cell<bool>,
}

/// Waits until a handshake may take its first step.
pub(crate) async fn pass_first() {
    let mut place = None;
    poll_fn(|cx| GATE.with(|gate| gate.poll_pass(&mut place, &gate.fresh, cx))).await;
}

/// The steps of a handshake that has begun.
pub(crate) struct Step {
    /// The next one has been let through.
    allowed: bool,
    place: Option<Rc<Place>>,
}

impl Step {
    /// For one that [`pass_first`] has let through.
    pub(crate) fn allowed() -> Step {
        Step { allowed: true, place: None }
    }

    /// Ready when it may take one step.
    pub(crate) fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match std::mem::take(&mut self.allowed) {
            true => Poll::Ready(()),
            false => GATE.with(|gate| gate.poll_pass(&mut self.place, &gate.begun, cx)),
        }
    }
}

impl Gate {
    /// Ready when the caller may take one step. `place` is its place in the queue, while it has one.
    fn poll_pass(&self, place: &mut Option<Rc<Place>>, queue: &Queue, cx: &mut Context<'_>) -> Poll<()> {
        match place {
            Some(waiting) if !waiting.called.get() => Poll::Pending,
            Some(_) => {
                *place = None;
                Poll::Ready(())
            }
            None if self.taken.get() < STEPS_PER_TURN => {
                self.take();
                Poll::Ready(())
            }
            None => {
                let waiting = Rc::new(Place { waker: cx.waker().clone(), called: Cell::new(false) });
                queue.borrow_mut().push_back(Rc::clone(&waiting));
                *place = Some(waiting);
                Poll::Pending
            }
        }
    }

    fn take(&self) {
        self.taken.set(self.taken.get() + 1);
        if !self.turning.replace(true) {
            // What is spawned now runs in the next turn.
            spawn(async { GATE.with(Gate::turn) });
        }
    }

    fn turn(&self) {
        self.taken.set(0);
        self.turning.set(false);
        self.call(&self.fresh, 1);
        self.call(&self.begun, STEPS_PER_TURN);
        self.call(&self.fresh, STEPS_PER_TURN);
    }

    /// Lets those at the front of `queue` through until `taken` steps are taken in this turn.
    fn call(&self, queue: &Queue, taken: usize) {
        while self.taken.get() < taken {
            let Some(place) = queue.borrow_mut().pop_front() else { return };
            // Whoever has gone meanwhile needs no step.
            if Rc::strong_count(&place) > 1 {
                self.take();
                place.called.set(true);
                place.waker.wake_by_ref();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Has `fresh` first steps and `begun` later ones asked for in one turn, and says in which order they were let through, the
    /// later ones as negative numbers, and how many steps their turn had then taken.
    fn order_of(fresh: i32, begun: i32) -> Vec<(i32, usize)> {
        let worker = event_loop::Worker::new(event_loop::WorkerConfig::default());
        let (worker, _remote) = worker.expect("a worker");
        let order = Rc::new(RefCell::new(Vec::new()));
        let passed = Rc::clone(&order);
        let all = async move {
            let told = Rc::clone(&passed);
            let note = move |number| told.borrow_mut().push((number, GATE.with(|gate| gate.taken.get())));
            for number in 1..=fresh {
                let note = note.clone();
                spawn(async move {
                    pass_first().await;
                    note(number);
                });
            }
            for number in 1..=begun {
                let note = note.clone();
                spawn(async move {
                    let mut step = Step { allowed: false, place: None };
                    poll_fn(|cx| step.poll_pass(cx)).await;
                    note(-number);
                });
            }
            while passed.borrow().len() < (fresh + begun) as usize {
                event_loop::sleep(Duration::from_millis(1)).await;
            }
            assert!(GATE.with(|gate| gate.fresh.borrow().is_empty() && gate.begun.borrow().is_empty()));
        };
        worker.block_on(all).expect("it ran");
        order.take()
    }

    #[test]
    fn so_many_steps_a_turn_and_the_others_in_their_order() {
        let order = order_of(12, 0);
        assert_eq!(order.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
        assert!(order.iter().all(|(_, taken)| *taken <= STEPS_PER_TURN), "{order:?}");
    }

    #[test]
    fn who_has_begun_goes_first_but_for_one_a_turn() {
        let order = order_of(8, 6);
        let numbers: Vec<i32> = order.iter().map(|(number, _)| *number).collect();
        // The first four of all find the gate open; then one who begins, and three who go on.
        assert_eq!(numbers, [1, 2, 3, 4, 5, -1, -2, -3, 6, -4, -5, -6, 7, 8]);
        assert!(order.iter().all(|(_, taken)| *taken <= STEPS_PER_TURN), "{order:?}");
    }
}
