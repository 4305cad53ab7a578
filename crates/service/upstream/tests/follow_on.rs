//! A reload changes an upstream: what is known of the servers that stay is kept.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use balance::{EjectionPolicy, Policy, RetryPolicy, ServerId, Tried};
use client_address::proxy_protocol::Version;
use event_loop::{Driver, Footprint, Worker, WorkerConfig};
use net::Address;
use net::memory::MemoryListener;
use upstream::{Balancing, Checkout, KeepAlive, Options, Place, ServerOptions, Target, Timeouts, Upstream, Wanted};

fn options(servers: &[u32], header: u64, ejects: bool) -> Options {
    let second = Duration::from_secs(1);
    let server = |number: &u32| ServerOptions {
        target: Target::Fixed(Address::Memory(*number)),
        tls: None,
        weight: 1,
        backup: false,
        max_active: 0,
    };
    let ejection = EjectionPolicy { consecutive: 1, share: 2.0, window: second, time: 60 * second, max_ejected: 0.5 };
    Options {
        proxy_protocol: None,
        name: "api".into(),
        servers: servers.iter().map(server).collect(),
        timeouts: Timeouts { connect: second, header: header as u32 * second, body: second, tunnel: second },
        keep_alive: KeepAlive { idle: 3, idle_timeout: 60 * second, max_requests: 100, max_age: 3600 * second },
        retry: RetryPolicy::default(),
        retries_per_second_min: 3,
        resolve: 10 * second,
        balancing: Balancing {
            policy: Policy::LeastConnections,
            ejection: ejects.then_some(ejection),
            ..Balancing::default()
        },
        health: None,
        hand_over: None,
    }
}

fn run(test: impl Future<Output = ()>) {
    let driver = Driver::Simulated { seed: 1 };
    let (worker, _) = Worker::new(WorkerConfig { driver, ..WorkerConfig::default() }).unwrap();
    worker.block_on(test).unwrap();
}

#[test]
fn idle_connections_of_servers_that_stay_are_kept() {
    run(async {
        let listeners = [31, 32].map(|number| MemoryListener::new(number).unwrap());
        let before = Upstream::start(options(&[31, 32], 1, false), 0);
        let mut ends = Vec::new();
        for (number, listener) in (0..).zip(&listeners) {
            let checkout = before.connect(ServerId(number)).await.unwrap();
            ends.push(poll_fn(|cx| listener.poll_accept(cx)).await.0);
            checkout.give_back();
        }
        let late = before.reuse(ServerId(0)).unwrap();
        // The first server has gone, another one has come, and the second stands elsewhere.
        let after = Upstream::start(options(&[33, 32], 2, false), 0);
        after.follow_on(&before);
        before.retire();
        let idle = |upstream: &Upstream| upstream.servers().iter().map(|s| s.idle()).collect::<Vec<_>>();
        assert_eq!((idle(&before), idle(&after)), (vec![0, 0], vec![0, 1]));
        assert!(after.reuse(ServerId(1)).is_some_and(|checkout| checkout.is_reused()));
        Checkout::give_back(late);
        assert_eq!(idle(&before), [0, 0], "what comes back to a retired one is closed");
    });
}

#[test]
fn connections_that_are_out_come_back_to_servers_that_stay() {
    run(async {
        let listener = MemoryListener::new(31).unwrap();
        let before = Upstream::start(options(&[31], 1, false), 0);
        let mut ends = Vec::new();
        let mut out = Vec::new();
        for _ in 0..3 {
            out.push(before.connect(ServerId(0)).await.unwrap());
            ends.push(poll_fn(|cx| listener.poll_accept(cx)).await.0);
        }
        let middle = Upstream::start(options(&[32, 31], 2, false), 0);
        middle.follow_on(&before);
        before.retire();
        out.pop().unwrap().give_back();
        assert_eq!(middle.servers()[1].idle(), 1);
        let after = Upstream::start(options(&[31, 32], 3, false), 0);
        after.follow_on(&middle);
        middle.retire();
        assert_eq!(after.servers()[0].idle(), 1, "the one that was idle");
        drop(middle);
        out.pop().unwrap().give_back();
        assert_eq!(after.servers()[0].idle(), 2);
        let again = before.reuse(ServerId(0)).expect("a request from before finds them there");
        assert!(again.is_reused() && after.servers()[0].idle() == 1);
        again.give_back();
        assert_eq!(after.servers()[0].idle(), 2);
        // One that says for whom it is serves no other.
        let told = Options { proxy_protocol: Some(Version::V2), ..options(&[31], 4, false) };
        let last = Upstream::start(told, 0);
        last.follow_on(&after);
        after.retire();
        out.pop().unwrap().give_back();
        assert_eq!(last.servers()[0].idle(), 0);
    });
}

#[test]
fn requests_under_way_count_until_they_end() {
    run(async {
        let before = Upstream::start(options(&[31, 32], 1, false), 0);
        let lease = |upstream: &Rc<Upstream>| upstream.lease_now(&Tried::none(), Wanted::default()).unwrap().server().0;
        let first = before.lease_now(&Tried::none(), Wanted::default()).unwrap();
        assert_eq!(first.server(), ServerId(0));
        let middle = Upstream::start(options(&[31, 32], 2, false), 0);
        middle.follow_on(&before);
        before.retire();
        let after = Upstream::start(options(&[32, 31], 3, false), 0);
        after.follow_on(&middle);
        middle.retire();
        assert_eq!([lease(&after), lease(&after)], [0, 0], "the other one has a request under way");
        // A request that tries once more counts in what follows too.
        let second = before.lease_now(&Tried::none(), Wanted::default()).unwrap();
        assert_eq!(second.server(), ServerId(1));
        drop(first);
        assert_eq!([lease(&after), lease(&after)], [1, 1], "it has ended");
        drop(second);
        let both = [(); 2].map(|()| after.lease_now(&Tried::none(), Wanted::default()).unwrap());
        assert_ne!(both[0].server(), both[1].server(), "nothing is under way");
    });
}

#[test]
fn requests_that_outlive_two_changes_do_not_count_for_ever() {
    for policy in [Policy::LeastConnections, Policy::RoundRobin] {
        run(async {
            let before = Upstream::start(options(&[31, 32], 1, false), 0);
            let first = before.lease_now(&Tried::none(), Wanted::default()).unwrap();
            let mut changed = options(&[31, 32], 2, false);
            changed.balancing.policy = policy;
            let middle = Upstream::start(changed, 0);
            middle.follow_on(&before);
            before.retire();
            let mut limited = options(&[31, 32], 3, false);
            limited.servers.iter_mut().for_each(|server| server.max_active = 1);
            let after = Upstream::start(limited, 0);
            after.follow_on(&middle);
            middle.retire();
            // It has no request of its own.
            drop(middle);
            let lease = || after.lease_now(&Tried::none(), Wanted::default());
            let second = lease().expect("the other server has room");
            assert!(lease().is_none(), "the request that is under way counts");
            drop(first);
            assert!(lease().is_some(), "it has ended");
            drop(second);
        });
    }
}

#[test]
fn who_was_ejected_stays_out() {
    run(async {
        let before = Upstream::start(options(&[31, 32], 1, true), 0);
        before.lease_now(&Tried::none(), Wanted::default()).unwrap().failed();
        let after = Upstream::start(options(&[32, 31, 33], 2, true), 0);
        after.follow_on(&before);
        before.retire();
        let leases: Vec<_> = (0..8).map(|_| after.lease_now(&Tried::none(), Wanted::default()).unwrap()).collect();
        assert!(leases.iter().all(|lease| lease.server() != ServerId(1)), "the first one of before failed");
        // In its next form it may be ejected for what began before.
        let late = Upstream::start(options(&[32, 31, 33], 3, true), 0);
        late.follow_on(&after);
        after.retire();
        assert!(late.servers().len() == 3);
    });
}

/// Who waits since before counts for the limit, and is not overtaken by who came since.
#[test]
fn who_waits_since_before_comes_first_and_no_limit_is_passed() {
    run(async {
        let limited = |header| {
            let mut limited = options(&[31], header, false);
            limited.servers[0].max_active = 1;
            limited.balancing.queue = 4;
            limited
        };
        let queue_up =
            |upstream: &'static Upstream| upstream.queue_up(Wanted::default(), Footprint::default()).unwrap();
        let come = |place: &Place<'static>| match place.poll_lease(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(lease) => Some(lease),
            Poll::Pending => None,
        };
        // A test's upstreams may live for ever.
        let start = |header| -> &'static Rc<Upstream> { Box::leak(Box::new(Upstream::start(limited(header), 0))) };
        let before = start(1);
        let first = before.lease_now(&Tried::none(), Wanted::default()).unwrap();
        let waiting = [(); 2].map(|()| queue_up(before));
        let middle = start(2);
        middle.follow_on(before);
        before.retire();
        let between = queue_up(middle);
        let after = start(3);
        after.follow_on(middle);
        middle.retire();
        let late = queue_up(after);
        let places = [&waiting[0], &waiting[1], &between, &late];
        let mut under_way = first;
        for turn in 0..places.len() {
            assert!(places[turn..].iter().all(|place| come(place).is_none()), "one at a time");
            drop(under_way);
            under_way = come(places[turn]).expect("in the order they came");
        }
        drop(under_way);
        assert!(after.lease_now(&Tried::none(), Wanted::default()).is_some(), "nothing is under way");
    });
}

/// A request that began before and is tried again finds what began since, which is counted there alone.
#[test]
fn a_retry_from_before_passes_no_limit() {
    run(async {
        let limited = |header| {
            let mut limited = options(&[31, 32], header, false);
            limited.servers.iter_mut().for_each(|server| server.max_active = 1);
            limited.balancing.queue = 4;
            limited
        };
        let before = Upstream::start(limited(1), 0);
        let after = Upstream::start(limited(2), 0);
        after.follow_on(&before);
        before.retire();
        let lease = |upstream: &'static Rc<Upstream>| upstream.lease_now(&Tried::none(), Wanted::default());
        let [before, after]: [&'static Rc<Upstream>; 2] = [before, after].map(|one| &*Box::leak(Box::new(one)));
        for _ in 0..4 {
            let new = lease(after).expect("nothing is under way");
            let mut tried = Tried::none();
            tried.add(ServerId(1 - new.server().0));
            let again = before.lease_now(&tried, Wanted::default()).expect("what it was tried on has room");
            assert_ne!(again.server(), new.server(), "one at a time");
            assert!(lease(before).is_none() && lease(after).is_none(), "both are full");
            let place = before.queue_up(Wanted::default(), Footprint::default()).expect("they are full, and not gone");
            let come = || match place.poll_lease(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(lease) => Some(lease),
                Poll::Pending => None,
            };
            assert!(come().is_none());
            let freed = new.server();
            drop(new);
            assert_eq!(come().map(|lease| lease.server()), Some(freed));
        }
    });
}

/// A backup is for servers that fail, and not for those that are full, wherever they are.
#[test]
fn a_retry_from_before_waits_for_a_full_server_and_asks_no_backup() {
    run(async {
        let limited = |header| {
            let mut limited = options(&[31, 32], header, false);
            limited.servers[0].max_active = 1;
            limited.servers[1].backup = true;
            limited.balancing.queue = 4;
            limited
        };
        let [before, after] = [1, 2].map(|header| Upstream::start(limited(header), 0));
        after.follow_on(&before);
        before.retire();
        let new = after.lease_now(&Tried::none(), Wanted::default()).expect("nothing is under way");
        let again = || before.lease_now(&Tried::none(), Wanted::default()).map(|lease| lease.server());
        assert_eq!(again(), None, "it is full");
        let place = before.queue_up(Wanted::default(), Footprint::default()).expect("it waits");
        drop(new);
        let come = place.poll_lease(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(come, Poll::Ready(lease) if lease.server() == ServerId(0)));
        assert_eq!(again(), Some(ServerId(0)), "nothing is under way");
        // Of whom it was tried on already it asks a backup at once, as ever.
        let mut tried = Tried::none();
        tried.add(ServerId(0));
        assert_eq!(before.lease_now(&tried, Wanted::default()).map(|lease| lease.server()), Some(ServerId(1)));
    });
}
