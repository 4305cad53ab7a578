//! Whole connections over in-memory streams and virtual time: the rules of DESIGN "Rules of a connection".

mod common;

use std::future::poll_fn;
use std::io::ErrorKind;
use std::time::Duration;

use event_loop::{now, sleep};
use net::Transport;
use net::memory::Weather;
use observe::Kind;
use serve::{Settings, Timeouts};

use common::{PANICKED, TestClient, serving, serving_with};

const HELLO: &str = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";

fn fair() -> Weather {
    Weather::default()
}

#[test]
fn requests_are_answered_one_after_another_in_any_weather() {
    for seed in 0..30 {
        let weather = Weather { split_seed: seed, latency: Duration::from_millis(seed % 4 * 10), ..fair() };
        serving(weather, async |context, _| {
            let mut client = TestClient::connect();
            for _ in 0..3 {
                client.send(HELLO).await;
                let answer = client.until("hello").await;
                assert!(
                    answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("Content-Length: 5\r\n"),
                    "{answer}"
                );
            }
            assert_eq!(context.counters().requests.value(), 3);
        });
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    serving(fair(), async |_, _| {
        let mut client = TestClient::connect();
        let echo = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n";
        client.send(format!("{HELLO}{echo}{HELLO}")).await;
        let answer = client.until("one\r\n0\r\n\r\nHTTP/1.1 200 OK").await;
        let order: Vec<usize> = ["hello", "one"].iter().map(|t| answer.find(t).unwrap()).collect();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && order.is_sorted(), "{answer}");
    });
}

#[test]
fn thousands_of_pipelined_requests_do_not_pile_up_answers() {
    serving(fair(), async |context, _| {
        let client = TestClient::connect();
        let requests = HELLO.repeat(3000);
        // The client sends without reading until nothing goes any more.
        let mut sent = 0;
        while let Some(n) = event_loop::within(
            now().after(Duration::from_secs(1)),
            poll_fn(|cx| client.stream.poll_write(cx, &[std::io::IoSlice::new(&requests.as_bytes()[sent..])], false)),
        )
        .await
        {
            sent += n.unwrap();
            if sent == requests.len() {
                break;
            }
        }
        assert!(context.counters().requests.value() < 2500, "parsing must stop while answers wait");
        assert!(buf::stats().leased_bytes < 512 << 10);
        let complete = sent / HELLO.len();
        let mut client = client;
        client
            .read_until(|got| got.ends_with(b"hello") && got.windows(5).filter(|w| w == b"hello").count() == complete)
            .await
            .unwrap();
    });
}

#[test]
fn an_idle_connection_holds_no_buffer_and_is_closed_after_its_time() {
    serving(fair(), async |_, _| {
        let mut client = TestClient::connect();
        client.send(HELLO).await;
        client.until("hello").await;
        sleep(Duration::from_secs(60)).await;
        assert_eq!(buf::stats().leased, 0);
        let begun = now();
        assert_eq!(client.rest().await.unwrap(), "");
        assert_eq!(now().since(begun), Duration::from_secs(15));
    });
}

#[test]
fn the_time_for_idling_does_not_run_into_a_request() {
    serving(fair(), async |_, _| {
        let mut client = TestClient::connect();
        client.send(HELLO).await;
        client.until("hello").await;
        sleep(Duration::from_secs(74)).await;
        client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.until("slow").await;
        sleep(Duration::from_secs(74)).await;
        client.send(HELLO).await;
        client.until("hello").await;
    });
}

#[test]
fn a_half_close_behind_a_request_is_answered_in_full() {
    for seed in 0..10 {
        serving(Weather { split_seed: seed, ..fair() }, async |_, _| {
            let mut client = TestClient::connect();
            client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n").await;
            client.stream.shutdown_write().unwrap();
            let all = client.rest().await.unwrap();
            assert!(all.ends_with("xxx") && all.len() > 10 << 20);
        });
    }
}

#[test]
fn an_end_inside_a_request_is_refused() {
    serving(fair(), async |context, _| {
        let mut client = TestClient::connect();
        client.send("GET /hello HTTP/1.1\r\nHos").await;
        client.stream.shutdown_write().unwrap();
        assert!(client.rest().await.unwrap().starts_with("HTTP/1.1 400 "));
        let mut client = TestClient::connect();
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").await;
        client.stream.shutdown_write().unwrap();
        assert!(client.rest().await.unwrap().starts_with("HTTP/1.1 400 "));
        assert_eq!(*context.site().failures.borrow(), [Kind::BadRequest, Kind::BodyBroken]);
    });
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let settings = Settings { body_bytes: 1000, ..Settings::default() };
    for seed in 0..10 {
        serving_with(settings, Weather { split_seed: seed, ..fair() }, async |_, _| {
            let mut client = TestClient::connect();
            client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n").await;
            // The answer is out before the body is; closing at once would reset and destroy it.
            let _ = client.try_send(vec![b'b'; 50_000]).await;
            let answer = client.rest().await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("Connection: close"), "{answer}");
        });
    }
}

#[test]
fn too_much_of_a_chunked_body_is_refused_in_the_middle() {
    let settings = Settings { body_bytes: 1000, ..Settings::default() };
    serving_with(settings, fair(), async |_, _| {
        let mut client = TestClient::connect();
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        for _ in 0..3 {
            let _ = client.try_send(format!("1f4\r\n{}\r\n", "c".repeat(500))).await;
        }
        assert!(client.rest().await.unwrap().starts_with("HTTP/1.1 413 "));
    });
}

#[test]
fn an_early_answer_keeps_the_connection_when_little_is_left() {
    serving(fair(), async |_, _| {
        let mut client = TestClient::connect();
        client
            .send(format!("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n{}", "e".repeat(60_000)))
            .await;
        client.until("no need for a body").await;
        client.send(HELLO).await;
        client.until("hello").await;
        // More than 64 KiB left: the answer comes, then the close.
        client.send("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
        assert!(client.rest().await.unwrap().ends_with("no need for a body"));
    });
}

#[test]
fn a_client_that_waits_for_100_gets_it_when_the_body_is_wanted_only() {
    serving(fair(), async |_, _| {
        let mut client = TestClient::connect();
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").await;
        assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 100 Continue\r\n"));
        client.send("body").await;
        client.until("body").await;
        // Not wanted: the final answer at once; whether the body follows is unknown, so the connection ends.
        client.got.clear();
        client.send("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").await;
        let answer = client.rest().await.unwrap();
        assert!(!answer.contains("100 Continue") && answer.ends_with("no need for a body"), "{answer}");
    });
}

#[test]
fn silence_is_answered_with_408_or_a_close() {
    serving(fair(), async |context, _| {
        // Nothing sent at all: closed without a word.
        let begun = now();
        let mut client = TestClient::connect();
        assert_eq!(client.rest().await.unwrap(), "");
        assert_eq!(now().since(begun), Duration::from_secs(10));
        // Inside a head; the time runs from accept.
        let begun = now();
        let mut client = TestClient::connect();
        client.send("GET /").await;
        assert!(client.rest().await.unwrap().starts_with("HTTP/1.1 408 "));
        assert_eq!(now().since(begun).as_secs(), 10);
        // A later request: from its first byte, however it drips.
        let mut client = TestClient::connect();
        client.send(HELLO).await;
        client.until("hello").await;
        sleep(Duration::from_secs(30)).await;
        let begun = now();
        for byte in HELLO.bytes().take(9) {
            client.send([byte]).await;
            sleep(Duration::from_secs(1)).await;
        }
        assert!(client.rest().await.unwrap().starts_with("HTTP/1.1 408 "));
        assert_eq!(now().since(begun).as_secs(), 10);
        // Inside a body.
        let begun = now();
        let mut client = TestClient::connect();
        client
            .send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99000\r\n\r\n{}", "b".repeat(90_000)))
            .await;
        assert!(client.rest().await.unwrap().starts_with("HTTP/1.1 408 "));
        assert_eq!(now().since(begun).as_secs(), 30);
        use Kind::{BodyTimeout, HeadTimeout};
        assert_eq!(*context.site().failures.borrow(), [HeadTimeout, HeadTimeout, BodyTimeout]);
    });
}

#[test]
fn a_dripping_body_is_caught_by_the_minimum_rate() {
    serving(fair(), async |context, _| {
        let mut client = TestClient::connect();
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99000\r\n\r\n").await;
        let begun = now();
        while client.try_send("drip").await.is_ok() && now().since(begun) < Duration::from_secs(20) {
            sleep(Duration::from_secs(1)).await;
            if !context.site().failures.borrow().is_empty() {
                break;
            }
        }
        assert!(client.rest().await.unwrap().starts_with("HTTP/1.1 408 "));
        assert_eq!(*context.site().failures.borrow(), [Kind::TooSlow]);
        assert!(now().since(begun).as_secs() < 8);
    });
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    serving(fair(), async |context, _| {
        let client = TestClient::connect();
        client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n").await;
        sleep(Duration::from_secs(60)).await;
        assert_eq!(context.open(), 0);
        assert_eq!(context.site().failures.borrow().len(), 1);
    });
}

#[test]
fn a_client_that_vanishes_ends_its_exchange() {
    serving(fair(), async |context, _| {
        let client = TestClient::connect();
        client.send("GET /forever HTTP/1.1\r\nHost: a\r\n\r\n").await;
        sleep(Duration::from_secs(1)).await;
        client.stream.reset_on_close();
        drop(client);
        sleep(Duration::from_millis(10)).await;
        assert_eq!(context.open(), 0);
        assert_eq!(*context.site().failures.borrow(), [Kind::ClientGone]);
    });
}

#[test]
fn an_exchange_may_be_limited_as_a_whole() {
    serving(fair(), async |_, _| {
        let begun = now();
        let mut client = TestClient::connect();
        client.send("GET /forever HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 504 "));
        assert_eq!(now().since(begun).as_secs(), 20);
    });
}

#[test]
fn unfinished_answers_are_never_a_clean_end() {
    serving(fair(), async |context, _| {
        let mut client = TestClient::connect();
        client.send("GET /short HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = client.rest().await.unwrap_or_default();
        assert!(!answer.ends_with("hello!"));
        let mut client = TestClient::connect();
        client.send("GET /panic HTTP/1.0\r\n\r\n").await;
        assert_eq!(client.rest().await.unwrap(), "");
        let mut client = TestClient::connect();
        client.send("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(client.rest().await.unwrap().starts_with("HTTP/1.1 500 "));
        assert_eq!(*context.site().failures.borrow(), [Kind::Internal, Kind::Internal]);
        drop(client);
        // Longer than the first of them lingers for its client to close.
        sleep(Duration::from_secs(3)).await;
        assert_eq!((context.open(), event_loop::stats().panics), (0, 1));
        let cut_off = PANICKED.take();
        assert!(matches!(&cut_off[..], [client] if client.starts_with("client memory:")), "{cut_off:?}");
    });
}

#[test]
fn pipelined_requests_have_one_file_open_at_a_time() {
    serving(fair(), async |_, _| {
        let mut client = TestClient::connect();
        client.send(&"GET /byte-of-a-file HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20)).await;
        for _ in 0..20 {
            assert!(client.until("\r\n\r\nf").await.starts_with("HTTP/1.1 200 OK\r\n"));
        }
    });
}

#[test]
fn half_an_answer_is_never_a_clean_end_where_its_task_is_gone() {
    serving(fair(), async |_, _| {
        // Delimited by close: only a reset tells.
        let mut client = TestClient::connect();
        client.send("GET /half-and-panic HTTP/1.0\r\n\r\n").await;
        client.until("half").await;
        assert_eq!(client.rest().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let mut client = TestClient::connect();
        client.send("GET /half-and-panic HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.until("half\r\n").await;
        assert_eq!(client.rest().await.unwrap(), "", "no last chunk");
        // All of it is there, but has not been written.
        let mut client = TestClient::connect();
        client.send("GET /whole-and-panic HTTP/1.0\r\n\r\n").await;
        assert_eq!(client.rest().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(event_loop::stats().panics, 3);
    });
}

#[test]
fn files_go_out_whole() {
    for seed in 0..5 {
        serving(Weather { split_seed: seed, ..fair() }, async |_, _| {
            let mut client = TestClient::connect();
            client.send("GET /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
            let all = client.rest().await.unwrap();
            assert_eq!(all.matches('f').count(), 100_000);
        });
    }
}

#[test]
fn a_drain_answers_what_is_under_way_and_spares_idle_connections_for_a_moment() {
    serving(fair(), async |context, stop| {
        let mut slow = TestClient::connect();
        slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut used = TestClient::connect();
        let mut unused = TestClient::connect();
        for client in [&mut used, &mut unused] {
            client.send(HELLO).await;
            client.until("hello").await;
        }
        sleep(Duration::from_secs(1)).await;
        // Queued, but not accepted yet: served as well.
        let mut queued = TestClient::connect();
        queued.send(HELLO).await;
        stop.raise();
        context.drain();
        let begun = now();
        sleep(Duration::from_secs(1)).await;
        used.send(HELLO).await;
        for (client, body) in [(&mut used, "hello"), (&mut queued, "hello"), (&mut slow, "slow")] {
            let answer = client.rest().await.unwrap();
            assert!(answer.ends_with(body) && answer.contains("Connection: close\r\n"), "{answer}");
        }
        assert_eq!(unused.rest().await.unwrap(), "");
        assert_eq!(now().since(begun), Duration::from_secs(5));
        assert_eq!(net::memory::connect(common::SERVER).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

/// A client that goes on sending what nobody reads: its connection lingers, for 1 s at most once the worker stops.
#[test]
fn a_stop_cuts_a_lingering_close_short() {
    for lingers_before in [true, false] {
        serving(fair(), async |context, stop| {
            let mut client = TestClient::connect();
            client.send("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
            if lingers_before {
                client.until("\r\n\r\n").await;
            }
            stop.raise();
            context.drain();
            let begun = now();
            // One that came before the stop is taken in still.
            sleep(Duration::from_millis(1)).await;
            assert_eq!(context.open(), 1);
            let drips = async {
                while client.try_send("x").await.is_ok() {
                    sleep(Duration::from_millis(100)).await;
                }
            };
            let emptied = event_loop::race(context.empty(), async {
                drips.await;
                std::future::pending().await
            });
            event_loop::within(now().after(Duration::from_secs(60)), emptied).await.expect("it stops");
            assert_eq!(now().since(begun), Duration::from_secs(1), "{lingers_before}");
        });
    }
}

#[test]
fn too_many_connections_are_refused_and_counted() {
    serving(fair(), async |context, _| {
        context.set_max_connections(1);
        let mut first = TestClient::connect();
        first.send(HELLO).await;
        first.until("hello").await;
        let mut second = TestClient::connect();
        assert_eq!(second.rest().await.unwrap(), "");
        assert_eq!(context.counters().over_limit.value(), 1);
        first.send(HELLO).await;
        first.until("hello").await;
    });
}

#[test]
fn other_timeouts_are_kept_as_they_are_set() {
    let timeouts = Timeouts { idle: Duration::from_secs(3), ..Timeouts::default() };
    serving_with(Settings { timeouts, ..Settings::default() }, fair(), async |_, _| {
        let mut client = TestClient::connect();
        client.send(HELLO).await;
        client.until("hello").await;
        let begun = now();
        client.rest().await.unwrap();
        assert_eq!(now().since(begun), Duration::from_secs(3));
    });
}

#[test]
fn a_body_that_stops_after_its_exchange_failed_is_not_waited_for_long() {
    serving(fair(), async |context, _| {
        let begun = now();
        let mut client = TestClient::connect();
        client.send("POST /gives-up HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nten bytes.").await;
        assert!(client.rest().await.unwrap().starts_with("HTTP/1.1 502 "));
        assert!(now().since(begun) < Duration::from_secs(40));
        drop(client);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(context.open(), 0);
    });
}

#[test]
fn an_answer_does_not_wait_for_the_handler_of_the_next_request() {
    serving(fair(), async |_, _| {
        let begun = now();
        let mut client = TestClient::connect();
        client.send(format!("{HELLO}GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        client.until("hello").await;
        assert!(now().since(begun) < Duration::from_secs(1));
        client.until("slow").await;
    });
}

#[test]
fn a_long_queue_is_served_when_the_listener_stops() {
    serving(fair(), async |context, stop| {
        let mut clients: Vec<TestClient> = (0..400).map(|_| TestClient::connect()).collect();
        stop.raise();
        context.drain();
        for client in &clients {
            client.send(HELLO).await;
        }
        for client in &mut clients {
            assert!(client.rest().await.unwrap().ends_with("hello"));
        }
    });
}

/// What would have held the last request decides what the next one is read into.
#[test]
fn requests_of_all_sizes_follow_each_other() {
    for seed in 0..3 {
        let weather = Weather { split_seed: seed, ..fair() };
        serving(weather, async |_, _| {
            let mut client = TestClient::connect();
            for bytes in [10_000, 60_000, 65_536, 0, 69_000, 3, 65_536, 90_000] {
                let body: String = (0..bytes).map(|i| char::from(b'a' + (i % 23) as u8)).collect();
                let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n");
                client.send(format!("{head}{body}{HELLO}")).await;
                let answer = client.until("hello").await;
                let (_, echoed) = answer.split_once("\r\n\r\n").unwrap();
                let mut left = body.as_bytes();
                for line in echoed.split("\r\n").take_while(|line| !line.starts_with("HTTP/")) {
                    // Chunk sizes are no part of it, nor is the end.
                    if left.starts_with(line.as_bytes()) {
                        left = &left[line.len()..];
                    }
                }
                assert!(left.is_empty(), "{bytes} bytes: {} did not come back", left.len());
            }
        });
    }
}
