use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::{Driver, Worker, WorkerConfig, race, sleep, spawn, stats};

const MS: u64 = 1_000_000;

fn run<T>(root: impl Future<Output = T>) -> T {
    let (worker, _) = Worker::new(WorkerConfig::default()).unwrap();
    worker.block_on(root).unwrap()
}

#[test]
fn the_clock_goes_forward() {
    let first = nanos();
    std::thread::yield_now();
    assert!(nanos() >= first && first > 0);
}

#[test]
fn it_fires_after_its_time_and_not_before() {
    let late = run(async {
        let timer = Timer::new().unwrap();
        let mut late = Vec::new();
        for _ in 0..50 {
            let at = nanos() + MS / 4;
            timer.sleep_until(at).await.unwrap();
            let now = nanos();
            assert!(now >= at);
            late.push(now - at);
        }
        late.sort_unstable();
        late
    });
    // The best tenth of them is well below what whole milliseconds would give, however busy the machine is.
    assert!(late[5] < MS / 2, "{late:?}");
}

#[test]
fn the_past_comes_at_once_and_costs_no_setting() {
    run(async {
        let timer = Timer::new().unwrap();
        timer.sleep_until(nanos() - 1).await.unwrap();
        assert_eq!(timer.at.get(), 0);
        timer.set(1).unwrap();
        poll_fn(|cx| timer.poll_fired(cx)).await.unwrap();
    });
}

#[test]
fn it_can_be_set_again_fired_or_not() {
    run(async {
        let timer = Timer::new().unwrap();
        let begun = nanos();
        timer.set(begun + 3600 * SECOND).unwrap();
        timer.set(begun + 2 * MS).unwrap();
        poll_fn(|cx| timer.poll_fired(cx)).await.unwrap();
        assert!(nanos() >= begun + 2 * MS);
        // An expiry that nobody took is forgotten.
        timer.set(1).unwrap();
        sleep(Duration::from_millis(2)).await;
        timer.set(nanos() + 3600 * SECOND).unwrap();
        let fired = async { poll_fn(|cx| timer.poll_fired(cx)).await.map(|()| true).unwrap() };
        let waited = async {
            sleep(Duration::from_millis(20)).await;
            false
        };
        assert!(!race(fired, waited).await);
    });
}

#[test]
fn other_tasks_run_meanwhile_and_the_place_is_given_back() {
    run(async {
        let before = stats().registrations;
        let order = Rc::new(RefCell::new(Vec::new()));
        for (name, wait) in [("late", 8), ("early", 2)] {
            let order = Rc::clone(&order);
            spawn(async move {
                let timer = Timer::new().unwrap();
                timer.sleep_until(nanos() + wait * MS).await.unwrap();
                order.borrow_mut().push(name);
            });
        }
        while order.borrow().len() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(*order.borrow(), ["early", "late"]);
        assert_eq!(stats().registrations, before);
    });
}

#[test]
fn a_simulation_has_none() {
    let config = WorkerConfig { driver: Driver::Simulated { seed: 1 }, ..WorkerConfig::default() };
    let (worker, _) = Worker::new(config).unwrap();
    let made = worker.block_on(async { Timer::new().map(drop) }).unwrap();
    assert_eq!(made.unwrap_err().kind(), io::ErrorKind::Unsupported);
}
