//! The committed reference is the one that the table of options makes, and says nothing but defaults.

use std::path::Path;

use config::{Plan, parse_with, reference};

fn no_environment(_: &str) -> Option<String> {
    None
}

#[test]
fn the_committed_reference_is_up_to_date() {
    let path = Path::new("../../../configs/reference.toml");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, reference()).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == reference(), "configs/reference.toml is out of date: run `cargo xtask docs`");
}

#[test]
fn the_reference_says_nothing_but_defaults() {
    let loaded = parse_with(&reference(), "reference.toml", Path::new(""), &no_environment).unwrap();
    assert_eq!(loaded.plan, Plan::default());
}

#[test]
fn every_commented_line_of_the_reference_is_toml() {
    for line in reference().lines().filter_map(|line| line.strip_prefix("# ")) {
        // Lines of prose are told apart by what stands in front of the first equals sign.
        let Some((key, _)) = line.split_once(" = ") else { continue };
        if key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
            line.parse::<toml::Table>().unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}

/// The last words of all keys in the contract.
const WORDS: &str = "
    include workers processes pin max_connections shutdown_timeout user group sandbox watch listen token level
    format header_bytes headers uri_bytes body_bytes connections_per_client tls_handshake header body idle
    write min_rate address protocols proxy_protocol trusted_proxies backlog certificates min_version client_ca
    client_auth hosts path methods query clients name upstream strip_prefix add_prefix host root index listing
    fallback precompressed cache_control hidden to status content_type set add remove allow deny rate burst
    key dry_run realm users timeout buffer_request error_pages servers weight backup balance protocol
    idle_timeout max_requests max_age connect queue attempts on budget resolve cookie ttl secret slow_start
    interval rise fall expect consecutive share window for max_ejected server_name ca client_cert client_key
    insecure cert ocsp client_crl reason tunnel ticket_secret
";

#[test]
fn every_key_of_the_contract_is_in_the_reference() {
    let reference = reference();
    for word in WORDS.split_ascii_whitespace() {
        let found = reference.lines().any(|line| {
            let line = line.strip_prefix("# ").unwrap_or(line);
            line.strip_prefix(word).is_some_and(|rest| rest.starts_with(" = "))
        });
        assert!(found, "`{word}` is missing");
    }
}
