//! What is tried again, where, and what the client is told when nothing helps.

mod common;

use std::time::Duration;

use balance::RetryPolicy;
use event_loop::{now, race, sleep};
use net::memory;
use observe::Kind;
use upstream::Options;

use common::{A, B, GET, OK, Origin, client, get, proxying, retry, sentence, to_servers};

const POST: &str = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";

#[test]
fn a_refused_request_goes_to_another_server_whatever_its_method() {
    for request in [GET, POST] {
        proxying(to_servers(&[A, B]), async |world| {
            let b = Origin::listen(B);
            let mut client = client();
            client.send(request).await;
            let _end = b.answer(OK).await;
            client.until("\r\n\r\nok").await;
            assert_eq!((world.connects(), world.retries(), world.failures()), (2, 1, vec![]));
        });
    }
}

#[test]
fn a_server_that_refuses_is_passed_over_for_a_while() {
    proxying(to_servers(&[A, B]), async |world| {
        let (_a, b) = (Origin::listen(A), Origin::listen(B));
        memory::set_refusing(A, true);
        let mut client = client();
        client.send(GET).await;
        let mut end = b.answer(OK).await;
        client.until("\r\n\r\nok").await;
        memory::set_refusing(A, false);
        for _ in 0..3 {
            client.send(GET).await;
            end.until("\r\n\r\n").await;
            end.send(OK).await;
            client.until("\r\n\r\nok").await;
        }
        assert_eq!((world.connects(), world.reused(), world.retries()), (2, 3, 1));
    });
}

#[test]
fn a_reset_before_the_answer_is_tried_on_another_server() {
    for closes in [true, false] {
        proxying(to_servers(&[A, B]), async |world| {
            let (a, b) = (Origin::listen(A), Origin::listen(B));
            let mut client = client();
            client.send(GET).await;
            let mut end = a.accept().await;
            end.until("\r\n\r\n").await;
            if closes {
                drop(end)
            } else {
                end.reset()
            };
            let _end = b.answer(OK).await;
            client.until("\r\n\r\nok").await;
            assert_eq!((world.retries(), world.failures()), (1, vec![]));
        });
    }
}

#[test]
fn what_is_not_idempotent_is_not_sent_twice() {
    proxying(to_servers(&[A, B]), async |world| {
        let (a, b) = (Origin::listen(A), Origin::listen(B));
        // Without a body to hold it back, too.
        for request in [POST, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"] {
            let mut client = client();
            client.send(request).await;
            let origin = if world.failures().is_empty() { &a } else { &b };
            let end = race(origin.accept(), b.accept());
            let mut end = end.await;
            end.until("\r\n\r\n").await;
            end.reset();
            let page = client.until("\n\n").await;
            assert!(page.starts_with("HTTP/1.1 502 "), "{page}");
        }
        assert_eq!((world.connects(), world.retries()), (2, 0));
        assert!(a.is_left_alone().await && b.is_left_alone().await);
    });
}

#[test]
fn all_methods_may_be_allowed_to_be_sent_twice() {
    let any = RetryPolicy { idempotent_only: false, ..RetryPolicy::default() };
    proxying(Options { retry: any, ..to_servers(&[A, B]) }, async |world| {
        let (a, b) = (Origin::listen(A), Origin::listen(B));
        let mut client = client();
        client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
        let mut end = a.accept().await;
        end.until("\r\n\r\n").await;
        end.reset();
        let _end = b.answer(OK).await;
        client.until("\r\n\r\nok").await;
        assert_eq!(world.retries(), 1);
    });
}

#[test]
fn a_body_that_is_gone_cannot_be_sent_again() {
    proxying(to_servers(&[A, B]), async |world| {
        let (a, b) = (Origin::listen(A), Origin::listen(B));
        let mut client = client();
        client.send(POST.replace("POST", "PUT")).await;
        let mut end = a.accept().await;
        end.until("abc").await;
        end.reset();
        assert!(client.until("\n\n").await.starts_with("HTTP/1.1 502 "));
        assert!(b.is_left_alone().await);
        assert_eq!((world.retries(), world.failures()), (0, vec![Kind::UpstreamReset]));
    });
}

#[test]
fn a_stale_connection_is_replaced_outside_the_attempts() {
    // One attempt and no budget: the fresh connection is part of neither.
    for dies_late in [false, true] {
        let once = RetryPolicy { budget: 0.0, ..retry(1, &["reset"]) };
        proxying(Options { retry: once, ..to_servers(&[A]) }, async |world| {
            let origin = Origin::listen(A);
            let mut client = client();
            client.send(GET).await;
            let mut end = origin.answer(OK).await;
            client.until("\r\n\r\nok").await;
            client.send(GET).await;
            if dies_late {
                // The request is there already when it closes: no byte of an answer all the same.
                end.until("\r\n\r\n").await;
            }
            end.reset();
            let mut end = origin.answer(OK).await;
            client.until("\r\n\r\nok").await;
            assert_eq!((world.connects(), world.retries(), world.failures()), (2, u64::from(dies_late), vec![]));
            // Only once: the fresh one is no stale one.
            client.send(GET).await;
            end.until("\r\n\r\n").await;
            end.reset();
            let mut end = origin.accept().await;
            end.until("\r\n\r\n").await;
            end.reset();
            let page = client.until("\n\n").await + &client.until("\n").await;
            assert!(page.starts_with("HTTP/1.1 502 "), "{page}");
            assert!(!page.contains("attempts"), "it was one attempt: {page}");
            assert!(origin.is_left_alone().await);
        });
    }
}

#[test]
fn a_byte_of_an_answer_is_no_stale_connection() {
    proxying(Options { retry: retry(1, &["reset"]), ..to_servers(&[A]) }, async |world| {
        let origin = Origin::listen(A);
        let mut client = client();
        client.send(GET).await;
        let mut end = origin.answer(OK).await;
        client.until("\r\n\r\nok").await;
        client.send(GET).await;
        end.until("\r\n\r\n").await;
        end.send("H").await;
        sleep(Duration::from_millis(1)).await;
        end.reset();
        assert!(client.until("\n\n").await.starts_with("HTTP/1.1 502 "));
        assert_eq!((world.connects(), world.failures()), (1, vec![Kind::UpstreamReset]));
    });
}

#[test]
fn a_listed_status_is_tried_elsewhere_and_passed_on_in_the_end() {
    let bad = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\nX-From: it\r\n\r\nsorry";
    let options = || Options { retry: retry(2, &["502"]), ..to_servers(&[A, B]) };
    proxying(options(), async |world| {
        let (a, b) = (Origin::listen(A), Origin::listen(B));
        let mut client = client();
        client.send(GET).await;
        let mut first = a.answer(bad).await;
        let _second = b.answer(OK).await;
        let answer = client.until("\r\n\r\nok").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(world.retries(), 1);
        assert!(first.is_over().await, "an answer that nobody read stays in no pool");
        assert_eq!(world.idle(), [0, 1]);
    });
    proxying(options(), async |world| {
        let (a, b) = (Origin::listen(A), Origin::listen(B));
        let mut client = client();
        client.send(GET).await;
        let _first = a.answer(bad).await;
        let _second = b.answer(bad).await;
        // The server's own answer, not a page of ours.
        let answer = client.until("sorry").await;
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("X-From: it\r\n"), "{answer}");
        assert_eq!((world.retries(), world.failures()), (1, vec![]));
    });
    // A status that is not listed, and a request that may not be repeated.
    for (request, status) in [(GET, "503"), ("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "502")] {
        proxying(options(), async |world| {
            let (a, b) = (Origin::listen(A), Origin::listen(B));
            let mut client = client();
            client.send(request).await;
            let _first = a.answer(&bad.replace("502", status)).await;
            assert!(client.until("sorry").await.starts_with(&format!("HTTP/1.1 {status} ")));
            assert!(b.is_left_alone().await);
            assert_eq!(world.retries(), 0);
        });
    }
}

#[test]
fn the_last_failure_is_told_with_the_number_of_attempts() {
    proxying(Options { retry: retry(3, &["reset"]), ..to_servers(&[A, B]) }, async |world| {
        let (a, b) = (Origin::listen(A), Origin::listen(B));
        let mut client = client();
        client.send(GET).await;
        for origin in [&a, &b, &a] {
            let mut end = origin.accept().await;
            end.until("\r\n\r\n").await;
            drop(end);
        }
        let page = client.until("\n\n").await + &client.until("\n").await;
        let told = "memory:10 closed the connection before it sent a byte of its answer; 3 attempts\n";
        assert!(page.starts_with("HTTP/1.1 502 ") && page.ends_with(told), "{page}");
        assert_eq!((world.connects(), world.retries()), (3, 2));
    });
}

#[test]
fn retries_have_a_budget() {
    let all_refused = Options { retry: RetryPolicy { budget: 0.1, ..RetryPolicy::default() }, ..to_servers(&[A, B]) };
    proxying(all_refused, async |world| {
        let begun = now();
        for _ in 0..100 {
            let page = get().await.unwrap();
            assert!(page.starts_with("HTTP/1.1 502 "), "{page}");
        }
        assert_eq!(now(), begun, "all within one instant");
        // 3 in a second however few requests there are, and a tenth of 100.
        assert_eq!(world.retries(), 10);
        let page = get().await.unwrap();
        assert!(!sentence(&page).contains("attempts"), "{page}");
        sleep(Duration::from_secs(30)).await;
        for _ in 0..20 {
            get().await.unwrap();
        }
        assert_eq!(world.retries(), 13);
    });
}

#[test]
fn nothing_is_sent_again_once_the_answer_has_begun() {
    proxying(Options { retry: retry(3, &["reset", "timeout"]), ..to_servers(&[A, B]) }, async |world| {
        let (a, b) = (Origin::listen(A), Origin::listen(B));
        let mut client = client();
        client.send(GET).await;
        let end = a.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
        client.until("abc").await;
        end.reset();
        assert_eq!(client.rest().await.unwrap_or_default(), "");
        assert!(b.is_left_alone().await);
        assert_eq!((world.retries(), world.failures()), (0, vec![Kind::UpstreamTruncated]));
    });
}

#[test]
fn nobody_listens_anywhere() {
    proxying(to_servers(&[A, B]), async |world| {
        let page = get().await.unwrap();
        assert!(page.starts_with("HTTP/1.1 502 "), "{page}");
        let told = sentence(&page);
        assert!(told.ends_with("the connection was refused; nothing listens there; 2 attempts"), "{told}");
        assert!(told.starts_with("upstream api memory:1"), "{told}");
        assert_eq!(world.failures(), [Kind::ConnectFailed]);
    });
}
