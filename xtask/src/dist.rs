//! `cargo xtask dist`: the programs as they are best deployed, optimised by what they were seen to do.
//!
//! They are built with counters in them, serve a load for half a minute, and are built again with what was counted. The
//! compiler then knows which way a branch goes and which code is hot: that lies together, and takes fewer
//! cache lines.

use std::{
    fs,
    hash::{DefaultHasher, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    bench::target_folder,
    shell::{self, Outcome},
};

mod training;

/// What is built.
const PROGRAMS: [&str; 4] = ["server", "proxy", "echo", "loadgen"];

/// Where the finished programs are, below cargo's target folder.
pub(crate) fn folder() -> Outcome<PathBuf> {
    Ok(Path::new(&target_folder()?).join("dist"))
}

/// Builds the programs, trains them, and builds them again.
pub(crate) fn run() -> Outcome {
    let tool = profdata()?;
    let (folder, host) = (folder()?, shell::host()?);
    println!("two builds from the ground up and half a minute of load: about 20 minutes on two cores");
    let counting = build(&folder.join("counting"), &host, "-Cprofile-generate")?;
    let profiles = folder.join("profiles");
    // Those of another build would be counted in.
    let _ = fs::remove_dir_all(&profiles);
    fs::create_dir_all(&profiles).map_err(|error| format!("{}: {error}", profiles.display()))?;
    training::run(&counting, &profiles)?;
    let merged = merge(&tool, &profiles)?;
    let built = build(&folder.join("build"), &host, &format!("-Cprofile-use={}", merged.display()))?;
    for program in PROGRAMS {
        let (from, to) = (built.join(program), folder.join(program));
        fs::copy(&from, &to).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))?;
        println!("{}", to.display());
    }
    println!("measure them with `cargo xtask bench --dist BENCH...`");
    Ok(())
}

fn build(folder: &Path, host: &str, flag: &str) -> Outcome<PathBuf> {
    // Naming the target keeps the flag away from build scripts and macros.
    let mut command = shell::cargo(["build", "--release", "--locked", "--bins", "--target", host]);
    command.args(PROGRAMS.iter().flat_map(|program| ["-p", program])).arg("--target-dir").arg(folder);
    // What was never called in training has no profile, and no warning is needed for that.
    let flags = [flag, "-Cllvm-args=-pgo-warn-missing-function=false"].join("\u{1f}");
    shell::run(command.env("CARGO_ENCODED_RUSTFLAGS", flags).env_remove("RUSTFLAGS"))?;
    Ok(folder.join(host).join("release"))
}

/// All counts as one file. Its name says what is in it, so that cargo sees when that has changed.
fn merge(tool: &Path, profiles: &Path) -> Outcome<PathBuf> {
    let counted = fs::read_dir(profiles).map_err(|error| format!("{}: {error}", profiles.display()))?;
    let files: Vec<PathBuf> = counted.flatten().map(|entry| entry.path()).collect();
    if files.is_empty() {
        return Err("the programs wrote no profile; did they end in order?".to_owned());
    }
    let all = profiles.join("all.profdata");
    shell::run(shell::command(tool, ["merge", "-o"]).arg(&all).args(files))?;
    let content = fs::read(&all).map_err(|error| format!("{}: {error}", all.display()))?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&content);
    let named = profiles.join(format!("{:016x}.profdata", hasher.finish()));
    fs::rename(&all, &named).map_err(|error| format!("{}: {error}", named.display()))?;
    Ok(named)
}

/// The program that merges profiles: of the toolchain, or of an LLVM that is not older than rustc's.
fn profdata() -> Outcome<PathBuf> {
    let llvm = llvm_of_rustc()?;
    if let Some(found) = find(llvm) {
        return Ok(found);
    }
    println!("  missing llvm-profdata of LLVM {llvm}: adding llvm-tools to the toolchain");
    if !shell::succeeds(&mut shell::command("rustup", ["component", "add", "llvm-tools"])) {
        println!("  that did not work; trying the system's package llvm-{llvm}");
        let package = format!("llvm-{llvm}");
        // Not fatal by itself: what to do is said below.
        let _ = crate::setup::install(&[&package]);
    }
    find(llvm).ok_or_else(|| {
        format!(
            "rustc is built with LLVM {llvm}, and there is no llvm-profdata that reads its profiles; run \
             `rustup component add llvm-tools`, or install LLVM {llvm} or later (llvm-{llvm} of apt.llvm.org and of newer Debians)"
        )
    })
}

fn llvm_of_rustc() -> Outcome<u32> {
    let version = shell::of_rustc("LLVM version")?;
    major(&version).ok_or_else(|| format!("rustc -vV names no number of its LLVM, but {version}"))
}

/// The number before the first dot.
fn major(version: &str) -> Option<u32> {
    version.trim().split('.').next()?.parse().ok()
}

fn find(llvm: u32) -> Option<PathBuf> {
    let libraries = shell::read(&mut shell::rustc(["--print", "target-libdir"])).unwrap_or_default();
    let own = Path::new(libraries.trim()).with_file_name("bin").join("llvm-profdata");
    let others = [format!("llvm-profdata-{llvm}"), "llvm-profdata".to_owned()].map(PathBuf::from);
    let reads = |tool: &PathBuf| {
        let output = Command::new(tool).arg("--version").output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        version_of(&text).is_some_and(|version| version >= llvm)
    };
    std::iter::once(own).chain(others).find(reads)
}

/// The major version that `llvm-profdata --version` tells.
fn version_of(text: &str) -> Option<u32> {
    major(text.split("LLVM version ").nth(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major("22.1.2"), Some(22));
        assert_eq!(major("x"), None);
        assert_eq!(version_of("Debian LLVM version 14.0.6\n  Optimized build."), Some(14));
        assert_eq!(version_of("LLVM (http://llvm.org/):\n  LLVM version 22.1.2-rust-1.95.0-stable\n"), Some(22));
        assert_eq!(version_of("llvm-profdata: unknown"), None);
    }

    #[test]
    fn nothing_counted_is_an_error() {
        let empty = tempfile::tempdir().expect("a folder");
        let told = merge(Path::new("llvm-profdata"), empty.path());
        assert!(told.is_err_and(|error| error.contains("wrote no profile")));
    }
}
