//! `cargo xtask fuzz`: builds the fuzz packages that live beside their crates and runs their targets.
//!
//! They are built on the stable toolchain: libfuzzer-sys brings the engine, and the coverage that guides it comes from
//! LLVM's sanitizer-coverage pass, switched on by plain code generation flags.

use std::{
    fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use crate::{
    bench::target_folder,
    shell::{self, Outcome},
};

/// Coverage counters and compared values, for the code of the package and its dependencies; overflow checks and
/// debug assertions on.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions";

/// Runs `only`, or every target of every fuzz package, for `seconds` each.
pub(crate) fn run(only: Option<&str>, seconds: u64) -> Outcome {
    let mut ran = 0;
    for package in packages()? {
        let targets = targets(&package)?;
        let chosen: Vec<&String> = targets.iter().filter(|target| only.is_none_or(|name| name == *target)).collect();
        if chosen.is_empty() {
            continue;
        }
        let built = build(&package)?;
        for target in chosen {
            fuzz(&package, &built.join(target), target, seconds)?;
            ran += 1;
        }
    }
    match only {
        Some(name) if ran == 0 => Err(format!("there is no fuzz target called {name}")),
        None if ran == 0 => Err("there is no fuzz package (crates/*/*/fuzz)".to_owned()),
        _ => Ok(()),
    }
}

/// The manifests of the fuzz packages, which stand outside the workspace.
pub(crate) fn packages() -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    for layer in folders(&shell::root().join("crates"))? {
        for package in folders(&layer)? {
            let fuzz = package.join("fuzz");
            if fuzz.join("Cargo.toml").is_file() {
                found.push(fuzz);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn folders(of: &Path) -> Outcome<Vec<PathBuf>> {
    Ok(entries(of)?.filter(|path| path.is_dir()).collect())
}

fn entries(of: &Path) -> Outcome<impl Iterator<Item = PathBuf>> {
    let entries = fs::read_dir(of).map_err(|error| format!("{}: {error}", of.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()))
}

/// The names of the package's programs.
fn targets(package: &Path) -> Outcome<Vec<String>> {
    let path = package.join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let manifest: Table = text.parse().map_err(|error| format!("{}: {error}", path.display()))?;
    let bins = manifest.get("bin").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(bins.iter().filter_map(|bin| bin.get("name")?.as_str().map(str::to_owned)).collect())
}

/// Builds the package and gives the folder of its programs.
fn build(package: &Path) -> Outcome<PathBuf> {
    let host = shell::host()?;
    let folder = PathBuf::from(target_folder()?).join("fuzz");
    // Naming the target keeps the flags away from build scripts and macros.
    let arguments = ["build", "--release", "--locked", "--target", &host];
    let mut command = shell::cargo(arguments);
    command.arg("--manifest-path").arg(package.join("Cargo.toml")).arg("--target-dir").arg(&folder);
    shell::run(command.env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS"))?;
    Ok(folder.join(host).join("release"))
}

/// Runs one target: new inputs go to `corpus/TARGET`, what crashes to `artifacts/TARGET`; `seeds/TARGET` and any
/// `*.dict` of the package are used where they exist.
fn fuzz(package: &Path, program: &Path, target: &str, seconds: u64) -> Outcome {
    let corpus = package.join("corpus").join(target);
    let artifacts = package.join("artifacts").join(target);
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut command = shell::command(program, [&corpus]);
    command.args(Some(package.join("seeds").join(target)).filter(|folder| folder.is_dir()));
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", artifacts.display()));
    let dictionary = entries(package)?.find(|path| path.extension().is_some_and(|end| end == "dict"));
    command.args(dictionary.map(|path| format!("-dict={}", path.display())));
    command.args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=0"]);
    // What the engine says along the way matters only when it found something.
    let (said, outcome) = shell::run_hushed(&mut command);
    if let Err(error) = outcome {
        eprintln!("{said}");
        return Err(format!("{error}; the input that did it is in {}", artifacts.display()));
    }
    let figure = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim().to_owned();
    println!("{target}: {} inputs tried", figure("stat::number_of_executed_units:"));
    Ok(())
}
