//! Active checks: servers go down by them and come up again, and the log and the answers say why.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tests::{Client, Origin, Tollgate, answer, closed_port, eventually};

const OFTEN: &str = "interval = \"20ms\"\ntimeout = \"2s\"\nrise = 2\nfall = 2";

/// A proxy with two workers, so that one of them only hears of the checks.
fn proxy(servers: &[SocketAddr], more: &str, health: &str) -> Tollgate {
    Tollgate::config(&text(servers, more, health))
}

fn text(servers: &[SocketAddr], more: &str, health: &str) -> String {
    let servers: Vec<String> = servers.iter().map(|server| format!("\"{server}\"")).collect();
    format!(
        "[runtime]\nworkers = 2\n[[route]]\nproxy = {{ upstream = \"api\" }}\n[upstream.api]\nservers = [{}]\n{more}\n\
         [upstream.api.health]\n{health}\n",
        servers.join(", ")
    )
}

/// A server whose checks are answered with what stands in the other value, and all else with its name.
fn checked(name: &'static str) -> (Origin, Arc<Mutex<String>>) {
    let well = Arc::new(Mutex::new(answer("200 OK", "all is well")));
    let theirs = Arc::clone(&well);
    let origin = Origin::start(move |connection, _| {
        while let Some(request) = connection.request() {
            let reply = match request.line() {
                "GET /healthz HTTP/1.1" => theirs.lock().expect("no panic").clone(),
                _ => answer("200 OK", name),
            };
            if reply.is_empty() {
                // Accepts and never answers.
                connection.wait_for_end();
            }
            connection.send(reply);
        }
    });
    (origin, well)
}

/// Who answers so many requests, each on a connection of its own so that both workers are asked.
fn answers(proxy: &Tollgate, count: usize) -> Vec<String> {
    (0..count).map(|_| Client::connect(proxy.address()).get("/").text()).collect()
}

fn only(proxy: &Tollgate, name: &str) {
    eventually("the other one is left out", || answers(proxy, 20), |got| got.iter().all(|text| text == name));
}

fn both(proxy: &Tollgate) {
    let has = |got: &[String], name: &str| got.iter().any(|text| text == name);
    eventually("both are asked", || answers(proxy, 20), |got| has(got, "a") && has(got, "b"));
}

/// Has one of two answer its checks with `bad`, and expects that it is left out for `why`, and comes back.
fn falls_and_rises(health: &str, bad: &str, why: &str) {
    let ((a, _), (b, well)) = (checked("a"), checked("b"));
    let proxy = proxy(&[a.address(), b.address()], "", &format!("{OFTEN}\n{health}"));
    both(&proxy);
    let good = std::mem::replace(&mut *well.lock().expect("no panic"), bad.into());
    let who = format!("health check of upstream api {}", b.address());
    proxy.process.logged(&format!("{who}: {why}"), 1);
    only(&proxy, "a");
    *well.lock().expect("no panic") = good;
    proxy.process.logged(&format!("{who}: up after 2 good checks"), 1);
    both(&proxy);
    assert!(!proxy.process.log().contains(&a.address().to_string()), "nothing is said of the other one");
}

#[test]
fn a_wrong_status_takes_a_server_out_until_it_is_right_again() {
    let bad = answer("503 Service Unavailable", "all is well");
    falls_and_rises("path = \"/healthz\"", &bad, "status 503 is none of 2xx, 3xx");
    let bad = answer("204 No Content", "");
    falls_and_rises("path = \"/healthz\"\nexpect = [\"200\"]", &bad, "status 204 is none of 200");
}

#[test]
fn a_wrong_body_takes_a_server_out() {
    let bad = answer("200 OK", "all is lost");
    let why = "the body of its answer does not hold \"is well\"";
    falls_and_rises("path = \"/healthz\"\nbody = \"is well\"", &bad, why);
}

#[test]
fn a_broken_answer_takes_a_server_out() {
    falls_and_rises("path = \"/healthz\"", "HTTP/1.1 twohundred\r\n\r\n", "its answer is broken: ");
}

#[test]
fn a_server_that_does_not_answer_in_time_is_down() {
    let ((a, _), (b, well)) = (checked("a"), checked("b"));
    well.lock().expect("no panic").clear();
    let health = "path = \"/healthz\"\ninterval = \"20ms\"\ntimeout = \"200ms\"\nrise = 1\nfall = 2";
    let proxy = proxy(&[a.address(), b.address()], "", health);
    proxy.process.logged(&format!("{}: no complete answer came within 200ms; down after", b.address()), 1);
    only(&proxy, "a");
}

#[test]
fn a_connection_is_enough_where_no_path_is_set_and_when_all_are_down_the_answer_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let up = |listener| {
        Origin::on(listener, |connection, _| {
            while connection.request().is_some() {
                connection.send(answer("200 OK", "a"));
            }
        })
    };
    let origin = up(listener);
    let proxy = proxy(&[address], "", OFTEN);
    only(&proxy, "a");
    drop(origin);
    let why = "the connection was refused; nothing listens there";
    proxy.process.logged(&format!("health check of upstream api {address}: {why}; down after "), 1);
    let reply = Client::connect(proxy.address()).get("/");
    assert_eq!((reply.status, reply.field("retry-after").is_some()), (503, true));
    let sentence = format!("upstream api has no server that is up: {address}: {why}");
    assert!(reply.text().contains(&sentence), "{}", reply.text());
    let again = eventually("the port", || TcpListener::bind(address).ok(), Option::is_some);
    let _origin = up(again.expect("a listener"));
    proxy.process.logged(&format!("health check of upstream api {address}: up after 2 good checks"), 1);
    only(&proxy, "a");
}

#[test]
fn a_server_that_is_down_from_the_start_is_found_out_by_its_first_check() {
    let (a, _) = checked("a");
    let closed = closed_port();
    let proxy = proxy(&[a.address(), closed], "", "path = \"/healthz\"\ninterval = \"1h\"\nfall = 1000");
    proxy.process.logged(&format!("health check of upstream api {closed}: the connection was refused"), 1);
    only(&proxy, "a");
}

#[test]
fn checks_go_on_over_a_reload_and_those_that_are_down_stay_down() {
    let ((a, _), (b, well)) = (checked("a"), checked("b"));
    *well.lock().expect("no panic") = answer("500 Oh", "");
    let servers = [a.address(), b.address()];
    let health = "path = \"/healthz\"\ninterval = \"20ms\"\nfall = 2\nrise = 1";
    let mut proxy = proxy(&servers, "", health);
    proxy.process.logged(&format!("{}: status 500 is none of 2xx, 3xx; down after 1 failure", b.address()), 1);
    only(&proxy, "a");
    // Another definition with the same servers, one more server, then other checks.
    let (c, _) = checked("a");
    for (servers, more, health) in [
        (&servers[..], "slow_start = \"1ms\"", health),
        (&[a.address(), b.address(), c.address()][..], "", health),
        (&[b.address(), c.address()][..], "", "path = \"/healthz\"\ninterval = \"30ms\"\nrise = 1"),
    ] {
        proxy.reload(&text(servers, more, health));
        assert!(answers(&proxy, 20).iter().all(|text| text == "a"), "it was down, and is");
    }
    *well.lock().expect("no panic") = answer("200 OK", "");
    proxy.process.logged(&format!("health check of upstream api {}: up after 1 good check", b.address()), 1);
    both(&proxy);
    proxy.reload(&text(&[a.address(), c.address()], "", health));
    only(&proxy, "a");
    proxy.stop();
}

#[test]
fn a_server_that_expects_a_proxy_header_gets_one_that_speaks_for_nobody() {
    let origin = Origin::start(|connection, _| {
        let head = connection.head().unwrap_or_default();
        let first = head.lines().next().unwrap_or_default();
        let status = if first == "PROXY UNKNOWN" { "200 OK" } else { "400 Bad Request" };
        connection.send(answer(status, ""));
    });
    let health = "path = \"/healthz\"\ninterval = \"1h\"\nexpect = [\"400\"]";
    let proxy = proxy(&[origin.address()], "proxy_protocol = 1", health);
    proxy.process.logged("status 200 is none of 400; down after 1 failure", 1);
}

#[test]
fn one_worker_checks_for_all_and_tells_the_server_who_asks() {
    let checks = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&checks);
    let origin = Origin::start(move |connection, _| {
        while let Some(request) = connection.request() {
            if request.line() == "GET /healthz?deep HTTP/1.1" {
                assert_eq!(request.field("host").as_deref(), Some("app.test"));
                assert_eq!(request.field("user-agent").as_deref(), Some("Tollgate-health-check"));
                theirs.fetch_add(1, SeqCst);
            }
            connection.send(answer("200 OK", ""));
        }
    });
    let health = "path = \"/healthz?deep\"\nhost = \"app.test\"\ninterval = \"1h\"";
    let proxy = proxy(&[origin.address()], "", health);
    eventually("a check", || checks.load(SeqCst), |n| *n > 0);
    assert!(answers(&proxy, 4).iter().all(String::is_empty));
    assert_eq!(checks.load(SeqCst), 1, "two workers, one check an hour");
}
