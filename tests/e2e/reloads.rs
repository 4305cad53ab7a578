//! Another configuration in the middle of the work.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
};

use tests::{Client, Origin, Signal, Tollgate, answer, eventually};

fn configuration(version: u32, origin: &Origin) -> String {
    format!(
        "[[route]]\npath = \"/version\"\nrespond = {{ body = \"{version}\" }}\n\
         [[route]]\npath = \"/*\"\nproxy = {{ upstream = \"o\" }}\n\
         response_headers = {{ set = {{ \"x-version\" = \"{version}\" }} }}\n\
         [upstream.o]\nservers = [\"{}\"]\n[runtime]\nworkers = 2\n",
        origin.address()
    )
}

#[test]
fn reloads_under_load_fail_no_request() {
    let origin = Origin::answering(answer("200 OK", "ok"));
    let mut proxy = Tollgate::config(&configuration(0, &origin));
    let address = proxy.address();
    let (stop, requests) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for kept in [true, true, true, false] {
            let (stop, requests) = (&stop, &requests);
            scope.spawn(move || {
                let mut client = Client::connect(address);
                let mut last = 0;
                while !stop.load(SeqCst) {
                    if !kept {
                        client = Client::connect(address);
                    }
                    let reply = client.get("/");
                    assert_eq!((reply.status, reply.text(), reply.complete), (200, "ok".into(), true));
                    let version: u32 = reply.field("x-version").expect("a version").parse().expect("a number");
                    // Each connection stays with its worker, which never goes back.
                    assert!(version >= last || !kept, "{version} after {last}");
                    last = version;
                    requests.fetch_add(1, SeqCst);
                }
            });
        }
        for version in 1..=20 {
            let before = requests.load(SeqCst);
            proxy.reload(&configuration(version, &origin));
            assert_eq!(Client::connect(address).get("/version").text(), version.to_string());
            eventually("requests go on", || requests.load(SeqCst), |n| *n > before + 20);
        }
        stop.store(true, SeqCst);
    });
    let complaints = proxy.process.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
    proxy.stop();
}

#[test]
fn a_wrong_file_changes_nothing_and_is_told_with_its_line() {
    let origin = Origin::answering(answer("200 OK", "ok"));
    let mut proxy = Tollgate::config(&configuration(1, &origin));
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/version").text(), "1");
    fs::write(proxy.file(), "[[route]]\npath = \"/*\"\nrespond = { body = 5 }\n").expect("a file of ours");
    proxy.process.signal(Signal::HUP);
    proxy.process.logged("not reloaded; the old configuration goes on", 1);
    proxy.process.logged("tollgate.toml:3:", 1);
    assert_eq!(client.get("/version").text(), "1");
    assert_eq!(client.get("/").field("x-version").as_deref(), Some("1"));
    // A root that is not there is found only when it is opened.
    fs::write(proxy.file(), "[[route]]\npath = \"/*\"\nfiles = { root = \"missing\" }\n").expect("a file of ours");
    proxy.process.signal(Signal::HUP);
    proxy.process.logged("not reloaded; the old configuration goes on", 2);
    assert_eq!(client.get("/version").text(), "1");
    proxy.reload(&configuration(2, &origin));
    assert_eq!(client.get("/version").text(), "2", "the same connection, the next request");
}

#[test]
fn an_exchange_under_way_keeps_the_old_configuration() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let (asked_send, asked) = std::sync::mpsc::channel();
    let origin = Origin::start(move |connection, _| {
        while connection.request().is_some() {
            asked_send.send(()).expect("the test waits");
            let _ = gone.lock().expect("no panic").recv_timeout(tests::PATIENCE);
            connection.send(answer("200 OK", "ok"));
        }
    });
    let mut proxy = Tollgate::config(&configuration(1, &origin));
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    asked.recv_timeout(tests::PATIENCE).expect("the origin is asked");
    proxy.reload("[[route]]\npath = \"/*\"\nrespond = { body = \"gone\" }\n[runtime]\nworkers = 2\n");
    go.send(()).expect("the origin waits");
    let reply = client.reply();
    assert_eq!((reply.text(), reply.field("x-version").as_deref()), ("ok".into(), Some("1")));
    assert_eq!(client.get("/").text(), "gone");
}

#[test]
fn listeners_come_and_go_and_those_that_stay_are_not_touched() {
    let first = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
    let second = "[[listener]]\naddress = \"unix:second.sock\"\n";
    let route = "[[route]]\npath = \"/*\"\nrespond = { body = \"ok\" }\n[runtime]\nworkers = 2\n";
    let mut proxy = Tollgate::config(&format!("{first}{route}"));
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").text(), "ok");
    proxy.reload(&format!("{first}{second}{route}"));
    let socket = proxy.folder().join("second.sock");
    let got = tests::peers::curl(["--unix-socket", socket.to_str().expect("text"), "http://a/"]);
    assert_eq!(got.out, "ok", "{}", got.err);
    proxy.reload(&format!("{first}{route}"));
    let refused = || std::os::unix::net::UnixStream::connect(&socket).is_err();
    eventually("the second listener is gone", refused, |refused| *refused);
    assert_eq!(client.get("/").text(), "ok", "its listener stayed, and so did the connection");
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "ok");
}

#[test]
fn each_port_0_is_another_port_and_stays_the_same_in_a_reload() {
    let any = "[[listener]]\naddress = \"127.0.0.1:0\"\n".repeat(3);
    let text = |version: u32| {
        format!("{any}[[route]]\npath = \"/*\"\nrespond = {{ body = \"{version}\" }}\n[runtime]\nworkers = 2\n")
    };
    let mut proxy = Tollgate::config(&text(1));
    let addresses: Vec<std::net::SocketAddr> = proxy
        .listening_on()
        .iter()
        .map(|url| url.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address"))
        .collect();
    let mut ports: Vec<u16> = addresses.iter().map(std::net::SocketAddr::port).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 3, "{addresses:?}");
    for version in 1..=2 {
        if version > 1 {
            proxy.reload(&text(version));
        }
        for address in &addresses {
            assert_eq!(Client::connect(*address).get("/").text(), version.to_string());
        }
    }
}
