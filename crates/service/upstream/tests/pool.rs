//! Which connections are kept, for how long, and what becomes of the rest.

use std::future::poll_fn;
use std::io::IoSlice;
use std::ops::AsyncFnOnce;
use std::rc::Rc;
use std::time::Duration;

use balance::{RetryPolicy, ServerId};
use event_loop::{Driver, Worker, WorkerConfig, now, sleep};
use net::memory::{self, MemoryListener, MemoryStream};
use net::{Address, Transport};
use observe::Kind;
use upstream::{KeepAlive, Options, ServerOptions, Target, Timeouts, Upstream};

const NUMBER: u32 = 10;
const SERVER: ServerId = ServerId(0);
const KEEP: KeepAlive =
    KeepAlive { idle: 3, idle_timeout: Duration::from_secs(60), max_requests: 100, max_age: Duration::from_secs(3600) };

struct World {
    upstream: Rc<Upstream>,
    origin: MemoryListener,
}

impl World {
    /// A fresh connection and the server's end of it.
    async fn connect(&self) -> (upstream::Checkout<'_>, MemoryStream) {
        let checkout = self.upstream.connect(SERVER).await.unwrap();
        assert!(!checkout.is_reused());
        (checkout, poll_fn(|cx| self.origin.poll_accept(cx)).await.0)
    }

    fn idle(&self) -> usize {
        self.upstream.servers()[0].idle()
    }
}

fn options(target: Target, keep_alive: KeepAlive) -> Options {
    let second = Duration::from_secs(1);
    Options {
        proxy_protocol: None,
        name: "api".into(),
        servers: vec![ServerOptions { target, tls: None, weight: 1, backup: false, max_active: 0 }],
        timeouts: Timeouts { connect: 2 * second, header: second, body: second, tunnel: second },
        keep_alive,
        retry: RetryPolicy::default(),
        retries_per_second_min: 3,
        resolve: 10 * second,
        balancing: upstream::Balancing::default(),
        health: None,
        hand_over: None,
    }
}

fn in_worker(test: impl Future<Output = ()>) {
    let driver = Driver::Simulated { seed: 1 };
    let (worker, _) = Worker::new(WorkerConfig { driver, ..WorkerConfig::default() }).unwrap();
    worker
        .block_on(async {
            test.await;
            sleep(Duration::from_secs(12)).await;
            let stats = event_loop::stats();
            assert_eq!((stats.tasks, stats.registrations), (1, 0), "a task or a registration was left behind");
        })
        .unwrap();
    assert_eq!(buf::stats().leased, 0);
}

fn pooled(keep_alive: KeepAlive, test: impl AsyncFnOnce(World)) {
    in_worker(async {
        memory::set_refusing(NUMBER, false);
        memory::set_silent(NUMBER, false);
        let upstream = Upstream::start(options(Target::Fixed(Address::Memory(NUMBER)), keep_alive), 0);
        let origin = MemoryListener::new(NUMBER).unwrap();
        test(World { upstream, origin }).await;
    });
}

#[test]
fn the_connection_that_was_used_last_is_used_next() {
    pooled(KEEP, async |world| {
        let (first, _one) = world.connect().await;
        let (second, two) = world.connect().await;
        first.give_back();
        second.give_back();
        assert_eq!(world.idle(), 2);
        let again = world.upstream.reuse(SERVER).unwrap();
        assert!(again.is_reused() && again.server() == SERVER);
        poll_fn(|cx| again.stream().poll_write(cx, &[IoSlice::new(b"x")], false)).await.unwrap();
        assert!(two.maybe_readable());
        drop(again);
        assert_eq!(world.idle(), 1, "a connection that is not given back is closed");
    });
}

#[test]
fn only_so_many_are_kept() {
    pooled(KEEP, async |world| {
        let mut pairs = Vec::new();
        for _ in 0..5 {
            pairs.push(world.connect().await);
        }
        let (ours, theirs): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        ours.into_iter().for_each(upstream::Checkout::give_back);
        assert_eq!(world.idle(), 3);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(theirs.iter().filter(|s| s.maybe_readable()).count(), 2, "the others were closed");
    });
}

#[test]
fn one_that_was_idle_for_long_is_closed() {
    pooled(KEEP, async |world| {
        let (ours, theirs) = world.connect().await;
        ours.give_back();
        sleep(Duration::from_millis(59_999)).await;
        let ours = world.upstream.reuse(SERVER).expect("it is still good");
        ours.give_back();
        sleep(Duration::from_secs(60)).await;
        assert!(world.upstream.reuse(SERVER).is_none());
        // Nobody asks for it, and it is closed all the same.
        let (ours, other) = world.connect().await;
        ours.give_back();
        sleep(Duration::from_secs(62)).await;
        assert_eq!(world.idle(), 0);
        assert!(theirs.maybe_readable() && other.maybe_readable());
    });
}

#[test]
fn one_grows_old_and_one_wears_out() {
    pooled(KeepAlive { max_age: Duration::from_secs(100), max_requests: 3, ..KEEP }, async |world| {
        let (mut ours, _theirs) = world.connect().await;
        for uses in 1..=3 {
            ours.give_back();
            match world.upstream.reuse(SERVER) {
                Some(next) if uses < 3 => ours = next,
                None if uses == 3 => break,
                other => panic!("after {uses} uses: {}", other.is_some()),
            }
        }
        let (ours, _theirs) = world.connect().await;
        sleep(Duration::from_secs(50)).await;
        ours.give_back();
        sleep(Duration::from_secs(49)).await;
        let ours = world.upstream.reuse(SERVER).expect("99 s are not too old");
        sleep(Duration::from_secs(1)).await;
        ours.give_back();
        assert_eq!(world.idle(), 0, "100 s are");
    });
}

#[test]
fn one_that_its_server_closed_is_dropped_soon() {
    pooled(KEEP, async |world| {
        // Asked for at once, or found when the pool is looked through.
        for asked in [true, false] {
            for reset in [true, false] {
                let (ours, theirs) = world.connect().await;
                ours.give_back();
                assert_eq!(world.idle(), 1);
                if reset {
                    theirs.reset_on_close();
                }
                drop(theirs);
                if asked {
                    assert!(world.upstream.reuse(SERVER).is_none());
                } else {
                    sleep(Duration::from_millis(1001)).await;
                }
                assert_eq!(world.idle(), 0);
            }
        }
    });
}

#[test]
fn one_on_which_something_arrives_is_out_of_step() {
    pooled(KEEP, async |world| {
        let (ours, theirs) = world.connect().await;
        ours.give_back();
        poll_fn(|cx| theirs.poll_write(cx, &[IoSlice::new(b"HTTP/1.1 408 ")], false)).await.unwrap();
        assert!(world.upstream.reuse(SERVER).is_none());
        assert_eq!(world.idle(), 0);
    });
}

#[test]
fn nothing_is_kept_once_it_is_retired() {
    pooled(KEEP, async |world| {
        let (idle, _one) = world.connect().await;
        let (lent, two) = world.connect().await;
        idle.give_back();
        world.upstream.retire();
        assert_eq!(world.idle(), 0);
        assert!(!two.maybe_readable(), "what is on loan goes on");
        lent.give_back();
        assert_eq!(world.idle(), 0);
    });
}

#[test]
fn a_failed_connection_says_why() {
    pooled(KEEP, async |world| {
        memory::set_refusing(NUMBER, true);
        let refused = world.upstream.connect(SERVER).await.err().unwrap();
        assert_eq!(refused.kind, Kind::ConnectFailed);
        assert_eq!(refused.sentence, "upstream api memory:10: the connection was refused; nothing listens there");
        memory::set_silent(NUMBER, true);
        let begun = now();
        let late = world.upstream.connect(SERVER).await.err().unwrap();
        assert_eq!((late.kind, now().since(begun)), (Kind::ConnectTimeout, Duration::from_secs(2)));
        assert_eq!(late.sentence, "upstream api memory:10 did not accept a connection within 2s");
    });
}

#[test]
fn a_name_that_does_not_resolve_says_so() {
    in_worker(async {
        let upstream = Upstream::start(options(Target::Name { host: "no such name".into(), port: 80 }, KEEP), 0);
        for _ in 0..2 {
            let failure = upstream.connect(SERVER).await.err().unwrap();
            assert_eq!(failure.kind, Kind::NameUnknown);
            let told = "upstream api no such name:80: the name could not be looked up: ";
            assert!(failure.sentence.starts_with(told), "{}", failure.sentence);
            sleep(Duration::from_secs(11)).await;
        }
        assert_eq!(upstream.servers()[0].authority(), "no such name");
    });
}
