//! `proxy` without arguments: what it prints can be run.

use std::collections::BTreeSet;

use tests::{Tollgate, folder, peers::curl};

#[test]
fn its_curl_lines_run_and_three_origins_take_turns() {
    let demonstration = Tollgate::listening(&mut Tollgate::command("proxy"), 1, folder());
    let lines = demonstration.process.out_lines(|lines| {
        let found = lines.iter().filter_map(|line| line.trim().strip_prefix("curl ")).map(str::to_owned);
        Some(found.collect::<Vec<_>>()).filter(|found| found.len() == 3)
    });
    // The port stands in the lines, or is to be put there where another program has the usual one.
    let port = demonstration.address().port().to_string();
    let run = |line: &str| {
        let line = line.split("   ").next().unwrap_or(line).replace("PORT", &port);
        let mut words = Vec::new();
        for (i, part) in line.split('\'').enumerate() {
            if i % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        let ended = curl(&words);
        assert_eq!(ended.code, Some(0), "{line}: {}", ended.err);
        ended.out
    };
    assert!(run(&lines[0]).contains("<title>"), "{}", lines[0]);
    // Each worker begins with another origin, so that three requests may not meet all three.
    let mut said = BTreeSet::new();
    tests::eventually(
        "three origins",
        || {
            said.insert(run(&lines[1]));
            said.len()
        },
        |n| *n == 3,
    );
    let said = said.iter().cloned().collect::<String>();
    for name in ["origin one:", "origin two:", "origin three:"] {
        assert!(said.contains(name), "{said}");
    }
    assert!(said.contains("GET /hello") && said.contains("asked for by 127.0.0.1"), "{said}");
    let metrics = run(&demonstration.admin_url("/metrics"));
    assert!(metrics.contains("tollgate_upstream_connections_total{from=\"new\"} 3\n"), "{metrics}");
    let echo = run(&lines[2]);
    assert!(echo.starts_with("HTTP/1.1 200 OK") && echo.contains("POST /echo, 9 bytes of body"), "{echo}");
    demonstration.stop();
}
