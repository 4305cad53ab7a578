//! `cargo xtask bench`: builds the programs in release and hands over to the bench runner.

use std::path::Path;

use serde_json::Value;

use crate::{
    dist,
    shell::{self, Outcome},
};

/// Has the programs of `cargo xtask dist` measured.
const DIST: &str = "--dist";

/// Builds `benches` and the programs that they measure, then runs the bench runner with `args`.
pub(crate) fn run(args: &[String]) -> Outcome {
    let build = [
        "build",
        "--release",
        "--locked",
        "-p",
        "benches",
        "-p",
        "server",
        "-p",
        "proxy",
        "-p",
        "echo",
        "-p",
        "loadgen",
        "--bins",
    ];
    shell::run(&mut shell::cargo(build))?;
    // The runner looks for the other programs beside itself.
    let runner = Path::new(&target_folder()?).join("release/bench");
    let mut command = shell::command(runner, args.iter().filter(|word| *word != DIST));
    if args.iter().any(|word| word == DIST) {
        command.arg("--programs").arg(dist::folder()?);
    }
    shell::run(&mut command)
}

/// Where cargo puts what it builds, whichever way it was told.
pub(crate) fn target_folder() -> Outcome<String> {
    let text = shell::read(&mut shell::cargo(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let folder = metadata.get("target_directory").and_then(Value::as_str);
    folder.map(str::to_owned).ok_or_else(|| "cargo metadata names no target_directory".to_owned())
}
