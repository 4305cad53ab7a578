//! Wrong arguments: exit status 2, and a sentence that says what is wrong.

use crate::{command, loadgen, tells_of_errors};

#[test]
fn wrong_arguments_are_explained() {
    for (arguments, said) in [
        ("", "required"),
        ("localhost:8080", "begins with http://"),
        ("-q hold http://127.0.0.1/", "is a command, which comes before all options"),
        ("ftp://localhost/", "ftp://"),
        ("http://localhost:99999/", "a port is"),
        ("-c 0 http://127.0.0.1/", "at least one"),
        ("-c many http://127.0.0.1/", "no count"),
        ("-n 0 http://127.0.0.1/", "at least one"),
        ("-d 10 http://127.0.0.1/", "no unit"),
        ("-d 0 http://127.0.0.1/", "nothing could be measured"),
        ("-n 5 -d 1s http://127.0.0.1/", "cannot be used with"),
        ("-R 5x http://127.0.0.1/", "no rate"),
        ("-R 0 http://127.0.0.1/", "out of range"),
        ("--ramp 5 http://127.0.0.1/", "1k..50k"),
        ("--source 127.0.0.9-127.0.0.1 http://127.0.0.1/", "backwards"),
        ("--source x http://127.0.0.1/", "no IP address"),
        ("--bytes 0 tcp://127.0.0.1:1", "--bytes 0: from 1 to"),
        ("-c 50000000 http://127.0.0.1/", "descriptors here, which is room for"),
        ("-c -1 http://127.0.0.1/", "invalid value '-1' for '--connections <N>'"),
        ("--body-size 1GiB http://127.0.0.1/", "larger than"),
        ("--body-file /no/such/file http://127.0.0.1/", "--body-file"),
        ("--urls /no/such/file", "--urls"),
        ("--expect-status 999 http://127.0.0.1/", "`999` is no status of an answer: those are from 200 to 599"),
        ("--expect-status abc http://127.0.0.1/", "`abc` is no status of an answer"),
        ("--weights 1,2 http://127.0.0.1/", "2 weights for 1 URL"),
        ("--pipeline 0 http://127.0.0.1/", "--pipeline"),
        ("-H nonsense http://127.0.0.1/", "Name: value"),
        ("http://127.0.0.1/ tcp://127.0.0.1:1", "different kinds"),
        ("--pid 4294967295 http://127.0.0.1:1/", "--pid"),
        ("--ca /no/such/file https://127.0.0.1/", "--ca /no/such/file: "),
        ("--ca /dev/null https://127.0.0.1/", "--ca /dev/null: "),
        ("slow-header tcp://127.0.0.1:1", "slow peers speak HTTP"),
        ("compare http://127.0.0.1/", "two URLs"),
        ("find-max --slo p99 http://127.0.0.1/", "p99"),
        ("reload-while http://127.0.0.1/", "--run"),
        ("--html /no/such/folder/x http://127.0.0.1:1/", "/no/such/folder/x cannot be written"),
        ("--json /no/such/folder/x http://127.0.0.1:1/", "/no/such/folder/x cannot be written"),
    ] {
        refused(arguments, said);
    }
}

#[test]
fn what_would_change_nothing_is_refused() {
    for (arguments, said) in [
        ("--poisson http://127.0.0.1/", "needs a --rate"),
        ("--bytes 0 http://127.0.0.1/", "--bytes is the size of a message to a tcp:// URL"),
        ("handshake --bytes 5 tcp://127.0.0.1:1", "--bytes is"),
        ("--pipeline 2 --no-keep-alive http://127.0.0.1/", "--pipeline does not go with"),
        ("churn --pipeline 2 http://127.0.0.1/", "--pipeline does not go with"),
        ("hold --pipeline 2 http://127.0.0.1/", "--pipeline is for requests"),
        ("hold --no-keep-alive http://127.0.0.1/", "--no-keep-alive"),
        ("hold -X PUT http://127.0.0.1/", "send no request"),
        ("hold --warm-up 1s http://127.0.0.1/", "nothing to warm up"),
        ("slow-read --verify length http://127.0.0.1/", "--verify is for"),
        ("hold --expect-status 204 http://127.0.0.1/", "--expect-status is for"),
        ("slow-header --every 0 http://127.0.0.1/", "--every 0"),
        ("reload-while --run true --every 0 http://127.0.0.1/", "--every 0"),
        ("compare --rounds 3 a.json b.json", "--rounds: two saved runs are compared"),
        ("--insecure http://127.0.0.1/", "https:// URLs"),
        ("find-max --csv x http://127.0.0.1/", "for single runs"),
        ("compare --json - http://127.0.0.1/ http://127.0.0.2/", "for single runs"),
        ("hold -n 5 http://127.0.0.1/", "last for --duration"),
        ("slow-read -R 5 http://127.0.0.1/", "last for --duration"),
        ("-X PUT tcp://127.0.0.1:1", "tcp:// has --bytes"),
        ("find-max -R 5 http://127.0.0.1/", "chooses the rates"),
    ] {
        refused(arguments, said);
    }
}

fn refused(arguments: &str, said: &str) {
    let ended = loadgen(arguments);
    assert_eq!(ended.code, Some(2), "{arguments}: {}{}", ended.out, ended.err);
    assert!(ended.err.contains(said), "{arguments}: {}", ended.err);
}

#[test]
fn the_help_shows_how() {
    let ended = loadgen("--help");
    assert_eq!(ended.code, Some(0));
    for text in ["Examples:", "Exit status:", "find-max", "--rate", "--source"] {
        assert!(ended.out.contains(text), "{text}");
    }
}

/// Neither silence nor a full disk is a success.
#[test]
fn nothing_answered_and_nothing_printed_are_told() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", silent.local_addr().expect("its address"));
    let ended = loadgen(&format!("-q -d 300ms -c 2 {url}"));
    assert!(tells_of_errors(ended.code.expect("an exit status")), "{}{}", ended.out, ended.err);
    assert!(!ended.out.contains("\nVALID"), "{}", ended.out);
    assert!(ended.out.contains("No request was answered"), "{}", ended.out);

    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
    let mut unprinted = command();
    unprinted.args(["-q", "-d", "100ms", "-c", "1", &url]).stdout(full);
    let output = unprinted.output().expect("it runs");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output cannot be written"));
}
