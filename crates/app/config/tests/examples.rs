//! Every example in `configs/` loads, without a warning.

use std::path::Path;

#[test]
fn every_example_loads() {
    let mut found = 0;
    for entry in std::fs::read_dir("../../../configs").unwrap() {
        let path = entry.unwrap().path();
        // The reference has no route, which is worth a warning; it has tests of its own. The certificates of those with TLS
        // are made where it is started, in the integration tests.
        let apart = ["reference.toml", "tls.toml", "to-https.toml"].iter().any(|name| path.ends_with(name));
        if path.extension().is_none_or(|e| e != "toml") || apart {
            continue;
        }
        found += 1;
        match config::load(Path::new(&path)) {
            Ok(loaded) => assert!(loaded.warnings.is_empty(), "{}: {:?}", path.display(), loaded.warnings),
            Err(report) => panic!("{report}"),
        }
    }
    assert!(found >= 6, "only {found} examples were found");
}
