//! Each fault has its verdict: code, side, phase and server, in the answer, in the log, and nowhere else.

use std::{
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use tests::{Client, Connection, Origin, Signal, Tollgate, closed_port};

use crate::{SHORT, proxy_with};

/// What an origin does with a request.
type Script = fn(&mut Connection);

/// A proxy in front of what does `script` with each connection's request.
fn behind(script: Script) -> (Tollgate, Origin) {
    let origin = Origin::start(move |connection, _| {
        if connection.request().is_some() {
            script(connection);
        }
    });
    (proxy_with(&[origin.address()], &format!("{SHORT}\nretry = {{ attempts = 2 }}")), origin)
}

/// Stops it and reads off its last line how often it counted failures of that code.
pub(crate) fn counted(mut proxy: Tollgate, code: &str) -> usize {
    proxy.process.signal(Signal::TERM);
    let ended = proxy.process.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let totals =
        ended.err.lines().find_map(|line| line.split_once("; failures: ")).map_or("", |(_, failures)| failures);
    let counts = totals.split(", ").filter_map(|count| count.split_once(' '));
    counts.filter(|(_, of)| *of == code).map(|(n, _)| n.parse::<usize>().expect("a number")).sum()
}

/// What the field says, in front of the sentence.
fn verdict_of(proxy: &Tollgate, request: &str) -> (u16, String, String) {
    let reply = Client::connect(proxy.address()).ask(request);
    let reason = reply.field("tollgate-reason").unwrap_or_default();
    let (verdict, sentence) = reason.split_once(": ").unwrap_or((&reason, ""));
    (reply.status, verdict.to_owned(), sentence.to_owned())
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Faults of a server whose answer has not begun: the client is told, with the server's address.
#[test]
fn faults_before_the_answer() {
    check(&[
        (
            "UCLS upstream/response-head",
            502,
            |c| c.end(),
            "closed the connection before it sent a byte of its answer; 2 attempts",
        ),
        ("URST upstream/response-head", 502, Connection::reset, "broke the connection"),
        (
            "UHTO upstream/response-head",
            504,
            |c| {
                c.wait_for_end();
            },
            "accepted the connection but sent no response head within 300ms",
        ),
        (
            "UHTO upstream/response-head",
            504,
            |c| {
                c.send("HTTP/1.1 2");
                c.wait_for_end();
            },
            "sent 10 bytes of a response head, but not all of it, within 300ms",
        ),
        (
            "UCLS upstream/response-head",
            502,
            |c| {
                c.send("HTTP/1.1 200 OK\r\nConten");
            },
            "before the head of its answer was complete",
        ),
        (
            "UBAD upstream/response-head",
            502,
            |c| {
                c.send("SSH-2.0-OpenSSH\r\n\r\n");
            },
            "sent a broken answer",
        ),
        (
            "UBAD upstream/response-head",
            502,
            |c| {
                c.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
            },
            "Content-Length and Transfer-Encoding",
        ),
        (
            "UBAD upstream/response-head",
            502,
            |c| {
                c.send("HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n");
            },
            "Content-Length",
        ),
    ]);
}

/// Heads that break no rule of the grammar, and are refused.
#[test]
fn heads_that_are_too_large_or_not_asked_for() {
    check(&[
        (
            "UHDR upstream/response-head",
            502,
            |c| {
                c.send(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(70_000)));
            },
            "header fields are larger",
        ),
        (
            "UHDR upstream/response-head",
            502,
            |c| {
                c.send(format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(200)));
            },
            "more header fields",
        ),
        (
            "UHDR upstream/response-head",
            502,
            |c| {
                c.send("HTTP/1.1 102 Processing\r\n\r\n".repeat(200));
            },
            "too many interim",
        ),
        (
            "USWI upstream/response-head",
            502,
            |c| {
                c.send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
            },
            "although it was not asked to",
        ),
    ]);
}

/// Each is answered with its verdict, which is logged and counted once.
fn check(faults: &[(&str, u16, Script, &str)]) {
    for &(verdict, status, script, words) in faults {
        let (proxy, origin) = behind(script);
        let (got, said, sentence) = verdict_of(&proxy, GET);
        assert_eq!((got, &*said), (status, verdict), "{words}: {sentence}");
        assert!(sentence.starts_with(&format!("upstream api {} ", origin.address())), "{sentence}");
        assert!(sentence.contains(words), "{words}: {sentence}");
        proxy.process.logged(&format!("{status} {verdict}: upstream api {}", origin.address()), 1);
        assert_eq!(counted(proxy, &verdict[..4]), 1, "{words}");
    }
}

/// Faults behind the head: the answer is broken off, and the log knows why.
#[test]
fn faults_inside_the_answer() {
    let faults: [(&str, Script); 5] = [
        ("UTRU upstream/response-body", |c| {
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
        }),
        ("UTRU upstream/response-body", |c| {
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
            thread::sleep(Duration::from_millis(100));
            c.reset();
        }),
        ("USIL upstream/response-body", |c| {
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
            c.wait_for_end();
        }),
        ("UTRU upstream/response-body", |c| {
            c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n");
        }),
        ("UTRU upstream/response-body", |c| {
            c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        }),
    ];
    for (verdict, script) in faults {
        let (proxy, origin) = behind(script);
        let reply = Client::connect(proxy.address()).ask(GET);
        assert_eq!((reply.status, reply.complete), (200, false), "{verdict}");
        proxy.process.logged(&format!("{verdict}: upstream api {}", origin.address()), 1);
        proxy.process.logged("; the answer to the client was broken off (client ", 1);
        assert_eq!(counted(proxy, &verdict[..4]), 1, "{verdict}");
    }
}

/// A listener that takes no connection: its queue is full.
pub(crate) fn full() -> (socket2::Socket, Vec<socket2::Socket>, SocketAddr) {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    listener.listen(0).expect("listening");
    let address = listener.local_addr().expect("an address").as_socket().expect("an IP address");
    let waiting = (0..3).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_nonblocking(true).expect("a socket option");
        let _ = socket.connect(&address.into());
        socket
    });
    let waiting = waiting.collect();
    (listener, waiting, address)
}

/// No connection to a server, one way or another: status, verdict and the beginning of the sentence.
#[track_caller]
fn unreachable(proxy: Tollgate, status: u16, verdict: &str, words: &str) {
    let (got, said, sentence) = verdict_of(&proxy, GET);
    assert_eq!((got, &*said), (status, verdict), "{sentence}");
    assert!(sentence.starts_with(words), "{sentence}");
    proxy.process.logged(&format!("{status} {verdict}: {words}"), 1);
    assert_eq!(counted(proxy, &verdict[..4]), 1, "{verdict}");
}

#[test]
fn faults_of_reaching_a_server() {
    let short = format!("{SHORT}\nretry = {{ attempts = 1 }}");
    let nobody = closed_port();
    let refused = format!("upstream api {nobody}: the connection was refused");
    unreachable(proxy_with(&[nobody], &short), 502, "UREF upstream/connect", &refused);

    let (_listener, _waiting, address) = full();
    let late = format!("upstream api {address} did not accept");
    unreachable(proxy_with(&[address], &short), 504, "UCTO upstream/connect", &late);

    let upstream = |server: &str| {
        Tollgate::config(&format!(
            "[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"api\" }}\n[upstream.api]\nservers = [\"{server}\"]\n\
             timeouts = {{ connect = \"9s\" }}\n"
        ))
    };
    let unknown = "upstream api nowhere.invalid:80: the name could not be looked up";
    unreachable(upstream("nowhere.invalid:80"), 502, "UDNS upstream/connect", unknown);

    // What answers is no TLS.
    let plain = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = plain.local_addr().expect("an address");
    let answering = thread::spawn(move || {
        use std::io::{Read, Write};
        // Twice, since a try may be repeated.
        for stream in plain.incoming().take(2) {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let no_tls = format!("upstream api https://{address}");
    unreachable(upstream(&format!("https://{address}")), 502, "UTLS upstream/connect", &no_tls);
    drop(std::net::TcpStream::connect(address));
    let _ = answering.join();
}

#[test]
fn faults_of_an_upstream_as_a_whole() {
    // Its only server takes one request at a time, and has one.
    let origin = full_of_patience();
    let limited = format!(
        "[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"api\" }}\n[upstream.api]\n\
         servers = [{{ address = \"{}\", max_connections = 1 }}]\n",
        origin.address()
    );
    let proxy = Tollgate::config(&limited);
    let mut first = Client::connect(proxy.address());
    first.send(GET);
    tests::eventually("the first is under way", || origin.seen_text(), |seen| seen.contains("\r\n\r\n"));
    let (reply, verdict) = (Client::connect(proxy.address()).ask(GET), "UNON upstream/connect: upstream api has ");
    assert!(reply.status == 503 && reply.field("retry-after").is_some(), "{}", reply.head);
    assert!(reply.field("tollgate-reason").is_some_and(|reason| reason.starts_with(verdict)), "{}", reply.head);
    proxy.process.logged(&format!("503 {verdict}"), 1);
    first.reset();
    assert_eq!(counted(proxy, "UNON"), 1);
}

/// A client is told what it did wrong.
#[test]
fn faults_of_a_client() {
    let origin = Origin::answering(tests::answer("200 OK", "ok"));
    let proxy = Tollgate::config(&format!(
        "[[route]]\npath = \"/exact\"\nmethods = [\"GET\"]\nproxy = {{ upstream = \"api\" }}\n\
         [[route]]\npath = \"/slow\"\ntimeout = \"200ms\"\nproxy = {{ upstream = \"stuck\" }}\n\
         [[route]]\npath = \"/up\"\nbody_bytes = \"4B\"\nproxy = {{ upstream = \"api\" }}\n\
         [upstream.api]\nservers = [\"{}\"]\n[upstream.stuck]\nservers = [\"{}\"]\n\
         [timeouts]\nheader = \"300ms\"\nbody = \"300ms\"\n",
        origin.address(),
        full_of_patience().address()
    ));
    let faults = [
        ("GET / HTTP/1.1\r\n\r\n", 400, "CBAD client/request-head"),
        ("GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "CBAD client/request-head"),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "CBAD client/request-head"),
        ("GET / HTTP/1.1\r\nHos", 408, "CHTO client/request-head"),
        ("GET /other HTTP/1.1\r\nHost: a\r\n\r\n", 404, "CNRT client/route"),
        ("GET /../exact HTTP/1.1\r\nHost: a\r\n\r\n", 400, "CPTH client/route"),
        ("PUT /exact HTTP/1.1\r\nHost: a\r\n\r\n", 405, "CMTH client/route"),
        ("PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 413, "CBIG client/request-body"),
        ("PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nhel", 408, "CBTO client/request-body"),
        ("PUT /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "CBRK client/request-body"),
        ("\x16\x03\x01\x00\x05hello\r\n\r\n", 400, "CTLS client/handshake"),
        ("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n", 504, "LXTO local/response-body"),
    ];
    for (request, status, verdict) in faults {
        let (got, said, sentence) = verdict_of(&proxy, request);
        assert_eq!((got, &*said), (status, verdict), "{request:?}: {sentence}");
    }
    proxy.process.logged("504 LXTO local/response-body: ", 1);
    // What clients do wrong is counted, not logged.
    assert!(!proxy.process.log().contains(" client/"), "{}", proxy.process.log());
    assert_eq!(counted(proxy, "CBAD"), 3);
}

/// Whose time it was that the route's timeout ended, and how far things were: in the log, and no client's business.
#[test]
fn an_exchange_that_takes_too_long_names_server_and_limit() {
    let stuck = full_of_patience().address();
    let slow = Origin::start(|connection, _| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nsome");
        connection.wait_for_end();
    });
    let (_listener, _waiting, full) = full();
    let config = |reason: bool| {
        let route = |path: &str, more: &str| {
            format!("[[route]]\npath = \"/{path}\"\ntimeout = \"300ms\"\nproxy = {{ upstream = \"{path}\" }}\n{more}\n")
        };
        let upstream = |name: &str, server: SocketAddr| format!("[upstream.{name}]\nservers = [\"{server}\"]\n");
        format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\nreason = {reason}\n{}{}{}{}{}{}{}{}",
            route("stuck", ""),
            route("slow", ""),
            route("full", ""),
            route("read", "buffer_request = true\nbody_bytes = \"1KiB\""),
            upstream("stuck", stuck),
            upstream("slow", slow.address()),
            upstream("full", full),
            upstream("read", stuck),
        )
    };
    let proxy = Tollgate::config(&config(true));
    let get = |path: &str| format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let put = |path: &str| format!("PUT /{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
    let over = "when the route's timeout of 300ms was over";
    for (request, sentence) in [
        (get("stuck"), format!("upstream stuck {stuck} had the request but had not answered it {over}")),
        (put("stuck"), format!("upstream stuck {stuck} had not all of the request from the client {over}")),
        (get("full"), format!("upstream full {full} was not connected to {over}")),
        (put("read"), format!("upstream read was not asked: the body was not complete {over}")),
    ] {
        assert_eq!(
            verdict_of(&proxy, &request),
            (504, "LXTO local/response-body".into(), sentence.clone()),
            "{request}"
        );
        proxy.process.logged(&format!("504 LXTO local/response-body: {sentence} (client 127.0.0.1"), 1);
    }
    let mut client = Client::connect(proxy.address());
    client.send(get("slow"));
    assert!(client.read_to_end().0.ends_with(b"some"));
    let slow = slow.address();
    proxy
        .process
        .logged(&format!("upstream slow {slow} had not sent all of its answer, or the client not read it, {over}"), 1);
    let public = Tollgate::config(&config(false));
    let reply = Client::connect(public.address()).ask(get("stuck"));
    assert!(reply.status == 504 && !reply.text().contains("stuck"), "{}", reply.text());
    public.process.logged(&stuck.to_string(), 1);
}

/// The client has what it was to have; who runs the server has to learn of the rest.
#[test]
fn an_answer_that_is_longer_than_declared_is_told_of() {
    for (extra, delay) in [("more", false), ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", false), ("late", true)]
    {
        let origin = Origin::start(move |connection, _| {
            while connection.request().is_some() {
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
                match delay {
                    false => connection.send(format!("{answer}{extra}")),
                    true => {
                        connection.send(answer) && {
                            thread::sleep(Duration::from_millis(100));
                            connection.send(extra)
                        }
                    }
                };
            }
        });
        let proxy = proxy_with(&[origin.address()], "");
        let reply = Client::connect(proxy.address()).get("/");
        assert_eq!((reply.status, reply.text(), reply.complete), (200, "hello".into(), true));
        let server = origin.address();
        let what =
            if delay { "sent more behind".into() } else { format!("sent at least {} bytes behind", extra.len()) };
        proxy
            .process
            .logged(&format!("UEXC upstream/response-body: upstream api {server} {what} the end of its answer"), 1);
        assert_eq!(counted(proxy, "UEXC"), 1, "{extra}");
    }
}

/// Who does so does it with each answer: all are counted, one a minute is told.
#[test]
fn a_flood_of_answers_longer_than_declared_does_not_fill_the_log() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\n");
    let proxy = proxy_with(&[origin.address()], "");
    let mut client = Client::connect(proxy.address());
    (0..50).for_each(|_| assert_eq!(client.get("/").text(), "hello"));
    proxy.process.logged("sent at least 1 byte behind the end of its answer", 1);
    let log = proxy.process.log();
    assert_eq!(log.matches("UEXC upstream").count(), 1, "{log}");
    assert!(log.contains("was closed (more of the kind within a minute are counted only)"), "{log}");
    assert_eq!(counted(proxy, "UEXC"), 50);
}

/// A server that closes an idle connection, with a word why or without, has done nothing wrong.
#[test]
fn the_end_of_an_idle_connection_is_no_excess() {
    for last in ["", "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"] {
        let origin = Origin::start(move |connection, _| {
            connection.request();
            connection.send(tests::answer("200 OK", "ok"));
            thread::sleep(Duration::from_millis(50));
            connection.send(last);
            connection.end();
        });
        let proxy = proxy_with(&[origin.address()], "");
        assert_eq!(Client::connect(proxy.address()).get("/").text(), "ok");
        thread::sleep(Duration::from_millis(1_300));
        assert_eq!(Client::connect(proxy.address()).get("/").text(), "ok");
        assert!(!proxy.process.log().contains("UEXC"), "{}", proxy.process.log());
    }
}

/// Takes connections and says nothing for the rest of the process.
fn full_of_patience() -> &'static Origin {
    Box::leak(Box::new(Origin::start(|connection, _| {
        connection.wait_for_end();
    })))
}

#[test]
fn a_public_listener_keeps_its_servers_to_itself() {
    let nobody = closed_port();
    let proxy = Tollgate::config(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n\n[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"api\" }}\n\n\
         [upstream.api]\nservers = [\"{nobody}\"]\nretry = {{ attempts = 1 }}\n"
    ));
    let reply = Client::connect(proxy.address()).get("/");
    assert_eq!((reply.status, reply.field("tollgate-reason")), (502, None));
    assert!(!reply.text().contains(&nobody.to_string()) && !reply.text().contains("api"), "{}", reply.text());
    proxy.process.logged(&format!("502 UREF upstream/connect: upstream api {nobody}"), 1);
}

#[test]
fn a_reload_changes_who_is_told() {
    let text = |reason: bool| {
        format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\nreason = {reason}\n\n[[route]]\npath = \"/only\"\nrespond = {{ body = \"x\" }}\n"
        )
    };
    let mut proxy = Tollgate::config(&text(false));
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").field("tollgate-reason"), None);
    proxy.reload(&text(true));
    assert!(client.get("/").field("tollgate-reason").expect("a reason").starts_with("CNRT client/route: "));
}
