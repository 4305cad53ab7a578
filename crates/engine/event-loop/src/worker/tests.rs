use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::{BlockingError, Registration, blocking, cancel, now, put_off, race, sleep, spawn, stats, within};

const DRIVERS: [Driver; 2] = [Driver::Mio, Driver::Simulated { seed: 1 }];

fn run<T>(driver: Driver, root: impl Future<Output = T>) -> T {
    let (worker, _) = Worker::new(WorkerConfig { driver, ..WorkerConfig::default() }).unwrap();
    worker.block_on(root).unwrap()
}

#[test]
fn sleeping_takes_its_time() {
    for driver in DRIVERS {
        run(driver, async {
            let begun = now();
            sleep(Duration::from_millis(20)).await;
            assert!(now().since(begun) >= Duration::from_millis(20));
        });
    }
}

#[test]
fn virtual_hours_pass_at_once() {
    let begun = Instant::now();
    run(DRIVERS[1], async {
        for _ in 0..100 {
            sleep(Duration::from_secs(3600)).await;
        }
        assert_eq!(now(), Tick(360_000_000));
    });
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_simulation_with_nothing_left_says_so() {
    let (worker, _) = Worker::new(WorkerConfig { driver: DRIVERS[1], ..WorkerConfig::default() }).unwrap();
    let stuck = worker.block_on(std::future::pending::<()>());
    assert_eq!(stuck.unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn tasks_run_and_are_counted_back_to_zero() {
    for driver in DRIVERS {
        run(driver, async {
            let done = Rc::new(Cell::new(0));
            for i in 0..100u64 {
                let done = Rc::clone(&done);
                spawn(async move {
                    sleep(Duration::from_millis(i % 7)).await;
                    done.set(done.get() + 1);
                });
            }
            while done.get() < 100 {
                sleep(Duration::from_millis(1)).await;
            }
            // The root's stand-in remains.
            let s = stats();
            assert_eq!((s.tasks, s.registrations), (1, 0));
        });
    }
}

#[test]
fn the_seed_decides_the_order() {
    let order = |seed| {
        run(Driver::Simulated { seed }, async {
            let order = Rc::new(RefCell::new(Vec::new()));
            for i in 0..8 {
                let order = Rc::clone(&order);
                spawn(async move { order.borrow_mut().push(i) });
            }
            sleep(Duration::from_millis(1)).await;
            order.take()
        })
    };
    assert_eq!(order(1), order(1));
    assert!((2..20).any(|seed| order(seed) != order(1)));
}

/// Notes `name`, puts the rest off, and notes `name` again: whether it had to, and in which order.
fn twice(name: &'static str, notes: &Rc<RefCell<Vec<&'static str>>>) -> impl Future<Output = ()> + use<> {
    let notes = Rc::clone(notes);
    let mut begun = false;
    std::future::poll_fn(move |cx| {
        if !std::mem::replace(&mut begun, true) {
            notes.borrow_mut().push(name);
            if put_off(cx) {
                return Poll::Pending;
            }
        }
        notes.borrow_mut().push(name);
        Poll::Ready(())
    })
}

#[test]
fn what_is_put_off_is_done_before_the_turn_ends() {
    run(Driver::Mio, async {
        let notes = Rc::default();
        for name in ["a", "b", "c"] {
            spawn(twice(name, &notes));
        }
        sleep(Duration::from_millis(1)).await;
        assert_eq!(notes.take(), ["a", "b", "c", "a", "b", "c"]);
        // Alone there is nothing to wait for.
        spawn(twice("d", &notes));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(notes.take(), ["d", "d"]);
        // Neither is there for the root, which is polled between turns.
        spawn(twice("e", &notes));
        twice("root", &notes).await;
        assert_eq!(notes.take(), ["root", "root"]);
        sleep(Duration::from_millis(1)).await;
    });
}

#[test]
fn a_long_turn_has_several_ends_for_what_is_put_off() {
    run(Driver::Mio, async {
        let notes = Rc::default();
        let names: [&'static str; GATHERED + 2] =
            std::array::from_fn(|n| if n < GATHERED { "first" } else { "second" });
        for name in names {
            spawn(twice(name, &notes));
        }
        sleep(Duration::from_millis(1)).await;
        let notes: Vec<_> = notes.take();
        let (first, second) = notes.split_at(2 * GATHERED);
        assert!(first.iter().all(|name| *name == "first"), "{first:?}");
        assert_eq!(second, ["second"; 4]);
    });
}

#[test]
fn who_ends_or_panics_late_harms_nobody() {
    for driver in DRIVERS {
        run(driver, async {
            let notes = Rc::default();
            spawn(twice("a", &notes));
            let gone = spawn(twice("b", &notes));
            spawn(async move { cancel(gone) });
            spawn(async move {
                let mut first = true;
                std::future::poll_fn(|cx| match std::mem::replace(&mut first, false) && put_off(cx) {
                    true => Poll::<()>::Pending,
                    false => panic!("late, as the test wants it"),
                })
                .await;
            });
            spawn(twice("c", &notes));
            sleep(Duration::from_millis(1)).await;
            let noted = |name| notes.borrow().iter().filter(|n| **n == name).count();
            assert_eq!((noted("a"), noted("c")), (2, 2));
            assert!(noted("b") < 2);
            assert_eq!((stats().panics, stats().tasks), (1, 1));
        });
    }
}

#[test]
fn a_panic_costs_one_task() {
    run(Driver::Mio, async {
        spawn(async { panic!("on purpose, in a test") });
        let ok = Rc::new(Cell::new(false));
        let mark = Rc::clone(&ok);
        spawn(async move { mark.set(true) });
        sleep(Duration::from_millis(1)).await;
        assert!(ok.get());
        assert_eq!(stats().panics, 1);
        assert_eq!(stats().tasks, 1);
    });
}

#[test]
fn a_panic_is_told_with_whom_the_task_served() {
    static TOLD: Mutex<Vec<Panicked>> = Mutex::new(Vec::new());
    struct Client(&'static str);
    impl Drop for Client {
        fn drop(&mut self) {
            crate::served_in_panic(|| self.0.into());
        }
    }
    let on_panic = |panicked: &Panicked| TOLD.lock().unwrap().push(panicked.clone());
    let (worker, _) = Worker::new(WorkerConfig { on_panic, ..WorkerConfig::default() }).unwrap();
    worker
        .block_on(async {
            spawn(async {
                let _ends_well = Client("one");
                sleep(Duration::from_millis(1)).await;
            });
            spawn(async {
                let _client = Client("two");
                sleep(Duration::from_millis(2)).await;
                panic!("on purpose, in a test");
            });
            spawn(async { panic!("on purpose, in a test") });
            sleep(Duration::from_millis(20)).await;
        })
        .unwrap();
    let told = TOLD.lock().unwrap();
    let served: Vec<&str> = told.iter().map(|panicked| panicked.served.as_str()).collect();
    assert_eq!(served, ["", "two"]);
    assert!(told[1].task.contains("a_panic_is_told_with_whom_the_task_served"), "{told:?}");
}

#[test]
fn a_cancelled_task_gives_everything_back() {
    for driver in DRIVERS {
        run(driver, async {
            let guard = Rc::new(());
            let held = Rc::clone(&guard);
            let task = spawn(async move {
                sleep(Duration::from_secs(1000)).await;
                drop(held);
            });
            sleep(Duration::from_millis(1)).await;
            assert_eq!(stats().registrations, 1);
            cancel(task);
            cancel(task);
            assert_eq!((stats().registrations, Rc::strong_count(&guard)), (0, 1));
        });
    }
}

#[test]
fn race_and_within_drop_the_loser() {
    run(DRIVERS[1], async {
        let first = async {
            sleep(Duration::from_millis(5)).await;
            1
        };
        let second = async {
            sleep(Duration::from_millis(3)).await;
            2
        };
        assert_eq!(race(first, second).await, 2);
        assert_eq!(within(now().after(Duration::from_millis(5)), std::future::pending::<()>()).await, None);
        assert_eq!(within(now().after(Duration::from_millis(5)), async { 7 }).await, Some(7));
        assert_eq!(stats().registrations, 0);
    });
}

#[test]
fn other_threads_reach_the_worker() {
    let (worker, remote) = Worker::new(WorkerConfig::default()).unwrap();
    let (send, receive) = crossbeam::channel::bounded(1000);
    let thread = std::thread::spawn(move || {
        for i in 0..1000 {
            let send = send.clone();
            remote.send(move || send.send((i, std::thread::current().id())).unwrap()).unwrap();
        }
        remote
    });
    let here = std::thread::current().id();
    let root = async {
        let mut next = 0;
        while next < 1000 {
            while let Ok(got) = receive.try_recv() {
                assert_eq!(got, (next, here));
                next += 1;
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    worker.block_on(root).unwrap();
    assert!(thread.join().unwrap().send(|| ()).is_err());
}

#[test]
fn blocking_calls_come_back() {
    for driver in DRIVERS {
        run(driver, async {
            assert_eq!(blocking(|| 6 * 7).await, Ok(42));
            assert_eq!(blocking(|| panic!("on purpose, in a test")).await, Err::<(), _>(BlockingError::Panicked));
        });
    }
}

#[test]
fn a_deadline_moves_lazily_later_and_at_once_earlier() {
    run(DRIVERS[1], async {
        let r = Registration::detached();
        r.set_deadline(now().after(Duration::from_millis(100)), 1);
        r.set_deadline(now().after(Duration::from_millis(500)), 2);
        let fired = async |r: &Registration| {
            std::future::poll_fn(|cx| r.poll_broken(cx)).await;
            (now(), r.fired())
        };
        assert_eq!(fired(&r).await, (Tick(500), Some(2)));
        r.set_deadline(Tick(2000), 3);
        r.set_deadline(Tick(700), 4);
        assert_eq!(fired(&r).await, (Tick(700), Some(4)));
        r.clear_deadline();
        assert_eq!(r.fired(), None);
    });
}

#[test]
fn all_deadlines_of_a_kind_can_be_shortened() {
    run(DRIVERS[1], async {
        let (a, b) = (Registration::detached(), Registration::detached());
        a.set_deadline(Tick(10_000), 1);
        b.set_deadline(Tick(10_000), 2);
        crate::shorten_deadlines(1, Tick(50));
        assert_eq!((a.deadline(), b.deadline()), (Some(Tick(50)), Some(Tick(10_000))));
    });
}

#[test]
fn a_busy_task_lets_others_run() {
    run(DRIVERS[1], async {
        let busy = Registration::detached();
        busy.mark(crate::Ready::READ);
        let other = Rc::new(Cell::new(false));
        let mark = Rc::clone(&other);
        spawn(async move { mark.set(true) });
        let mut reads = 0;
        while !other.get() {
            std::future::poll_fn(|cx| busy.poll_ready(cx, crate::Direction::Read)).await.unwrap();
            reads += 1;
        }
        assert_eq!(reads, OPERATIONS_PER_POLL + 1);
        assert_eq!(stats().yields, 1);
    });
}

#[test]
fn shortening_leaves_sleeps_alone() {
    run(DRIVERS[1], async {
        let long = sleep(Duration::from_secs(60));
        for kind in 0..8 {
            crate::shorten_deadlines(kind, now().after(Duration::from_secs(5)));
        }
        long.await;
        assert_eq!(now(), Tick(60_000));
    });
}

#[test]
fn a_task_that_keeps_the_worker_is_named() {
    static TOLD: Mutex<Vec<crate::LongTurn>> = Mutex::new(Vec::new());
    let config = WorkerConfig { on_long_turn: |turn| TOLD.lock().unwrap().push(turn), ..WorkerConfig::default() };
    let (worker, _) = Worker::new(config).unwrap();
    let stats = worker.block_on(async {
        for _ in 0..2 {
            spawn(async {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(120) {}
            });
            sleep(Duration::from_millis(1)).await;
            sleep(Duration::from_millis(1)).await;
        }
        stats()
    });
    let told = TOLD.lock().unwrap();
    // On a busy machine other turns may be long as well.
    assert!(told.len() >= 2 && stats.unwrap().long_turns == told.len() as u64, "{told:?}");
    // Nobody was suspected before the first; the second of the two is named.
    assert_eq!(told[0].slowest, None);
    let named = |(name, took): (&str, Duration)| {
        name.contains("a_task_that_keeps_the_worker_is_named") && took >= Duration::from_millis(120)
    };
    assert!(told.iter().any(|turn| turn.slowest.is_some_and(named)), "{told:?}");
}

#[test]
fn work_from_elsewhere_that_panics_costs_nobody_else() {
    let (worker, remote) = Worker::new(WorkerConfig::default()).unwrap();
    remote.send(|| panic!("on purpose, in a test")).unwrap();
    let panics = worker.block_on(async {
        sleep(Duration::from_millis(1)).await;
        stats().panics
    });
    assert_eq!(panics.unwrap(), 1);
}
