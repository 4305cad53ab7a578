//! Clients that leave at any byte, or stop reading: nothing of them stays.

use std::net::SocketAddr;

use tests::{Client, End, Origin, Tollgate, answer, descriptors, eventually, folder, resident_kib};

use crate::{LIMITS, both};

const REQUEST: &str = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nX-Y: z\r\n\r\nbody";

/// How the client leaves.
type Leave = fn(Client);

fn orderly(client: Client) {
    drop(client);
}

/// Cuts [`REQUEST`] at every byte, leaves, and expects all descriptors back.
fn cut_everywhere(process: u32, to: SocketAddr) {
    let baseline = descriptors(process);
    assert!(Client::connect(to).ask(REQUEST).complete);
    for leave in [orderly as Leave, Client::reset] {
        for cut in 0..=REQUEST.len() {
            let mut client = Client::connect(to);
            client.send(&REQUEST[..cut]);
            leave(client);
        }
    }
    // The few besides are connections to the origin, kept for the next request.
    eventually("descriptors of vanished clients", || descriptors(process), |n| *n <= baseline + 3);
    assert!(Client::connect(to).ask(REQUEST).complete);
}

#[test]
fn a_client_that_vanishes_at_any_byte_leaves_nothing_behind() {
    let both = both(LIMITS);
    cut_everywhere(both.server.id(), both.server.address());
    cut_everywhere(both.proxy.id(), both.proxy.address());
}

#[test]
fn a_client_that_closes_its_side_inside_a_head_is_told_so() {
    let both = both(LIMITS);
    let head = REQUEST.find("\r\n\r\n").expect("a head") + 3;
    for to in [both.server.address(), both.proxy.address()] {
        for cut in [1, 5, 16, 30, head] {
            let mut client = Client::connect(to);
            client.send(&REQUEST[..cut]);
            client.half_close();
            assert_eq!(client.reply().status, 400, "at {cut}");
            client.expect_end();
        }
        let client = Client::connect(to);
        client.half_close();
        client.expect_end();
    }
    assert_eq!(both.origin.connections(), 0);
}

#[test]
fn a_client_that_closes_its_side_behind_a_request_is_answered() {
    let both = both(LIMITS);
    for to in [both.server.address(), both.proxy.address()] {
        let mut client = Client::connect(to);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.half_close();
        assert_eq!((client.reply().status, client.reply().status), (200, 200));
        client.expect_end();
    }
}

#[test]
fn clients_that_stop_reading_are_cut_and_cost_little() {
    let root = folder();
    std::fs::write(root.path().join("large"), vec![7; 64 << 20]).expect("a file of ours");
    let origin = Origin::start(|connection, _| {
        while connection.request().is_some() {
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 64 << 20));
            while connection.send(vec![7; 64 << 10]) {}
        }
    });
    let tollgate = Tollgate::config_in(
        root,
        &format!(
            "[timeouts]\nwrite = \"500ms\"\n[[route]]\npath = \"/large\"\nfiles = {{ root = \".\" }}\n\
             [[route]]\npath = \"/*\"\nproxy = {{ upstream = \"o\" }}\n[upstream.o]\nservers = [\"{}\"]\n",
            origin.address()
        ),
    );
    let baseline = descriptors(tollgate.id());
    let mut clients = Vec::new();
    for path in ["/large", "/proxied"] {
        for _ in 0..5 {
            let mut client = Client::connect_narrow(tollgate.address());
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            client.read_until("\r\n\r\n");
            clients.push(client);
        }
    }
    // One open file stays in the cache, and once and for all the folder of the process's descriptors, by which files are reopened.
    eventually("descriptors of deaf clients", || descriptors(tollgate.id()), |n| *n <= baseline + 2);
    assert!(resident_kib(tollgate.id()) < 64 << 10, "{} KiB resident", resident_kib(tollgate.id()));
    for mut client in clients {
        let (bytes, end) = client.read_to_end();
        assert!(bytes.len() < 64 << 20 && end != End::Open, "{} bytes, {end:?}", bytes.len());
    }
}

#[test]
fn an_upload_whose_client_vanishes_is_broken_off_at_the_origin_too() {
    let (send, receive) = std::sync::mpsc::channel();
    let origin = Origin::start(move |connection, number| {
        if number == 0 {
            connection.head().expect("a head");
            send.send(true).expect("the test waits");
            let ended = connection.wait_for_end();
            let _ = send.send(ended);
        } else if connection.request().is_some() {
            connection.send(answer("200 OK", "next"));
        }
    });
    let proxy = Tollgate::proxy(&[origin.address()]);
    let mut client = Client::connect(proxy.address());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhello");
    assert_eq!(receive.recv_timeout(tests::PATIENCE), Ok(true));
    client.reset();
    assert_eq!(receive.recv_timeout(tests::PATIENCE), Ok(true), "the origin's connection ends as well");
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "next");
}

#[test]
fn a_client_that_vanishes_while_the_origin_thinks_frees_the_origin() {
    let (send, receive) = std::sync::mpsc::channel();
    let origin = Origin::start(move |connection, _| {
        connection.head();
        send.send(true).expect("the test waits");
        let ended = connection.wait_for_end();
        let _ = send.send(ended);
    });
    let proxy = Tollgate::proxy(&[origin.address()]);
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(receive.recv_timeout(tests::PATIENCE), Ok(true));
    client.reset();
    assert_eq!(receive.recv_timeout(tests::PATIENCE), Ok(true), "the origin's connection is ended");
}
