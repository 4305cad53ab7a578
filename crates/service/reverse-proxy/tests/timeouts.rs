//! The waits on a server, to the second.

mod common;

use std::time::Duration;

use event_loop::{now, sleep};
use net::memory;
use observe::Kind;
use upstream::{Options, Target};

use common::{A, B, GET, OK, Origin, client, get, proxying, retry, seconds_since, sentence, to_servers};

#[test]
fn a_server_that_accepts_no_connection_is_a_504() {
    proxying(Options { retry: retry(1, &["connect"]), ..to_servers(&[A]) }, async |world| {
        let _origin = Origin::listen(A);
        memory::set_silent(A, true);
        let begun = now();
        let page = get().await.unwrap();
        assert!(page.starts_with("HTTP/1.1 504 "), "{page}");
        assert_eq!(sentence(&page), "upstream api memory:10 did not accept a connection within 2s");
        assert_eq!((seconds_since(begun), world.failures()), (2, vec![Kind::ConnectTimeout]));
    });
}

#[test]
fn another_server_is_asked_when_one_accepts_no_connection() {
    proxying(to_servers(&[A, B]), async |world| {
        let (_a, b) = (Origin::listen(A), Origin::listen(B));
        memory::set_silent(A, true);
        let begun = now();
        let mut client = client();
        client.send(GET).await;
        let _end = b.answer(OK).await;
        client.until("\r\n\r\nok").await;
        assert_eq!((seconds_since(begun), world.retries(), world.failures()), (2, 1, vec![]));
    });
}

#[test]
fn a_client_that_vanishes_ends_an_attempt_to_connect() {
    proxying(to_servers(&[A]), async |world| {
        memory::set_silent(A, true);
        let client = client();
        client.send(GET).await;
        sleep(Duration::from_secs(1)).await;
        client.reset();
        sleep(Duration::from_millis(1)).await;
        assert_eq!((world.context.open(), world.failures()), (0, vec![Kind::ClientGone]));
    });
}

#[test]
fn a_server_without_an_answer_is_a_504() {
    proxying(to_servers(&[A, B]), async |world| {
        let (a, _b) = (Origin::listen(A), Origin::listen(B));
        let mut client = client();
        client.send(GET).await;
        let mut end = a.accept().await;
        end.until("\r\n\r\n").await;
        let begun = now();
        let page = client.until("\n\n").await + &client.until("\n").await;
        assert!(page.starts_with("HTTP/1.1 504 ") && !page.contains("Connection: close"), "{page}");
        let told = "upstream api memory:10 accepted the connection but sent no response head within 5s\n";
        assert!(page.ends_with(told), "{page}");
        assert_eq!((seconds_since(begun), world.failures()), (5, vec![Kind::UpstreamTimeout]));
        assert!(end.is_over().await);
        // It took the request; whether it acts on it is not known, so nobody else was asked.
        assert_eq!(world.retries(), 0);
    });
}

#[test]
fn a_head_that_drips_is_no_answer_in_time() {
    proxying(to_servers(&[A]), async |world| {
        let origin = Origin::listen(A);
        let mut client = client();
        client.send(GET).await;
        let begun = now();
        let end = origin.answer("HTTP/1.1 200 OK\r\nX: ").await;
        while end.try_send("y").await.is_ok() && seconds_since(begun) < 20 {
            sleep(Duration::from_secs(1)).await;
        }
        let page = client.until("\n\n").await + &client.until("\n").await;
        assert!(page.starts_with("HTTP/1.1 504 "), "{page}");
        let told = "upstream api memory:10 sent 25 bytes of a response head, but not all of it, within 5s\n";
        assert!(page.ends_with(told), "{page}");
        assert!(seconds_since(begun) <= 6, "the head may take 5 s as a whole, not each byte of it");
        assert_eq!(world.failures(), [Kind::UpstreamTimeout]);
    });
}

#[test]
fn interim_answers_are_signs_of_life() {
    proxying(to_servers(&[A]), async |_| {
        let origin = Origin::listen(A);
        let mut client = client();
        client.send(GET).await;
        let mut end = origin.accept().await;
        end.until("\r\n\r\n").await;
        for _ in 0..4 {
            sleep(Duration::from_secs(3)).await;
            end.send("HTTP/1.1 102 Processing\r\n\r\n").await;
        }
        sleep(Duration::from_secs(3)).await;
        end.send(OK).await;
        client.until("\r\n\r\nok").await;
    });
}

#[test]
fn a_listed_timeout_is_tried_elsewhere() {
    proxying(Options { retry: retry(2, &["timeout"]), ..to_servers(&[A, B]) }, async |world| {
        let (_a, b) = (Origin::listen(A), Origin::listen(B));
        let mut client = client();
        client.send(GET).await;
        let begun = now();
        let _end = b.answer(OK).await;
        client.until("\r\n\r\nok").await;
        assert_eq!((seconds_since(begun), world.retries()), (5, 1));
    });
}

#[test]
fn a_body_that_falls_silent_is_broken_off() {
    proxying(to_servers(&[A]), async |world| {
        let origin = Origin::listen(A);
        let mut client = client();
        client.send(GET).await;
        let mut end = origin.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
        client.until("abc\r\n").await;
        let begun = now();
        let rest = client.rest().await.unwrap_or_default();
        assert_eq!((rest.as_str(), seconds_since(begun)), ("", 4));
        assert!(end.is_over().await);
        assert_eq!(world.failures(), [Kind::UpstreamSilent]);
    });
}

#[test]
fn a_body_that_drips_is_no_silence() {
    proxying(to_servers(&[A]), async |world| {
        let origin = Origin::listen(A);
        let mut client = client();
        client.send(GET).await;
        let end = origin.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").await;
        for _ in 0..10 {
            sleep(Duration::from_secs(3)).await;
            end.send("x").await;
        }
        client.until("\r\n\r\nxxxxxxxxxx").await;
        assert_eq!(world.failures(), []);
    });
}

#[test]
fn a_slow_client_is_not_the_servers_silence() {
    proxying(to_servers(&[A]), async |world| {
        let origin = Origin::listen(A);
        let mut client = client();
        client.send(GET).await;
        let end = origin.answer("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
        let (sent, read) = (end.send(vec![b'x'; 1_000_000]), async {
            // Longer than the server's timeout, shorter than the client's.
            sleep(Duration::from_secs(10)).await;
            client.until("\r\n\r\n").await;
            client.exactly(1_000_000).await
        });
        let both = event_loop::race(
            async {
                sent.await;
                std::future::pending().await
            },
            read,
        );
        assert_eq!(both.await.len(), 1_000_000);
        assert_eq!((world.failures(), world.idle()), (vec![], vec![1]));
    });
}

#[test]
fn a_server_that_reads_nothing_is_a_504() {
    proxying(to_servers(&[A]), async |world| {
        let origin = Origin::listen(A);
        let mut client = client();
        client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n").await;
        let begun = now();
        let _end = origin.accept().await;
        let _ = event_loop::within(now().after(Duration::from_secs(2)), client.send(vec![b'x'; 9_000_000])).await;
        assert!(client.until("\n\n").await.starts_with("HTTP/1.1 504 "));
        assert_eq!((seconds_since(begun), world.failures()), (4, vec![Kind::UpstreamSilent]));
    });
}

#[test]
fn a_slow_upload_is_not_the_servers_silence() {
    proxying(to_servers(&[A]), async |world| {
        let origin = Origin::listen(A);
        let mut client = client();
        client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\na").await;
        let mut end = origin.accept().await;
        end.until("\r\n\r\na").await;
        for byte in ["b", "c", "d"] {
            sleep(Duration::from_secs(8)).await;
            client.send(byte).await;
        }
        end.until("bcd").await;
        // Only now the wait for its answer begins.
        sleep(Duration::from_millis(4900)).await;
        end.send(OK).await;
        client.until("\r\n\r\nok").await;
        assert_eq!(world.failures(), []);
    });
}

/// In chunks, and of a length that would go through a pipe if the streams were sockets.
#[test]
fn a_client_that_pauses_behind_the_beginning_of_its_answer_is_not_the_servers_silence() {
    let bodies = [("Transfer-Encoding: chunked", "1\r\na\r\n", "1\r\nb\r\n0\r\n\r\n"), ("Content-Length: 2", "a", "b")];
    for (framing, first, last) in bodies {
        proxying(to_servers(&[A]), async |world| {
            let origin = Origin::listen(A);
            let mut client = client();
            client.send(format!("POST /a HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{first}")).await;
            let mut end = origin.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
            client.until("1\r\na\r\n").await;
            // Longer than the server may be silent, shorter than the client may.
            sleep(Duration::from_secs(20)).await;
            client.send(last).await;
            end.until("b").await;
            end.send("1\r\nb\r\n0\r\n\r\n").await;
            client.until("1\r\nb\r\n0\r\n\r\n").await;
            assert_eq!(world.failures(), []);
        });
    }
}

/// When it pauses for too long the verdict is its own; and a server that has all of the request and pauses is still found out.
#[test]
fn who_pauses_between_request_and_answer_is_told_by_name() {
    let begun = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
    for (body, kind, seconds) in [("a", Kind::BodyTimeout, 30), ("ab", Kind::UpstreamSilent, 4)] {
        proxying(to_servers(&[A]), async |world| {
            let origin = Origin::listen(A);
            let mut client = client();
            client.send(format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{body}")).await;
            let _end = origin.answer(begun).await;
            client.until("1\r\na\r\n").await;
            let since = now();
            assert_eq!(client.rest().await.unwrap_or_default(), "");
            assert_eq!((seconds_since(since), world.failures()), (seconds, vec![kind]));
        });
    }
}

#[test]
fn a_tunnel_that_is_silent_as_a_stop_begins_keeps_its_own_time() {
    let mut options = to_servers(&[A]);
    options.timeouts.tunnel = Duration::from_secs(60);
    proxying(options, async |world| {
        let origin = Origin::listen(A);
        let mut client = client();
        client.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n").await;
        let lines = "Connection: upgrade\r\nUpgrade: chat\r\n\r\n";
        let mut end = origin.answer(&format!("HTTP/1.1 101 Switching Protocols\r\n{lines}")).await;
        client.until("\r\n\r\n").await;
        world.context.drain();
        sleep(Duration::from_secs(30)).await;
        client.send("still there").await;
        end.until("still there").await;
        let begun = now();
        assert_eq!(client.rest().await.unwrap_or_default(), "");
        assert_eq!((seconds_since(begun), world.failures()), (60, vec![Kind::TunnelIdle]));
    });
}

#[test]
fn names_that_do_not_resolve_are_told() {
    let mut options = to_servers(&[A]);
    options.servers[0].target = Target::Name { host: "no such name".into(), port: 80 };
    options.retry = retry(1, &[]);
    proxying(options, async |world| {
        let page = get().await.unwrap();
        assert!(page.starts_with("HTTP/1.1 502 "), "{page}");
        let told = sentence(&page);
        assert!(told.starts_with("upstream api no such name:80: the name could not be looked up: "), "{told}");
        assert_eq!(world.failures(), [Kind::NameUnknown]);
    });
}
