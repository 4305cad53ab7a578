//! Which connection a request goes over, and which ones are kept.

mod common;

use std::time::Duration;

use event_loop::spawn;
use net::memory::Weather;
use upstream::{KeepAlive, Options};

use common::{A, B, GET, OK, Origin, client, proxying, proxying_in, to_servers};

#[test]
fn requests_take_turns_over_kept_connections() {
    for seed in 0..10 {
        let latency = Duration::from_millis(seed % 3 * 5);
        proxying_in(Weather { split_seed: seed, latency, ..Weather::default() }, to_servers(&[A, B]), async |world| {
            for server in [A, B] {
                let origin = Origin::listen(server);
                spawn(async move {
                    let mut end = origin.accept().await;
                    for _ in 0..5 {
                        end.until("\r\n\r\n").await;
                        end.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{server:04}")).await;
                    }
                    assert_eq!(end.rest().await.unwrap(), "");
                });
            }
            let mut client = client();
            for i in 0..10 {
                client.send(GET).await;
                client.until(if i % 2 == 0 { "\r\n\r\n0010" } else { "\r\n\r\n0011" }).await;
            }
            assert_eq!((world.connects(), world.reused(), world.retries()), (2, 8, 0));
            assert_eq!(world.idle(), [1, 1]);
        });
    }
}

#[test]
fn bytes_behind_an_answer_are_never_the_next_one() {
    proxying(to_servers(&[A]), async |world| {
        let origin = Origin::listen(A);
        let mut client = client();
        client.send(GET).await;
        let mut end = origin.answer(&format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")).await;
        client.until("\r\n\r\nok").await;
        assert!(end.is_over().await);
        client.send(GET).await;
        // Here they come later, when the connection is idle already.
        let end = origin.answer(OK).await;
        client.until("\r\n\r\nok").await;
        assert_eq!(world.idle(), [1]);
        end.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await;
        client.send(GET).await;
        let _end = origin.answer(OK).await;
        client.until("\r\n\r\nok").await;
        assert_eq!((world.connects(), world.retries()), (3, 0));
    });
}

#[test]
fn a_server_that_says_close_is_believed() {
    proxying(to_servers(&[A]), async |world| {
        let origin = Origin::listen(A);
        for answer in ["HTTP/1.1 200 OK\r\nConnection: close\r\n", "HTTP/1.0 200 OK\r\n"] {
            let mut client = client();
            client.send(GET).await;
            let mut end = origin.answer(&format!("{answer}Content-Length: 2\r\n\r\nok")).await;
            let answer = client.until("\r\n\r\nok").await;
            assert!(!answer.contains("Connection"), "it is the server's connection that closes: {answer}");
            assert!(end.is_over().await);
            assert_eq!(world.idle(), [0]);
        }
    });
}

#[test]
fn no_connection_is_kept_where_none_shall_be() {
    let keep_alive = KeepAlive { idle: 0, ..to_servers(&[]).keep_alive };
    proxying(Options { keep_alive, ..to_servers(&[A]) }, async |world| {
        let origin = Origin::listen(A);
        let mut client = client();
        for _ in 0..3 {
            client.send(GET).await;
            let mut end = origin.answer(OK).await;
            client.until("\r\n\r\nok").await;
            assert!(end.is_over().await);
        }
        assert_eq!((world.connects(), world.reused()), (3, 0));
    });
}
