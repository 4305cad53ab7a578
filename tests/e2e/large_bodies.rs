//! Bodies large enough to go from socket to socket through a pipe, and what can come between.

use std::{fs, sync::OnceLock, thread, time::Duration};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tests::{
    Authority, Client, Connection, End, Origin, Reply, Tollgate, descriptors, eventually, folder, peers::curl,
};

use crate::{SHORT, proxy_with};

const MIB: usize = 1 << 20;

const LARGEST: usize = 64 * MIB;

/// Sizes about those where bodies are read and passed on in another way, heads and buffers being in between.
fn sizes() -> impl Iterator<Item = usize> {
    let around = [16, 32, 48, 64, 128, 144, 256, 1024].map(|kib| kib << 10);
    let around = around.into_iter().flat_map(|n| [n - 300, n - 1, n, n + 1, n + 16_200]);
    [0, 1, 3_000_017].into_iter().chain(around)
}

/// Bytes of which no two places are the same: a MiB of them again and again, each KiB with its number in front. Word by word they
/// would take a busy machine the seconds that a test waits for an answer.
fn pattern(bytes: usize) -> &'static [u8] {
    static ALL: OnceLock<Vec<u8>> = OnceLock::new();
    let make = || {
        let words = (0..MIB as u64 / 8).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        let mut all = words.collect::<Vec<u8>>().repeat(LARGEST / MIB);
        for (number, kib) in all.chunks_exact_mut(1 << 10).enumerate() {
            kib[..4].copy_from_slice(&(number as u32).to_le_bytes());
        }
        all
    };
    &ALL.get_or_init(make)[..bytes]
}

/// An origin that answers `/N` with N bytes, and a POST with the length of its body and whether that was what it should be.
fn origin() -> Origin {
    Origin::start(|connection, _| {
        while let Some(request) = connection.request() {
            let path = request.head.split(' ').nth(1).unwrap_or_default();
            if request.head.starts_with("POST") {
                let good = request.body == pattern(request.body.len());
                let text = format!("{} {good}", request.body.len());
                connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
                continue;
            }
            let size: usize = path.trim_start_matches('/').parse().expect("a number");
            connection.send(head(size));
            if !request.head.starts_with("HEAD") {
                connection.send(pattern(size));
            }
        }
    })
}

fn head(size: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
}

fn is_whole(reply: &Reply, size: usize) -> bool {
    (reply.status, reply.complete) == (200, true) && reply.body == pattern(size)
}

fn post(size: usize) -> Vec<u8> {
    let mut request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n").into_bytes();
    request.extend(pattern(size));
    request
}

#[test]
fn answers_of_any_size_arrive_as_they_are_over_one_connection() {
    let origin = origin();
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    for size in sizes().chain([LARGEST]) {
        assert!(is_whole(&client.get(&format!("/{size}")), size), "{size}");
        client.send(format!("HEAD /{size} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.reply_to_head().field("content-length"), Some(size.to_string()));
    }
    let mut old = Client::connect(proxy.address());
    old.send(format!("GET /{MIB} HTTP/1.0\r\n\r\n"));
    assert!(is_whole(&old.reply(), MIB));
    assert_eq!(origin.connections(), 1, "a connection is kept after any of them");
}

#[test]
fn requests_of_any_size_arrive_as_they_are_over_one_connection() {
    let origin = origin();
    let proxy = Tollgate::config(&format!(
        "[[route]]\nbody_bytes = \"100MiB\"\nproxy = {{ upstream = \"o\" }}\n[upstream.o]\nservers = [\"{}\"]\n",
        origin.address()
    ));
    let mut client = Client::connect(proxy.address());
    for size in sizes().chain([LARGEST]) {
        assert_eq!(client.ask(post(size)).text(), format!("{size} true"));
    }
    // Head and body apart, in pieces, and the next request at once behind it.
    let two = [post(MIB), post(MIB)].concat();
    for piece in [&two[..30], &two[30..200], &two[200..300_000], &two[300_000..]] {
        client.send(piece);
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((client.reply().text(), client.reply().text()), (format!("{MIB} true"), format!("{MIB} true")));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn pipelined_answers_come_in_order() {
    let origin = origin();
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    let sizes = [MIB, 10, 200_000, 0, MIB + 1, 40_000, 5];
    let requests: String = sizes.iter().map(|size| format!("GET /{size} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(requests);
    for size in sizes {
        assert!(is_whole(&client.reply(), size), "{size}");
    }
}

/// A proxy that others reach over TLS, and one that reaches it over TLS: of each hop, one side or both are no plain sockets.
#[test]
fn tls_on_either_side_changes_no_byte() {
    let (origin, files) = (origin(), folder());
    let here = files.path().to_owned();
    let authority = Authority::new("large");
    authority.write(&here, "ca");
    authority.issue(&["localhost", "127.0.0.1"]).write(&here, "site");
    let (sent, got) = (here.join("sent"), here.join("got"));
    fs::write(&sent, pattern(3 * MIB + 5)).expect("a file of ours");
    let ca = here.join("ca.pem");
    let (ca, got_text) = (ca.to_str().expect("text"), got.to_str().expect("text"));
    let behind = Tollgate::config_in(
        files,
        &format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\n[listener.tls]\ncertificates = [{{ cert = \"site.pem\", key = \"site.key\" }}]\n\
             [[route]]\nbody_bytes = \"0\"\nproxy = {{ upstream = \"o\" }}\n[upstream.o]\nservers = [\"{}\"]\n",
            origin.address()
        ),
    );
    let front = Tollgate::config(&format!(
        "[[route]]\nbody_bytes = \"0\"\nproxy = {{ upstream = \"o\" }}\n[upstream.o]\nservers = [\"https://localhost:{}\"]\n\
         tls = {{ ca = \"{ca}\" }}\n",
        behind.address().port()
    ));
    for through in [&behind, &front] {
        for size in [MIB, 3_000_017, 50_000] {
            let url = through.url(&format!("/{size}"));
            let ended = curl(["--cacert", ca, "-o", got_text, &url]);
            assert_eq!(ended.code, Some(0), "{}", ended.err);
            assert!(fs::read(&got).expect("it is there") == pattern(size), "{size}");
        }
        let data = format!("@{}", sent.display());
        let ended = curl(["--cacert", ca, "-H", "Expect:", "--data-binary", &data, &through.url("/")]);
        assert_eq!(ended.out, format!("{} true", 3 * MIB + 5), "{}", ended.err);
    }
}

#[test]
fn a_slow_client_holds_the_origin_back_and_misses_nothing() {
    let size = LARGEST;
    let (send, sent) = std::sync::mpsc::channel();
    let origin = Origin::start(move |connection, _| {
        connection.request();
        connection.send(head(size));
        for piece in pattern(size).chunks(MIB) {
            if !connection.send(piece) {
                return;
            }
            let _ = send.send(());
        }
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect_narrow(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut taken = 0;
    while sent.recv_timeout(Duration::from_millis(500)).is_ok() {
        taken += 1;
    }
    assert!(taken < 40, "{taken} MiB left the origin although nobody read");
    assert!(is_whole(&client.reply(), size));
}

/// Sends the head of a large answer and a part of its body, then does `then`.
fn breaking(then: fn(&mut Connection)) -> Origin {
    // Not while a deadline of the proxy's runs.
    pattern(0);
    Origin::start(move |connection, _| {
        while connection.request().is_some() {
            connection.send(head(2 * MIB));
            connection.send(&pattern(2 * MIB)[..MIB]);
            then(connection);
        }
    })
}

fn ends(connection: &mut Connection) {
    connection.end();
}

fn stalls(connection: &mut Connection) {
    connection.wait_for_end();
}

/// Resets when what was sent has been taken.
fn resets(connection: &mut Connection) {
    thread::sleep(Duration::from_millis(150));
    connection.reset();
}

#[test]
fn an_answer_that_breaks_off_is_an_abort_with_its_verdict() {
    let broken = [(ends as fn(&mut Connection), "UTRU"), (resets, "UTRU"), (stalls, "USIL")];
    for (then, code) in broken {
        let origin = breaking(then);
        let proxy = proxy_with(&[origin.address()], SHORT);
        let mut client = Client::connect(proxy.address());
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"), "{code}");
        let (body, end) = client.read_to_end();
        assert!(body == pattern(MIB), "{code}: {} bytes", body.len());
        assert_ne!(end, End::Open);
        proxy.process.logged(code, 1);
    }
}

#[test]
fn a_body_longer_than_declared_is_cut_and_its_connection_not_used_again() {
    let origin = Origin::start(|connection, _| {
        while connection.request().is_some() {
            connection.send(head(MIB));
            connection.send(pattern(MIB));
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        }
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    for _ in 0..3 {
        assert!(is_whole(&client.get("/"), MIB));
        // What comes too late to be seen at once is there before the next request.
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn an_early_answer_ends_an_upload() {
    let origin = Origin::start(|connection, _| {
        connection.head();
        connection.some();
        connection.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n");
    client.send(pattern(800_000));
    assert_eq!(client.reply().status, 413);
}

#[test]
fn clients_that_go_leave_no_descriptor_behind() {
    let origin = Origin::start(|connection, _| {
        while connection.request().is_some() {
            connection.send(head(16 * MIB));
            connection.send(pattern(16 * MIB));
        }
    });
    let proxy = proxy_with(&[origin.address()], "");
    assert!(is_whole(&Client::connect(proxy.address()).get("/"), 16 * MIB));
    let before = descriptors(proxy.id());
    let clients: Vec<Client> = (0..80)
        .map(|_| {
            let mut client = Client::connect_narrow(proxy.address());
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            client.read_exactly(200_000);
            client
        })
        .collect();
    assert!(descriptors(proxy.id()) > before + 160);
    for (n, client) in clients.into_iter().enumerate() {
        if n % 2 == 0 {
            client.reset();
        }
    }
    // The connection that is kept, and the pipes: 4 at the most.
    eventually("descriptors", || descriptors(proxy.id()), |now| *now <= before + 8);
    assert!(is_whole(&Client::connect(proxy.address()).get("/"), 16 * MIB));
}

/// More slow receivers at once than there are pipes: who gets none is served all the same.
#[test]
fn many_slow_clients_all_get_theirs() {
    let (origin, size) = (origin(), 6 * MIB);
    let proxy = proxy_with(&[origin.address()], "");
    let mut clients: Vec<Client> = (0..72).map(|_| Client::connect_narrow(proxy.address())).collect();
    for client in &mut clients {
        client.send(format!("GET /{size} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    // All have something before anybody reads more.
    clients.iter_mut().for_each(|client| drop(client.read_until("\r\n\r\n")));
    thread::sleep(Duration::from_millis(200));
    // Each a piece in turn: who waited until all before it have everything would have its origin wait, and give up.
    for piece in pattern(size).chunks(MIB / 2) {
        for client in &mut clients {
            assert!(client.read_exactly(piece.len()) == piece);
        }
    }
}

/// Where the system gives no pipe, bodies are read and written.
#[test]
fn bodies_pass_without_pipes() {
    let origin = origin();
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    assert!(is_whole(&client.get("/5"), 5));
    let open = descriptors(proxy.id());
    let id = Pid::from_raw(proxy.id() as i32).expect("an id");
    // What is open stays open; nothing more is.
    prlimit(Some(id), Resource::Nofile, Rlimit { current: Some(3), maximum: Some(20_000) }).expect("a child of ours");
    for _ in 0..3 {
        assert!(is_whole(&client.get(&format!("/{MIB}")), MIB));
        assert_eq!(client.ask(post(500_000)).text(), "500000 true");
    }
    assert_eq!((descriptors(proxy.id()), origin.connections()), (open, 1));
}

#[test]
fn the_access_log_counts_what_went_out() {
    let (whole, cut) = (origin(), breaking(ends));
    let proxy = Tollgate::config(&format!(
        "[log.access]\npath = \"access.log\"\n[[route]]\npath = \"/cut\"\nproxy = {{ upstream = \"cut\" }}\n\
         [[route]]\npath = \"/*\"\nproxy = {{ upstream = \"o\" }}\n[upstream.o]\nservers = [\"{}\"]\n\
         [upstream.cut]\nservers = [\"{}\"]\n",
        whole.address(),
        cut.address()
    ));
    assert!(is_whole(&Client::connect(proxy.address()).get("/3000017"), 3_000_017));
    assert!(!Client::connect(proxy.address()).get("/cut").complete);
    let file = proxy.folder().join("access.log");
    let lines = || fs::read_to_string(&file).unwrap_or_default();
    let text = eventually("two lines", lines, |text| text.lines().count() == 2);
    for wanted in ["\"GET /3000017 HTTP/1.1\" 200 3000017 ".to_owned(), format!("\"GET /cut HTTP/1.1\" 200 {MIB} ")] {
        assert!(text.contains(&wanted), "{wanted}: {text}");
    }
}
