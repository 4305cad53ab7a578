//! What a steady keep-alive request takes from the heap: a worker runs in this thread, where allocations are counted, its
//! client and origin in others.

use std::{
    future::poll_fn,
    net::SocketAddr,
    path::Path,
    rc::Rc,
    sync::{Arc, mpsc},
    thread,
};

use allocation_counter::measure;
use app::{Log, Prepared, Resources, Site};
use event_loop::{Worker, WorkerConfig};
use net::{Address, Listener};
use observe::Counters;
use serve::Context;
use tests::{Client, Origin, answer, folder};

/// Requests of the shorter run. The longer one has twice as many, and what both take once cancels out.
const REQUESTS: u64 = 2000;

/// Allocations of a whole run: a worker that serves one connection with so many requests, each sent when the one before
/// is answered.
fn allocations(configuration: &str, path: &'static str, requests: u64) -> u64 {
    let plan = config::parse(configuration, "test", Path::new("/")).expect("a configuration").plan;
    let prepared = Arc::new(Prepared::new(plan).expect("what it names is there"));
    let bound = net::bind(&Address::Tcp(([127, 0, 0, 1], 0).into()), 1, 16).expect("a free port").remove(0);
    let Address::Tcp(address) = *bound.address() else { panic!("an IP address") };
    let (ready, begin) = mpsc::channel();
    let client = thread::spawn(move || {
        begin.recv().expect("the worker begins");
        ask(address, path, requests);
    });
    let info = measure(|| {
        let (worker, _remote) = Worker::new(WorkerConfig::default()).expect("a worker");
        let served = worker.block_on(async move {
            let resources = Resources::new(0, 1, Log::silent());
            let site = Site::new(prepared, &resources).expect("a site");
            let context = Context::new(Rc::new(site), Arc::new(Counters::default()), 16);
            let listener = Listener::new(bound).expect("a listener");
            ready.send(()).expect("the client waits");
            let accepted = poll_fn(|cx| listener.poll_accept(cx)).await.expect("a connection");
            let local = serve::Local::new(listener.address().clone(), false);
            let Ok(connection) = serve::connection(accepted, local, &context) else { panic!("there is room") };
            connection.await;
        });
        served.expect("served");
    });
    client.join().expect("the client's answers are right");
    info.count_total
}

fn ask(address: SocketAddr, path: &str, requests: u64) {
    let mut client = Client::connect(address);
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n");
    for _ in 0..requests {
        let reply = client.ask(&request);
        assert_eq!((reply.status, reply.body.len(), reply.keeps_alive()), (200, 1024, true));
    }
}

/// Allocations of one more request.
fn of_a_request(configuration: &str, path: &'static str) -> f64 {
    let once = allocations(configuration, path, REQUESTS);
    let twice = allocations(configuration, path, 2 * REQUESTS);
    assert!(once > 0, "a worker cannot begin without allocations: they are not counted");
    let taken = twice.saturating_sub(once) as f64 / REQUESTS as f64;
    println!("{path}: {once} allocations in {REQUESTS} requests, {taken} for each more");
    taken
}

/// What timers, the date and the cache take now and then, however many requests there are.
const BESIDES: f64 = 0.02;

#[test]
fn a_small_file_takes_one_allocation() {
    let root = folder();
    std::fs::write(root.path().join("1k.txt"), "x".repeat(1024)).expect("a file of ours");
    let configuration =
        format!("[[route]]\npath = \"/*\"\nfiles = {{ root = \"{}\" }}\n", root.path().to_str().expect("text"));
    let taken = of_a_request(&configuration, "/1k.txt");
    assert!(taken <= 1.0 + BESIDES, "{taken} allocations a request");
}

#[test]
fn a_proxied_request_takes_two_allocations() {
    let origin = Origin::answering(answer("200 OK", &"x".repeat(1024)));
    let configuration = format!(
        "[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"o\" }}\n[upstream.o]\nservers = [\"{}\"]\n",
        origin.address()
    );
    let taken = of_a_request(&configuration, "/x");
    assert!(taken <= 2.0 + BESIDES, "{taken} allocations a request");
}
