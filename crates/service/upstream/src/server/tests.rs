use std::future::poll_fn;

use event_loop::{Driver, Worker, WorkerConfig};
use net::memory::{MemoryListener, set_silent};
use net::{Bound, Listener};

use super::found::SETTLED_AFTER;
use super::turns::AVOIDED;
use super::*;
use crate::upstream::KeepAlive;

/// A name that was found to have these addresses.
fn named(addresses: Vec<Address>) -> Server {
    let server = Server::new(Target::Name { host: "app".into(), port: 80 }, None, None);
    server.found.addresses.replace(addresses);
    server
}

fn bind() -> Bound {
    net::bind(&"127.0.0.1:0".parse().unwrap(), 1, 16).unwrap().remove(0)
}

/// Keeps so many idle connections, for longer than any test takes.
fn keep(idle: usize) -> Keep {
    let minute = Duration::from_secs(60);
    Keep::from(&KeepAlive { idle, idle_timeout: minute, max_requests: 100, max_age: minute })
}

/// What a request does with connections; counts those that it makes, and says where its own led.
async fn request(server: &Server, keep: &Keep, made: &Cell<u32>) -> SocketAddr {
    let connection = match server.reuse(now(), keep) {
        Some(connection) => connection,
        None => {
            made.set(made.get() + 1);
            connect(server, Duration::from_secs(2)).await.expect("one listens")
        }
    };
    let peer = connection.stream.peer().unwrap().socket_addr().unwrap();
    server.keep(connection, keep);
    peer
}

#[test]
fn connections_to_an_address_that_the_name_has_no_more_are_closed() {
    let (one, two): (Bound, Bound) = (bind(), bind());
    let [first, second] = [one.address().clone(), two.address().clone()];
    let keep = keep(8);
    run(Driver::Mio, async {
        let server = named(Vec::new());
        server.found.learn(vec![first.clone(), second.clone()]);
        server.settle();
        let open = async || connect(&server, Duration::from_secs(2)).await.expect("both listen");
        // Four are idle, two to each; one to each is under way.
        let mut all = Vec::new();
        for _ in 0..6 {
            all.push(open().await);
        }
        let under_way = all.split_off(4);
        all.into_iter().for_each(|connection| server.keep(connection, &keep));
        assert_eq!(server.idle(), 4);
        // The same in another order is no change.
        server.found.learn(vec![second.clone(), first.clone()]);
        server.settle();
        assert_eq!(server.idle(), 4);
        server.found.learn(vec![second.clone()]);
        server.settle();
        assert_eq!(server.idle(), 2);
        // Those that were under way are held against it when they come back.
        under_way.into_iter().for_each(|connection| server.keep(connection, &keep));
        assert_eq!(server.idle(), 3);
        let left = std::iter::from_fn(|| server.pool.take(now(), &keep));
        let peers: Vec<_> = left.map(|connection| connection.stream.peer().unwrap().socket_addr().unwrap()).collect();
        let Address::Tcp(at) = second else { panic!("{second:?}") };
        assert_eq!(peers, [at; 3]);
        // One that comes back to the others was down; it may be so again.
        for _ in 0..2 {
            server.found.learn(vec![first.clone(), second.clone()]);
            server.settle();
            for n in 1..=2 {
                server.keep(open().await, &keep);
                assert_eq!(server.idle(), n);
            }
            server.found.learn(vec![second.clone()]);
            server.settle();
            assert_eq!(server.idle(), 1);
            server.pool.clear();
        }
        // A reload that has looked it up already knows where it has gone.
        server.keep(open().await, &keep);
        let after = named(Vec::new());
        after.found.learn(vec![first.clone()]);
        after.settle();
        after.inherit(&server, Some(&keep));
        assert_eq!((server.idle(), after.idle()), (0, 0));
        assert_eq!(*after.found.addresses.borrow(), [first]);
    });
}

/// Each answer holds one of three addresses, in turn.
#[test]
fn connections_to_addresses_that_come_and_go_are_kept_also_by_a_reload() {
    let all: [Bound; 3] = [bind(), bind(), bind()];
    let keep = keep(8);
    run(Driver::Mio, async {
        let server = named(Vec::new());
        let answer = |server: &Server, number: usize| {
            server.found.learn(vec![all[number].address().clone()]);
            server.settle();
        };
        let open = async || {
            let connection = connect(&server, Duration::from_secs(2)).await.expect("it listens");
            server.keep(connection, &keep);
        };
        // Not until one comes back is it known.
        for number in 0..3 {
            answer(&server, number);
            open().await;
            assert_eq!(server.idle(), 1);
        }
        for number in 0..2 {
            answer(&server, number);
            open().await;
        }
        for number in [2, 0, 1, 2] {
            answer(&server, number);
            assert_eq!(server.idle(), 3);
        }
        let after = named(Vec::new());
        after.inherit(&server, Some(&keep));
        assert_eq!((server.idle(), after.idle()), (0, 3));
        answer(&after, 0);
        assert_eq!(after.idle(), 3, "its name was looked up before");
        // Its first look-up comes before the change-over.
        let last = named(Vec::new());
        answer(&last, 1);
        last.inherit(&after, Some(&keep));
        assert_eq!((after.idle(), last.idle()), (0, 3));
        assert_eq!(*last.found.addresses.borrow(), [all[1].address().clone()]);
        // Those that stay away have gone in the end.
        for left in [3, 2, 1, 1] {
            answer(&last, 2);
            assert_eq!(last.idle(), left);
        }
    });
}

/// One request at a time is what shows it: the first connection could carry them all.
#[test]
fn kept_connections_have_their_turns_by_address_too() {
    let all: Vec<Bound> = (0..3).map(|_| bind()).collect();
    let gone = bind().address().clone();
    let keep = keep(8);
    let address = |number: usize| all[number].address().clone();
    run(Driver::Mio, async {
        let server = named(Vec::new());
        let made = Cell::new(0);
        let ask = async || {
            let peer = request(&server, &keep, &made).await;
            (0..3).find(|number| matches!(address(*number), Address::Tcp(at) if at == peer)).expect("one of ours")
        };
        let count = async |asked: usize| {
            let mut counts = [0_u32; 3];
            for _ in 0..asked {
                counts[ask().await] += 1;
            }
            counts
        };
        server.found.learn(vec![address(0)]);
        server.settle();
        assert_eq!((count(3).await, made.get()), ([3, 0, 0], 1));
        // Two more come.
        server.found.learn((0..3).map(address).collect());
        server.settle();
        assert!(server.reuse(now(), &keep).is_none() && server.wants_another_address(&keep));
        assert_eq!((count(30).await, made.get()), ([10; 3], 3));
        // One goes, another cannot be connected to: who has its turn is asked in its place, over a kept connection but for the first.
        server.found.learn(vec![address(0), address(1), gone.clone()]);
        server.settle();
        let counts = count(30).await;
        assert!(counts[2] == 0 && counts[0].abs_diff(counts[1]) <= 2 && made.get() <= 5, "{counts:?}, {}", made.get());
        let untold = server.untold.take();
        assert!(matches!(&untold[..], [(at, Some(why))] if *at == gone && why.contains("refused")), "{untold:?}");
        server.pool.clear();
        assert!(!server.wants_another_address(&keep), "another worker's is better than none");
    });
}

/// With fewer kept connections than addresses, turns would open one for many of the requests.
#[test]
fn where_fewer_connections_are_kept_than_there_are_addresses_they_are_used_as_they_come() {
    let all: Vec<Bound> = (0..3).map(|_| bind()).collect();
    run(Driver::Mio, async {
        for (idle, most) in [(1, 1), (2, 1), (3, 3)] {
            let keep = keep(idle);
            let server = named(Vec::new());
            server.found.learn(all.iter().map(|bound| bound.address().clone()).collect());
            server.settle();
            let made = Cell::new(0);
            for _ in 0..30 {
                request(&server, &keep, &made).await;
            }
            assert_eq!(made.get(), most, "{idle} kept");
        }
    });
}

/// Connections that were kept before more addresses came give way to some to those.
#[test]
fn the_first_address_does_not_keep_all_places_of_kept_connections() {
    let all: Vec<Bound> = (0..2).map(|_| bind()).collect();
    let address = |number: usize| all[number].address().clone();
    let keep = keep(4);
    run(Driver::Mio, async {
        let server = named(Vec::new());
        server.found.learn(vec![address(0)]);
        server.settle();
        for _ in 0..4 {
            server.keep(connect(&server, Duration::from_secs(2)).await.expect("it listens"), &keep);
        }
        server.found.learn(vec![address(0), address(1)]);
        server.settle();
        let made = Cell::new(0);
        for _ in 0..10 {
            request(&server, &keep, &made).await;
        }
        assert_eq!((made.get(), server.idle()), (1, 4));
    });
}

/// Whose time is over gets one request, and not each that has its turn while that one still waits.
#[test]
fn an_address_that_failed_is_tried_by_one_request_at_a_time() {
    run(Driver::Mio, async {
        let [good, gone]: [Address; 2] = ["127.0.0.1:1", "127.0.0.1:2"].map(|text| text.parse().unwrap());
        let server = named(Vec::new());
        server.found.learn(vec![good.clone(), gone.clone()]);
        server.settle();
        server.avoid(gone.clone(), None);
        let firsts = |times: usize| (0..times).filter(|_| server.candidates()[0] == gone).count();
        assert_eq!(firsts(4), 0);
        server.forgive(&gone);
        assert_eq!(firsts(10), 1, "the others pass it over until it is known what came of that");
    });
}

/// A failover and back within three look-ups looks like addresses that come in turn, until nothing has changed for long enough.
#[test]
fn a_name_that_has_settled_is_followed_at_once_again() {
    let (one, two): (Bound, Bound) = (bind(), bind());
    let keep = keep(8);
    run(Driver::Mio, async {
        let server = named(Vec::new());
        let answer = |bound: &Bound| {
            server.found.learn(vec![bound.address().clone()]);
            server.settle();
        };
        for bound in [&one, &two, &one] {
            answer(bound);
        }
        for (same, left) in [(SETTLED_AFTER - 1, 1), (SETTLED_AFTER, 0)] {
            (0..same).for_each(|_| answer(&one));
            server.keep(connect(&server, Duration::from_secs(2)).await.expect("it listens"), &keep);
            answer(&two);
            assert_eq!(server.idle(), left, "after {same}");
            server.pool.clear();
            answer(&one);
        }
    });
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
