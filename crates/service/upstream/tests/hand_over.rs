//! Two workers, of which one has idle connections and the other needs one. Real sockets: those in memory belong to their thread.
#![allow(clippy::disallowed_methods, reason = "each worker is a thread of its own")]

use std::future::poll_fn;
use std::io::IoSlice;
use std::ops::AsyncFnOnce;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::Poll;
use std::time::{Duration, Instant};

use balance::{RetryPolicy, ServerId};
use buf::{Class, ReadBuf};
use event_loop::{Driver, Worker, WorkerConfig, now, sleep, within};
use net::{Address, Listener, Stream, Transport};
use upstream::{Checkout, HandOver, HandOverOptions, KeepAlive, Options, ServerOptions, Target, Timeouts, Upstream};

const SERVER: ServerId = ServerId(0);

/// For how long a connection must be idle to be handed over.
const SETTLED: Duration = Duration::from_millis(50);

/// Longer than that.
const LONG: Duration = Duration::from_millis(80);

/// How long one waits for what the other does.
const PATIENCE: Duration = Duration::from_secs(30);

/// What two workers share in a test.
struct Both {
    shared: Arc<HandOver>,
    address: Address,
    step: AtomicU32,
}

impl Both {
    /// Goes on to a step, which the other one may wait for.
    fn reach(&self, step: u32) {
        self.step.store(step, SeqCst);
    }

    /// Gives up after a while, so that a failure of the other one shows as that, and not as a test without end.
    async fn wait(&self, step: u32) {
        let reached = async {
            while self.step.load(SeqCst) < step {
                sleep(Duration::from_millis(1)).await;
            }
        };
        within(now().after(PATIENCE), reached).await.unwrap_or_else(|| panic!("step {step} was not reached"));
    }

    /// The same in one turn, in which this worker does nothing else.
    fn wait_in_one_turn(&self, step: u32) {
        let begun = Instant::now();
        while self.step.load(SeqCst) < step {
            assert!(begun.elapsed() < PATIENCE, "step {step} was not reached");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn upstream(&self, worker: u16) -> Rc<Upstream> {
        let second = Duration::from_secs(1);
        let target = Target::Fixed(self.address.clone());
        let options = Options {
            proxy_protocol: None,
            name: "api".into(),
            servers: vec![ServerOptions { target, tls: None, weight: 1, backup: false, max_active: 0 }],
            timeouts: Timeouts { connect: 20 * second, header: second, body: second, tunnel: second },
            // However long a busy machine makes a test, no connection wears out in it.
            keep_alive: KeepAlive {
                idle: 8,
                idle_timeout: 60 * second,
                max_requests: u32::MAX,
                max_age: 3600 * second,
            },
            retry: RetryPolicy::default(),
            retries_per_second_min: 3,
            resolve: 10 * second,
            balancing: upstream::Balancing::default(),
            health: None,
            hand_over: Some(HandOverOptions { shared: Arc::clone(&self.shared), worker, workers: 2 }),
        };
        Upstream::start(options, worker)
    }
}

/// Runs both at once, each on a worker of its own; the first one has the server's listener.
fn on_two_workers(one: impl AsyncFnOnce(&Both, Listener) + Send, two: impl AsyncFnOnce(&Both) + Send) {
    let bound = net::bind(&"127.0.0.1:0".parse().unwrap(), 1, 16).unwrap().remove(0);
    let both = Both { shared: Arc::new(HandOver::new()), address: bound.address().clone(), step: AtomicU32::new(0) };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (worker, _) = Worker::new(WorkerConfig { driver: Driver::Mio, ..WorkerConfig::default() }).unwrap();
            worker.block_on(async { one(&both, Listener::new(bound).unwrap()).await }).unwrap();
        });
        let (worker, _) = Worker::new(WorkerConfig { driver: Driver::Mio, ..WorkerConfig::default() }).unwrap();
        worker.block_on(two(&both)).unwrap();
    });
}

async fn accept(listener: &Listener) -> Stream {
    poll_fn(|cx| listener.poll_accept(cx)).await.unwrap().stream
}

async fn receive(stream: &Stream) -> Vec<u8> {
    let mut window = ReadBuf::new(Class::K4);
    poll_fn(|cx| stream.poll_read(cx, &mut window)).await.unwrap();
    window.filled().to_vec()
}

async fn send(stream: &Stream, bytes: &[u8]) {
    let sent = poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(bytes)], false)).await.unwrap();
    assert_eq!(sent, bytes.len());
}

/// As many idle connections as that, and the server's ends of them, in the order in which they are given back.
async fn fill(upstream: &Upstream, origin: &Listener, count: usize) -> Vec<Stream> {
    let mut ends = Vec::new();
    let mut checkouts: Vec<Checkout<'_>> = Vec::new();
    for _ in 0..count {
        checkouts.push(upstream.connect(SERVER).await.unwrap());
        ends.push(accept(origin).await);
    }
    checkouts.into_iter().for_each(Checkout::give_back);
    ends
}

fn idle(upstream: &Upstream) -> usize {
    upstream.servers()[0].idle()
}

async fn until_idle(upstream: &Upstream, count: usize) {
    let reached = async {
        while idle(upstream) != count {
            sleep(Duration::from_millis(1)).await;
        }
    };
    within(now().after(PATIENCE), reached).await.unwrap_or_else(|| panic!("not {count} idle: {}", idle(upstream)));
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[test]
fn a_connection_that_one_worker_does_not_use_serves_another() {
    let one = async |both: &Both, origin: Listener| {
        let upstream = both.upstream(0);
        let ends = fill(&upstream, &origin, 2).await;
        sleep(LONG).await;
        both.reach(1);
        assert_eq!(receive(&ends[0]).await, b"ping", "the one that was used least lately");
        assert_eq!(idle(&upstream), 1);
        send(&ends[0], b"pong").await;
        both.wait(2).await;
        assert_eq!(idle(&upstream), 1);
    };
    let two = async |both: &Both| {
        let upstream = both.upstream(1);
        both.wait(1).await;
        assert!(upstream.reuse(SERVER).is_none());
        let checkout = upstream.take_over(SERVER).await.expect("a connection of the other worker");
        assert!(checkout.is_reused() && checkout.server() == SERVER);
        send(checkout.stream(), b"ping").await;
        assert_eq!(receive(checkout.stream()).await, b"pong");
        checkout.give_back();
        assert!(idle(&upstream) == 1 && upstream.reuse(SERVER).is_some(), "it is this worker's from now on");
        both.reach(2);
    };
    on_two_workers(one, two);
}

#[test]
fn a_connection_that_was_just_used_stays() {
    let one = async |both: &Both, origin: Listener| {
        let upstream = both.upstream(0);
        let _ends = fill(&upstream, &origin, 1).await;
        both.reach(1);
        let begun = Instant::now();
        let mut used = now();
        while both.step.load(SeqCst) < 2 {
            assert!(begun.elapsed() < PATIENCE);
            let Some(checkout) = upstream.reuse(SERVER) else {
                // On a busy machine this worker may have slept for so long that it had not just been used.
                assert!(now().since(used) >= SETTLED, "nobody takes it away");
                both.reach(2);
                break;
            };
            used = now();
            checkout.give_back();
            sleep(Duration::from_millis(1)).await;
        }
    };
    let two = async |both: &Both| {
        let upstream = both.upstream(1);
        both.wait(1).await;
        for _ in 0..20 {
            // What it may have got is not given back: whether it was right, the other one says.
            if let Some(_taken) = upstream.take_over(SERVER).await {
                both.wait(2).await;
                break;
            }
            sleep(Duration::from_millis(5)).await;
        }
        both.reach(2);
    };
    on_two_workers(one, two);
}

#[test]
fn what_comes_too_late_is_kept_and_who_is_silent_is_left_alone() {
    let one = async |both: &Both, origin: Listener| {
        let upstream = both.upstream(0);
        let _ends = fill(&upstream, &origin, 2).await;
        sleep(LONG).await;
        both.reach(1);
        both.wait_in_one_turn(2);
        both.wait(3).await;
        assert_eq!(idle(&upstream), 1, "it was asked once");
    };
    let two = async |both: &Both| {
        let upstream = both.upstream(1);
        both.wait(1).await;
        assert!(upstream.take_over(SERVER).await.is_none());
        let mut again = std::pin::pin!(upstream.take_over(SERVER));
        let at_once = poll_once(again.as_mut()).await;
        assert!(matches!(at_once, Poll::Ready(None)), "it is not asked again");
        both.reach(2);
        until_idle(&upstream, 1).await;
        both.reach(3);
    };
    on_two_workers(one, two);
}

#[test]
fn nothing_is_asked_of_who_has_retired_or_has_only_dead_connections() {
    let one = async |both: &Both, origin: Listener| {
        let upstream = both.upstream(0);
        let ends = fill(&upstream, &origin, 2).await;
        drop(ends);
        sleep(LONG).await;
        both.reach(1);
        both.wait(2).await;
        assert_eq!(idle(&upstream), 0, "found dead, they were closed");
        let _ends = fill(&upstream, &origin, 1).await;
        sleep(LONG).await;
        upstream.retire();
        both.reach(3);
        both.wait(4).await;
    };
    let two = async |both: &Both| {
        let upstream = both.upstream(1);
        both.wait(1).await;
        assert!(upstream.take_over(SERVER).await.is_none());
        both.reach(2);
        both.wait(3).await;
        let mut asked = std::pin::pin!(upstream.take_over(SERVER));
        let at_once = poll_once(asked.as_mut()).await;
        assert!(matches!(at_once, Poll::Ready(None)), "its sign is down");
        both.reach(4);
    };
    on_two_workers(one, two);
}

#[test]
fn what_something_arrived_on_is_closed_on_its_way() {
    let one = async |both: &Both, origin: Listener| {
        let upstream = both.upstream(0);
        let ends = fill(&upstream, &origin, 1).await;
        sleep(LONG).await;
        both.reach(1);
        until_idle(&upstream, 0).await;
        send(&ends[0], b"HTTP/1.1 408 Request Timeout\r\n\r\n").await;
        both.reach(2);
        both.wait(3).await;
    };
    let two = async |both: &Both| {
        let upstream = both.upstream(1);
        both.wait(1).await;
        let mut asked = std::pin::pin!(upstream.take_over(SERVER));
        assert!(poll_once(asked.as_mut()).await.is_pending());
        // Until the connection is on its way, and has something to read.
        both.wait_in_one_turn(2);
        assert!(
            asked.await.is_none() && upstream.reuse(SERVER).is_none(),
            "its next answer would not be that of a request"
        );
        sleep(LONG).await;
        assert_eq!(idle(&upstream), 0);
        both.reach(3);
    };
    on_two_workers(one, two);
}

/// A worker that ends takes down what it showed of its idle connections.
#[test]
fn nothing_is_asked_of_who_has_ended() {
    let one = async |both: &Both, origin: Listener| {
        let upstream = both.upstream(0);
        let _ends = fill(&upstream, &origin, 1).await;
        sleep(LONG).await;
        drop(upstream);
        both.reach(1);
        both.wait(2).await;
    };
    let two = async |both: &Both| {
        let upstream = both.upstream(1);
        both.wait(1).await;
        let mut asked = std::pin::pin!(upstream.take_over(SERVER));
        assert!(matches!(poll_once(asked.as_mut()).await, Poll::Ready(None)), "its sign is down");
        both.reach(2);
    };
    on_two_workers(one, two);
}
