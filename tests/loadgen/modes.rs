//! The commands besides plain load.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tests::{Origin, Process, Signal, Tollgate, answer, eventually, folder};

use crate::{command, errors, loadgen, loadgen_args, saved, tells_of_errors, total, url};

fn fine() -> Origin {
    Origin::answering(answer("200 OK", "ok"))
}

#[test]
fn hold_opens_connections_and_tells_what_they_cost() {
    let server = Tollgate::server(folder().path());
    let ended = loadgen(&format!("hold -q -c 200 -d 1s --pid {} {}", server.id(), server.url("/")));
    assert!(ended.out.contains("target RSS") && ended.out.contains("for each of 200 connections"), "{}", ended.out);
    assert!(ended.out.contains("200 asked for, 200 made, 200 open at once"), "{}", ended.out);
    assert!(ended.out.contains("connect") && !ended.out.contains("requests/s"), "{}", ended.out);
}

#[test]
fn hold_spreads_over_servers_and_processes() {
    let (a, b) = (fine(), fine());
    let servers = [url(a.address()), url(b.address())].join(" ");
    let ended = loadgen(&format!("hold -q -c 90 --processes 2 --weights 2,1 -d 1s {servers}"));
    assert!(ended.out.contains("90 asked for, 90 made, 90 open at once"), "{}{}", ended.out, ended.err);
    assert_eq!((a.connections(), b.connections()), (60, 30));
}

#[test]
fn hold_tells_of_connections_that_end() {
    let origin = Origin::start(|_, _| {});
    let ended = loadgen(&format!("hold -q --json - -c 5 -d 1s {}", url(origin.address())));
    assert_eq!(errors(&ended.out), "{\"closed\":5}");
}

#[test]
fn churn_makes_a_connection_for_every_request() {
    let origin = fine();
    let ended = loadgen(&format!("churn -q --json - -c 3 -n 30 {}", url(origin.address())));
    assert_eq!((total(&ended.out, "answered"), errors(&ended.out)), (30, "{}".into()));
    assert_eq!(origin.connections(), 30);
    assert_eq!(origin.seen_text().matches("Connection: close").count(), 30);
}

#[test]
fn slow_peers_are_slow_and_say_how_they_were_ended() {
    // It suffers a head for 300 ms.
    let origin = Origin::start(|connection, _| {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(300) && connection.some().is_some() {}
        connection.send("HTTP/1.1 408 Too Slow\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    for mode in ["slow-header", "slow-body"] {
        let ended = loadgen(&format!("{mode} -q --json - --every 50ms -c 2 -d 1s {}", url(origin.address())));
        assert!(ended.out.contains("[408,"), "{mode}: {}", ended.out);
    }
    assert!(origin.seen_text().contains("X-Slow: 1\r\nX-Slow: 1\r\n"));
}

#[test]
fn a_server_that_is_patient_to_the_end_is_a_result() {
    let origin = Origin::start(|connection, _| {
        connection.wait_for_end();
    });
    let ended = loadgen(&format!("slow-header -q --every 50ms -c 2 -d 1s {}", url(origin.address())));
    assert!(ended.out.contains("The target still suffered 2 of 2 slow peers"), "{}{}", ended.out, ended.err);
    assert!(!ended.out.contains("NOTHING MEASURED") && ended.out.contains("\n  slow peers, 1 worker"), "{}", ended.out);
    // 3 where the machine had no time for it.
    assert!(matches!(ended.code, Some(0 | 3)), "{}{}", ended.out, ended.err);
}

#[test]
fn slow_readers_make_the_server_wait() {
    let origin = Origin::start(|connection, _| {
        while connection.request().is_some() {
            connection.send(answer("200 OK", &"x".repeat(20_000)));
        }
    });
    let begun = Instant::now();
    let ended = loadgen(&format!("slow-read -q --json - --every 50ms -c 1 -d 1s {}", url(origin.address())));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert!(ended.out.contains("[200,"), "{}", ended.out);
    let answered = total(&ended.out, "answered");
    assert!((1..=4).contains(&answered), "five looks each at least: {answered}");
}

#[test]
fn reload_while_runs_the_command_and_marks_it() {
    let origin = fine();
    let folder = folder();
    let file = folder.path().join("times");
    let run = format!("echo x >> {}", file.display());
    let to = url(origin.address());
    let ended = loadgen_args([
        "reload-while",
        "-q",
        "--json",
        "-",
        "--run",
        &run,
        "--every",
        "300ms",
        "-c",
        "1",
        "-d",
        "2s",
        &to,
    ]);
    let times = std::fs::read_to_string(&file).expect("it ran").lines().count();
    assert!((3..=7).contains(&times), "{times}");
    assert!(ended.out.contains(&format!("1: echo x >> {}", file.display())), "{}", ended.out);
    assert!(!ended.err.contains("error"), "{}", ended.err);
}

#[test]
fn a_command_that_still_runs_at_the_end_is_waited_for() {
    let origin = fine();
    let folder = folder();
    let [may, done] = ["may", "done"].map(|name| folder.path().join(name));
    let run = format!("while [ ! -e {} ]; do sleep 1; done; echo x > {}", may.display(), done.display());
    let mut child = command();
    child.args(["reload-while", "--run", &run, "--every", "500ms", "-c", "1", "-d", "1s", &url(origin.address())]);
    let mut process = Process::start(&mut child);
    eventually("the last second", || process.log(), |log| log.contains(" 1 s: "));
    std::fs::write(&may, "").expect("a file of ours");
    let ended = process.wait();
    assert!(ended.err.contains("the command still ran at the end of the run, and ended "), "{}", ended.err);
    assert!(done.exists(), "it was not left to come to its end");
}

#[test]
fn a_command_that_fails_is_an_error() {
    let origin = fine();
    let to = url(origin.address());
    let ended = loadgen_args(["reload-while", "-q", "--run", "exit 7", "--every", "300ms", "-c", "1", "-d", "1s", &to]);
    assert_ne!(ended.code, Some(0));
    assert!(ended.out.contains("commands that failed"), "{}", ended.out);
}

/// An origin that takes so long for each answer.
fn slow(time: Duration) -> Origin {
    Origin::start(move |connection, _| {
        while connection.request().is_some() {
            std::thread::sleep(time);
            connection.send(answer("200 OK", "ok"));
        }
    })
}

#[test]
fn find_max_finds_what_a_slow_origin_can_do() {
    // One connection and 10 ms an answer: 100 a second is the end of it.
    let origin = slow(Duration::from_millis(10));
    let to = url(origin.address());
    let slo = "p50<50ms,errors=0";
    let folder = folder();
    let page = folder.path().join("knee.html").display().to_string();
    let limits = ["--from", "20/s", "--to", "1000/s", "--resolution", "50", "-d", "500ms", "-c", "1", "--html", &page];
    let ended = loadgen_args(["find-max", "--slo", slo].into_iter().chain(limits).chain([to.as_str()]));
    assert!(ended.err.contains("20/s: kept") || ended.err.contains("generator was the limit"), "{}", ended.err);
    assert!(!ended.out.is_empty(), "{}", ended.err);
    // The page has each step that was told.
    let page = std::fs::read_to_string(page).expect("the page");
    let steps = ended.err.lines().filter(|line| line.contains("/s: ")).count();
    assert!(page.contains("Times by rate") && page.contains(&to), "{page}");
    assert_eq!(page.split_once("<h2>Steps").expect("the steps").1.matches("<tr><td").count(), steps, "{}", ended.err);
}

#[test]
fn compare_measures_both_in_turns() {
    let (a, b) = (fine(), fine());
    let (to_a, to_b) = (url(a.address()), url(b.address()));
    let folder = folder();
    let page = folder.path().join("comparison.html");
    let ended = loadgen(&format!("compare --rounds 3 -c 1 -d 200ms --html {} {to_a} {to_b}", page.display()));
    assert!(ended.out.contains("95 %"), "{}{}", ended.out, ended.err);
    let page = std::fs::read_to_string(page).expect("the page");
    assert!(page.contains(&to_a) && page.contains(&to_b) && page.contains("95 %"), "{page}");
    assert_eq!(page.contains("INVALID"), ended.out.contains("INVALID"), "{}", ended.out);
    for to in [&to_a, &to_b] {
        assert_eq!(ended.err.matches(&format!(": {to}: ")).count(), 3, "{}", ended.err);
    }
}

#[test]
fn compare_takes_saved_runs() {
    let origin = fine();
    let folder = folder();
    let [a, b] = ["a.json", "b.json"].map(|name| folder.path().join(name).display().to_string());
    for file in [&a, &b] {
        let _ = loadgen(&format!("-q -c 1 -d 5s -R 50/s --json {file} {}", url(origin.address())));
    }
    let ended = loadgen(&format!("compare {a} {b}"));
    assert!(
        ended.out.contains("95 %") && !ended.out.contains("not asked to do the same"),
        "{}{}",
        ended.out,
        ended.err
    );
    assert_eq!(loadgen(&format!("compare {a} /no/such/file")).code, Some(2));
    // Other settings are named before the verdict, and a run that is too short is one.
    let c = folder.path().join("c.json").display().to_string();
    let _ = loadgen(&format!("-q -c 2 -d 4s -R 80/s --json {c} {}other", url(origin.address())));
    let ended = loadgen(&format!("compare {a} {c}"));
    let (differing, verdict) = ended.out.split_once("\n\n").expect("two parts");
    let names: Vec<&str> =
        differing.lines().skip(1).filter_map(|l| l.trim().split_once(": ")).map(|(n, _)| n).collect();
    assert_eq!(names, ["URL", "connections", "rate", "duration"], "{}", ended.out);
    assert!(verdict.contains("95 %"), "{}{}", ended.out, ended.err);
    let _ = loadgen(&format!("-q -c 1 -d 2s -R 50/s --json {c} {}", url(origin.address())));
    let ended = loadgen(&format!("compare {a} {c}"));
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.err.contains(&format!("{c} is too short to compare: it has 2 of the 4 whole seconds")),
        "{}",
        ended.err
    );
}

#[test]
fn ctrl_c_ends_a_run_and_it_is_still_summed_up() {
    let origin = fine();
    let folder = folder();
    let [json, html] = ["run.json", "run.html"].map(|name| folder.path().join(name).display().to_string());
    for more in ["-t 1", "--processes 2"] {
        let mut child = command();
        child.args(["-c", "2", "-d", "60s", "--json", &json, "--html", &html, &url(origin.address())]);
        child.args(more.split(' '));
        let before = origin.connections();
        let mut process = Process::start(&mut child);
        eventually("connections", || origin.connections(), |n| *n >= before + 2);
        eventually("what it says", || process.log(), |log| log.contains(" s: "));
        let begun = Instant::now();
        process.signal(Signal::INT);
        let ended = process.wait();
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(ended.out.contains("answered"), "{more}: {}{}", ended.out, ended.err);
        assert!(ended.err.contains("interrupted: the run ends here"), "{more}: {}", ended.err);
        let (_, came) = ended.out.split_once("The run was interrupted after ").expect("it is in the summary");
        assert!(came.contains(" of 60.0 s"), "{more}: {}", ended.out);
        let read = |file: &str| std::fs::read_to_string(file).expect("what was saved");
        assert!(read(&json).contains(" of 60.0 s\"") && read(&html).contains("interrupted after"), "{more}");
    }
}

#[test]
fn a_count_that_is_interrupted_says_how_many_were_left() {
    let origin = slow(Duration::from_millis(20));
    let mut child = command();
    child.args(["-c", "1", "-n", "1000000", &url(origin.address())]);
    let mut process = Process::start(&mut child);
    eventually("what it says", || process.log(), |log| log.contains(" s: "));
    process.signal(Signal::INT);
    let ended = process.wait();
    assert!(ended.out.contains(" of 1,000,000 requests"), "{}", ended.out);
}

/// The numbers of the processes that `parent` has started.
fn children(parent: u32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let of = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
    tasks.map(of).flat_map(|text| text.split_whitespace().filter_map(|n| n.parse().ok()).collect::<Vec<_>>()).collect()
}

#[test]
fn a_worker_process_that_is_killed_is_told_at_once_and_the_run_is_invalid() {
    let origin = fine();
    let mut child = command();
    child.args(["-c", "4", "-d", "4s", "-R", "100/s", "--processes", "2", &url(origin.address())]);
    let mut process = Process::start(&mut child);
    eventually("what it says", || process.log(), |log| log.contains("1 s: "));
    let workers = children(process.id());
    assert_eq!(workers.len(), 2);
    let killed = std::process::Command::new("kill").args(["-KILL", &workers[0].to_string()]).status();
    assert!(killed.expect("kill runs").success());
    // While the others still work.
    eventually(
        "the loss",
        || process.log(),
        |log| log.contains(&format!("(process {}) was killed by signal 9", workers[0])),
    );
    assert!(!process.log().contains("4 s: "), "it was told late: {}", process.log());
    let ended = process.wait();
    assert_eq!(ended.code, Some(3), "{}{}", ended.out, ended.err);
    let (_, verdict) = ended.out.split_once("\nINVALID: a part of the generator was lost").expect("a verdict");
    assert!(verdict.contains("was killed by signal 9; its load is"), "{}", ended.out);
    assert!(ended.out.contains("requests/s"), "what the other did is shown: {}", ended.out);
}

#[test]
fn a_worker_process_that_is_lost_before_the_start_ends_the_run() {
    // Nobody accepts, so that connecting over the full queue takes its time.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = silent.local_addr().expect("its address");
    let mut child = command();
    child.args(["-c", "2000", "-d", "60s", "--processes", "2", "--connect-timeout", "60s", &url(origin)]);
    let mut process = Process::start(&mut child);
    let workers = eventually("the workers", || children(process.id()), |workers| workers.len() == 2);
    let killed = std::process::Command::new("kill").args(["-KILL", &workers[1].to_string()]).status();
    assert!(killed.expect("kill runs").success());
    let ended = process.wait();
    assert_eq!(ended.code, Some(3), "{}{}", ended.out, ended.err);
    assert!(ended.err.contains("was killed by signal 9"), "{}", ended.err);
}

#[test]
fn a_slow_plan_lasts_as_long_as_it_was_made_for() {
    let origin = fine();
    let begun = Instant::now();
    // The last request is due after 2.5 s.
    let ended = loadgen(&format!("-c 3 -R 2/s -d 3s {}", url(origin.address())));
    assert!(begun.elapsed() >= Duration::from_secs(3));
    assert!(ended.out.contains("total time    3.00 s\n"), "{}", ended.out);
    assert!(
        ended.out.contains("requests      6 answered\n") && ended.out.contains("requests/s    2  "),
        "{}",
        ended.out
    );
    let last = ended.err.lines().find(|line| line.contains("3 s: ")).expect("the last second").to_owned();
    let cells: Vec<&str> = last.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(cells[6], "3", "open connections: {}", ended.err);
}

#[test]
fn a_short_run_tells_what_was_open_and_its_fraction_of_a_second() {
    let origin = fine();
    let ended = loadgen(&format!("-c 3 -d 300ms {}", url(origin.address())));
    assert!(ended.out.contains("3 asked for, 3 made, 3 open at once"), "{}", ended.out);
    // Longer than it was asked for on a machine that has other things to do, but not a whole second.
    assert!(
        ended.err.lines().any(|line| line.trim_start().starts_with("0.") && line.contains(" s: ")),
        "{}",
        ended.err
    );
    // More connections than requests: they were open all the same.
    let ended = loadgen(&format!("-c 20 -n 3 {}", url(origin.address())));
    assert!(ended.out.contains("20 asked for, 20 made, 20 open at once"), "{}", ended.out);
    for count in ["-c 3 -n 30", "churn -c 3 -n 30", "handshake -c 3 -n 30"] {
        let ended = loadgen(&format!("{count} {}", url(origin.address())));
        let (open, _) = ended.out.split_once(" open at once").expect("a count");
        let open: u64 = open.rsplit(' ').next().expect("a number").parse().expect("a number");
        assert!((1..=3).contains(&open), "{}", ended.out);
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    // It answers nobody, and the end would be waited for: ten seconds for what is under way.
    let ended = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&ended);
    let origin = Origin::start(move |connection, _| {
        connection.head();
        connection.wait_for_end();
        seen.fetch_add(1, Ordering::SeqCst);
    });
    let mut child = command();
    let limits = ["-c", "2", "-d", "60s", "--timeout", "60s", "--processes", "2"];
    child.args(limits).arg(url(origin.address()));
    let mut process = Process::start(&mut child);
    eventually("what it says", || process.log(), |log| log.contains("1 s:"));
    process.signal(Signal::INT);
    process.signal(Signal::INT);
    let process = process.wait();
    // Between the two it may have come to its end in good order.
    assert!(process.code == Some(130) || process.out.contains("measured"), "{:?} {}", process.code, process.err);
    eventually("the worker processes' end", || ended.load(Ordering::SeqCst), |ended| *ended == 2);
}

#[test]
fn a_warm_up_is_shown_and_marked_as_such() {
    let origin = fine();
    for more in ["-t 2", "--processes 2"] {
        let ended = loadgen(&format!("-c 2 -d 1s --warm-up 2s -R 50/s {more} {}", url(origin.address())));
        assert_eq!(ended.err.matches("(warm-up)").count(), 2, "{more}: {}", ended.err);
        assert!(ended.err.lines().filter(|line| line.contains(" s: ")).count() >= 3, "{}", ended.err);
    }
}

#[test]
fn a_count_that_makes_no_progress_is_given_up() {
    let origin = Origin::start(|connection, number| {
        // The first connection is answered once, so that the run begins; then nobody is.
        if number == 0 && connection.request().is_some() {
            connection.send(answer("200 OK", "ok"));
        }
        let _ = connection.stream().read(&mut [0; 4096]);
        connection.wait_for_end();
    });
    let limits = "--timeout 100ms --connect-timeout 100ms";
    let (json, code) = saved(&format!("-c 1 -n 100000 {limits} {}", url(origin.address())));
    assert_eq!(total(&json, "answered"), 1);
    assert!(tells_of_errors(code));
}
