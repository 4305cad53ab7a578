//! What is sent comes back.

use std::thread;

use tests::{Client, End, Tollgate, folder};

use crate::bytes;

#[test]
fn any_bytes_come_back() {
    let server = Tollgate::echo(&[]);
    let mut client = Client::connect(server.address());
    for len in [1, 2, 255, 16 << 10, (16 << 10) + 1, 60_000] {
        let sent = bytes(len);
        client.send(&sent);
        assert!(client.read_exactly(len) == sent, "{len} bytes");
    }
    server.stop();
}

#[test]
fn segments_of_one_byte_come_back() {
    let server = Tollgate::echo(&[]);
    let mut client = Client::connect(server.address());
    let sent = bytes(2000);
    // Each by itself, and then without waiting for the last.
    for byte in &sent[..500] {
        client.send([*byte]);
        assert_eq!(client.read_exactly(1), [*byte]);
    }
    sent[500..].iter().for_each(|byte| client.send([*byte]));
    assert!(client.read_exactly(1500) == sent[500..]);
    server.stop();
}

/// Sends all from a thread of its own and then half-closes; gives what comes back, and how it ends.
fn through(mut client: Client, sent: Vec<u8>) -> (Vec<u8>, End) {
    let mut writer = client.stream();
    let sending = thread::spawn(move || {
        std::io::Write::write_all(&mut writer, &sent).expect("the other side takes what is sent");
        writer.shutdown(std::net::Shutdown::Write).expect("still connected");
    });
    let all = client.read_to_end();
    sending.join().expect("all sent");
    all
}

#[test]
fn ten_mebibytes_go_through_and_then_the_end() {
    let server = Tollgate::echo(&[]);
    let sent = bytes(10 << 20);
    for client in [Client::connect(server.address()), Client::connect_narrow(server.address())] {
        let (got, end) = through(client, sent.clone());
        assert!(got == sent, "{} bytes came back, or others", got.len());
        assert_eq!(end, End::Closed);
    }
    server.stop();
}

#[test]
fn a_half_close_gets_what_is_left_and_the_end() {
    let server = Tollgate::echo(&[]);
    let mut client = Client::connect(server.address());
    client.send("last words");
    client.half_close();
    assert_eq!(client.read_to_end(), (b"last words".to_vec(), End::Closed));
    let silent = Client::connect(server.address());
    silent.half_close();
    silent.expect_end();
    server.stop();
}

#[test]
fn a_unix_socket_echoes_and_is_removed() {
    use std::io::{Read, Write};
    let folder = folder();
    let path = folder.path().join("echo.sock");
    let mut command = Tollgate::command("echo");
    command.arg("--listen").arg(format!("unix:{}", path.display()));
    let server = Tollgate::listening(&mut command, 1, tests::folder());
    let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("a connection");
    stream.write_all(b"over a file").expect("writable");
    stream.shutdown(std::net::Shutdown::Write).expect("connected");
    let mut got = String::new();
    stream.read_to_string(&mut got).expect("readable");
    assert_eq!(got, "over a file");
    server.stop();
    assert!(!path.exists());
}

#[test]
fn several_workers_share_the_connections() {
    let server = Tollgate::echo(&["--workers", "3", "--max-events", "2"]);
    let mut clients: Vec<Client> = (0..60).map(|_| Client::connect(server.address())).collect();
    for round in 0..3 {
        for (n, client) in clients.iter_mut().enumerate() {
            client.send(format!("{round} {n:02}"));
        }
        for (n, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.read_exactly(4), format!("{round} {n:02}").as_bytes());
        }
    }
    drop(clients);
    server.stop();
}
