use std::future::poll_fn;

use event_loop::{Driver, Worker, WorkerConfig};
use net::memory::{MemoryListener, set_silent};
use net::{Bound, Listener};

use super::*;

/// A name that was found to have these addresses.
fn named(addresses: Vec<Address>) -> Server {
    let server = Server::new(Target::Name { host: "app".into(), port: 80 }, None, None);
    server.found.addresses.replace(addresses);
    server
}

fn run(driver: Driver, test: impl Future<Output = ()>) {
    let (worker, _) = Worker::new(WorkerConfig { driver, ..WorkerConfig::default() }).unwrap();
    worker.block_on(test).unwrap();
}

async fn connect(server: &Server, timeout: Duration) -> Result<Box<Connection>, Failure> {
    server.connect("api", now().after(timeout), "2s", None).await
}

#[test]
fn silent_addresses_leave_time_for_the_others() {
    run(Driver::Simulated { seed: 1 }, async {
        let _good = MemoryListener::new(22).unwrap();
        for number in [20, 21] {
            set_silent(number, true);
        }
        let server = named(vec![Address::Memory(20), Address::Memory(21), Address::Memory(22)]);
        let begun = now();
        connect(&server, Duration::from_secs(3)).await.expect("the third address answers");
        assert_eq!(now().since(begun), Duration::from_secs(2), "each silent one had a third of the time");
        for _ in 0..6 {
            let begun = now();
            connect(&server, Duration::from_secs(3)).await.expect("the third address answers");
            assert_eq!(now().since(begun), Duration::ZERO, "those that failed a moment ago come last");
        }
        // They are not given up for ever.
        sleep(AVOIDED).await;
        set_silent(20, false);
        set_silent(21, false);
        let (one, two) = (MemoryListener::new(20).unwrap(), MemoryListener::new(21).unwrap());
        for _ in 0..3 {
            connect(&server, Duration::from_secs(3)).await.expect("all answer");
        }
        for listener in [one, two] {
            let accept = poll_fn(|cx| listener.poll_accept(cx));
            assert!(within(now().after(Duration::from_secs(1)), accept).await.is_some(), "each has its turn");
        }
        set_silent(20, true);
        // One that refuses leaves its share to the others.
        let server = named(vec![Address::Memory(29), Address::Memory(20), Address::Memory(22)]);
        let begun = now();
        connect(&server, Duration::from_secs(3)).await.expect("the third address answers");
        assert_eq!(now().since(begun), Duration::from_millis(1500));
    });
}

#[test]
fn the_last_address_decides_what_is_said() {
    run(Driver::Simulated { seed: 1 }, async {
        set_silent(20, true);
        let begun = now();
        let failure = connect(&named(vec![Address::Memory(20); 3]), Duration::from_secs(2)).await.err().unwrap();
        assert_eq!((failure.kind, now().since(begun)), (Kind::ConnectTimeout, Duration::from_secs(2)));
        let refusing = named(vec![Address::Memory(20), Address::Memory(29)]);
        let failure = connect(&refusing, Duration::from_secs(2)).await.err().unwrap();
        assert_eq!(failure.kind, Kind::ConnectFailed);
    });
}

#[test]
fn a_full_queue_does_not_hide_the_address_behind_it() {
    let bind = || net::bind(&"127.0.0.1:0".parse().unwrap(), 1, 1).unwrap().remove(0);
    let (full, good): (Bound, Bound) = (bind(), bind());
    let addresses = vec![full.address().clone(), good.address().clone()];
    run(Driver::Mio, async {
        // Connections that nobody accepts, until one is left waiting: the kernel drops what comes then.
        let mut waiting = Vec::new();
        loop {
            match within(now().after(Duration::from_millis(200)), net::connect(&addresses[0])).await {
                Some(stream) => waiting.push(stream.unwrap()),
                None => break,
            }
            assert!(waiting.len() < 100, "the queue never fills");
        }
        let good = Listener::new(good).unwrap();
        let server = named(addresses);
        for _ in 0..4 {
            let begun = now();
            connect(&server, Duration::from_secs(2)).await.expect("the second address answers");
            assert!(now().since(begun) < Duration::from_secs(2));
            poll_fn(|cx| good.poll_accept(cx)).await.unwrap();
        }
    });
}
