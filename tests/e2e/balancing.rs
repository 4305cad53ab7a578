//! Which server a request goes to, what happens when all are full, and which servers are left out.

use std::{
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use tests::{Client, Origin, Tollgate, answer, closed_port};

use crate::proxy_with;

const PATIENCE: Duration = Duration::from_secs(20);

fn named(names: &[&'static str]) -> Vec<Origin> {
    names.iter().map(|name| Origin::answering(answer("200 OK", name))).collect()
}

/// A proxy with one worker: what it knows of its servers, all requests know.
fn one_worker(servers: &str, upstream: &str) -> Tollgate {
    Tollgate::config(&text(servers, upstream))
}

fn text(servers: &str, upstream: &str) -> String {
    format!(
        "[runtime]\nworkers = 1\n[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"api\" }}\n\n[upstream.api]\n\
         servers = [{servers}]\n{upstream}\n"
    )
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come about");
        thread::yield_now();
    }
}

#[test]
fn every_policy_serves() {
    let origins = named(&["a", "b", "c"]);
    let addresses: Vec<_> = origins.iter().map(Origin::address).collect();
    for balance in
        ["\"least_connections\"", "\"random_two\"", "\"ewma\"", "\"ip_hash\"", "\"first\"", "{ hash = \"path\" }"]
    {
        let proxy = proxy_with(&addresses, &format!("balance = {balance}"));
        let mut client = Client::connect(proxy.address());
        let got: Vec<String> = (0..30).map(|i| client.get(&format!("/{i}")).text()).collect();
        let of = |name: &str| got.iter().filter(|g| *g == name).count();
        assert_eq!(of("a") + of("b") + of("c"), 30, "{balance}");
        match balance {
            "\"first\"" => assert_eq!(of("a"), 30),
            "\"ip_hash\"" => assert!([of("a"), of("b"), of("c")].contains(&30), "{got:?}"),
            "\"least_connections\"" => assert_eq!([of("a"), of("b"), of("c")], [10; 3]),
            _ => assert!([of("a"), of("b"), of("c")].iter().all(|n| *n > 0), "{balance}: {got:?}"),
        }
    }
}

#[test]
fn a_key_keeps_its_server_and_goes_elsewhere_only_with_it() {
    let origins = named(&["a", "b", "c"]);
    let list = |skip: &str| {
        let all = ["a", "b", "c"].iter().zip(&origins).filter(|(name, _)| **name != skip);
        all.map(|(_, origin)| format!("\"{}\"", origin.address())).collect::<Vec<_>>().join(", ")
    };
    let hash = "balance = { hash = \"header:x-user\" }";
    let mut proxy = one_worker(&list(""), hash);
    let homes = |proxy: &Tollgate| -> Vec<String> {
        let mut client = Client::connect(proxy.address());
        let ask = |i| client.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nX-User: {i}\r\n\r\n")).text();
        (0..60).map(ask).collect()
    };
    let before = homes(&proxy);
    assert_eq!(homes(&proxy), before);
    proxy.reload(&text(&list("b"), hash));
    let after = homes(&proxy);
    for (old, new) in before.iter().zip(&after) {
        assert!(if old == "b" { new != "b" } else { new == old }, "{before:?} {after:?}");
    }
}

#[test]
fn a_backup_is_asked_when_nobody_else_is_left_and_a_weight_of_nothing_never() {
    let origins = named(&["a", "backup", "drained"]);
    let [a, backup, drained] = [0, 1, 2].map(|i| origins[i].address());
    let backups = format!("{{ address = \"{backup}\", backup = true }}, {{ address = \"{drained}\", weight = 0 }}");
    let proxy = one_worker(&format!("\"{a}\", {backups}"), "");
    let mut client = Client::connect(proxy.address());
    assert!((0..10).all(|_| client.get("/").text() == "a"));
    let proxy = one_worker(&format!("\"{}\", {backups}", closed_port()), "");
    let mut client = Client::connect(proxy.address());
    assert!((0..10).all(|_| client.get("/").text() == "backup"));
}

/// One request at a time; the first is held until the test lets it go by closing its channel.
fn slow() -> (Origin, std::sync::mpsc::Sender<()>) {
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let receive = std::sync::Mutex::new(receive);
    let origin = Origin::start(move |connection, _| {
        while let Some(request) = connection.request() {
            if request.line().contains("/slow") {
                let _ = receive.lock().expect("no panic").recv();
            }
            connection.send(answer("200 OK", request.line().split(' ').nth(1).unwrap_or_default()));
        }
    });
    (origin, send)
}

#[test]
fn a_full_server_makes_others_wait_in_order_and_no_longer_than_allowed() {
    let (origin, hold) = slow();
    let servers = format!("{{ address = \"{}\", max_connections = 1 }}", origin.address());
    let proxy = one_worker(&servers, "queue = 1\ntimeouts = { queue = \"300ms\" }");
    let mut first = Client::connect(proxy.address());
    first.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for("the first request", || origin.seen_text().contains("/slow"));
    let late = Client::connect(proxy.address()).get("/late");
    assert_eq!((late.status, late.field("retry-after").is_some()), (503, true), "timed out: {}", late.text());
    assert!(late.text().contains("within the queue's time"), "{}", late.text());

    let mut second = Client::connect(proxy.address());
    second.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
    // One of the two is first in the queue, the other finds it full.
    let mut third = Client::connect(proxy.address());
    let refused = third.get("/third");
    assert_eq!((refused.status, refused.field("retry-after").is_some()), (503, true), "{}", refused.text());
    drop(hold);
    assert_eq!(first.reply().text(), "/slow");
    let second = second.reply();
    assert!(second.status == 200 || second.text().contains("queue"), "{}", second.text());
    assert_eq!(third.get("/after").text(), "/after", "the place was given back");
    assert_eq!(origin.connections(), 1, "never more than one connection");
}

#[test]
fn a_server_that_fails_is_ejected_but_never_too_many() {
    let bad = Origin::answering(answer("500 Internal Server Error", "bad"));
    let good = Origin::answering(answer("200 OK", "good"));
    let ejection = "[upstream.api.ejection]\nconsecutive = 3\nfor = \"1h\"\nmax_ejected = 0.5";
    let proxy = one_worker(&format!("\"{}\", \"{}\"", bad.address(), good.address()), ejection);
    let mut client = Client::connect(proxy.address());
    let bads = (0..40).filter(|_| client.get("/").status == 500).count();
    assert_eq!(bads, 3, "then it is left out");
    let told = format!("upstream api {} is ejected for 300s: 3 failures in a row", bad.address());
    proxy.process.logged(&told, 1);
    let worse = Origin::answering(answer("503 Service Unavailable", "worse"));
    let proxy = one_worker(&format!("\"{}\", \"{}\"", bad.address(), worse.address()), ejection);
    let mut client = Client::connect(proxy.address());
    let statuses: Vec<u16> = (0..40).map(|_| client.get("/").status).collect();
    let last: Vec<u16> = statuses[20..].to_vec();
    assert!(last.iter().all(|s| *s == last[0]), "one of two is ejected, the other stays: {statuses:?}");
}

/// Before anybody asks: the start goes on, and the log has it once, though both workers look.
#[test]
fn a_name_that_cannot_be_looked_up_at_the_start_is_told_of() {
    let proxy = Tollgate::config(&text("\"nowhere.invalid:80\"", "").replace("workers = 1", "workers = 2"));
    let unknown = "upstream api nowhere.invalid:80: the name could not be looked up: ";
    proxy.process.logged(unknown, 1);
    let passed_over = "; passed over until it can be connected to";
    proxy.process.logged(&format!("{passed_over}, and looked up again every 10s"), 1);
    assert_eq!(Client::connect(proxy.address()).get("/").status, 502);
    proxy.process.logged("502 UDNS", 1);
    let log = proxy.process.log();
    assert_eq!(log.matches(passed_over).count(), 1, "a request that meets with it is no further news: {log}");
}

/// The budget is shared out over the workers: each gets a part, and never less than the least for all of them together.
#[test]
fn the_least_of_the_retry_budget_holds_with_two_workers() {
    let bad = Origin::answering(answer("500 Internal Server Error", "bad"));
    let good = Origin::answering(answer("200 OK", "good"));
    let servers = format!("\"{}\", \"{}\"", bad.address(), good.address());
    let retry = "retry = { on = [\"5xx\"], budget = 0.0 }";
    let proxy = Tollgate::config(&text(&servers, retry).replace("workers = 1", "workers = 2"));
    // One connection, so one worker; its part of three is two. Each request comes to the bad one first: the retry of the last took the
    // turn of the good one.
    let mut client = Client::connect(proxy.address());
    let statuses: Vec<u16> = (0..3).map(|_| client.get("/").status).collect();
    assert_eq!(statuses[..2], [200; 2], "{statuses:?}");
}

#[test]
fn an_ejected_server_comes_back() {
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let theirs = std::sync::Arc::clone(&broken);
    let flapping = Origin::start(move |connection, _| {
        while connection.request().is_some() {
            let status = if theirs.load(std::sync::atomic::Ordering::SeqCst) { "500 Oh" } else { "200 OK" };
            connection.send(answer(status, "flapping"));
        }
    });
    let good = Origin::answering(answer("200 OK", "good"));
    let ejection = "[upstream.api.ejection]\nconsecutive = 1\nfor = \"100ms\"";
    let proxy = one_worker(&format!("\"{}\", \"{}\"", flapping.address(), good.address()), ejection);
    let mut client = Client::connect(proxy.address());
    wait_for("the ejection", || client.get("/").status == 500);
    broken.store(false, std::sync::atomic::Ordering::SeqCst);
    wait_for("its return", || client.get("/").text() == "flapping");
    proxy.process.logged(&format!("upstream api {} is used again after its ejection", flapping.address()), 1);
}

#[test]
fn a_server_that_was_killed_and_restarted_heals_and_when_all_are_down_that_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let origin = Origin::on(listener, |connection, _| {
        while connection.request().is_some() {
            connection.send(answer("200 OK", "up"));
        }
    });
    let proxy = one_worker(&format!("\"{address}\""), "balance = \"least_connections\"");
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").text(), "up");
    drop(origin);
    let down = client.get("/");
    assert!(down.status == 502 && down.text().contains("refused"), "{} {}", down.status, down.text());
    let again = || TcpListener::bind(address).ok();
    let mut listener = None;
    wait_for("the port", || {
        listener = again();
        listener.is_some()
    });
    let _origin = Origin::on(listener.expect("a listener"), |connection, _| {
        while connection.request().is_some() {
            connection.send(answer("200 OK", "up again"));
        }
    });
    wait_for("the healing", || client.get("/").text() == "up again");
}
