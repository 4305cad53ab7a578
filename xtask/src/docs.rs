//! `cargo xtask docs`: the generated configuration reference.

use std::fs;

use crate::shell::{self, Outcome};

const REFERENCE: &str = "configs/reference.toml";

/// Writes configs/reference.toml from the option definitions in `config`; with `check`, only compares.
pub(crate) fn run(check: bool) -> Outcome {
    let arguments = ["run", "--quiet", "--locked", "-p", "config", "--example", "reference"];
    let fresh = shell::read(&mut shell::cargo(arguments))?;
    let path = shell::root().join(REFERENCE);
    let stored = fs::read_to_string(&path).unwrap_or_default();
    if stored == fresh {
        println!("{REFERENCE} is up to date");
        return Ok(());
    }
    if check {
        let line = stored.lines().zip(fresh.lines()).take_while(|(old, new)| old == new).count() + 1;
        return Err(format!("{REFERENCE} is out of date from line {line} on; run `cargo xtask docs` and commit it"));
    }
    fs::write(&path, fresh).map_err(|error| format!("{REFERENCE}: {error}"))?;
    println!("{REFERENCE} written");
    Ok(())
}
