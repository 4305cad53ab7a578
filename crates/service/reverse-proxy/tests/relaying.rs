//! Requests on their way to a server and answers on their way back: framing, back-pressure, aborts, reuse.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use event_loop::{now, sleep, spawn};
use http1::Limits;
use net::Transport;
use net::memory::Weather;
use observe::Kind;

use common::{A, GET, OK, Origin, client, proxying, proxying_in, proxying_within, seconds_since, to_servers};

#[test]
fn a_request_is_rewritten_and_its_body_framed_anew() {
    proxying(to_servers(&[A]), async |_| {
        let origin = Origin::listen(A);
        let mut client = client();
        let head = "POST /a?b=c HTTP/1.1\r\nHost: site\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-End: 2\r\n";
        client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")).await;
        let mut end = origin.accept().await;
        let head = end.until("\r\n\r\n").await;
        assert!(head.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{head}");
        for there in ["Host: site\r\n", "X-End: 2\r\n", "Via: ", "X-Forwarded-For: 127.0.0.1\r\n", "chunked\r\n"] {
            assert!(head.contains(there), "{there:?} is missing: {head}");
        }
        assert!(!head.to_ascii_lowercase().contains("x-hop"), "{head}");
        let body = end.until("\r\n0\r\n\r\n").await;
        assert!(body.contains("abc") && body.contains("de") && !body.contains("x=y"), "{body}");
        end.send(OK).await;
        client.until("\r\n\r\nok").await;
    });
}

/// 64 MiB through the proxy and back at the same time, the client and then the origin slower than the other.
#[test]
fn a_huge_body_streams_both_ways_in_bounded_memory() {
    const PIECE: usize = 64 << 10;
    const PIECES: usize = 1024;
    proxying(to_servers(&[A]), async |_| {
        let origin = Origin::listen(A);
        let taken = Rc::new(Cell::new(0));
        let took = Rc::clone(&taken);
        spawn(async move {
            let mut end = origin.accept().await;
            end.until("\r\n\r\n").await;
            end.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PIECE * PIECES)).await;
            for i in 0..PIECES {
                let piece = end.exactly(PIECE).await;
                assert_eq!((piece[0], piece[PIECE - 1]), (i as u8, i as u8));
                took.set(took.get() + PIECE);
                if i % 256 == 0 {
                    sleep(Duration::from_secs(2)).await;
                }
                end.send(&piece).await;
            }
        });
        let client = Rc::new(client());
        let sender = Rc::clone(&client);
        spawn(async move {
            sender.send(format!("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", PIECE * PIECES)).await;
            for i in 0..PIECES {
                sender.send(vec![i as u8; PIECE]).await;
            }
        });
        // Nobody reads the answer: everything comes to a stop.
        sleep(Duration::from_secs(3)).await;
        let at = taken.get();
        assert!(at < 1 << 20, "the origin was fed {at} bytes although its answer went nowhere");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(taken.get(), at);
        let mut window = buf::ReadBuf::new(buf::Class::K16);
        let (mut head, mut got, mut leased_max) = (Vec::new(), 0_usize, 0);
        while got < PIECE * PIECES {
            let n = std::future::poll_fn(|cx| client.stream.poll_read(cx, &mut window)).await.unwrap();
            assert!(n > 0, "the answer ended early");
            let mut bytes = window.filled();
            if !head.ends_with(b"\r\n\r\n") {
                while !head.ends_with(b"\r\n\r\n") && !bytes.is_empty() {
                    head.push(bytes[0]);
                    bytes = &bytes[1..];
                }
            }
            if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
                let end = got + bytes.len() - 1;
                assert_eq!((*first, *last), ((got / PIECE) as u8, (end / PIECE) as u8), "bytes are out of place");
            }
            got += bytes.len();
            window.clear();
            leased_max = leased_max.max(buf::stats().leased_bytes);
        }
        assert!(leased_max <= 512 << 10, "{leased_max} bytes of buffers for one exchange");
    });
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    for seed in 0..5 {
        proxying_in(Weather { split_seed: seed, ..Weather::default() }, to_servers(&[A]), async |world| {
            let origin = Origin::listen(A);
            let mut client = client();
            client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
            client.send(vec![b'x'; 1000]).await;
            let mut end = origin.accept().await;
            end.until("\r\n\r\n").await;
            end.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!").await;
            end.stream.shutdown_write().unwrap();
            let answer = client.rest().await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("no!"), "{answer}");
            assert!(answer.contains("\r\nConnection: close\r\n"), "it is closed without a word: {answer}");
            // The upload that nobody wants any more is broken off at the origin as well.
            assert!(end.is_over().await);
            assert_eq!((world.idle(), world.failures()), (vec![0], vec![]));
        });
    }
}

/// Of a body in chunks nobody knows how much is left: one that was long already is expected to go on.
#[test]
fn the_close_behind_an_early_answer_is_announced() {
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for (framing, piece, pieces, closes) in [
        ("Transfer-Encoding: chunked", chunk.as_str(), 1, false),
        ("Transfer-Encoding: chunked", &chunk, 3, true),
        ("Content-Length: 70000", "x", 1, true),
        ("Content-Length: 70000", "xxxxx", 1100, false),
    ] {
        proxying(to_servers(&[A]), async |world| {
            let origin = Origin::listen(A);
            let mut client = client();
            client.send(format!("POST /a HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n")).await;
            client.send(piece.repeat(pieces)).await;
            let mut end = origin.accept().await;
            end.until("\r\n\r\n").await;
            end.exactly(piece.len() * pieces).await;
            end.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno!").await;
            let head = client.until("\r\n\r\n").await;
            assert_eq!(head.contains("\r\nConnection: close\r\n"), closes, "{framing} {pieces}: {head}");
            client.until("no!").await;
            assert_eq!(client.is_over().await, closes, "{framing} {pieces}");
            assert_eq!(world.failures(), []);
        });
    }
}

#[test]
fn a_long_body_in_chunks_that_has_ended_closes_nothing() {
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for last in ["0\r\n\r\n", "0\r\nX-Sum: 1\r\n\r\n"] {
        proxying(to_servers(&[A]), async |world| {
            let origin = Origin::listen(A);
            let mut client = client();
            client.send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            client.send(chunk.repeat(5)).await;
            client.send(last).await;
            let mut end = origin.accept().await;
            end.until("\r\n\r\n").await;
            end.until(last).await;
            end.send(OK).await;
            let answer = client.until("\r\n\r\nok").await;
            assert!(!answer.contains("Connection: close"), "{answer}");
            client.send(GET).await;
            end.until("\r\n\r\n").await;
            end.send(OK).await;
            client.until("\r\n\r\nok").await;
            assert_eq!(world.connects(), 1);
        });
    }
}

#[test]
fn an_answer_that_requires_an_upgrade_says_to_what() {
    proxying(to_servers(&[A]), async |_| {
        let origin = Origin::listen(A);
        let mut client = client();
        client.send(GET).await;
        let lines = "Upgrade: h2c, TLS/1.0\r\nConnection: Upgrade, x-hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nno";
        let mut end = origin.answer(&format!("HTTP/1.1 426 Upgrade Required\r\n{lines}")).await;
        let head = client.until("\r\n\r\n").await;
        client.until("no").await;
        assert!(head.contains("\r\nUpgrade: TLS/1.0\r\n") && head.contains("\r\nConnection: upgrade\r\n"), "{head}");
        assert!(!head.to_lowercase().contains("x-hop"), "{head}");
        // What it offers beside another answer is an offer to us.
        client.send(GET).await;
        end.until("\r\n\r\n").await;
        end.send("HTTP/1.1 200 OK\r\nUpgrade: h2\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok").await;
        let head = client.until("ok").await;
        assert!(!head.contains("pgrade"), "{head}");
    });
}

/// To an old client the body goes until the connection's end, and has no trailers; nor does it take any.
#[test]
fn trailers_are_announced_where_they_can_follow() {
    proxying(to_servers(&[A]), async |_| {
        let origin = Origin::listen(A);
        let answer =
            "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n";
        for (version, announced) in [("1.0", false), ("1.1", true)] {
            let mut client = client();
            client
                .send(format!("GET /a HTTP/{version}\r\nHost: a\r\nTE: trailers\r\nConnection: te, close\r\n\r\n"))
                .await;
            let mut end = origin.accept().await;
            let asked = end.until("\r\n\r\n").await;
            end.send(answer).await;
            let got = client.rest().await.unwrap();
            assert_eq!(got.contains("Trailer: X-Sum\r\n"), announced, "{got}");
            assert_eq!(got.contains("X-Sum: 1"), announced, "{got}");
            assert_eq!(asked.contains("TE: trailers\r\n"), announced, "{asked}");
        }
    });
}

#[test]
fn a_server_that_stops_reading_but_answers_is_heard() {
    proxying(to_servers(&[A]), async |_| {
        let origin = Origin::listen(A);
        let mut client = client();
        client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n").await;
        let mut end = origin.accept().await;
        end.until("\r\n\r\n").await;
        // Its queue is full of the upload when the answer comes.
        let _ = event_loop::within(now().after(Duration::from_secs(1)), client.send(vec![b'x'; 300_000])).await;
        end.send(OK).await;
        client.until("\r\n\r\nok").await;
    });
}

#[test]
fn a_client_that_vanishes_cancels_its_exchange() {
    proxying(to_servers(&[A]), async |world| {
        let origin = Origin::listen(A);
        // While the answer's head is awaited, and in the middle of the answer's body.
        for begin in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"] {
            let front = client();
            front.send(GET).await;
            let mut end = origin.accept().await;
            end.until("\r\n\r\n").await;
            end.send(begin).await;
            sleep(Duration::from_millis(10)).await;
            let begun = now();
            front.reset();
            assert!(end.is_over().await, "the origin's exchange goes on without a client");
            assert_eq!(seconds_since(begun), 0);
            assert_eq!((world.context.open(), world.failures()), (0, vec![Kind::ClientGone]));
        }
        // In the middle of its own body.
        let front = client();
        front.send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
        let mut end = origin.accept().await;
        end.until("abc").await;
        front.reset();
        let rest = end.rest().await.unwrap_or_default();
        assert!(!rest.contains("0\r\n"), "a body that was broken off looks complete: {rest:?}");
        assert_eq!((world.context.open(), world.failures()), (0, vec![Kind::ClientGone]));
    });
}

#[test]
fn a_half_close_behind_the_request_is_no_abort() {
    proxying(to_servers(&[A]), async |_| {
        let origin = Origin::listen(A);
        let mut client = client();
        client.send(GET).await;
        client.stream.shutdown_write().unwrap();
        let mut end = origin.accept().await;
        end.until("\r\n\r\n").await;
        sleep(Duration::from_secs(3)).await;
        end.send(OK).await;
        assert!(client.rest().await.unwrap().ends_with("\r\n\r\nok"));
    });
}

#[test]
fn an_answer_that_breaks_off_never_looks_complete() {
    let broken = [
        ("Content-Length: 10\r\n\r\nabc", true),
        ("Content-Length: 10\r\n\r\nabc", false),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", false),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", false),
        // Delimited by the connection's end, which a reset is not.
        ("\r\nabc", true),
    ];
    for version in ["1.0", "1.1"] {
        for (answer, reset) in broken {
            proxying(to_servers(&[A]), async |world| {
                let origin = Origin::listen(A);
                let mut client = client();
                client.send(format!("GET /a HTTP/{version}\r\nHost: a\r\n\r\n")).await;
                let end = origin.answer(&format!("HTTP/1.1 200 OK\r\n{answer}")).await;
                sleep(Duration::from_millis(10)).await;
                if reset {
                    end.reset();
                } else {
                    drop(end);
                }
                let ended = client.rest().await;
                let got = String::from_utf8_lossy(&client.got).into_owned();
                let unfinished = ended.is_err()
                    || got.is_empty()
                    || got.contains("Content-Length: 10\r\n")
                    || got.contains("chunked");
                assert!(unfinished && !got.ends_with("0\r\n\r\n"), "{version} {answer:?} {reset}: {got:?}");
                drop(client);
                sleep(Duration::from_millis(1)).await;
                assert_eq!((world.context.open(), world.idle()), (0, vec![0]));
                assert_eq!(world.failures().len(), 1);
            });
        }
    }
}

#[test]
fn an_answer_delimited_by_the_connections_end_is_given_an_end_of_its_own() {
    proxying(to_servers(&[A]), async |world| {
        let origin = Origin::listen(A);
        let mut front = client();
        for _ in 0..2 {
            front.send(GET).await;
            drop(origin.answer("HTTP/1.0 200 OK\r\n\r\nabc").await);
            let answer = front.until("\r\n0\r\n\r\n").await;
            assert!(answer.contains("Transfer-Encoding: chunked\r\n") && answer.contains("abc"), "{answer}");
        }
        assert_eq!(world.connects(), 2);
        let mut old = client();
        old.send("GET /a HTTP/1.0\r\n\r\n").await;
        drop(origin.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").await);
        let answer = old.rest().await.unwrap();
        assert!(answer.ends_with("\r\n\r\nabc") && !answer.contains("chunked"), "{answer}");
    });
}

#[test]
fn heads_that_are_too_large_with_what_is_added_are_refused() {
    let limits = Limits { header_bytes: 64 << 10, ..Limits::default() };
    proxying_within(limits, Weather::default(), to_servers(&[A]), async |world| {
        let origin = Origin::listen(A);
        let head = |line: &str, len: usize| {
            let begin = format!("{line}\r\nX: ");
            format!("{begin}{}\r\n\r\n", "v".repeat(len - begin.len() - 4))
        };
        // Who asked, and the way it came, take more than the 40 bytes that are left.
        let mut client = client();
        client.send(head("GET /a HTTP/1.1\r\nHost: site", (64 << 10) - 40)).await;
        let page = client.until("\n\n").await + &client.until("\n").await;
        assert!(page.starts_with("HTTP/1.1 431 "), "{page}");
        assert!(page.contains("larger than this proxy can pass on"), "{page}");
        assert!(origin.accept().await.is_over().await, "not a byte was for the server");
        assert_eq!(world.failures(), [Kind::BadRequest]);

        let mut client = common::client();
        client.send(GET).await;
        let answer = head("HTTP/1.1 200 OK\r\nContent-Length: 0", (64 << 10) - 40);
        let mut end = origin.answer(&answer).await;
        let page = client.until("\n\n").await + &client.until("\n").await;
        assert!(page.starts_with("HTTP/1.1 502 "), "{page}");
        assert!(
            page.contains("upstream api memory:10 sent header fields larger than this proxy can pass on"),
            "{page}"
        );
        assert!(end.is_over().await);
        assert_eq!(world.failures(), [Kind::UpstreamHeadTooLarge]);
        // The client did nothing wrong.
        client.send(GET).await;
        let _end = origin.answer(OK).await;
        assert!(client.until("ok").await.contains("HTTP/1.1 200 OK"));
    });
}

#[test]
fn broken_answers_are_502_and_their_connection_is_dropped() {
    let broken = [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Field: 1\r\n\r\n",
    ];
    proxying(to_servers(&[A]), async |world| {
        let origin = Origin::listen(A);
        for answer in broken {
            let mut client = client();
            client.send(GET).await;
            let mut end = origin.answer(answer).await;
            let page = client.until("\n\n").await + &client.until("\n").await;
            assert!(page.starts_with("HTTP/1.1 502 "), "{answer:?}: {page}");
            assert!(page.contains("upstream api memory:10 "), "{page}");
            assert!(!page.contains("Connection: close"), "the client did nothing wrong: {page}");
            assert!(end.is_over().await);
            assert_eq!(world.failures(), [Kind::UpstreamGarbage], "{answer:?}");
        }
    });
}

#[test]
fn interim_answers_pass_and_a_100_is_given_by_the_proxy() {
    proxying(to_servers(&[A]), async |_| {
        let origin = Origin::listen(A);
        let mut front = client();
        front.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
        assert_eq!(front.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        front.send("abc").await;
        let mut end = origin.accept().await;
        end.until("abc").await;
        end.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        end.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\nX: 1\r\n\r\n").await;
        let hints = front.until("\r\n\r\n").await;
        assert!(hints.starts_with("HTTP/1.1 103 ") && hints.contains("Link: </a.css>\r\n"), "{hints}");
        assert!(!hints.contains("X: 1"), "{hints}");
        end.send(OK).await;
        front.until("\r\n\r\nok").await;
        // An HTTP/1.0 client would take it for the answer.
        let mut old = client();
        old.send("GET /a HTTP/1.0\r\n\r\n").await;
        end.until("\r\n\r\n").await;
        end.send(format!("HTTP/1.1 103 Early Hints\r\n\r\n{OK}")).await;
        assert!(old.rest().await.unwrap().starts_with("HTTP/1.1 200 "));
    });
}

#[test]
fn trailers_pass_both_ways() {
    proxying(to_servers(&[A]), async |_| {
        let origin = Origin::listen(A);
        let mut client = client();
        client.send("POST /a HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        client.send("3\r\nabc\r\n0\r\nX-Sum: up\r\nContent-Length: 9\r\n\r\n").await;
        let mut end = origin.accept().await;
        end.until("\r\n\r\n").await;
        let body = end.until("\r\n\r\n").await;
        assert_eq!(body, "3\r\nabc\r\n0\r\nX-Sum: up\r\n\r\n");
        end.send("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        end.send("2\r\nok\r\n0\r\nX-Sum: down\r\n\r\n").await;
        client.until("\r\n\r\n").await;
        assert_eq!(client.until("\r\n\r\n").await, "2\r\nok\r\n0\r\nX-Sum: down\r\n\r\n");
    });
}

#[test]
fn answers_without_a_body_keep_both_connections() {
    let cases = [
        ("HEAD", "200 OK\r\nContent-Length: 1000", "Content-Length: 1000\r\n"),
        ("HEAD", "200 OK\r\nTransfer-Encoding: chunked", "HTTP/1.1 200 OK\r\n"),
        ("GET", "204 No Content", "HTTP/1.1 204 No Content\r\n"),
        ("GET", "304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 1000", "ETag: \"a\"\r\n"),
    ];
    proxying(to_servers(&[A]), async |world| {
        let origin = Origin::listen(A);
        let mut client = client();
        client.send(GET).await;
        let mut end = origin.answer(OK).await;
        client.until("\r\n\r\nok").await;
        for (method, answer, seen) in cases {
            client.send(format!("{method} /a HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            end.until("\r\n\r\n").await;
            end.send(format!("HTTP/1.1 {answer}\r\n\r\n")).await;
            let head = client.until("\r\n\r\n").await;
            assert!(head.contains(seen) && !head.contains("Connection: close"), "{head}");
        }
        client.send(GET).await;
        end.until("\r\n\r\n").await;
        end.send(OK).await;
        let last = client.until("ok").await;
        assert!(last.starts_with("HTTP/1.1 200 OK\r\n"), "{last}");
        assert_eq!((world.connects(), world.idle()), (1, vec![1]));
    });
}
