//! A site that proxies everything, scripted clients and origins, and a worker without sockets.
#![allow(dead_code, reason = "every test file uses its part")]

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::AsyncFnOnce;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use balance::RetryPolicy;
use buf::{Class, ReadBuf};
use clock::Tick;
use event_loop::{Driver, Worker, WorkerConfig, now, sleep, spawn, within};
use http1::Limits;
use net::memory::{self, MemoryListener, Weather};
use net::{Address, Bound, Listener, Peer, Stream, Transport};
use observe::{Counters, Failure, Kind};
use reverse_proxy::{Proxy, Rewrite};
use serve::{Context, Exchange, Handled, Local, Settings, Site, Switch, accept_loop_over};
use upstream::{KeepAlive, Options, ServerOptions, Target, Timeouts, Upstream};

pub(crate) const GET: &str = "GET /a HTTP/1.1\r\nHost: site\r\n\r\n";
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The proxy's own listener.
const FRONT: u32 = 1;
/// The servers of the upstream; tests listen on those they need.
pub(crate) const A: u32 = 10;
pub(crate) const B: u32 = 11;
const ALL: [u32; 3] = [FRONT, A, B];

pub(crate) struct TestSite {
    settings: Settings,
    proxy: Proxy,
    failures: RefCell<Vec<Failure>>,
}

impl Site for TestSite {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn handle<'e>(&'e self, exchange: &'e mut Exchange<'_>) -> Handled<'e> {
        Handled::waits(|| self.proxy.handle(exchange, None))
    }

    fn failed(&self, failure: &Failure, _: &Peer) {
        self.failures.borrow_mut().push(failure.clone());
    }
}

/// What a test can look at.
pub(crate) struct World {
    pub(crate) context: Rc<Context<TestSite>>,
    pub(crate) upstream: Rc<Upstream>,
}

impl World {
    pub(crate) fn connects(&self) -> u64 {
        self.context.counters().connects.value()
    }

    pub(crate) fn reused(&self) -> u64 {
        self.context.counters().reused.value()
    }

    pub(crate) fn retries(&self) -> u64 {
        self.context.counters().retries.value()
    }

    pub(crate) fn idle(&self) -> Vec<usize> {
        self.upstream.servers().iter().map(|s| s.idle()).collect()
    }

    /// What failed since the last call.
    pub(crate) fn failures(&self) -> Vec<Kind> {
        self.context.site().failures.take().iter().map(|f| f.kind).collect()
    }
}

pub(crate) fn to_servers(servers: &[u32]) -> Options {
    let server = |n: &u32| ServerOptions {
        target: Target::Fixed(Address::Memory(*n)),
        tls: None,
        weight: 1,
        backup: false,
        max_active: 0,
    };
    Options {
        proxy_protocol: None,
        name: "api".into(),
        servers: servers.iter().map(server).collect(),
        timeouts: Timeouts {
            connect: Duration::from_secs(2),
            header: Duration::from_secs(5),
            body: Duration::from_secs(4),
            tunnel: Duration::from_secs(6),
        },
        keep_alive: KeepAlive {
            idle: 64,
            idle_timeout: Duration::from_secs(60),
            max_requests: 10_000,
            max_age: Duration::from_secs(3600),
        },
        retry: RetryPolicy::default(),
        retries_per_second_min: 3,
        resolve: Duration::from_secs(10),
        balancing: upstream::Balancing::default(),
        health: None,
        hand_over: None,
    }
}

/// The default retry policy, with other causes and attempts.
pub(crate) fn retry(attempts: u32, on: &[&str]) -> RetryPolicy {
    let mut policy = RetryPolicy { attempts, on: balance::RetryOn::nothing(), ..RetryPolicy::default() };
    on.iter().for_each(|word| policy.on.add(word).unwrap());
    policy
}

pub(crate) fn proxying(options: Options, test: impl AsyncFnOnce(World)) {
    proxying_in(Weather::default(), options, test);
}

/// Like [`proxying_within`], with the default limits.
pub(crate) fn proxying_in(weather: Weather, options: Options, test: impl AsyncFnOnce(World)) {
    proxying_within(Limits::default(), weather, options, test);
}

/// Runs `test` beside a proxy on a simulated worker, then shows that nothing is left behind. The limits are those of heads
/// either way, the weather is that of all connections.
pub(crate) fn proxying_within(limits: Limits, weather: Weather, options: Options, test: impl AsyncFnOnce(World)) {
    let driver = Driver::Simulated { seed: weather.split_seed };
    let (worker, _) = Worker::new(WorkerConfig { driver, ..WorkerConfig::default() }).unwrap();
    worker
        .block_on(async {
            for number in ALL {
                memory::set_weather(number, weather);
                memory::set_refusing(number, false);
                memory::set_silent(number, false);
            }
            let upstream = Upstream::start(options, 0);
            // The client's own slowness is `serve`'s business.
            let timeouts = serve::Timeouts { min_rate: 0, ..serve::Timeouts::default() };
            let settings = Settings { limits, body_bytes: 0, timeouts, records: false };
            let proxy = Proxy::new(Rc::clone(&upstream), Rewrite::default(), limits);
            let site = Rc::new(TestSite { settings, proxy, failures: RefCell::default() });
            let context = Context::new(site, Arc::new(Counters::default()), 1000);
            let listener = Listener::new(Bound::memory(FRONT)).unwrap();
            let stop = Rc::new(Switch::default());
            let local = Local::new(listener.address().clone(), true);
            spawn(accept_loop_over(listener, local, || None, Rc::clone(&context), Rc::clone(&stop), |_| ()));
            let world = World { context: Rc::clone(&context), upstream: Rc::clone(&upstream) };
            let in_time = within(now().after(Duration::from_secs(3600)), test(world)).await;
            assert!(in_time.is_some(), "the test hangs");
            stop.raise();
            context.drain();
            context.empty().await;
            upstream.retire();
            sleep(Duration::from_secs(12)).await;
            let stats = event_loop::stats();
            assert_eq!((stats.tasks, stats.registrations), (1, 0), "a task or a registration was left behind");
            assert_eq!(stats.panics, 0);
        })
        .unwrap();
    assert_eq!(buf::stats().leased, 0, "a buffer was left behind");
}

/// A server of the upstream.
pub(crate) struct Origin(MemoryListener);

impl Origin {
    pub(crate) fn listen(number: u32) -> Origin {
        Origin(MemoryListener::new(number).unwrap())
    }

    pub(crate) async fn accept(&self) -> End {
        let (stream, _) = poll_fn(|cx| self.0.poll_accept(cx)).await;
        End::of(stream.into())
    }

    /// Whether nobody connects for a second.
    pub(crate) async fn is_left_alone(&self) -> bool {
        within(now().after(Duration::from_secs(1)), self.accept()).await.is_none()
    }

    /// Takes a connection and its first request, answers it, and hands the connection over.
    pub(crate) async fn answer(&self, answer: &str) -> End {
        let mut end = self.accept().await;
        end.until("\r\n\r\n").await;
        end.send(answer).await;
        end
    }
}

/// Our end of a connection, as client or as origin.
pub(crate) struct End {
    pub(crate) stream: Stream,
    pub(crate) got: Vec<u8>,
}

pub(crate) fn client() -> End {
    End::of(memory::connect(FRONT).unwrap().into())
}

/// Sends one GET over a connection of its own and gives the whole answer, or how the connection broke.
pub(crate) async fn get() -> io::Result<String> {
    let mut client = client();
    client.send("GET /a HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n").await;
    client.rest().await
}

impl End {
    pub(crate) fn of(stream: Stream) -> End {
        End { stream, got: Vec::new() }
    }

    pub(crate) async fn send(&self, text: impl AsRef<[u8]>) {
        self.try_send(text).await.unwrap();
    }

    pub(crate) async fn try_send(&self, text: impl AsRef<[u8]>) -> io::Result<()> {
        let mut bytes = text.as_ref();
        while !bytes.is_empty() {
            let n = poll_fn(|cx| self.stream.poll_write(cx, &[IoSlice::new(bytes)], false)).await?;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Reads once.
    pub(crate) async fn read(&mut self) -> io::Result<usize> {
        let mut window = ReadBuf::new(Class::K16);
        let n = poll_fn(|cx| self.stream.poll_read(cx, &mut window)).await?;
        self.got.extend_from_slice(window.filled());
        Ok(n)
    }

    /// Reads to the end of the connection.
    pub(crate) async fn rest(&mut self) -> io::Result<String> {
        while self.read().await? > 0 {}
        Ok(String::from_utf8_lossy(&self.got).into_owned())
    }

    /// Reads until `text` was seen and gives all up to there; what lies behind it waits.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.got.windows(text.len()).position(|w| w == text.as_bytes()) {
                let rest = self.got.split_off(at + text.len());
                return String::from_utf8_lossy(&std::mem::replace(&mut self.got, rest)).into_owned();
            }
            let n = self.read().await.unwrap();
            let got = String::from_utf8_lossy(&self.got);
            assert!(n > 0, "the connection ended before {text:?}: {got:?}");
        }
    }

    /// Reads `bytes` bytes.
    pub(crate) async fn exactly(&mut self, bytes: usize) -> Vec<u8> {
        while self.got.len() < bytes {
            assert!(self.read().await.unwrap() > 0, "the connection ended early");
        }
        let rest = self.got.split_off(bytes);
        std::mem::replace(&mut self.got, rest)
    }

    /// Whether the connection is broken or ended within a second.
    pub(crate) async fn is_over(&mut self) -> bool {
        let over =
            within(now().after(Duration::from_secs(1)), async { while matches!(self.read().await, Ok(n) if n > 0) {} });
        over.await.is_some()
    }

    pub(crate) fn reset(self) {
        self.stream.reset_on_close();
    }
}

/// Seconds of virtual time since `begun`.
pub(crate) fn seconds_since(begun: Tick) -> u64 {
    now().since(begun).as_secs()
}

/// The body of a page: its second part.
pub(crate) fn sentence(page: &str) -> &str {
    page.split_once("\r\n\r\n").map_or("", |(_, body)| body).split_once("\n\n").map_or("", |(_, text)| text.trim_end())
}
