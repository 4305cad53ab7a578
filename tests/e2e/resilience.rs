//! Servers that die under load, or are all gone; events that must not wait.

use std::{
    thread,
    time::{Duration, Instant},
};

use tests::{Client, Origin, PATIENCE, Signal, Tollgate, closed_port, peers};

use crate::{SHORT, proxy_with, under_load};

#[test]
fn one_of_three_servers_is_killed_under_load_and_comes_back() {
    let mut servers: Vec<_> = (0..3).map(|n| peers::node(&format!("response.end('{n}')"))).collect();
    let addresses: Vec<_> = servers.iter().map(|s| s.address).collect();
    let proxy = proxy_with(&addresses, "");
    under_load(&proxy, 8, |more| {
        more(400);
        servers[0].process.signal(Signal::KILL);
        servers[0].process.wait();
        more(400);
    });
    // Another process on the same port takes part again.
    let gone = servers.remove(0).address;
    let passed_over =
        format!("upstream api {gone}: the connection was refused; nothing listens there; passed over until");
    proxy.process.logged(&passed_over, 1);
    let back = Origin::on(std::net::TcpListener::bind(gone).expect("its port"), |connection, _| {
        while connection.request().is_some() {
            connection.send(tests::answer("200 OK", "back"));
        }
    });
    let mut client = Client::connect(proxy.address());
    tests::eventually("it is asked again", || client.get("/").text(), |text| text == "back");
    let again = format!("upstream api {gone} can be connected to again");
    proxy.process.logged(&again, 1);
    // Whichever worker found it out, and however many others did.
    let log = proxy.process.log();
    assert_eq!((log.matches(&passed_over).count(), log.matches(&again).count()), (1, 1), "{log}");
    drop(back);
}

#[test]
fn all_refuse_and_the_client_knows_in_time() {
    let proxy = proxy_with(&[closed_port(), closed_port(), closed_port()], SHORT);
    for _ in 0..4 {
        let asked = Instant::now();
        let reply = Client::connect(proxy.address()).get("/");
        assert!(asked.elapsed() < Duration::from_millis(700), "{:?}", asked.elapsed());
        assert!(matches!(reply.status, 502 | 503), "{}: {}", reply.status, reply.text());
        let again: u16 =
            reply.field("retry-after").and_then(|seconds| seconds.parse().ok()).expect("when to ask again");
        assert!((1..=10).contains(&again), "{again}");
        assert!(reply.field("tollgate-reason").is_some_and(|r| r.starts_with("UREF ") || r.starts_with("UNON ")));
    }
}

/// Whatever hinders a connection: the answer comes in time and says when to ask again.
#[test]
fn a_server_that_cannot_be_reached_is_worth_another_request_later() {
    let (_listener, _waiting, full) = crate::verdicts::full();
    let refused = closed_port();
    for (servers, more, status, code) in [
        (format!("\"{refused}\""), "", 502, "UREF"),
        (format!("\"{full}\""), "retry = { attempts = 1 }", 504, "UCTO"),
        // Whichever is asked last.
        (format!("\"{full}\", \"{refused}\""), "", 0, ""),
        ("\"nowhere.invalid:80\"".to_owned(), "", 502, "UDNS"),
    ] {
        let proxy = Tollgate::config(&format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\nreason = true\n[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"api\" }}\n\
             [upstream.api]\nservers = [{servers}]\n{more}\ntimeouts = {{ connect = \"300ms\" }}\n"
        ));
        let asked = Instant::now();
        let reply = Client::connect(proxy.address()).get("/");
        let reason = reply.field("tollgate-reason").unwrap_or_default();
        assert!(reply.status == status || status == 0, "{servers}: {reason}");
        assert!(reason.starts_with(code), "{servers}: {reason}");
        assert!(asked.elapsed() < Duration::from_millis(300) + PATIENCE / 2, "{servers}: {:?}", asked.elapsed());
        // However many tries it took.
        assert_eq!(reply.field("retry-after").as_deref(), Some("1"), "{servers}: {}", reply.head);
    }
    // Its checks decide when it is back.
    let proxy = proxy_with(&[refused], "[upstream.api.health]\ninterval = \"7s\"");
    proxy.process.logged("down after 1 failure", 1);
    let reply = Client::connect(proxy.address()).get("/");
    assert_eq!((reply.status, reply.field("retry-after").as_deref()), (503, Some("7")), "{}", reply.text());
}

/// Ejection leaves somebody to ask, who is asked though it has failed: nobody waits for an ejection to end.
#[test]
fn with_all_ejected_that_may_be_the_rest_is_asked_at_once() {
    let ejection = "[upstream.api.ejection]\nconsecutive = 1\nfor = \"60s\"\nmax_ejected = 0.5";
    let proxy = proxy_with(&[closed_port(), closed_port()], &format!("{SHORT}\n{ejection}"));
    let mut client = Client::connect(proxy.address());
    for _ in 0..20 {
        let asked = Instant::now();
        let reply = client.get("/");
        assert_eq!(reply.status, 502, "{}", reply.text());
        assert!(asked.elapsed() < Duration::from_millis(700), "{:?}", asked.elapsed());
    }
    assert_eq!(proxy.process.log().matches("is ejected for 60s").count(), 1, "{}", proxy.process.log());
}

/// An event goes out when it comes in. The origin writes the moment into each event; both are on one clock.
#[test]
fn events_are_not_held_back() {
    let started = Instant::now();
    let origin = Origin::start(move |connection, _| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(50));
            let event = format!("data: {}\n\n", started.elapsed().as_micros());
            if !connection.send(format!("{:x}\r\n{event}\r\n", event.len())) {
                return;
            }
        }
        connection.send("0\r\n\r\n");
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    client.read_until("\r\n\r\n");
    let mut delays: Vec<u128> = (0..20)
        .map(|_| {
            let event = client.read_until("\n\n\r\n");
            let sent = event.split("data: ").nth(1).expect("an event").trim().parse::<u128>().expect("a moment");
            started.elapsed().as_micros() - sent
        })
        .collect();
    delays.sort_unstable();
    eprintln!("delays of events in us: {delays:?}");
    // The machine may be busy: what is meant is that no timer and no full buffer is waited for.
    assert!(delays[10] < 20_000, "{delays:?}");
}
