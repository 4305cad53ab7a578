//! Every way in which an origin can fail is told apart, and none of them hangs.

use std::time::{Duration, Instant};

use tests::{Connection, Origin, TICK, answer, closed_port};

use crate::{errors, loadgen, saved, tells_of_errors, total, url};

/// Ten requests on one connection at a time against an origin with that script.
fn against(script: impl Fn(&mut Connection, usize) + Send + Sync + 'static) -> (String, i32) {
    let origin = Origin::start(script);
    saved(&format!("-c 1 -n 10 --timeout 300ms {}", url(origin.address())))
}

/// All ten failed with `kind`, and nothing else happened.
fn all_failed(kind: &str, script: impl Fn(&mut Connection, usize) + Send + Sync + 'static) {
    let (json, code) = against(script);
    assert_eq!(errors(&json), format!("{{\"{kind}\":10}}"));
    assert_eq!((total(&json, "answered"), total(&json, "sent")), (0, 10));
    assert!(tells_of_errors(code));
}

#[test]
fn closing_without_an_answer() {
    all_failed("closed", |connection, _| {
        connection.head();
    });
}

#[test]
fn resetting() {
    all_failed("reset", |connection, _| {
        connection.head();
        connection.reset();
    });
}

#[test]
fn stalling() {
    let begun = Instant::now();
    all_failed("timeout", |connection, _| {
        connection.head();
        connection.wait_for_end();
    });
    assert!(begun.elapsed() + 10 * TICK >= Duration::from_secs(3), "ten deadlines of 300 ms");
}

#[test]
fn stalling_inside_the_answer() {
    all_failed("timeout", |connection, _| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        connection.wait_for_end();
    });
}

#[test]
fn answering_garbage() {
    for garbage in ["SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "\0\0\0\0"] {
        all_failed("garbage", move |connection, _| {
            connection.head();
            connection.send(garbage);
            connection.wait_for_end();
        });
    }
}

#[test]
fn promising_more_than_comes() {
    all_failed("truncated", |connection, _| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    });
}

#[test]
fn sending_more_than_was_promised() {
    let (json, code) = against(|connection, _| {
        while connection.head().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nlong");
        }
    });
    assert_eq!(errors(&json), "{\"too_long\":10}");
    assert_eq!(total(&json, "answered"), 0, "no success");
    assert!(tells_of_errors(code));
}

#[test]
fn refusing_connections() {
    let ended = loadgen(&format!("-c 4 -n 10 {}", url(closed_port())));
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("connection refused"), "{}", ended.err);
}

#[test]
fn refusing_connections_after_the_first() {
    // It answers once and then is gone, socket and all.
    let origin = Origin::start(|connection, _| {
        connection.head();
        connection.send(answer("200 OK", "x"));
    });
    let to = url(origin.address());
    let mut child = crate::command();
    child.args(["-q", "--json", "-", "-c", "1", "-d", "2s", &to]);
    let mut process = tests::Process::start(&mut child);
    tests::eventually("connections", || origin.connections(), |n| *n > 0);
    drop(origin);
    let ended = process.wait();
    assert!(errors(&ended.out).contains("connect_refused"), "{}", errors(&ended.out));
    assert!(ended.code.is_some_and(tells_of_errors));
}

#[test]
fn a_name_that_does_not_resolve() {
    let ended = loadgen("-n 1 http://no-such-name.invalid/");
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("no-such-name.invalid does not resolve"), "{}", ended.err);
}

#[test]
fn answers_that_differ_from_the_first() {
    for (second, kind) in [
        (answer("200 OK", "hullo"), "body"),
        (answer("200 OK", "hell"), "length"),
        (answer("201 Created", "hello"), "status"),
        (answer("500 Oh", "hello"), "failure_status"),
    ] {
        let origin = Origin::start(move |connection, _| {
            let mut first = true;
            while connection.request().is_some() {
                let reply = if std::mem::take(&mut first) { answer("200 OK", "hello") } else { second.clone() };
                connection.send(reply);
            }
        });
        let (json, code) = saved(&format!("-c 1 -n 5 {}", url(origin.address())));
        assert_eq!(errors(&json), format!("{{\"{kind}\":4}}"));
        assert_eq!(total(&json, "answered"), 1, "a mismatch is no success");
        assert!(tells_of_errors(code));
    }
}

#[test]
fn failures_below_the_protocol_do_not_spoil_the_next_connection() {
    let (json, _) = against(|connection, number| {
        connection.head();
        if number % 2 == 0 {
            connection.reset();
        } else {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
    assert_eq!((errors(&json), total(&json, "answered")), ("{\"reset\":5}".into(), 5));
}

#[test]
fn an_echo_that_changes_a_byte() {
    let origin = Origin::start(|connection, _| {
        let mut bytes = [0; 64];
        let stream = connection.stream();
        while std::io::Read::read_exact(&mut &*stream, &mut bytes).is_ok() {
            bytes[40] ^= 1;
            let _ = std::io::Write::write_all(&mut &*stream, &bytes);
        }
    });
    let (json, code) = saved(&format!("-c 1 -n 3 tcp://{}", origin.address()));
    assert_eq!((errors(&json), total(&json, "answered")), ("{\"body\":3}".into(), 0));
    assert!(tells_of_errors(code));
}

/// The end of a timed run is its time, not the last answer that there was.
#[test]
fn a_run_without_a_right_answer_has_its_whole_length() {
    let origin = Origin::start(|connection, _| {
        connection.head();
    });
    let ended = loadgen(&format!("-c 2 -d 1500ms {}", url(origin.address())));
    assert!(ended.out.contains("total time    1.50 s\n"), "{}", ended.out);
    let last = ended.err.lines().rev().find(|line| line.contains(" s: ")).expect("the last second");
    assert!(last.trim_start().starts_with("1.5 s: "), "{}", ended.err);
}
