//! How it begins, what it says, how it ends.

use std::net::TcpListener;

use tests::{Client, End, Ended, Signal, Tollgate, run};

use crate::{bytes, fill};

/// The number behind `word` in a line of words.
fn after(line: &str, word: &str) -> f64 {
    let mut words = line.split_whitespace().skip_while(|one| *one != word);
    words.nth(1).and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {word} in {line:?}"))
}

#[test]
fn the_first_lines_say_port_mode_and_events() {
    let server = Tollgate::echo(&["--max-events", "77", "--idle", "90s"]);
    let out = server.process.out();
    let port = server.address().port();
    for text in [&format!("port {port}, edge-triggered, at most 77 events per wait"), "1 worker,", "close after 90s"] {
        assert!(out.contains(text), "{text:?} is not in {out}");
    }
    server.stop();
}

#[test]
fn a_port_and_an_address_make_the_place() {
    let free = TcpListener::bind("127.0.0.3:0").expect("a port").local_addr().expect("its address");
    let mut command = Tollgate::command("echo");
    command.args(["-p", &free.port().to_string(), "--listen", "127.0.0.3"]);
    let server = Tollgate::listening(&mut command, 1, tests::folder());
    assert_eq!(server.address(), free);
    server.stop();
}

#[test]
fn what_is_wrong_is_said_with_status_2() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("its address").to_string();
    let cases: [(&[&str], &str); 8] = [
        (&["--listen", &taken], "another program listens there already"),
        (&["--listen", "192.0.2.1:0"], "this machine has no such address"),
        (&["--listen", "127.0.0.1:1", "-p", "2"], "leave out -p 2"),
        (&["--listen", "somewhere"], "expected an IP address"),
        (&["--workers", "0"], "a number from 1 to 255"),
        (&["--max-events", "0"], "1..=65536"),
        (&["--idle", "5"], "did you mean 5s?"),
        (&["-p", "65536"], "65535"),
    ];
    for (arguments, sentence) in cases {
        let ended = run(Tollgate::command("echo").args(arguments));
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(sentence), "{arguments:?}: {}", ended.err);
        assert_eq!(ended.out, "", "{arguments:?}");
    }
}

#[test]
fn a_line_a_second_says_what_goes_on() {
    let server = Tollgate::echo(&["--stats"]);
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(server.address())).collect();
    for client in &mut clients {
        client.send([7; 1000]);
        assert_eq!(client.read_exactly(1000), [7; 1000]);
    }
    let line = server.process.out_line(|line| {
        let counted = line.contains("  active 3  pending 0  ") && after(line, "bytes/s") > 0.0;
        counted.then(|| line.to_owned())
    });
    assert!(line.as_bytes()[..20].ends_with(b"Z") && line.as_bytes()[10] == b'T', "no time: {line}");
    let (requests, bytes) = (after(&line, "requests/s"), after(&line, "bytes/s"));
    assert!((2.0..=4.0).contains(&requests) && (bytes - requests * 1000.0).abs() < 1500.0, "{line}");
    let (p50, p99) = (after(&line, "p50"), after(&line, "p99"));
    assert!(p50 > 0.0 && p99 > 0.0, "{line}");
    drop(clients);
    // A second without a request has nothing to measure.
    server
        .process
        .out_line(|line| line.ends_with("  active 0  pending 0  requests/s 0  bytes/s 0  p50 -  p99 -").then_some(()));
    server.stop();
}

#[test]
fn a_stop_flushes_what_is_pending_and_prints_totals() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Tollgate::echo(&["--stats"]);
        let idle = Client::connect(server.address());
        let mut ended = Client::connect(server.address());
        ended.send("x");
        ended.half_close();
        assert_eq!(ended.read_to_end(), (b"x".to_vec(), End::Closed));
        let mut pending = [Client::connect_narrow(server.address())];
        let all = bytes(32 << 20);
        let sent = fill(&server, &mut pending, &all)[0];
        server.process.signal(signal);
        server.process.logged("stopping: 2 connections are open", 1);
        idle.expect_end();
        let (got, end) = pending[0].read_to_end();
        assert!(got == all[..sent], "{} of {sent} bytes came back, or others", got.len());
        assert_eq!(end, End::Closed);
        let [pending] = pending;
        drop(pending);
        let Ended { code, out, err } = server.process.wait();
        assert_eq!(code, Some(0), "{err}");
        let totals: Vec<&str> = out.lines().skip_while(|line| !line.starts_with("totals after ")).collect();
        let expected = "  connections  3 accepted, 1 ended by their clients, 2 closed at the stop";
        assert_eq!((totals.len(), totals.get(1)), (5, Some(&expected)), "{out}");
        assert!(totals[3].contains(&grouped(sent + 1)), "{out}");
        assert!(totals[4].contains("from readable to written"), "{out}");
    }
}

/// 1234 as `1,234`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let pieces: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|piece| std::str::from_utf8(piece).expect("digits")).collect();
    pieces.join(",")
}

#[test]
fn who_does_not_take_its_bytes_is_cut_after_the_deadline() {
    let mut server = Tollgate::echo(&["--stats"]);
    let mut stuck = [Client::connect_narrow(server.address())];
    fill(&server, &mut stuck, &bytes(32 << 20));
    server.process.signal(Signal::TERM);
    // 5 s, then the end; patience is 10 s.
    let ended = server.process.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("1 accepted, 1 cut at the stop"), "{}", ended.out);
    // What is lost does not look whole.
    assert_eq!(stuck[0].read_to_end().1, End::Reset);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Tollgate::echo(&["--stats"]);
    let mut stuck = [Client::connect_narrow(server.address())];
    fill(&server, &mut stuck, &bytes(32 << 20));
    server.process.signal(Signal::INT);
    server.process.logged("stopping", 1);
    assert!(server.process.is_running());
    let asked = std::time::Instant::now();
    server.process.signal(Signal::INT);
    let ended = server.process.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("a second signal: stopping at once"), "{}", ended.err);
    assert!(asked.elapsed().as_secs() < 3, "{:?}", asked.elapsed());
}

#[test]
fn a_hangup_changes_nothing() {
    let server = Tollgate::echo(&[]);
    let mut client = Client::connect(server.address());
    server.process.signal(Signal::HUP);
    server.process.logged("nothing to reload", 1);
    client.send("still there");
    assert_eq!(client.read_exactly(11), b"still there");
    drop(client);
    server.stop();
}

#[test]
fn help_says_what_everything_means() {
    let ended = run(Tollgate::command("echo").arg("--help"));
    assert_eq!(ended.code, Some(0));
    for text in [
        "--port",
        "--listen",
        "--max-events",
        "--workers",
        "--stats",
        "--idle",
        "[default: 5m]",
        "Examples:",
        "pending",
    ] {
        assert!(ended.out.contains(text), "{text}");
    }
}
