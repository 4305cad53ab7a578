//! How the programs begin and end.

use std::{
    io::{BufRead, BufReader, Write, pipe},
    net::TcpListener,
    process::{Command, Stdio},
    time::Instant,
};

use tests::{Client, End, Ended, Origin, Process, Signal, Tollgate, answer, eventually, folder, run};

use crate::proxy_with;

/// An origin that answers when it is told to, and says when it was asked.
fn patient() -> (Origin, std::sync::mpsc::Receiver<()>, std::sync::mpsc::Sender<()>) {
    let (asked_send, asked) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let origin = Origin::start(move |connection, _| {
        while connection.request().is_some() {
            asked_send.send(()).expect("the test waits");
            let _ = gone.lock().expect("no panic").recv_timeout(tests::PATIENCE);
            connection.send(answer("200 OK", "slow"));
        }
    });
    (origin, asked, go)
}

/// Asks on a kept connection until an answer says that it is the last: then its worker drains. Each is answered.
fn drains(tollgate: &Tollgate, mut kept: Client) {
    tollgate.process.logged("stopping", 1);
    let ask = || {
        let reply = kept.get("/kept");
        assert_eq!((reply.status, reply.text(), reply.complete), (200, "kept".into(), true));
        reply.keeps_alive()
    };
    eventually("an answer with Connection: close", ask, |keeps_alive| !keeps_alive);
    kept.expect_end();
}

#[test]
fn a_stop_waits_for_what_is_under_way_and_ends_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let (origin, asked, go) = patient();
        let mut proxy = Tollgate::config(&format!(
            "[[route]]\npath = \"/kept\"\nrespond = {{ body = \"kept\" }}\n\
             [[route]]\npath = \"/*\"\nproxy = {{ upstream = \"o\" }}\n[upstream.o]\nservers = [\"{}\"]\n",
            origin.address()
        ));
        let mut kept = Client::connect(proxy.address());
        assert!(kept.get("/kept").keeps_alive());
        let mut slow = Client::connect(proxy.address());
        slow.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        asked.recv_timeout(tests::PATIENCE).expect("the origin is asked");
        proxy.process.signal(signal);
        drains(&proxy, kept);
        go.send(()).expect("the origin waits");
        let reply = slow.reply();
        assert_eq!((reply.status, reply.text()), (200, "slow".into()));
        assert_eq!(reply.field("connection").as_deref(), Some("close"));
        slow.expect_end();
        let ended = proxy.process.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(ended.err.contains("stopped after "), "{}", ended.err);
    }
}

#[test]
fn a_kept_connection_gets_its_next_answer_in_a_drain() {
    let root = folder();
    std::fs::write(root.path().join("kept"), "kept").expect("a file of ours");
    let mut server = Tollgate::server(root.path());
    let mut kept = Client::connect(server.address());
    assert!(kept.get("/kept").keeps_alive());
    server.process.signal(Signal::TERM);
    drains(&server, kept);
    assert_eq!(server.process.wait().code, Some(0));
}

#[test]
fn a_second_signal_stops_at_once() {
    let (origin, asked, _go) = patient();
    let mut proxy = proxy_with(&[origin.address()], "");
    let mut slow = Client::connect(proxy.address());
    slow.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    asked.recv_timeout(tests::PATIENCE).expect("the origin is asked");
    proxy.process.signal(Signal::TERM);
    proxy.process.logged("stopping", 1);
    proxy.process.signal(Signal::TERM);
    let ended = proxy.process.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("a second signal"), "{}", ended.err);
    assert_ne!(slow.read_to_end().1, End::Open);
}

#[test]
fn a_drain_has_a_limit() {
    let (origin, asked, _go) = patient();
    let mut proxy = Tollgate::config(&format!(
        "[runtime]\nworkers = 1\nshutdown_timeout = \"200ms\"\n[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"o\" }}\n\
         [upstream.o]\nservers = [\"{}\"]\n",
        origin.address()
    ));
    let mut slow = Client::connect(proxy.address());
    slow.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    asked.recv_timeout(tests::PATIENCE).expect("the origin is asked");
    proxy.process.signal(Signal::TERM);
    let ended = proxy.process.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("cut 1 connections"), "{}", ended.err);
}

#[test]
fn an_address_in_use_is_said_plainly() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    for program in ["server", "proxy"] {
        let mut command = Tollgate::command(program);
        command.args(["--listen", &address]);
        if program == "proxy" {
            command.args(["--to", "127.0.0.1:1"]);
        }
        let ended = run(&mut command);
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        let sentence = format!("error: cannot listen on {address}: another program listens there already");
        assert!(ended.err.contains(&sentence), "{}", ended.err);
        assert_eq!(ended.out, "");
    }
}

fn ran(program: &str, arguments: &[&str]) -> Ended {
    run(Tollgate::command(program).args(arguments))
}

#[test]
fn the_command_line_is_checked() {
    for program in ["server", "proxy"] {
        let help = ran(program, &["--help"]);
        assert_eq!((help.code, &*help.err), (Some(0), ""));
        assert!(help.out.contains("--workers") && help.out.contains("Examples:"), "{}", help.out);
        let version = ran(program, &["--version"]);
        assert_eq!(version.code, Some(0));
        assert!(version.out.starts_with(&format!("{program} ")), "{}", version.out);
        for wrong in
            [&["--nonsense"][..], &["--workers", "0"], &["--workers", "many"], &["--listen", "nowhere"], &["--config"]]
        {
            let ended = ran(program, wrong);
            assert_eq!((ended.code, &*ended.out), (Some(2), ""), "{wrong:?}: {}", ended.err);
            assert!(ended.err.starts_with("error: "), "{wrong:?}: {}", ended.err);
        }
    }
    for (program, wrong) in [
        ("server", &["/nonexistent"][..]),
        ("server", &["--config", "/nonexistent.toml"]),
        ("proxy", &["--config", "/nonexistent.toml"]),
        ("proxy", &["--listen", "127.0.0.1:0"]),
        ("proxy", &["--to", "nowhere"]),
        ("proxy", &["--config", "x.toml", "--to", "127.0.0.1:1"]),
    ] {
        let ended = ran(program, wrong);
        assert_eq!((ended.code, &*ended.out), (Some(2), ""), "{program} {wrong:?}: {}", ended.err);
        assert!(ended.err.starts_with("error: "), "{program} {wrong:?}: {}", ended.err);
    }
}

#[test]
fn a_check_says_what_is_wrong_and_starts_nothing() {
    let folder = folder();
    let good = folder.path().join("good.toml");
    let bad = folder.path().join("bad.toml");
    std::fs::write(&good, "[[route]]\npath = \"/*\"\nrespond = { body = \"ok\" }\n").expect("a file of ours");
    std::fs::write(&bad, "[[route]]\npath = \"/*\"\nrespnd = { body = \"ok\" }\n[limits]\nheaders = \"many\"\n")
        .expect("ours");
    for program in ["server", "proxy"] {
        let ended = ran(program, &["--check", "--config", good.to_str().expect("text")]);
        assert_eq!((ended.code, &*ended.err), (Some(0), ""));
        assert!(ended.out.contains("routes: 1, upstreams: 0"), "{}", ended.out);
        let ended = ran(program, &["--check", "--config", bad.to_str().expect("text")]);
        assert_eq!((ended.code, &*ended.out), (Some(2), ""));
        for part in ["respnd", "bad.toml:3:1", "bad.toml:5:11", "^"] {
            assert!(ended.err.contains(part), "{part:?} is missing: {}", ended.err);
        }
    }
}

#[test]
fn many_workers_share_one_address() {
    let origin = Origin::answering(answer("200 OK", "ok"));
    let mut command: Command = Tollgate::command("proxy");
    command.args(["--listen", "127.0.0.1:0", "--workers", "4", "--to", &origin.address().to_string()]);
    let mut proxy = Tollgate::listening(&mut command, 1, folder());
    for _ in 0..40 {
        assert_eq!(Client::connect(proxy.address()).get("/").text(), "ok");
    }
    proxy.process.signal(Signal::TERM);
    assert_eq!(proxy.process.wait().code, Some(0));
}

#[test]
fn without_a_file_there_is_nothing_to_reload() {
    let origin = Origin::answering(answer("200 OK", "ok"));
    let proxy = Tollgate::proxy(&[origin.address()]);
    let process: &Process = &proxy.process;
    process.signal(Signal::HUP);
    process.logged("nothing to reload", 1);
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "ok");
}

#[test]
fn a_second_signal_leaves_no_socket_file_behind() {
    let (origin, asked, _go) = patient();
    let mut proxy = Tollgate::config(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[[listener]]\naddress = \"unix:a.sock\"\n\
         [[route]]\npath = \"/*\"\nproxy = {{ upstream = \"o\" }}\n[upstream.o]\nservers = [\"{}\"]\n",
        origin.address()
    ));
    let socket = proxy.folder().join("a.sock");
    assert!(socket.exists());
    let mut slow = Client::connect(proxy.address());
    slow.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    asked.recv_timeout(tests::PATIENCE).expect("the origin is asked");
    proxy.process.signal(Signal::TERM);
    proxy.process.logged("stopping", 1);
    proxy.process.signal(Signal::TERM);
    assert_eq!(proxy.process.wait().code, Some(1));
    assert!(!socket.exists());
}

#[test]
fn a_start_that_fails_leaves_no_socket_file_behind() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let file = folder.path().join("tollgate.toml");
    let text = format!(
        "[[listener]]\naddress = \"unix:a.sock\"\n[[listener]]\naddress = \"{}\"\n\
         [[route]]\npath = \"/*\"\nrespond = {{ body = \"ok\" }}\n",
        taken.local_addr().expect("an address")
    );
    std::fs::write(&file, text).expect("a file of ours");
    let ended = ran("proxy", &["--config", file.to_str().expect("text")]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(!folder.path().join("a.sock").exists());
}

/// Standard error is a pipe that is full and that nobody reads: the log waits for it, and nothing else does.
#[test]
fn a_stop_does_not_wait_for_an_unread_log() {
    let (_unread, mut full) = pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&full, true).expect("a pipe of ours");
    while full.write(&[b'.'; 4096]).is_ok() {}
    while full.write(b".").is_ok() {}
    rustix::io::ioctl_fionbio(&full, false).expect("a pipe of ours");
    let mut command = Tollgate::command("proxy");
    command.args(["--listen", "127.0.0.1:0", "--workers", "1", "--to", "127.0.0.1:1"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(full);
    let mut child = Reaped(command.spawn().expect("it starts"));
    let mut lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
    let listening = lines.find_map(|line| Some(line.ok()?.strip_prefix("  listening on http://")?.to_owned()));
    let address = listening.expect("it listens").trim_end_matches('/').parse().expect("an address");
    let id = rustix::process::Pid::from_child(&child.0);
    for _ in 0..3 {
        // Each is a line for the log.
        rustix::process::kill_process(id, Signal::HUP).expect("a child of ours");
        assert_eq!(Client::connect(address).get("/").status, 502, "it serves all the same");
    }
    rustix::process::kill_process(id, Signal::TERM).expect("a child of ours");
    let begun = Instant::now();
    let status = eventually("its end", || child.0.try_wait().expect("our child"), Option::is_some);
    assert_eq!(status.and_then(|s| s.code()), Some(0), "after {:?}", begun.elapsed());
}

/// A child that does not outlive its test.
struct Reaped(std::process::Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn no_more_connections_are_open_than_configured() {
    for (max, workers) in [(1, 3), (5, 4)] {
        let proxy = Tollgate::config(&format!(
            "[runtime]\nworkers = {workers}\nmax_connections = {max}\n\
             [[route]]\npath = \"/*\"\nrespond = {{ body = \"ok\" }}\n"
        ));
        // So many that every worker is asked for more than its share.
        let mut clients: Vec<Client> = (0..100).map(|_| Client::connect(proxy.address())).collect();
        let mut served = 0;
        for client in &mut clients {
            let asked = client.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            served += usize::from(asked.is_ok() && client.try_reply().is_ok_and(|reply| reply.is_some()));
        }
        assert_eq!(served, max, "of {} connections, with {workers} workers", clients.len());
    }
}
