//! A site with a few answers, a client, and a worker without sockets.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use buf::{Class, FileRange, ReadBuf, Shared};
use event_loop::{Driver, Worker, WorkerConfig, sleep, spawn};
use message::{BodyLength, FieldsBuilder, ResponseHead};
use net::memory::{self, Weather};
use net::{Bound, Listener, Peer, Stream, Transport};
use observe::{Counters, Failure, Kind};
use serve::{BodyChunk, Chunk, Context, Exchange, Handled, Local, Settings, Site, Switch, accept_loop_over};

#[derive(Default)]
pub(crate) struct TestSite {
    pub(crate) settings: Settings,
    pub(crate) failures: std::cell::RefCell<Vec<Kind>>,
}

impl Site for TestSite {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn handle<'e>(&'e self, exchange: &'e mut Exchange<'_>) -> Handled<'e> {
        Handled::waits(|| respond(exchange))
    }

    fn failed(&self, failure: &Failure, _: &Peer) {
        self.failures.borrow_mut().push(failure.kind);
    }
}

async fn respond(exchange: &mut Exchange<'_>) -> Result<(), Failure> {
    match exchange.request.path_bytes() {
        b"/who" => {
            let who = exchange.client.ip().map_or("unknown".into(), |ip| ip.to_string());
            exchange.response.start(&head(BodyLength::Known(who.len() as u64)));
            exchange.response.push(Chunk::Shared(Shared::copy_of(who.as_bytes())))?;
            exchange.response.finish(None)
        }
        b"/hello" => answer(exchange, b"hello", 5),
        b"/echo" => echo(exchange).await,
        b"/early" => answer(exchange, b"no need for a body", 18),
        b"/big" => big(exchange).await,
        b"/file" => file(exchange),
        b"/short" => answer(exchange, b"hello", 6),
        b"/slow" => {
            sleep(Duration::from_secs(3)).await;
            answer(exchange, b"slow", 4)
        }
        b"/gives-up" => {
            exchange.body.chunk().await?;
            // Waits for more of the body, then fails for a reason of its own.
            let more = poll_fn(|cx| exchange.body.poll_chunk(cx));
            event_loop::within(event_loop::now().after(Duration::from_secs(1)), more).await;
            Err(Failure::new(Kind::UpstreamClosed))
        }
        b"/forever" => {
            exchange.client.limit_exchange(Duration::from_secs(20));
            let client = exchange.client;
            Err(poll_fn(|cx| client.poll_gone(cx)).await)
        }
        b"/panic" => panic!("on purpose, in a test"),
        b"/half-and-panic" => {
            exchange.response.start(&head(BodyLength::Streamed));
            exchange.response.push(Chunk::Static(b"half"))?;
            sleep(Duration::from_secs(1)).await;
            panic!("on purpose, in a test")
        }
        b"/whole-and-panic" => {
            exchange.response.start(&head(BodyLength::Streamed));
            exchange.response.push(Chunk::Static(b"whole"))?;
            exchange.response.finish(None)?;
            panic!("on purpose, in a test")
        }
        b"/byte-of-a-file" => byte_of_a_file(exchange),
        b"/nothing" => Ok(()),
        _ => Err(Failure::new(Kind::NoRoute)),
    }
}

fn head(body: BodyLength) -> ResponseHead {
    ResponseHead::new(200, FieldsBuilder::new().finish(), body)
}

fn answer(exchange: &mut Exchange<'_>, body: &'static [u8], length: u64) -> Result<(), Failure> {
    exchange.response.start(&head(BodyLength::Known(length)));
    exchange.response.push(Chunk::Static(body))?;
    exchange.response.finish(None)
}

async fn echo(exchange: &mut Exchange<'_>) -> Result<(), Failure> {
    let mut all = Vec::new();
    while let BodyChunk::Data(bytes) = exchange.body.chunk().await? {
        all.extend_from_slice(&bytes);
    }
    exchange.response.start(&head(BodyLength::Streamed));
    for piece in all.chunks(1000) {
        exchange.response.push(Chunk::Shared(Shared::copy_of(piece)))?;
    }
    exchange.response.finish(None)
}

/// Ten megabytes, as fast as the client takes them.
async fn big(exchange: &mut Exchange<'_>) -> Result<(), Failure> {
    exchange.response.start(&head(BodyLength::Known(10 << 20)));
    for _ in 0..640 {
        exchange.response.ready().await?;
        exchange.response.push(Chunk::Shared(Shared::copy_of(&[b'x'; 16 << 10])))?;
        assert!(buf::stats().leased_bytes < 256 << 10, "a client that does not read must not fill our memory");
    }
    exchange.response.finish(None)
}

fn file(exchange: &mut Exchange<'_>) -> Result<(), Failure> {
    let file = tempfile::tempfile().unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[b'f'; 100_000], 0).unwrap();
    exchange.response.start(&head(BodyLength::Known(100_000)));
    exchange.response.push(Chunk::File(FileRange { file: Rc::new(file), offset: 0, len: 100_000 }))?;
    exchange.response.finish(None)
}

/// Each answer has a file of its own; no two are open at a time.
fn byte_of_a_file(exchange: &mut Exchange<'_>) -> Result<(), Failure> {
    let file = tempfile::tempfile().unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"f", 0).unwrap();
    let file = Rc::new(file);
    let before = BEFORE.with_borrow_mut(|before| std::mem::replace(before, Rc::downgrade(&file)));
    assert!(before.upgrade().is_none(), "the file of the answer before is still open");
    exchange.response.start(&head(BodyLength::Known(1)));
    exchange.response.push(Chunk::File(FileRange { file, offset: 0, len: 1 }))?;
    exchange.response.finish(None)
}

thread_local! {
    static BEFORE: std::cell::RefCell<std::rc::Weak<std::fs::File>> = const { std::cell::RefCell::new(std::rc::Weak::new()) };
}

pub(crate) const SERVER: u32 = 1;

thread_local! {
    /// Whom the tasks served that panicked.
    pub(crate) static PANICKED: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn on_panic(panicked: &event_loop::Panicked) {
    PANICKED.with_borrow_mut(|all| all.push(panicked.served.clone()));
}

/// Runs `test` beside a server on a simulated worker, then shows that nothing is left behind.
#[allow(dead_code, reason = "not every test file needs it")]
pub(crate) fn serving(weather: Weather, test: impl AsyncFnOnce(Rc<Context<TestSite>>, Rc<Switch>)) {
    serving_with(Settings::default(), weather, test);
}

#[allow(dead_code, reason = "not every test file needs it")]
pub(crate) fn serving_with(
    settings: Settings,
    weather: Weather,
    test: impl AsyncFnOnce(Rc<Context<TestSite>>, Rc<Switch>),
) {
    serving_at(settings, weather, |_| (), test);
}

/// The same with a listener that `prepare` was given.
pub(crate) fn serving_at(
    settings: Settings,
    weather: Weather,
    prepare: impl FnOnce(&Local),
    test: impl AsyncFnOnce(Rc<Context<TestSite>>, Rc<Switch>),
) {
    let driver = Driver::Simulated { seed: weather.split_seed };
    let (worker, _) = Worker::new(WorkerConfig { driver, on_panic, ..WorkerConfig::default() }).unwrap();
    worker
        .block_on(async {
            memory::set_weather(SERVER, weather);
            let site = Rc::new(TestSite { settings, ..TestSite::default() });
            let context = Context::new(site, Arc::new(Counters::default()), 1000);
            let listener = Listener::new(Bound::memory(SERVER)).unwrap();
            let stop = Rc::new(Switch::default());
            let local = Local::new(listener.address().clone(), false);
            prepare(&local);
            spawn(accept_loop_over(listener, local, || None, Rc::clone(&context), Rc::clone(&stop), |_| ()));
            test(Rc::clone(&context), Rc::clone(&stop)).await;
            stop.raise();
            context.drain();
            context.empty().await;
            sleep(Duration::from_secs(1)).await;
            let stats = event_loop::stats();
            assert_eq!((stats.tasks, stats.registrations), (1, 0), "a task or a registration was left behind");
        })
        .unwrap();
    assert_eq!(buf::stats().leased, 0, "a buffer was left behind");
}

pub(crate) struct TestClient {
    pub(crate) stream: Stream,
    pub(crate) got: Vec<u8>,
}

impl TestClient {
    pub(crate) fn connect() -> TestClient {
        TestClient { stream: memory::connect(SERVER).unwrap().into(), got: Vec::new() }
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

    /// Reads until `enough` says so; false when the end came first.
    pub(crate) async fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> io::Result<bool> {
        let mut window = ReadBuf::new(Class::K16);
        while !enough(&self.got) {
            let n = poll_fn(|cx| self.stream.poll_read(cx, &mut window)).await?;
            if n == 0 {
                return Ok(false);
            }
            self.got.extend_from_slice(window.filled());
            window.consume(n);
        }
        Ok(true)
    }

    /// Reads to the end of the connection.
    pub(crate) async fn rest(&mut self) -> io::Result<String> {
        self.read_until(|_| false).await?;
        Ok(String::from_utf8_lossy(&self.got).into_owned())
    }

    /// Reads until `text` was seen and gives all up to there.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let ends = |got: &[u8]| got.windows(text.len()).any(|w| w == text.as_bytes());
        let seen = self.read_until(ends).await.unwrap();
        let got = String::from_utf8_lossy(&self.got).into_owned();
        assert!(seen, "the connection ended before {text:?}: {got:?}");
        self.got.clear();
        got
    }
}
