//! Reloads that cannot be carried out, wherever that shows: the old configuration serves on, whole.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::{fs, os::unix::net::UnixListener};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tests::{Client, Signal, Tollgate, closed_port, descriptors, eventually, folder, peers};

const ROUTE: &str = "[[route]]\npath = \"/*\"\nrespond = { body = \"VERSION\" }\n[runtime]\nworkers = 2\n";

fn configuration(version: u32, listeners: &[&str]) -> String {
    let listeners: String = listeners.iter().map(|a| format!("[[listener]]\naddress = \"{a}\"\n")).collect();
    listeners + &ROUTE.replace("VERSION", &version.to_string())
}

/// Connections that stay, so many that both workers have some.
fn kept(proxy: &Tollgate) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..16).map(|_| Client::connect(proxy.address())).collect();
    all_say(&mut clients, 1);
    clients
}

fn all_say(clients: &mut [Client], version: u32) {
    for client in clients {
        assert_eq!(client.get("/").text(), version.to_string());
    }
}

/// Has the file read and expects that nothing comes of it, for the `count`th time.
fn fails(proxy: &Tollgate, text: &str, count: usize) {
    fs::write(proxy.file(), text).expect("a file of ours");
    proxy.process.signal(Signal::HUP);
    proxy.process.logged("not reloaded; the old configuration goes on", count);
}

fn limit_descriptors(proxy: &Tollgate, limit: Rlimit) -> Rlimit {
    let id = Pid::from_raw(proxy.id() as i32).expect("an id");
    prlimit(Some(id), Resource::Nofile, limit).expect("a child of ours")
}

/// Descriptors run out at every step in turn: reading the file, binding, and on the one worker or the other.
#[test]
fn a_reload_that_fails_half_way_changes_nothing_and_can_be_repeated() {
    let first = "127.0.0.1:0";
    let second = closed_port();
    let proxy = Tollgate::config(&configuration(1, &[first]));
    let mut clients = kept(&proxy);
    let open = descriptors(proxy.id());
    fs::write(proxy.file(), configuration(2, &[first, &second.to_string()])).expect("a file of ours");
    let outcomes = |log: &str| log.matches("reloaded").count();
    for spare in 0.. {
        assert!(spare < 20, "no number of spare descriptors is enough: {}", proxy.process.log());
        let limit = Rlimit { current: Some((open + spare) as u64), maximum: Some(20_000) };
        let before = limit_descriptors(&proxy, limit);
        proxy.process.signal(Signal::HUP);
        let log = eventually("an outcome", || proxy.process.log(), |log| outcomes(log) > spare);
        limit_descriptors(&proxy, before);
        if log.contains(" reloaded ") {
            break;
        }
        all_say(&mut clients, 1);
        for _ in 0..8 {
            assert_eq!(Client::connect(proxy.address()).get("/").text(), "1");
        }
        assert!(TcpStream::connect(second).is_err(), "half of the new configuration is there");
        eventually("nothing is left behind", || descriptors(proxy.id()), |n| *n == open);
    }
    let log = proxy.process.log();
    // Once on both of them, and once on the one that came too late for the last descriptor.
    let on_a_worker = log.matches("could not prepare it: cannot listen on").count();
    assert!(on_a_worker >= 2 && log.contains("the old configuration goes on: worker "), "{log}");
    assert!(log.contains("raise the descriptor limit"), "{log}");
    all_say(&mut clients, 2);
    for _ in 0..8 {
        assert_eq!(Client::connect(second).get("/").text(), "2");
    }
    // And back again, by the listener that goes.
    proxy.process.logged(&format!("listening on http://{second}/"), 1);
    proxy.process.logged(" reloaded ", 1);
    fs::write(proxy.file(), configuration(3, &[first])).expect("a file of ours");
    proxy.process.signal(Signal::HUP);
    proxy.process.logged(" reloaded ", 2);
    proxy.process.logged(&format!("no longer listening on http://{second}/"), 1);
    all_say(&mut clients, 3);
    eventually("the second listener is gone", || TcpStream::connect(second).is_err(), |gone| *gone);
    drop(clients);
    proxy.stop();
}

#[test]
fn one_of_several_listeners_that_cannot_be_bound_leaves_no_trace_of_the_others() {
    let first = "127.0.0.1:0";
    let second = closed_port();
    let mut proxy = Tollgate::config(&configuration(1, &[first]));
    let mut clients = kept(&proxy);
    let (good, taken) = (proxy.folder().join("good.sock"), proxy.folder().join("taken.sock"));
    fs::write(&taken, "no socket").expect("a file of ours");
    let text = configuration(2, &[first, &second.to_string(), "unix:good.sock", "unix:taken.sock"]);
    for count in 1..=2 {
        fails(&proxy, &text, count);
        assert!(!good.exists(), "a socket file was left behind");
        assert_eq!(fs::read(&taken).expect("still there"), b"no socket");
        assert!(TcpStream::connect(second).is_err());
        all_say(&mut clients, 1);
    }
    proxy.process.logged("taken.sock: a file that is no socket is in the way", 2);
    fs::remove_file(&taken).expect("a file of ours");
    proxy.reload(&text);
    all_say(&mut clients, 2);
    assert_eq!(Client::connect(second).get("/").text(), "2");
    for socket in [&good, &taken] {
        let got = peers::curl(["--unix-socket", socket.to_str().expect("text"), "http://a/"]);
        assert_eq!(got.out, "2", "{}", got.err);
    }
    drop(clients);
    proxy.stop();
    assert!(!good.exists() && !taken.exists(), "socket files were left behind");
}

#[test]
fn a_listener_of_ours_may_be_widened_and_narrowed() {
    let address = closed_port();
    let everywhere = format!("0.0.0.0:{}", address.port());
    let mut proxy = Tollgate::config(&configuration(1, &[&address.to_string()]));
    let other = SocketAddr::from(([127, 0, 0, 2], address.port()));
    let mut clients = kept(&proxy);
    // Both in one file are found before anything is bound, with their lines.
    fails(&proxy, &configuration(2, &[&address.to_string(), &everywhere]), 1);
    proxy.process.logged(&format!("the listeners `{everywhere}` and `{address}` overlap"), 1);
    for (reloads, listener, outside) in
        [(2, &everywhere, true), (3, &address.to_string(), false), (4, &everywhere, true)]
    {
        proxy.reload(&configuration(reloads, &[listener]));
        all_say(&mut clients, reloads);
        for _ in 0..8 {
            assert_eq!(Client::connect(address).get("/").text(), reloads.to_string());
        }
        eventually("who else can connect", || TcpStream::connect(other).is_ok(), |ok| *ok == outside);
    }
    // A stranger is still one.
    let stranger = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = stranger.local_addr().expect("an address").to_string();
    fails(&proxy, &configuration(5, &[&taken]), 2);
    proxy.process.logged(&format!("cannot listen on {taken}: another program listens there already"), 1);
}

/// A socket file goes with its listener, unless it is somebody else's by then.
#[test]
fn socket_files_are_removed_but_never_those_of_others() {
    let route = "[[route]]\npath = \"/*\"\nrespond = { body = \"ok\" }\n[runtime]\nworkers = 1\n";
    let listeners = |names: &[&str]| {
        let text = names.iter().map(|name| format!("[[listener]]\naddress = \"unix:{name}\"\n"));
        text.collect::<String>() + route
    };
    let sockets = folder();
    let path = |name: &str| sockets.path().join(name);
    let names = ["stays", "goes", "lost", "late"].map(|name| path(name).display().to_string());
    let [stays, goes, lost, late] = names.each_ref().map(String::as_str);
    let mut proxy = Tollgate::config(&listeners(&[stays, goes, lost, late]));
    fs::remove_file(lost).expect("ours");
    let theirs = UnixListener::bind(lost).expect("the path is free");
    proxy.reload(&listeners(&[stays, late]));
    assert!(!path("goes").exists(), "a listener that went left its file");
    assert!(path("stays").exists() && path("late").exists());
    std::os::unix::net::UnixStream::connect(lost).expect("somebody else's file is not removed");
    fs::remove_file(late).expect("ours");
    fs::write(late, "theirs").expect("the path is free");
    proxy.stop();
    assert!(!path("stays").exists(), "a stop left a file");
    assert_eq!(fs::read(late).expect("not removed"), b"theirs");
    drop(theirs);
}
