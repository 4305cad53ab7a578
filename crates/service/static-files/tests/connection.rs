//! Files over whole connections: the reactor, HTTP/1.1 and the blocking pool, without sockets.

use std::fs::write;
use std::future::poll_fn;
use std::io::IoSlice;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use buf::{Class, ReadBuf};
use event_loop::{Driver, Worker, WorkerConfig, sleep, spawn};
use net::memory::{MemoryStream, Weather, pair};
use net::{Accepted, Address, Peer, Transport};
use observe::{Counters, Failure};
use serve::{Context, Exchange, Handled, Settings, Site};
use static_files::{Answer, Files, Limits, OpenFiles, Options, sweep};

struct OneRoute {
    settings: Settings,
    files: Files,
}

impl Site for OneRoute {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn handle<'e>(&'e self, exchange: &'e mut Exchange<'_>) -> Handled<'e> {
        Handled::waits(|| async move {
            let path = exchange.request.path_bytes().to_vec();
            match self.files.respond(exchange.request, &path).await {
                Answer::Send { head, body } => body.send(&head, &mut exchange.response),
                Answer::Stream { head, body } => body.send(&head, &mut exchange.response).await,
                Answer::Refuse(failure) => Err(failure),
            }
        })
    }

    fn failed(&self, _: &Failure, _: &Peer) {}
}

#[test]
fn files_travel_over_connections() {
    let dir = tempfile::TempDir::new().unwrap();
    write(dir.path().join("index.html"), "hello").unwrap();
    let large: String = (0..200_000).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    write(dir.path().join("large"), &large).unwrap();
    for seed in 1..9 {
        run(dir.path(), &large, Weather { split_seed: seed, capacity: 20_000, ..Weather::default() }, seed);
    }
}

fn run(dir: &Path, large: &str, weather: Weather, seed: u64) {
    let config = WorkerConfig { driver: Driver::Simulated { seed }, ..WorkerConfig::default() };
    let (worker, _remote) = Worker::new(config).unwrap();
    let cache = OpenFiles::new(Limits::default());
    let root = Arc::new(::fs::Root::open(dir).unwrap());
    let files = Files::new(Options::default(), root, Rc::clone(&cache)).unwrap();
    worker
        .block_on(async {
            let site = Rc::new(OneRoute { settings: Settings::default(), files });
            let context = Context::new(site, Arc::new(Counters::default()), 10);
            let (client, server) = pair(weather);
            let accepted = Accepted { stream: server.into(), peer: Peer::Memory(1) };
            let Ok(task) = serve::connection(accepted, serve::Local::new(Address::Memory(1), false), &context) else {
                panic!("too many")
            };
            spawn(task);
            spawn(sweep(Rc::downgrade(&cache)));
            // Pipelined, so that hits and misses, and answers of every kind, follow each other on one connection.
            let asked = "GET / HTTP/1.1\r\nHost: a\r\n\r\n\
                GET /large HTTP/1.1\r\nHost: a\r\n\r\n\
                HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n\
                GET /absent HTTP/1.1\r\nHost: a\r\n\r\n\
                GET /large HTTP/1.1\r\nHost: a\r\nRange: bytes=100000-100009\r\n\r\n\
                GET /index.html HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n\
                DELETE / HTTP/1.1\r\nHost: a\r\n\r\n\
                OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n\
                GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            write_all(&client, asked.as_bytes()).await;
            let mut got = &*read_to_end(&client).await;
            let mut next = |head: bool| {
                let (answer, rest) = split(got, head);
                got = rest;
                answer
            };
            assert_eq!(next(false), (200, "hello".to_string()));
            assert_eq!(next(false), (200, large.to_string()));
            assert_eq!(next(true), (200, String::new()));
            assert_eq!(next(false).0, 404);
            assert_eq!(next(false), (206, large[100_000..100_010].to_string()));
            assert_eq!(next(true), (304, String::new()));
            assert_eq!(next(false).0, 405);
            assert_eq!(next(true), (204, String::new()));
            assert_eq!(next(false), (200, "hello".to_string()));
            assert!(got.is_empty());
            assert!(cache.stats().entries >= 2);
            // Two sweeps after a minute without a request nothing is held.
            sleep(Duration::from_secs(100)).await;
            assert_eq!((cache.stats().entries, cache.stats().descriptors), (0, 0));
        })
        .unwrap();
}

async fn write_all(stream: &MemoryStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let n = poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(bytes)], false)).await.unwrap();
        bytes = &bytes[n..];
    }
}

async fn read_to_end(stream: &MemoryStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut input = ReadBuf::new(Class::K16);
    loop {
        let n = poll_fn(|cx| stream.poll_read(cx, &mut input)).await.unwrap();
        if n == 0 {
            return all;
        }
        all.extend_from_slice(input.filled());
        input.consume(n);
    }
}

/// The first answer's status and body, and what follows it.
fn split(bytes: &[u8], bodiless: bool) -> ((u16, String), &[u8]) {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).map_or(0, |n| n.parse().unwrap());
    let length = if bodiless { 0 } else { length };
    let body = String::from_utf8(bytes[end..end + length].to_vec()).unwrap();
    ((head[9..12].parse().unwrap(), body), &bytes[end + length..])
}
