use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use super::*;
use crate::{Driver, Worker, WorkerConfig, sleep, spawn};

fn simulated<T>(root: impl Future<Output = T>) -> T {
    let driver = Driver::Simulated { seed: 1 };
    let (worker, _) = Worker::new(WorkerConfig { driver, ..WorkerConfig::default() }).expect("a worker");
    worker.block_on(root).expect("it ends")
}

/// Polls `registration` until it is ready, and counts how often.
async fn counted(registration: Rc<Registration>, polls: Rc<Cell<u32>>) {
    poll_fn(|cx| {
        polls.set(polls.get() + 1);
        registration.poll_ready(cx, Direction::Read)
    })
    .await
    .expect("it has no deadline");
}

#[test]
fn who_has_the_place_of_a_task_that_ended_is_polled_for_nothing_and_no_more() {
    simulated(async {
        let left = Rc::new(Registration::detached());
        let waited = Rc::clone(&left);
        // It waits once, and ends without having been woken by what it waits for.
        spawn(async move {
            let once = poll_fn(|cx| waited.poll_ready(cx, Direction::Read));
            let outcome = crate::within(crate::now().after(Duration::from_millis(1)), once).await;
            assert!(outcome.is_none(), "it is not ready");
        });
        sleep(Duration::from_millis(5)).await;
        let (own, polls) = (Rc::new(Registration::detached()), Rc::new(Cell::new(0)));
        spawn(counted(Rc::clone(&own), Rc::clone(&polls)));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(polls.get(), 1);
        left.mark(Ready::READ);
        sleep(Duration::from_millis(1)).await;
        left.mark(Ready::READ);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(polls.get(), 2, "its place was the other's");
        own.mark(Ready::READ);
        sleep(Duration::from_millis(1)).await;
        assert_eq!((polls.get(), Rc::strong_count(&own)), (3, 1));
    });
}

#[test]
fn a_task_of_another_worker_is_woken_there() {
    let (send_waker, wakers) = crossbeam::channel::bounded::<Waker>(1);
    let (other, _) = Worker::new(WorkerConfig::default()).expect("a worker");
    let waiting = std::thread::spawn(move || {
        let (worker, _) = Worker::new(WorkerConfig::default()).expect("a worker");
        let root = async {
            let (root, woken) = (poll_fn(|cx| Poll::Ready(cx.waker().clone())).await, Rc::new(Cell::new(false)));
            let note = Rc::clone(&woken);
            // A task, since a root is polled a second time before anybody woke it.
            spawn(async move {
                let mut told = false;
                poll_fn(|cx| match std::mem::replace(&mut told, true) {
                    true => Poll::Ready(()),
                    false => {
                        send_waker.send(cx.waker().clone()).expect("it is awaited");
                        Poll::Pending
                    }
                })
                .await;
                note.set(true);
                root.wake();
            });
            let woken = poll_fn(|_| if woken.get() { Poll::Ready(()) } else { Poll::Pending });
            crate::within(crate::now().after(Duration::from_secs(10)), woken).await
        };
        worker.block_on(root).expect("it ends")
    });
    let waker = wakers.recv().expect("it is sent");
    let root = async {
        let registration = Registration::detached();
        let mut cx = Context::from_waker(&waker);
        assert!(registration.poll_ready(&mut cx, Direction::Read).is_pending());
        registration.mark(Ready::READ);
    };
    other.block_on(root).expect("it ends");
    assert_eq!(waiting.join().expect("no panic"), Some(()), "it was not woken");
}

#[test]
fn what_the_waker_of_a_stranger_does_when_it_is_dropped_may_be_anything() {
    struct Ends;
    impl std::task::Wake for Ends {
        fn wake(self: std::sync::Arc<Ends>) {}
    }
    impl Drop for Ends {
        fn drop(&mut self) {
            drop(Registration::detached());
        }
    }
    let wait = |registration: &Registration| {
        let waker = Waker::from(std::sync::Arc::new(Ends));
        assert!(registration.poll_ready(&mut Context::from_waker(&waker), Direction::Read).is_pending());
    };
    simulated(async {
        let registration = Registration::detached();
        wait(&registration);
        // The second takes the place of the first, this task that of the second.
        wait(&registration);
        let waits = poll_fn(|cx| Poll::Ready(registration.poll_ready(cx, Direction::Read).is_pending())).await;
        assert!(waits);
        wait(&registration);
        drop(registration);
    });
}
