//! The little programs of the benches against each other: what the load program counts is what was served, and a
//! server that answers wrongly is caught.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use benches::{client::Sample, echoes::Latencies, usage::cpu_time, wire::canned_answer};

/// A program that listens; it is ended with its value.
struct Listening {
    child: Child,
    address: SocketAddr,
}

impl Listening {
    fn start(program: &str, arguments: &[&str]) -> Listening {
        let mut command = Command::new(program);
        command.args(["--listen", "127.0.0.1:0"]).args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("says where it listens");
        let address = line.trim().rsplit(' ').next().and_then(|word| word.parse().ok()).expect("an address");
        Listening { child, address }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn load(to: SocketAddr, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench-client"));
    command.args(["--to", &to.to_string()]).args(arguments).stdin(Stdio::null());
    command.output().expect("the load program starts")
}

fn sample(output: &Output) -> Sample {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one line of figures")
}

#[test]
fn requests_are_counted_and_the_servers_time_is_taken() {
    let server = Listening::start(env!("CARGO_BIN_EXE_bare-epoll"), &[]);
    let watch = server.child.id().to_string();
    let output = load(server.address, &["--connections", "7", "--watch", &watch, "count", "5000"]);
    let counted = sample(&output);
    assert_eq!(counted.requests, 5000);
    assert!(!counted.server.is_zero() && !counted.client.is_zero());

    let output = load(server.address, &["--watch", &watch, "time", "--warmup", "0.05", "--seconds", "0.1"]);
    let timed = sample(&output);
    assert!(timed.requests > 0 && timed.wall.as_secs_f64() >= 0.1, "{timed:?}");
}

/// It is answered only when it has used up some CPU time while it waited, which one that sleeps never does.
#[test]
fn a_load_that_spins_does_not_sleep() {
    let server = TcpListener::bind("127.0.0.1:0").expect("an address");
    let to = server.local_addr().expect("it has one").to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench-client"));
    command.args(["--to", &to, "--connections", "1", "--spin", "count", "1"]);
    let client = command.stdout(Stdio::piped()).spawn().expect("the load program starts");
    let used = || cpu_time(&[client.id()]).expect("it lives");
    // The first connection is the one by which it learns the answer.
    for is_first in [true, false] {
        let mut stream = server.accept().expect("it connects").0;
        let mut request = [0; 256];
        assert!(stream.read(&mut request).expect("it asks") > 0);
        let (asked, begun) = (used(), Instant::now());
        while !is_first && used() - asked < Duration::from_millis(50) {
            assert!(begun.elapsed() < Duration::from_secs(15), "it sleeps");
            thread::sleep(Duration::from_millis(1));
        }
        stream.write_all(&canned_answer(10)).expect("it listens");
    }
    let output = client.wait_with_output().expect("it ends");
    assert_eq!(sample(&output).requests, 1);
}

#[test]
fn every_connection_of_a_hold_gets_one_request() {
    let server = Listening::start(env!("CARGO_BIN_EXE_bare-epoll"), &[]);
    let output = load(server.address, &["--connections", "300", "hold", "--at-once", "8"]);
    assert_eq!(sample(&output).requests, 300);
}

#[test]
fn the_relay_passes_on_what_the_origin_says() {
    let origin = Listening::start(env!("CARGO_BIN_EXE_bare-epoll"), &[]);
    let relay = Listening::start(env!("CARGO_BIN_EXE_bare-relay"), &["--to", &origin.address.to_string()]);
    let output = load(relay.address, &["--connections", "20", "count", "2000"]);
    assert_eq!(sample(&output).requests, 2000);
}

#[test]
fn a_relay_of_few_connections_makes_the_others_wait() {
    let origin = Listening::start(env!("CARGO_BIN_EXE_bare-epoll"), &[]);
    let to = origin.address.to_string();
    let relay = Listening::start(env!("CARGO_BIN_EXE_bare-relay"), &["--to", &to, "--most", "3"]);
    let output = load(relay.address, &["--connections", "20", "count", "2000"]);
    assert_eq!(sample(&output).requests, 2000);
    let sockets = std::fs::read_dir(format!("/proc/{}/fd", origin.child.id())).expect("its descriptors").count();
    assert!(sockets < 3 + 10, "{sockets}: the origin has a few descriptors of its own, and three connections");
}

#[test]
fn large_messages_pass_both_pumps_whole() {
    let origin = Listening::start(env!("CARGO_BIN_EXE_bare-origin"), &["--body", "1048576"]);
    let to = origin.address.to_string();
    for how in ["copy", "splice"] {
        let pump = Listening::start(env!("CARGO_BIN_EXE_bare-pump"), &["--to", &to, "--how", how]);
        let output = load(pump.address, &["--connections", "8", "--post", "300000", "count", "80"]);
        let counted = sample(&output);
        assert_eq!(counted.requests, 80, "{how}");
        assert!(counted.bytes > 80 << 20, "{how}");
    }
}

#[test]
fn the_bare_echo_gives_back_what_it_is_sent() {
    let server = Listening::start(env!("CARGO_BIN_EXE_bare-echo"), &[]);
    let watch = server.child.id().to_string();
    let output = load(server.address, &["--echo", "64", "--connections", "20", "--watch", &watch, "count", "2000"]);
    assert_eq!(sample(&output).requests, 2000);

    // More than the sockets hold, sent by one thread and read by another, then a half-close.
    let mut stream = TcpStream::connect(server.address).expect("connects");
    let sent: Vec<u8> = (0..20_000_000_u32).map(|at| (at % 251) as u8).collect();
    let (mut writer, all) = (stream.try_clone().expect("another handle"), sent.clone());
    let sending = thread::spawn(move || {
        writer.write_all(&all).expect("it reads");
        writer.shutdown(Shutdown::Write).expect("connected");
    });
    let mut got = Vec::new();
    stream.read_to_end(&mut got).expect("an end in order");
    sending.join().expect("sent");
    assert!(got == sent, "{} of {} bytes came back, or others", got.len(), sent.len());
}

#[test]
fn a_plan_is_kept_and_connections_come_and_go() {
    let server = Listening::start(env!("CARGO_BIN_EXE_bare-echo"), &[]);
    let output = load(server.address, &["--connections", "10", "paced", "--rate", "2000", "--seconds", "0.2"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Latencies = serde_json::from_slice(&output.stdout).expect("one line of figures");
    assert_eq!(found.messages, 400);
    assert!(found.p50 > 0.0 && found.p50 <= found.p99 && found.p99 <= found.max && found.wall.as_secs_f64() >= 0.19);
    let output = load(server.address, &["churn", "200"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_echo_that_is_none_is_caught() {
    let server = Listening::start(env!("CARGO_BIN_EXE_bare-epoll"), &[]);
    let output = load(server.address, &["--echo", "64", "--connections", "1", "count", "10"]);
    assert!(!output.status.success());
}

/// Answers one connection after the other, each read with the next of `answers`, until they are used up.
fn scripted(answers: Vec<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        let mut answers = answers.into_iter();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                let Some(answer) = answers.next() else { return };
                stream.write_all(&answer).expect("the load program reads");
            }
        }
    });
    address
}

#[test]
fn an_answer_that_changes_is_caught() {
    let good = canned_answer(100);
    let mut changed = good.clone();
    changed[good.len() - 1] ^= 1;
    let refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec();
    let cases = [
        (changed, "differs from the first one in its body"),
        (refusal.clone(), "differs from the first one in its status"),
        (good.repeat(2), "more than was asked for"),
    ];
    for (second, complaint) in cases {
        // The first answer is the one that is learned.
        let output = load(scripted(vec![good.clone(), second]), &["--connections", "1", "count", "10"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(complaint), "wanted {complaint:?}, got {said:?}");
    }
    let output = load(scripted(vec![refusal]), &["--connections", "1", "count", "10"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a 200"));
    // The script ends, and with it the connection.
    let output = load(scripted(vec![good.clone(), good]), &["--connections", "1", "count", "10"]);
    assert!(!output.status.success());
}
