//! Failures as they are read, and the list of their codes.

use super::*;

#[test]
fn upstream_failures_are_gateway_statuses() {
    for kind in [Kind::ConnectFailed, Kind::UpstreamTimeout, Kind::NoServer, Kind::UpstreamSilent] {
        assert_eq!(kind.side(), Side::Upstream);
        assert!((502..=504).contains(&kind.status()));
        assert!(!kind.closes());
    }
}

#[test]
fn a_failure_reads_as_a_sentence() {
    let failure = Failure::because(Kind::ConnectFailed, "upstream api 127.0.0.1:3001 refused the connection");
    let text = failure.to_string();
    assert_eq!(text, "502 UREF upstream/connect: upstream api 127.0.0.1:3001 refused the connection");
}

#[test]
fn codes_are_four_letters_that_name_the_side_and_are_all_different() {
    let mut seen = std::collections::HashSet::new();
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, number, "ALL is in order");
        let code = kind.code();
        assert!(code.len() == 4 && code.bytes().all(|b| b.is_ascii_uppercase()), "{code}");
        assert!(seen.insert(code), "{code} stands for two kinds");
        assert_eq!(code[..1].to_lowercase(), kind.side().name()[..1], "{code}");
    }
}

/// The page that explains the codes has a line for each, with the facts of the code, and none besides.
#[test]
fn the_page_of_verdicts_lists_all() {
    let page = include_str!("../../../../../docs/verdicts.md");
    let lines = |start: &str| page.lines().filter(|line| line.starts_with(start)).count();
    for kind in Kind::ALL {
        let (code, side, phase) = (kind.code(), kind.side().name(), kind.phase().name());
        let start = format!("| `{code}` | {side} | {phase} | {} | ", kind.status());
        assert_eq!(lines(&start), 1, "docs/verdicts.md has to have one line that begins with {start}");
    }
    assert_eq!(lines("| `"), Kind::COUNT, "docs/verdicts.md explains a code that there is not");
}

#[test]
fn a_client_is_not_told_of_servers() {
    let failure = Failure::because(Kind::UpstreamClosed, "upstream api 10.0.0.7:80 closed the connection");
    assert!(!failure.public_sentence().contains("10.0.0.7"));
    let failure = Failure::because(Kind::BodyTooLarge, "more than 7 bytes");
    assert_eq!(failure.public_sentence(), "more than 7 bytes");
}
