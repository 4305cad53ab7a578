//! `cargo xtask test`: everything that CI runs, in the order in which a mistake is cheapest to find.

use std::{
    io::IsTerminal,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    docs, fuzz, setup,
    shell::{self, Outcome},
    tidy,
};

/// Seconds per fuzz target: enough to replay the seeds and to find what is badly broken.
const FUZZ_SECONDS: u64 = 20;

/// Runs all steps, stopping at the first that fails. The test runners' own closing lines come last.
pub(crate) fn run() -> Outcome {
    let mut steps = Steps::default();
    let outcome = all(&mut steps);
    println!("\n== times");
    for (name, took) in &steps.times {
        println!("  {:>7.1} s  {name}", took.as_secs_f64());
    }
    if !steps.closing.is_empty() {
        println!("\n== closing lines of the test runners");
    }
    for line in &steps.closing {
        println!("{line}");
    }
    outcome
}

fn all(steps: &mut Steps) -> Outcome {
    steps.step("system tools", |_| setup::for_tests())?;
    steps.step("format", |_| format())?;
    steps.step("tidy", |_| tidy::run())?;
    steps.step("clippy", |_| {
        let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        shell::run(&mut shell::cargo(arguments))
    })?;
    steps.step("build", |_| shell::run(&mut shell::cargo(["build", "--workspace", "--all-targets", "--locked"])))?;
    steps.step("tests", tests)?;
    steps.step("doc tests", |closing| keep(closing, ["test", "--workspace", "--doc", "--locked"], is_result))?;
    steps.step("reference", |_| docs::run(true))?;
    steps.step("fuzz smoke", |_| fuzz::run(None, FUZZ_SECONDS))
}

/// The workspace, and the fuzz packages that stand outside it.
fn format() -> Outcome {
    shell::run(&mut shell::cargo(["fmt", "--all", "--check"]))?;
    fuzz::packages()?.iter().try_for_each(|package| {
        shell::run(shell::cargo(["fmt", "--check", "--manifest-path"]).arg(package.join("Cargo.toml")))
    })
}

fn tests(closing: &mut Vec<String>) -> Outcome {
    closing.extend(setup::left_out());
    if shell::succeeds(&mut shell::cargo(["nextest", "--version"])) {
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/nextest.toml");
        let arguments = ["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--config-file", config];
        keep(closing, arguments, is_summary)
    } else {
        keep(closing, ["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"], is_result)
    }
}

/// Runs cargo and appends those lines of its output that `closes` picks.
fn keep<const N: usize>(closing: &mut Vec<String>, arguments: [&str; N], closes: fn(&str) -> bool) -> Outcome {
    let (kept, outcome) = shell::run_keeping(&mut coloured(shell::cargo(arguments)), closes);
    closing.extend(kept);
    outcome
}

/// A pipe hides the terminal from cargo, so it is told.
fn coloured(mut command: Command) -> Command {
    if std::io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}

/// The last line of `cargo nextest`. The "test result" lines in its output are those of single tests that failed.
fn is_summary(line: &str) -> bool {
    line.starts_with("Summary [") && line.contains(" run:")
}

/// The last line of each test program under `cargo test`, but for those that had nothing to run.
fn is_result(line: &str) -> bool {
    line.starts_with("test result:") && !line.starts_with("test result: ok. 0 passed; 0 failed; 0 ignored;")
}

#[derive(Default)]
struct Steps {
    times: Vec<(&'static str, Duration)>,
    closing: Vec<String>,
}

impl Steps {
    fn step(&mut self, name: &'static str, work: impl FnOnce(&mut Vec<String>) -> Outcome) -> Outcome {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = work(&mut self.closing);
        let took = start.elapsed();
        println!("== {name}: {} in {:.1} s", if outcome.is_ok() { "ok" } else { "FAILED" }, took.as_secs_f64());
        self.times.push((name, took));
        outcome.map_err(|error| format!("step \"{name}\": {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runners_closing_lines_are_known() {
        assert!(is_summary("Summary [   0.057s] 25 tests run: 25 passed, 0 skipped"));
        assert!(is_result("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"));
        assert!(!is_result("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"));
        assert!(is_result("test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out"));
        assert!(!is_summary("PASS [   0.004s] xtask shell::tests::colour_is_taken_out"));
    }

    #[test]
    fn a_failing_step_is_named_and_timed() {
        let mut steps = Steps::default();
        let outcome = steps.step("that", |_| Err("broken".to_owned()));
        assert_eq!(outcome, Err("step \"that\": broken".to_owned()));
        assert_eq!(steps.times.len(), 1);
    }
}
