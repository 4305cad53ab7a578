//! Keys of an upstream whose effect shows at its servers: which connections are kept, what ejects a server, how names are followed.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use tests::{Client, Origin, Tollgate, answer, eventually, folder};

/// A proxy with one worker, so that what it keeps is kept for all.
fn proxy(servers: &str, upstream: &str) -> Tollgate {
    Tollgate::config(&text(servers, upstream))
}

fn text(servers: &str, upstream: &str) -> String {
    format!(
        "[runtime]\nworkers = 1\n[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"api\" }}\n\n[upstream.api]\n\
         servers = [{servers}]\n{upstream}\n"
    )
}

/// A server that answers `/slow` late, and how many of its connections have been closed.
fn counting() -> (Origin, Arc<AtomicUsize>) {
    let closed = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&closed);
    let origin = Origin::start(move |connection, _| {
        while let Some(request) = connection.request() {
            if request.line().contains("/slow") {
                thread::sleep(Duration::from_millis(300));
            }
            connection.send(answer("200 OK", "here"));
        }
        theirs.fetch_add(1, SeqCst);
    });
    (origin, closed)
}

fn quoted(origin: &Origin) -> String {
    format!("\"{}\"", origin.address())
}

#[test]
fn so_many_idle_connections_are_kept() {
    for (idle, made) in [(0, 5), (1, 3), (2, 2)] {
        let (origin, _) = counting();
        let proxy = proxy(&quoted(&origin), &format!("keep_alive = {{ idle = {idle} }}"));
        let (mut one, mut two) = (Client::connect(proxy.address()), Client::connect(proxy.address()));
        for _ in 0..2 {
            // Both are under way at once, on a connection each.
            for client in [&mut one, &mut two] {
                client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
            }
            assert_eq!([one.reply().status, two.reply().status], [200; 2]);
        }
        if idle == 0 {
            assert_eq!(one.get("/").status, 200);
        }
        assert_eq!(origin.connections(), made, "idle = {idle}");
    }
}

#[test]
fn a_connection_is_worn_out_by_its_requests() {
    let (origin, _) = counting();
    let proxy = proxy(&quoted(&origin), "keep_alive = { max_requests = 2 }");
    let mut client = Client::connect(proxy.address());
    let statuses: Vec<u16> = (0..6).map(|_| client.get("/").status).collect();
    assert_eq!((statuses, origin.connections()), (vec![200; 6], 3));
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let (origin, closed) = counting();
    let _proxy = {
        let proxy = proxy(&quoted(&origin), "keep_alive = { idle_timeout = \"100ms\" }");
        assert_eq!(Client::connect(proxy.address()).get("/").status, 200);
        proxy
    };
    // Nobody asks for it again: it is closed all the same.
    eventually("its end", || closed.load(SeqCst), |n| *n == 1);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_connection_that_is_never_idle_grows_old() {
    let (origin, closed) = counting();
    let proxy = proxy(&quoted(&origin), "keep_alive = { max_age = \"100ms\" }");
    let mut client = Client::connect(proxy.address());
    let aged = || {
        assert_eq!(client.get("/").status, 200);
        thread::sleep(Duration::from_millis(5));
        closed.load(SeqCst)
    };
    eventually("three ends", aged, |n| *n >= 3);
}

/// Of three answers of the first server, two are failures. How many of so many requests came to it.
fn of_two_thirds_bad(ejection: &str, requests: usize, apart: Duration) -> usize {
    let bad = Origin::start(|connection, _| {
        let mut number = 0;
        while connection.request().is_some() {
            number += 1;
            connection.send(answer(if number % 3 == 0 { "200 OK" } else { "500 Oh" }, "bad"));
        }
    });
    let good = Origin::answering(answer("200 OK", "good"));
    let servers = format!("{}, {}", quoted(&bad), quoted(&good));
    let proxy = proxy(&servers, &format!("[upstream.api.ejection]\nconsecutive = 1000\nfor = \"1h\"\n{ejection}"));
    let mut client = Client::connect(proxy.address());
    let mut ask = |_: &usize| {
        thread::sleep(apart);
        client.get("/").text() == "bad"
    };
    (0..requests).filter(|n| ask(n)).count()
}

#[test]
fn a_share_of_failures_ejects_of_at_least_ten_results() {
    assert_eq!(of_two_thirds_bad("share = 0.5", 60, Duration::ZERO), 10);
    assert_eq!(of_two_thirds_bad("share = 0.9", 60, Duration::ZERO), 30, "it has its half of all");
}

#[test]
fn failures_count_within_their_window() {
    // The server gets every second request: five results in a window, never ten.
    let apart = Duration::from_millis(20);
    assert_eq!(of_two_thirds_bad("share = 0.5\nwindow = \"200ms\"", 50, apart), 25);
    assert_eq!(of_two_thirds_bad("share = 0.5\nwindow = \"60s\"", 50, apart), 10);
}

/// Origins on one port of two addresses.
fn twins() -> [Origin; 2] {
    let pair = || {
        let one = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let other = SocketAddr::from(([127, 0, 0, 2], one.local_addr().expect("its address").port()));
        Some((one, TcpListener::bind(other).ok()?))
    };
    let (one, two) = (0..20).find_map(|_| pair()).expect("a port that is free on both");
    [(one, "one"), (two, "two")].map(|(listener, name)| {
        Origin::on(listener, move |connection, _| {
            while connection.request().is_some() {
                connection.send(answer("200 OK", name));
            }
        })
    })
}

/// `proxy` where /etc/hosts is this file, in a mount namespace of its own.
fn with_hosts(hosts: &Path, text: &str) -> Tollgate {
    let folder = folder();
    let file = folder.path().join("tollgate.toml");
    fs::write(&file, text).expect("the configuration is written");
    let program = Tollgate::command("proxy");
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]);
    command.arg(hosts).arg(program.get_program()).args(program.get_args()).arg("--config").arg(file);
    Tollgate::listening(&mut command, 1, folder)
}

#[test]
fn a_name_is_followed_to_its_new_address() {
    let [one, two] = twins();
    let files = folder();
    let hosts = files.path().join("hosts");
    // In place: what is mounted is the file, not its name.
    let points_to = |address: &str| fs::write(&hosts, format!("{address} app.test\n")).expect("hosts are written");
    points_to("127.0.0.1");
    let server = format!("\"app.test:{}\"", one.address().port());
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
    let proxy = with_hosts(&hosts, &format!("{listener}{}", text(&server, "resolve = \"50ms\"")));
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").text(), "one");
    points_to("127.0.0.2");
    eventually("the move", || client.get("/").text(), |text| text == "two");
    // Not one request goes back to the connection that was kept to the old address.
    let after: Vec<String> = (0..20).map(|_| client.get("/").text()).collect();
    assert_eq!(after, ["two"; 20]);
    assert_eq!((one.connections(), two.connections()), (1, 1));
    // A name that has gone costs nothing that is known.
    fs::write(&hosts, "").expect("hosts are written");
    thread::sleep(Duration::from_millis(200));
    assert_eq!(client.get("/").text(), "two");
}
