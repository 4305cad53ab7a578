//! Load that is answered as it should be.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use tests::{Origin, Tollgate, answer, folder};

use crate::{errors, loadgen, loadgen_args, number, saved, tells_of_errors, total, url};

fn site() -> (tempfile::TempDir, Tollgate) {
    let root = folder();
    std::fs::write(root.path().join("small.txt"), "x".repeat(1024)).expect("a file of ours");
    std::fs::write(root.path().join("large.bin"), "y".repeat(300_000)).expect("a file of ours");
    let server = Tollgate::server(root.path());
    (root, server)
}

fn all_answered(json: &str, requests: u64) {
    assert_eq!((total(json, "answered"), errors(json)), (requests, "{}".into()));
}

#[test]
fn every_request_is_sent_and_answered_once() {
    let (_root, server) = site();
    let small = server.url("/small.txt");
    for more in ["", "--pipeline 16", "-t 3", "--no-keep-alive", "--processes 3", "-X HEAD", "--verify status"] {
        let (json, _) = saved(&format!("-c 7 -n 503 {more} {small}"));
        all_answered(&json, 503);
    }
}

#[test]
fn large_answers_are_compared_too() {
    let (_root, server) = site();
    let (json, _) = saved(&format!("-c 3 -n 30 {}", server.url("/large.bin")));
    all_answered(&json, 30);
    assert!(total(&json, "bytes_in") >= 30 * 300_000);
}

#[test]
fn bodies_methods_and_fields_arrive() {
    let origin = Origin::start(|connection, _| {
        while connection.request().is_some() {
            connection.send(answer("200 OK", "ok"));
        }
    });
    let to = url(origin.address());
    let ended = loadgen_args(["-q", "-c", "1", "-n", "3", "-X", "PUT", "-H", "X-Test: a b", "--body", "the body", &to]);
    assert!(ended.out.contains("3 answered"), "{}{}", ended.out, ended.err);
    let seen = origin.seen_text();
    assert_eq!(seen.matches("PUT / HTTP/1.1\r\n").count(), 3, "{seen}");
    assert_eq!(seen.matches("\r\nX-Test: a b\r\nContent-Length: 8\r\n\r\nthe body").count(), 3, "{seen}");
}

#[test]
fn the_body_may_be_a_file_or_made_up() {
    let origin = Origin::answering(answer("200 OK", "ok"));
    let to = url(origin.address());
    let folder = folder();
    let file = folder.path().join("body");
    std::fs::write(&file, "from a file").expect("a file of ours");
    let (json, _) = saved(&format!("-c 1 -n 2 --body-file {} {to}", file.display()));
    all_answered(&json, 2);
    let (json, _) = saved(&format!("-c 1 -n 2 --body-size 256KiB {to}"));
    all_answered(&json, 2);
    assert!(origin.seen_text().contains("Content-Length: 11\r\n\r\nfrom a file"));
    assert!(total(&json, "bytes_out") > 2 * 256 * 1024);
}

#[test]
fn urls_have_their_weights() {
    let origin = Origin::answering(answer("200 OK", "ok"));
    let to = url(origin.address());
    let folder = folder();
    let list = folder.path().join("urls");
    std::fs::write(&list, format!("# two of three\n2 {to}often\n1 {to}seldom\n")).expect("a file of ours");
    let (json, _) = saved(&format!("-c 2 -n 600 --urls {}", list.display()));
    all_answered(&json, 600);
    let seen = origin.seen_text();
    let (often, seldom) = (seen.matches("GET /often").count(), seen.matches("GET /seldom").count());
    assert_eq!(often + seldom, 600);
    assert!((340..=460).contains(&often), "{often} of 600");
}

#[test]
fn every_server_gets_its_share_of_a_rate_though_one_is_slow() {
    // The first takes 100 ms an answer and has one connection: what is due for it waits, and the other gets none of it.
    let slow = Origin::start(|connection, _| {
        while connection.request().is_some() {
            std::thread::sleep(std::time::Duration::from_millis(100));
            connection.send(answer("200 OK", "ok"));
        }
    });
    let fast = Origin::answering(answer("200 OK", "ok"));
    let (to_slow, to_fast) = (url(slow.address()), url(fast.address()));
    let ended = loadgen(&format!("-q -c 2 -d 2s -R 200/s --weights 1,3 --timeout 5s {to_slow} {to_fast}"));
    let row = |to: &str| -> Vec<String> {
        let line = ended.out.lines().rev().find(|line| line.contains(to)).expect("a row of its own");
        line.split_whitespace().map(str::to_owned).collect()
    };
    let answered = |to: &str| row(to)[1].parse::<u64>().expect("a count");
    // Of 300; a busy machine may owe some of them at the end. What is due for the slow one would show as more.
    assert!((240..=315).contains(&answered(&to_fast)), "{}", ended.out);
    assert!((10..=45).contains(&answered(&to_slow)), "{}", ended.out);
    assert!(ended.out.contains("never sent for want of a free connection"), "{}", ended.out);
}

#[test]
fn an_open_loop_keeps_its_plan() {
    let (_root, server) = site();
    for more in ["-R 500/s", "-R 500/s --poisson", "--ramp 100..900", "--steps 250,750", "-R 500/s --processes 2"] {
        let (json, _) = saved(&format!("-c 8 -d 2s {more} {}", server.url("/small.txt")));
        let planned = total(&json, "planned");
        assert!((800..=1200).contains(&planned), "{more}: {planned}");
        assert_eq!(errors(&json), "{}");
        // What was not answered was never sent, or was under way, and is counted there: on a busy machine the end of the plan may
        // find the generator or the server without a CPU.
        let [answered, under_way, never_sent] =
            ["answered", "in_flight_at_end", "backlog_at_end"].map(|n| number(&json, n));
        // A connection's request may end while the count is taken.
        assert!(
            (answered + under_way + never_sent).abs_diff(planned) <= 8,
            "{more}: {answered} + {under_way} + {never_sent} of {planned}"
        );
        assert!(answered * 10 >= planned * 7, "{more}: {answered} of {planned}");
    }
}

#[test]
fn a_stall_shows_in_the_response_time_and_not_in_the_service_time() {
    // One connection, 100 requests a second, and an origin that makes the fifth wait for 400 ms.
    let origin = Origin::start(|connection, _| {
        let mut count = 0;
        while connection.request().is_some() {
            count += 1;
            if count == 5 {
                std::thread::sleep(std::time::Duration::from_millis(400));
            }
            connection.send(answer("200 OK", "ok"));
        }
    });
    let (json, _) = saved(&format!("-c 1 -d 1s -R 100/s {}", url(origin.address())));
    let median = |what: &str| {
        let part = json.split_once(&format!("\"{what}\":{{\"mean_ns\"")).expect("a distribution").1;
        let part = part.split_once("\"p75\":").expect("a percentile").1;
        part.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u64>().expect("a number")
    };
    // A third of all requests was due during the stall.
    assert!(median("response") > 2 * median("service"), "{} {}", median("response"), median("service"));
    assert!(median("response") > 5_000_000);
}

#[test]
fn a_warm_up_does_not_count() {
    let (_root, server) = site();
    let (json, _) = saved(&format!("-c 2 -d 1s --warm-up 1s -R 100/s {}", server.url("/small.txt")));
    assert!((95..=105).contains(&total(&json, "planned")), "{}", total(&json, "planned"));
}

#[test]
fn unix_sockets_are_spoken_to() {
    let folder = folder();
    let path = folder.path().join("origin.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).is_ok_and(|n| n > 0) {
                    let _ = stream.write_all(answer("200 OK", "unix").as_bytes());
                }
            });
        }
    });
    let (json, _) = saved(&format!("-c 2 -n 20 --unix {} http://name.invalid/", path.display()));
    all_answered(&json, 20);
    let encoded = path.display().to_string().replace('/', "%2F");
    let (json, _) = saved(&format!("-c 2 -n 20 http+unix://{encoded}/x"));
    all_answered(&json, 20);
}

#[test]
fn connections_come_from_the_sources() {
    let origin = Origin::start(|connection, _| {
        while connection.request().is_some() {
            let from = connection.stream().peer_addr().expect("a peer").ip().to_string();
            connection.send(answer("200 OK", &from));
        }
    });
    let (json, code) = saved(&format!("-c 3 -n 30 --source 127.0.0.2-127.0.0.4 {}", url(origin.address())));
    // Each source is told its own address, so those of two differ from the first answer.
    let right = total(&json, "answered");
    assert!((1..30).contains(&right), "{right}");
    assert_eq!(errors(&json), format!("{{\"body\":{}}}", 30 - right));
    assert!(tells_of_errors(code));
}

#[test]
fn a_server_that_closes_now_and_then_is_no_error() {
    let origin = Origin::start(|connection, _| {
        for _ in 0..3 {
            if connection.request().is_none() {
                return;
            }
            connection.send(answer("200 OK", "ok"));
        }
        if connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let (json, _) = saved(&format!("-c 2 -n 40 {}", url(origin.address())));
    all_answered(&json, 40);
    assert!(total(&json, "connected") >= 10);
}

#[test]
fn echoes_are_compared() {
    let origin = Origin::start(|connection, _| {
        let stream = connection.stream();
        let mut buffer = [0; 1000];
        while let Ok(n @ 1..) = (&mut &*stream).read(&mut buffer) {
            let _ = (&mut &*stream).write_all(&buffer[..n]);
        }
    });
    for more in ["", "--bytes 1", "--bytes 100KiB", "--pipeline 4", "--no-keep-alive"] {
        let (json, _) = saved(&format!("-c 3 -n 60 {more} tcp://{}", origin.address()));
        all_answered(&json, 60);
    }
}

#[test]
fn the_summary_and_the_files_are_written() {
    let (_root, server) = site();
    let folder = folder();
    let [csv, html, json] = ["run.csv", "run.html", "run.json"].map(|name| folder.path().join(name));
    let files = format!("--csv {} --html {} --json {}", csv.display(), html.display(), json.display());
    let ended = loadgen(&format!("-c 2 -n 100 {files} {}", server.url("/small.txt")));
    assert!(ended.out.contains("100 answered") && ended.out.contains("p99.9"), "{}", ended.out);
    let text = |file| std::fs::read_to_string(file).expect("it was written");
    assert!(text(&csv).lines().count() >= 2);
    let percentiles = csv.with_extension("percentiles.csv");
    assert!(text(&percentiles).starts_with("percentile,service_us"));
    assert!(text(&html).starts_with("<!doctype html>") || text(&html).starts_with("<!DOCTYPE html>"));
    all_answered(&text(&json), 100);
}

#[test]
fn an_expected_status_is_held_against_every_answer() {
    let origin = Origin::answering(answer("200 OK", "ok"));
    let ended = loadgen(&format!("-q -c 1 -n 5 --expect-status 204 {}", url(origin.address())));
    assert!(tells_of_errors(ended.code.expect("an exit status")), "{}{}", ended.out, ended.err);
    let line =
        ended.out.lines().find(|line| line.contains("status is not the expected one")).expect("the kind of error");
    assert!(line.trim_start().starts_with("5 ") && line.ends_with(": answered 200 instead of 204"), "{line}");
    assert!(ended.out.contains("No request was answered as it should be"), "{}", ended.out);
    let (json, _) = saved(&format!("-c 1 -n 5 --expect-status 200 {}", url(origin.address())));
    assert_eq!((total(&json, "answered"), errors(&json)), (5, "{}".into()));
}
