//! Clients that mean no good, and resources that run out.

use std::process::Command;
use std::time::{Duration, Instant};

use tests::{Client, End, Signal, TICK, Tollgate, descriptors, eventually, folder, resident_kib};

use crate::{bytes, fill};

#[test]
fn clients_that_never_read_cost_one_buffer_each_and_hold_up_nobody() {
    const STUCK: usize = 60;
    let server = Tollgate::echo(&["--stats"]);
    let mut other = Client::connect(server.address());
    other.send("first");
    assert_eq!(other.read_exactly(5), b"first");
    let before = resident_kib(server.id());
    let mut stuck: Vec<Client> = (0..STUCK).map(|_| Client::connect_narrow(server.address())).collect();
    let sent = fill(&server, &mut stuck, &bytes(64 << 20));
    let grown = resident_kib(server.id()).saturating_sub(before);
    let all: usize = sent.iter().sum();
    assert!(all > STUCK * (64 << 10), "{all} bytes are too few to mean anything");
    // 16 KiB each, and as much again for what else a first rush touches.
    assert!(grown < STUCK as u64 * 32, "{grown} KiB for {STUCK} connections that sent {} KiB", all >> 10);
    other.send("and me?");
    assert_eq!(other.read_exactly(7), b"and me?");
    let held = descriptors(server.id());
    drop(stuck);
    eventually("their descriptors", || descriptors(server.id()), |now| *now == held - STUCK);
    drop(other);
    server.stop();
}

#[test]
fn a_reset_costs_its_connection_only() {
    let mut server = Tollgate::echo(&[]);
    let mut other = Client::connect(server.address());
    other.send("a");
    other.read_exactly(1);
    let held = descriptors(server.id());
    for len in [0, 1, 100_000] {
        for _ in 0..20 {
            let mut client = Client::connect(server.address());
            client.send(bytes(len));
            client.reset();
        }
    }
    eventually("the descriptors of old", || descriptors(server.id()), |now| *now == held);
    other.send("b");
    assert_eq!(other.read_exactly(1), b"b");
    drop(other);
    server.process.signal(Signal::TERM);
    let ended = server.process.wait();
    assert_eq!(ended.code, Some(0));
    assert!(ended.out.contains("61 accepted, "), "{}", ended.out);
    assert!(ended.out.contains(" broken"), "{}", ended.out);
}

#[test]
fn silence_ends_a_connection() {
    let server = Tollgate::echo(&["--idle", "400ms"]);
    let begun = Instant::now();
    let mut client = Client::connect(server.address());
    client.send("only this");
    assert_eq!(client.read_to_end(), (b"only this".to_vec(), End::Closed));
    let lived = begun.elapsed();
    assert!(lived + TICK >= Duration::from_millis(400), "{lived:?}");
    server.stop();
}

/// `echo` with so few descriptors, by the shell's `ulimit`, which sets the hard limit as well.
fn with_descriptors(count: usize) -> Tollgate {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {count} && exec \"$0\" \"$@\"");
    command.arg("-c").arg(script).arg(Tollgate::command("echo").get_program()).args([
        "--listen",
        "127.0.0.1:0",
        "--stats",
    ]);
    Tollgate::listening(&mut command, 1, folder())
}

/// Those of the numbers below `count` that are taken. Above it there may be some that were inherited.
fn descriptors_below(count: usize, pid: u32) -> usize {
    let numbers = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a running process");
    numbers.filter_map(|one| one.ok()?.file_name().to_str()?.parse::<usize>().ok()).filter(|n| *n < count).count()
}

#[test]
fn without_descriptors_it_serves_on_says_so_once_and_recovers() {
    let server = with_descriptors(64);
    let held = || descriptors_below(64, server.id());
    let base = held();
    // As many as fit are served.
    let mut served: Vec<Client> = (0..64 - base).map(|_| Client::connect(server.address())).collect();
    for client in &mut served {
        client.send("in");
        assert_eq!(client.read_exactly(2), b"in");
    }
    // The next are told at once, again and again, and those inside do not notice.
    for _ in 0..3 {
        for _ in 0..30 {
            let mut refused = Client::connect(server.address());
            let _ = refused.try_send("hello");
            let (got, end) = refused.read_to_end();
            assert!(got.is_empty() && end != End::Open, "{got:?} {end:?}");
        }
        for client in &mut served {
            client.send("still in");
            assert_eq!(client.read_exactly(8), b"still in");
        }
    }
    served.truncate(5);
    eventually("free descriptors", held, |now| *now == base + 5);
    let mut late = Client::connect(server.address());
    late.send("room again");
    assert_eq!(late.read_exactly(10), b"room again");
    let log = server.process.log();
    assert_eq!(log.matches("no descriptor is left").count(), 1, "{log}");
    drop((served, late));
    let mut server = server;
    server.process.signal(Signal::TERM);
    let ended = server.process.wait();
    assert_eq!(ended.code, Some(0));
    assert!(ended.out.contains("90 shed for want of descriptors"), "{}", ended.out);
}
