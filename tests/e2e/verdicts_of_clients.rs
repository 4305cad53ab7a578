//! Verdicts on clients that cannot be told, or only in part: they are counted all the same.

use std::{fs, time::Duration};

use tests::{Client, Connection, End, Origin, Tollgate, answer, eventually, folder, peers::curl};

use crate::{
    proxy_with,
    tls::{secure, secure_in},
    verdicts::counted,
};

#[test]
fn faults_of_a_handshake() {
    let site = secure("");
    let mut plain = Client::connect(site.tollgate.address());
    assert_eq!(plain.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status, 400);
    assert_eq!(counted(site.tollgate, "CPLN"), 1);

    let site = secure("min_version = \"1.3\"");
    let mut broken = Client::connect(site.tollgate.address());
    broken.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00");
    assert_ne!(broken.read_to_end().1, End::Open);
    assert_ne!(site.curl(&["--tls-max", "1.2"]).code, Some(0), "no version in common");
    assert_eq!(counted(site.tollgate, "CHSK"), 2);

    // It asks for a certificate, and gets none.
    let folder = folder();
    tests::Authority::new("clients").write(folder.path(), "clients");
    let site = secure_in(folder, "client_ca = \"clients.pem\"\nclient_auth = \"require\"");
    assert_ne!(site.curl(&[]).code, Some(0));
    site.tollgate.process.logged("CCRT client/handshake: ", 1);
    assert_eq!(counted(site.tollgate, "CCRT"), 1);

    let site = secure("");
    let localhost = site.tollgate.url("/").replace("127.0.0.1", "localhost");
    let got = curl(["-i", "--cacert", &site.path("authority.pem"), "-H", "Host: elsewhere.test", &localhost]);
    assert!(got.out.starts_with("HTTP/1.1 421 "), "{}", got.out);
    assert_eq!(counted(site.tollgate, "CMIS"), 1);
}

/// Sends more than any buffer holds.
fn pours(connection: &mut Connection) {
    connection.head();
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n");
    while connection.send([b'x'; 64 << 10]) {}
}

#[test]
fn faults_of_who_does_not_read_or_is_gone() {
    let origin = Origin::start(|connection, _| pours(connection));
    let text = format!(
        "[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"api\" }}\n[upstream.api]\nservers = [\"{}\"]\n\
         [timeouts]\nwrite = \"300ms\"\n",
        origin.address()
    );
    let proxy = Tollgate::config(&text);
    let mut client = Client::connect_narrow(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read_until("\r\n\r\n");
    std::thread::sleep(Duration::from_secs(1));
    assert_ne!(client.read_to_end().1, End::Open, "its time was up");
    assert_eq!(counted(proxy, "CWTO"), 1);

    // One that breaks the connection while it is answered, and one while its server is still thinking.
    let stuck = Origin::start(|connection, _| {
        connection.head();
        connection.wait_for_end();
    });
    for (origin, answered) in [(&origin, true), (&stuck, false)] {
        let proxy = proxy_with(&[origin.address()], "");
        let (seen, mut client) = (origin.connections(), Client::connect(proxy.address()));
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        if answered {
            client.read_until("\r\n\r\n");
        }
        eventually("the request is there", || origin.connections(), |n| *n > seen);
        client.reset();
        assert_eq!(counted(proxy, "CGON"), 1, "answered: {answered}");
    }
}

/// A body of a byte a second is no silence, but slower than any client that means it.
#[test]
fn a_client_that_drips() {
    let origin = Origin::start(|connection, _| {
        connection.request();
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    let mut stream = client.stream();
    let dripping = std::thread::spawn(move || {
        use std::io::Write;
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    let reply = client.reply();
    assert_eq!(reply.status, 408);
    let reason = reply.field("tollgate-reason").expect("a reason");
    assert!(reason.starts_with("CSLO client/request-body: "), "{reason}");
    drop(client);
    dripping.join().expect("no panic");
    assert_eq!(counted(proxy, "CSLO"), 1);
}

#[test]
fn a_file_that_is_not_there() {
    let root = folder();
    fs::write(root.path().join("there.txt"), answer("200 OK", "")).expect("a file of ours");
    let text = format!("[[route]]\nfiles = {{ root = {:?} }}\n", root.path());
    let server = Tollgate::config(&text);
    let mut client = Client::connect(server.address());
    assert_eq!(client.get("/there.txt").status, 200);
    let reply = client.get("/gone.txt");
    let reason = reply.field("tollgate-reason").expect("a reason");
    assert!(reply.status == 404 && reason.starts_with("CNFD client/route: "), "{reason}");
    assert_eq!(counted(server, "CNFD"), 1);
}
