//! Tries that are made again, and those that are not.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use std::time::Instant;

use tests::{Client, Origin, answer, closed_port, peers};

use crate::{proxy_with, under_load};

/// Serves one request on each connection, then closes it after the next request came.
fn closes_the_second_time(count: Arc<AtomicUsize>) -> Origin {
    Origin::start(move |connection, _| {
        if connection.request().is_some() {
            count.fetch_add(1, SeqCst);
            connection.send(answer("200 OK", "ok"));
            connection.head();
        }
    })
}

#[test]
fn a_kept_connection_that_died_is_replaced_silently() {
    let origin = closes_the_second_time(Arc::default());
    let proxy = proxy_with(&[origin.address()], "retry = { attempts = 1 }");
    let mut client = Client::connect(proxy.address());
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "ok");
    }
    assert_eq!(proxy.process.log(), "", "nothing worth a line happened");
}

#[test]
fn a_post_is_not_sent_twice() {
    let served = Arc::new(AtomicUsize::new(0));
    let origin = closes_the_second_time(Arc::clone(&served));
    let proxy = proxy_with(&[origin.address()], "retry = { attempts = 5 }");
    let mut client = Client::connect(proxy.address());
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(client.ask(post).status, 200);
    assert_eq!(client.ask(post).status, 502, "it was written to a connection that then died");
    assert_eq!((served.load(SeqCst), origin.connections()), (1, 1));
}

#[test]
fn another_server_is_asked_when_one_refuses() {
    let origin = Origin::answering(answer("200 OK", "ok"));
    let proxy = proxy_with(&[closed_port(), origin.address()], "");
    for method in ["GET", "POST"] {
        for _ in 0..4 {
            let mut client = Client::connect(proxy.address());
            let reply = client.ask(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"));
            assert_eq!((reply.status, reply.text()), (200, "ok".into()), "nothing was written: {method}");
        }
    }
}

#[test]
fn attempts_are_counted_and_told() {
    let origin = Origin::start(|connection, _| {
        connection.request();
        connection.reset();
    });
    let proxy = proxy_with(&[origin.address()], "retry = { attempts = 3 }");
    let reply = Client::connect(proxy.address()).get("/");
    assert_eq!(reply.status, 502);
    assert!(reply.text().contains("; 3 attempts"), "{}", reply.text());
    assert_eq!(origin.connections(), 3);
}

/// No client learns of it, so the log has to tell; but not of each request.
#[test]
fn a_server_whose_requests_are_tried_again_is_told_of() {
    let bad = Origin::start(|connection, _| {
        connection.request();
    });
    let good = Origin::answering(answer("200 OK", "ok"));
    let proxy = proxy_with(&[bad.address(), good.address()], "retry = { budget = 1.0 }");
    let mut client = Client::connect(proxy.address());
    let begun = Instant::now();
    for _ in 0..6 {
        assert_eq!(client.get("/").status, 200);
    }
    let verdict = format!("UCLS upstream/response-head: upstream api {} closed the connection", bad.address());
    proxy.process.logged(&verdict, 1);
    let log = proxy.process.log();
    let told = log.lines().filter(|line| line.contains(&verdict) && line.ends_with("; the request was tried again"));
    let told = told.count() as u64;
    assert!(told >= 1 && told <= 1 + begun.elapsed().as_secs(), "once a second: {log}");
}

/// Which nothing else would tell from a request that had its tries.
#[test]
fn a_spent_budget_is_told() {
    let proxy = proxy_with(&[closed_port(), closed_port()], "retry = { budget = 0.0 }");
    let mut client = Client::connect(proxy.address());
    let mut said = || client.get("/").text();
    assert!(said().trim_end().ends_with("; 2 attempts"));
    // Three a second are free.
    tests::eventually("no more of them", said, |text| {
        text.trim_end().ends_with("nothing listens there; not tried again: the retry budget is spent")
    });
}

#[test]
fn only_what_is_listed_is_tried_again() {
    let origin = Origin::start(|connection, _| {
        connection.request();
        connection.reset();
    });
    let proxy = proxy_with(&[origin.address()], "retry = { attempts = 3, on = [\"connect\"] }");
    assert_eq!(Client::connect(proxy.address()).get("/").status, 502);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn statuses_are_tried_again_where_listed_and_the_last_is_passed_on() {
    let bad = Origin::answering(answer("502 Bad Gateway", "mine"));
    let good = Origin::answering(answer("200 OK", "ok"));
    let retry = "retry = { attempts = 2, on = [\"connect\", \"reset\", \"502\"] }";
    let proxy = proxy_with(&[bad.address(), good.address()], retry);
    let mut client = Client::connect(proxy.address());
    for _ in 0..3 {
        let reply = client.get("/");
        assert_eq!((reply.status, reply.text()), (200, "ok".into()));
    }
    let told = format!("warn  upstream api {} answered with status 502; the request was tried again", bad.address());
    proxy.process.logged(&told, 1);
    let alone = proxy_with(&[bad.address()], retry);
    let reply = Client::connect(alone.address()).get("/");
    assert_eq!((reply.status, reply.text()), (502, "mine".into()), "the origin's own page");
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let replies: Vec<u16> = (0..2).map(|_| client.ask(post).status).collect();
    assert!(replies.contains(&502), "a POST is not tried again: {replies:?}");
}

#[test]
fn one_of_two_servers_is_killed_under_load_and_no_get_fails() {
    let mut first = peers::node("response.end('one')");
    let second = peers::node("response.end('two')");
    let proxy = proxy_with(&[first.address, second.address], "");
    let mut after = 0;
    under_load(&proxy, 4, |more| {
        // A share of the requests so far is what retries are allowed; every client may need one at once.
        more(200);
        first.process.signal(tests::Signal::KILL);
        first.process.wait();
        after = more(200);
    });
    assert!(after > 200);
}
