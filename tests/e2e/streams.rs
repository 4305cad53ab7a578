//! Bodies that stream: both ways at once, and of any size in bounded memory.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    sync::mpsc::channel,
    thread,
};

use tests::{Client, Origin, Tollgate, resident_kib};

use crate::proxy_with;

/// Far above what two queues of 64 KiB and the program itself take, far below any of the bodies here.
const MOST_KIB: u64 = 48 << 10;

#[test]
fn an_origin_answers_while_the_client_is_still_sending() {
    let origin = Origin::start(|connection, _| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        // What comes in as chunks goes out as it is: their framing is the same.
        while let Some(bytes) = connection.some() {
            connection.send(&bytes);
            if bytes.ends_with(b"0\r\n\r\n") {
                return;
            }
        }
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"), "before a byte of the body");
    for word in ["one", "three", "eleven words"] {
        client.send(format!("{:x}\r\n{word}\r\n", word.len()));
        assert!(client.read_until(&format!("\r\n{word}\r\n")).ends_with(&format!("{word}\r\n")));
    }
    client.send("0\r\n\r\n");
    client.read_until("0\r\n\r\n");
}

/// An origin that counts a body of any size, and can send one.
fn bulk() -> (Origin, std::sync::mpsc::Receiver<u64>) {
    let (send, counted) = channel();
    let origin = Origin::start(move |connection, _| {
        let Some(head) = connection.head() else { return };
        let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).map_or(0, |n| n.parse().expect("n"));
        let mut received = 0;
        while received < length {
            let Some(bytes) = connection.some() else { break };
            received += bytes.len() as u64;
        }
        let _ = send.send(received);
        if length > 0 {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
            return;
        }
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n"));
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..GIB >> 20 {
            if !connection.send(&piece) {
                return;
            }
        }
    });
    (origin, counted)
}

const GIB: u64 = 1 << 30;

/// The largest resident memory of the proxy while `work` runs.
fn watched<T: Send>(proxy: &Tollgate, work: impl FnOnce() -> T + Send) -> (T, u64) {
    thread::scope(|scope| {
        let working = scope.spawn(work);
        let mut most = 0;
        while !working.is_finished() {
            most = most.max(resident_kib(proxy.id()));
            thread::sleep(std::time::Duration::from_millis(20));
        }
        (working.join().expect("no panic"), most)
    })
}

#[test]
fn a_gib_down_takes_little_memory() {
    let (origin, _counted) = bulk();
    let proxy = proxy_with(&[origin.address()], "");
    let url = proxy.url("/");
    let (received, most) = watched(&proxy, move || {
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "-q",
            "--noproxy",
            "*",
            "--max-time",
            "100",
            "-o",
            "/dev/null",
            "-w",
            "%{size_download}",
            &url,
        ]);
        String::from_utf8(curl.output().expect("curl").stdout).expect("text")
    });
    assert_eq!(received, GIB.to_string());
    assert!(most < MOST_KIB, "{most} KiB resident");
}

#[test]
fn a_gib_up_takes_little_memory() {
    let (origin, counted) = bulk();
    let proxy = Tollgate::config(&format!(
        "[[route]]\npath = \"/*\"\nbody_bytes = \"2GiB\"\nproxy = {{ upstream = \"o\" }}\n[upstream.o]\nservers = [\"{}\"]\n",
        origin.address()
    ));
    let address = proxy.address();
    let (answer, most) = watched(&proxy, move || {
        let mut stream = TcpStream::connect(address).expect("a connection");
        write!(stream, "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {GIB}\r\n\r\n")
            .expect("sent");
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..GIB >> 20 {
            stream.write_all(&piece).expect("sent");
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    });
    assert!(answer.ends_with("done"), "{answer}");
    assert_eq!(counted.recv().expect("counted"), GIB);
    assert!(most < MOST_KIB, "{most} KiB resident");
}

#[test]
fn slow_readers_hold_their_sources_back() {
    let (origin, _counted) = bulk();
    let proxy = proxy_with(&[origin.address()], "");
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect_narrow(proxy.address())).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.read_until("\r\n\r\n");
    }
    // Each reads a little, and the rest waits in the kernel, not in the proxy.
    for client in &mut clients {
        client.read_exactly(2 << 20);
    }
    let most = resident_kib(proxy.id());
    assert!(most < MOST_KIB, "{most} KiB resident");
}

#[test]
fn curl_uploads_by_length_and_in_chunks() {
    let origin = Origin::start(|connection, _| {
        while let Some(request) = connection.request() {
            let framing = if request.field("transfer-encoding").is_some() { "chunked" } else { "length" };
            connection.send(tests::answer("200 OK", &format!("{} {framing}", request.body.len())));
        }
    });
    let proxy = proxy_with(&[origin.address()], "");
    for (args, want) in [(&["-T", "-"][..], "300000 chunked"), (&["--data-binary", "@-"], "300000 length")] {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-q", "--noproxy", "*", "--max-time", "9"]).args(args).arg(proxy.url("/"));
        let mut curl = curl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("curl");
        curl.stdin.take().expect("piped").write_all(&vec![b'x'; 300_000]).expect("sent");
        let out = curl.wait_with_output().expect("an end").stdout;
        assert_eq!(String::from_utf8_lossy(&out), want);
    }
}
