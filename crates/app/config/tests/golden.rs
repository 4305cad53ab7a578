//! Golden files: each `tests/golden/*.toml` must give exactly the plan, or exactly the error text, in the `.txt` beside
//! it. After a wanted change run with `BLESS=1` and read the difference.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use config::{Loaded, Plan, parse_with};

const FOLDER: &str = "tests/golden";

#[test]
fn every_file_gives_what_its_golden_file_says() {
    let bless = std::env::var_os("BLESS").is_some();
    modes();
    let cases = names("toml");
    assert!(cases.len() >= 40, "only {} cases were found", cases.len());
    let mut failures = String::new();
    for case in &cases {
        let text = std::fs::read_to_string(format!("{FOLDER}/{case}.toml")).unwrap();
        let actual = outcome(&text, case);
        let path = format!("{FOLDER}/{case}.txt");
        if bless {
            std::fs::write(&path, &actual).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if actual != expected {
            let _ = writeln!(failures, "==== {case}: expected\n{expected}\n==== {case}: got\n{actual}");
        }
    }
    assert!(failures.is_empty(), "{failures}\nif this is wanted, run again with BLESS=1");
    assert_eq!(cases, names("txt"), "golden files without a case, or the other way round");
}

/// Git keeps no modes: a private key is its owner's, but for the one that is there to be warned of.
fn modes() {
    for entry in std::fs::read_dir(format!("{FOLDER}/tls")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "key") {
            let mode = if path.ends_with("open.key") { 0o644 } else { 0o600 };
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
    }
}

/// What a case comes to, as text that does not depend on where the checkout lies.
fn outcome(text: &str, case: &str) -> String {
    let here = std::env::current_dir().unwrap();
    let outcome = match parse_with(text, &format!("{case}.toml"), Path::new(FOLDER), &environment) {
        Ok(loaded) => describe(&loaded),
        Err(report) => {
            assert!(report.errors() > 0, "{case} fails without an error");
            format!("{report}\n")
        }
    };
    outcome.replace(&here.display().to_string(), "$PWD")
}

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "BACKEND" => "app.internal:3000",
        "WORKERS" => "4",
        "PIN" => "true",
        "EMPTY" => "",
        "ODD" => "10 parsecs",
        _ => return None,
    };
    Some(value.to_owned())
}

/// The warnings, and what differs from the defaults.
fn describe(Loaded { plan, warnings }: &Loaded) -> String {
    let mut text = String::new();
    for warning in warnings {
        let _ = writeln!(text, "{warning}\n");
    }
    let defaults = Plan::default();
    let Plan { runtime, limits, timeouts, admin, access_log, listeners, routes, upstreams } = plan;
    if *runtime != defaults.runtime {
        let _ = writeln!(text, "{runtime:#?}");
    }
    if *limits != defaults.limits {
        let _ = writeln!(text, "{limits:#?}");
    }
    if *timeouts != defaults.timeouts {
        let _ = writeln!(text, "{timeouts:#?}");
    }
    if let Some(admin) = admin {
        let _ = writeln!(text, "admin: {admin:?}");
    }
    if let Some(access_log) = access_log {
        let _ = writeln!(text, "{access_log:#?}");
    }
    if *listeners != defaults.listeners {
        let _ = writeln!(text, "{listeners:#?}");
    }
    let _ = writeln!(text, "{routes:#?}\n{upstreams:#?}");
    text
}

fn names(extension: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(FOLDER).unwrap().map(|e| e.unwrap().path());
    let fitting = entries.filter(|p| p.extension().is_some_and(|e| e == extension));
    fitting.map(|p| p.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}
