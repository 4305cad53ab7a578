//! The service over in-memory streams and virtual time.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use buf::{Class, ReadBuf};
use echo_service::{Echo, Tally, serve};
use event_loop::{Driver, Worker, WorkerConfig, now, sleep, spawn};
use net::memory::{self, Cutter, Weather};
use net::{Bound, Listener, Stream, Transport};

const SERVER: u32 = 1;
const IDLE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs `test` beside the service on a simulated worker, then stops it and shows that nothing is left behind.
fn echoing(weather: Weather, test: impl AsyncFnOnce(Rc<Echo>, Arc<Tally>)) -> Arc<Tally> {
    let tally: Arc<Tally> = Arc::default();
    let driver = Driver::Simulated { seed: weather.split_seed };
    let (worker, _) = Worker::new(WorkerConfig { driver, ..WorkerConfig::default() }).unwrap();
    let run = async {
        memory::set_weather(SERVER, weather);
        let echo = Echo::new(Arc::clone(&tally), IDLE, Some(clock));
        let listener = Listener::new(Bound::memory(SERVER)).unwrap();
        let (theirs, finished) = (Rc::clone(&echo), Rc::new(Cell::new(false)));
        let mark = Rc::clone(&finished);
        spawn(async move {
            serve(listener, theirs, |_| ()).await;
            mark.set(true);
        });
        test(Rc::clone(&echo), Arc::clone(&tally)).await;
        echo.stop(PATIENCE);
        sleep(PATIENCE + Duration::from_secs(2)).await;
        assert!(finished.get(), "the service did not stop");
        let stats = event_loop::stats();
        assert_eq!((stats.tasks, stats.registrations), (1, 0), "a task or a registration was left behind");
    };
    worker.block_on(run).unwrap();
    assert_eq!(buf::stats().leased, 0, "a buffer was left behind");
    assert_eq!((tally.open.value(), tally.pending.value()), (0, 0));
    tally
}

/// Each look at it takes a microsecond.
fn clock() -> u64 {
    thread_local! { static LOOKS: Cell<u64> = const { Cell::new(0) }; }
    LOOKS.set(LOOKS.get() + 1000);
    LOOKS.get()
}

struct Client {
    stream: Stream,
    cutter: Cutter,
}

impl Client {
    fn connect() -> Client {
        let stream = memory::connect(SERVER).unwrap();
        Client { cutter: stream.cutter(), stream: stream.into() }
    }

    async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = poll_fn(|cx| self.stream.poll_write(cx, &[IoSlice::new(bytes)], false)).await?;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    async fn receive(&self, wanted: usize) -> io::Result<Vec<u8>> {
        let (mut window, mut got) = (ReadBuf::new(Class::K16), Vec::new());
        while got.len() < wanted {
            let n = poll_fn(|cx| self.stream.poll_read(cx, &mut window)).await?;
            if n == 0 {
                break;
            }
            got.extend_from_slice(window.filled());
            window.consume(n);
        }
        Ok(got)
    }

    /// All that comes until the connection ends in order.
    async fn rest(&self) -> io::Result<Vec<u8>> {
        self.receive(usize::MAX).await
    }
}

/// Bytes of every value, the same for the same length.
fn bytes(len: usize) -> Vec<u8> {
    let mut word = 0x9E37_79B9_7F4A_7C15_u64;
    let next = |_| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (word >> 56) as u8
    };
    (0..len).map(next).collect()
}

#[test]
fn any_bytes_come_back_however_they_are_cut() {
    for split_seed in 0..40 {
        let weather = Weather { split_seed, capacity: 5000, latency: Duration::from_millis(split_seed % 3) };
        let tally = echoing(weather, async |_, _| {
            let (client, sent) = (Rc::new(Client::connect()), bytes(70_000));
            let (sender, all) = (Rc::clone(&client), sent.clone());
            spawn(async move {
                sender.send(&all).await.unwrap();
                sender.stream.shutdown_write().unwrap();
            });
            assert!(client.rest().await.unwrap() == sent, "seed {split_seed}");
        });
        assert_eq!((tally.accepted.value(), tally.finished.value(), tally.bytes.value()), (1, 1, 70_000));
        assert!(tally.requests.value() > 0);
    }
}

#[test]
fn a_half_close_gets_the_rest_and_the_end() {
    echoing(Weather::default(), async |_, tally| {
        let client = Client::connect();
        client.send(b"last words").await.unwrap();
        client.stream.shutdown_write().unwrap();
        assert_eq!(client.rest().await.unwrap(), b"last words");
        let silent = Client::connect();
        silent.stream.shutdown_write().unwrap();
        assert_eq!(silent.rest().await.unwrap(), b"");
        assert_eq!((tally.finished.value(), tally.requests.value()), (2, 1));
    });
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let weather = Weather { capacity: 1000, ..Weather::default() };
    echoing(weather, async |_, tally| {
        let (greedy, sent) = (Rc::new(Client::connect()), bytes(300_000));
        let (sender, all) = (Rc::clone(&greedy), sent.clone());
        spawn(async move { sender.send(&all).await.unwrap() });
        sleep(Duration::from_secs(1)).await;
        assert_eq!(tally.pending.value(), 1);
        assert!(buf::stats().leased_bytes <= Class::K16.bytes(), "{:?}", buf::stats());
        assert!(tally.bytes.value() <= 1000);
        let other = Client::connect();
        other.send(b"and me?").await.unwrap();
        assert_eq!(other.receive(7).await.unwrap(), b"and me?");
        assert!(greedy.receive(sent.len()).await.unwrap() == sent);
        sleep(Duration::from_millis(1)).await;
        assert_eq!((tally.pending.value(), tally.open.value()), (0, 2));
        assert_eq!(buf::stats().leased, 0, "idle connections hold no buffer");
    });
}

#[test]
fn silence_ends_a_connection_and_bytes_keep_it() {
    echoing(Weather::default(), async |_, tally| {
        let (client, began) = (Client::connect(), now());
        for _ in 0..3 {
            sleep(IDLE - Duration::from_secs(1)).await;
            client.send(b"still here").await.unwrap();
            assert_eq!(client.receive(10).await.unwrap(), b"still here");
        }
        assert_eq!(client.rest().await.unwrap(), b"");
        let lived = now().since(began);
        let expected = (IDLE - Duration::from_secs(1)) * 3 + IDLE;
        assert!(lived >= expected && lived < expected + Duration::from_secs(1), "{lived:?}");
        assert_eq!(tally.idle.value(), 1);
    });
}

#[test]
fn a_client_that_never_reads_is_given_up_with_a_reset() {
    let weather = Weather { capacity: 1000, ..Weather::default() };
    echoing(weather, async |_, tally| {
        let client = Client::connect();
        let sent = event_loop::within(now().after(IDLE * 3), client.send(&bytes(100_000))).await;
        let error = sent.expect("it ends").expect_err("it is not all taken");
        assert!(matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{error}");
        assert_eq!((tally.idle.value(), tally.open.value()), (1, 0));
    });
}

#[test]
fn a_broken_connection_is_counted_and_forgotten() {
    echoing(Weather { capacity: 1000, ..Weather::default() }, async |_, tally| {
        let idle = Client::connect();
        let pending = Client::connect();
        let _ = event_loop::within(now().after(PATIENCE), pending.send(&bytes(100_000))).await;
        assert_eq!(tally.pending.value(), 1);
        idle.cutter.cut();
        pending.cutter.cut();
        sleep(Duration::from_millis(10)).await;
        assert_eq!((tally.broken.value(), tally.open.value(), tally.pending.value()), (2, 0, 0));
    });
}

#[test]
fn a_stop_echoes_what_was_sent_and_ends_in_order() {
    let weather = Weather { capacity: 1000, ..Weather::default() };
    let tally = echoing(weather, async |echo, _| {
        let idle = Client::connect();
        sleep(Duration::from_secs(10)).await;
        let (busy, stuck) = (Client::connect(), Client::connect());
        let sent = bytes(3000);
        // Fills both directions and the buffer between them.
        busy.send(&sent).await.unwrap();
        let _ = event_loop::within(now().after(Duration::from_millis(10)), stuck.send(&bytes(90_000))).await;
        let queued = Client::connect();
        queued.send(b"I was early enough").await.unwrap();
        echo.stop(PATIENCE);
        let began = now();
        assert_eq!(idle.rest().await.unwrap(), b"");
        assert!(now().since(began) < Duration::from_millis(100), "an idle connection is closed at once");
        assert_eq!(queued.rest().await.unwrap(), b"I was early enough");
        sleep(Duration::from_secs(2)).await;
        assert!(busy.rest().await.unwrap() == sent, "a client that takes its bytes late gets all of them");
        drop(busy);
        assert!(memory::connect(SERVER).is_err(), "nobody is taken any more");
        sleep(PATIENCE - Duration::from_secs(2) + Duration::from_millis(20)).await;
        let error = stuck.rest().await.map(drop).expect_err("what is lost does not look whole");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
    assert_eq!((tally.stopped.value(), tally.cut.value()), (3, 1));
}

#[test]
fn every_read_of_a_quiet_server_is_measured() {
    let tally = echoing(Weather::default(), async |_, tally| {
        let client = Client::connect();
        for _ in 0..50 {
            client.send(b"ping").await.unwrap();
            assert_eq!(client.receive(4).await.unwrap(), b"ping");
        }
        assert_eq!(tally.requests.value(), 50);
    });
    let latency = tally.latency.snapshot();
    // One look when it is reported, the next when it is written.
    let (least, most) = (latency.quantile(0.0).unwrap(), latency.quantile(1.0).unwrap());
    assert!(least.abs_diff(1000) <= 32 && most == least, "{least} {most}");
}
