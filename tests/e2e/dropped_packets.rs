//! Firewalls that drop packets without a word: in front of idle connections, of requests, and of answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use tests::{Client, Origin, answer};

use crate::{proxy_with, verdicts::counted};

/// Far beyond what an answer takes.
const LONG: &str = "timeouts = { connect = \"300ms\", header = \"60s\" }";

/// Answers the first request of each of its first connections, which a firewall has forgotten then, and all of later ones. The counter says of how
/// many that is so by now: an answer may arrive sooner.
fn forgetting(connections: usize) -> (Origin, Arc<AtomicUsize>) {
    let forgotten = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&forgotten);
    let origin = Origin::start(move |connection, number| {
        while connection.request().is_some() {
            connection.send(answer("200 OK", "ok"));
            if number < connections {
                connection.drop_packets(true);
                count.fetch_add(1, SeqCst);
                // It stays open: nothing comes, not even its end.
                connection.wait_for_end();
                return;
            }
        }
    });
    (origin, forgotten)
}

/// Two idle connections that lead nowhere cost one request the time to connect, and the log says what to look at.
#[test]
fn a_firewall_that_forgets_idle_connections_costs_no_answer() {
    let (origin, forgotten) = forgetting(2);
    let proxy = proxy_with(&[origin.address()], LONG);
    let (mut one, mut two) = (Client::connect(proxy.address()), Client::connect(proxy.address()));
    // Both at once, so that there are two.
    for client in [&mut one, &mut two] {
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
    }
    tests::eventually("two connections", || origin.connections(), |count| *count == 2);
    for client in [&mut one, &mut two] {
        client.send("x");
        assert_eq!(client.reply().text(), "ok");
    }
    tests::eventually("both forgotten", || forgotten.load(SeqCst), |count| *count == 2);
    let asked = Instant::now();
    assert_eq!(one.get("/").text(), "ok");
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
    proxy.process.logged(
        &format!("upstream api {} acknowledged nothing on an idle connection within 300ms: ", origin.address()),
        1,
    );
    assert_eq!(two.get("/").text(), "ok");
    assert_eq!(origin.connections(), 3, "the other idle one was not tried");
    assert!(!proxy.process.log().contains("UHTO"), "{}", proxy.process.log());
}

/// A request that may not be repeated waits for its answer as long as it has, since it may have arrived.
#[test]
fn a_post_into_nowhere_is_not_repeated_and_the_verdict_says_what_is_known() {
    let (origin, forgotten) = forgetting(1);
    let proxy = proxy_with(&[origin.address()], "timeouts = { connect = \"200ms\", header = \"500ms\" }");
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").text(), "ok");
    tests::eventually("it is forgotten", || forgotten.load(SeqCst), |count| *count == 1);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    let reply = client.reply();
    let reason = reply.field("tollgate-reason").unwrap_or_default();
    let sentence =
        "acknowledged nothing of the request within 500ms: its machine is gone, or packets are dropped on the way";
    assert_eq!(
        (reply.status, &*reason),
        (504, &*format!("UHTO upstream/response-head: upstream api {} {sentence}", origin.address()))
    );
    assert_eq!(origin.connections(), 1);
    assert_eq!(counted(proxy, "UHTO"), 1);
}

/// An answer that is only slow is waited for, on a kept connection too.
#[test]
fn a_slow_answer_on_a_kept_connection_is_not_taken_for_a_dead_one() {
    let origin = Origin::start(|connection, _| {
        connection.request();
        connection.send(answer("200 OK", "ok"));
        connection.request();
        thread::sleep(Duration::from_millis(400));
        connection.send(answer("200 OK", "late"));
    });
    let proxy = proxy_with(&[origin.address()], "timeouts = { connect = \"100ms\", header = \"60s\" }");
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").text(), "ok");
    assert_eq!(client.get("/").text(), "late");
    assert_eq!(origin.connections(), 1);
}
