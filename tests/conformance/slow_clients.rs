//! Clients that are too slow, with short timeouts.

use std::time::{Duration, Instant};

use tests::{Client, Tollgate, descriptors, eventually};

use crate::both;

const SHORT: &str = "[timeouts]\nheader = \"300ms\"\nbody = \"300ms\"\nidle = \"400ms\"\n";

/// A client that begins a request and never ends it.
#[test]
fn a_head_that_does_not_end_gets_408() {
    let both = both(SHORT);
    for to in [both.server.address(), both.proxy.address()] {
        for begin in ["G", "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\nX-"] {
            let mut client = Client::connect(to);
            client.send(begin);
            let reply = client.reply();
            assert_eq!(reply.status, 408, "{begin}");
            assert!(!reply.keeps_alive());
            client.half_close();
            client.expect_end();
        }
    }
    assert_eq!(both.origin.connections(), 0);
}

/// A client that sends a byte from time to time gains nothing by it.
#[test]
fn a_drip_of_bytes_does_not_prolong_a_head() {
    let both = both(SHORT);
    for to in [both.server.address(), both.proxy.address()] {
        let mut client = Client::connect(to);
        // The second head of a connection counts from its first byte.
        client.get("/");
        let begun = Instant::now();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Drip: ");
        let mut stream = client.stream();
        let drip = std::thread::spawn(move || {
            use std::io::Write;
            while stream.write_all(b"a").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        assert_eq!(client.reply().status, 408);
        assert!(begun.elapsed() >= Duration::from_millis(250), "not before its time: {:?}", begun.elapsed());
        drop(client);
        drip.join().expect("no panic");
    }
}

#[test]
fn a_body_that_falls_silent_gets_408_and_the_origin_no_whole_request() {
    let both = both(SHORT);
    let mut client = Client::connect(both.proxy.address());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    let reply = client.reply();
    assert_eq!(reply.status, 408);
    assert!(!reply.keeps_alive());
    client.half_close();
    client.expect_end();
    assert!(both.origin.seen_text().ends_with("\r\n\r\nhello"), "{}", both.origin.seen_text());
}

#[test]
fn idle_connections_are_closed_without_a_word() {
    let both = both(SHORT);
    for tollgate in [&both.server, &both.proxy] {
        let fresh = Client::connect(tollgate.address());
        fresh.expect_end();
        let mut used = Client::connect(tollgate.address());
        assert_eq!(used.get("/").status, 200);
        used.expect_end();
    }
}

#[test]
fn many_slow_clients_leave_nothing_behind_and_others_are_served_meanwhile() {
    let both = both(SHORT);
    many_slow(&both.server);
    many_slow(&both.proxy);
}

fn many_slow(tollgate: &Tollgate) {
    let baseline = descriptors(tollgate.id());
    let slow: Vec<Client> = (0..100)
        .map(|_| {
            let mut client = Client::connect(tollgate.address());
            client.send("GET / HTTP/1.1\r\nX-");
            client
        })
        .collect();
    assert_eq!(Client::connect(tollgate.address()).get("/").status, 200);
    for mut client in slow {
        assert_eq!(client.reply().status, 408);
    }
    eventually("descriptors of slow clients", || descriptors(tollgate.id()), |n| *n <= baseline + 3);
}
