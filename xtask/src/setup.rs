//! `cargo xtask setup`: the system's tools that tests and benches need. Safe to run again and again.

use std::{fs, path::Path, process::Command};

use crate::shell::{self, Outcome};

/// Who needs a tool.
#[derive(Clone, Copy, PartialEq)]
enum Need {
    Tests,
    Benches,
    /// Benches measure beside it where it is there, and do without it where it is not.
    Peers,
}

struct Tool {
    program: &'static str,
    /// The package of Debian and its kin.
    package: &'static str,
    need: Need,
    purpose: &'static str,
}

const fn tool(program: &'static str, package: &'static str, need: Need, purpose: &'static str) -> Tool {
    Tool { program, package, need, purpose }
}

const TOOLS: [Tool; 15] = [
    tool("git", "git", Need::Tests, "tidy asks it which files are the project's"),
    tool("c++", "g++", Need::Tests, "compiles the fuzzing runtime"),
    tool("curl", "curl", Need::Tests, "a real client"),
    tool("script", "bsdutils", Need::Tests, "a terminal, for the live views"),
    tool("nginx", "nginx", Need::Tests, "a real origin, and the server to compare with"),
    tool("haproxy", "haproxy", Need::Tests, "a real proxy in front, and the one to compare with"),
    tool("openssl", "openssl", Need::Tests, "a real TLS client, and certificates"),
    tool("node", "nodejs", Need::Tests, "a real origin and client"),
    tool("python3", "python3", Need::Tests, "a real origin and client"),
    tool("wrk", "wrk", Need::Benches, "a second opinion on throughput"),
    tool("strace", "strace", Need::Benches, "counts system calls"),
    tool("valgrind", "valgrind", Need::Benches, "counts instructions"),
    tool("lighttpd", "lighttpd", Need::Peers, "optional, a server to compare with"),
    tool("h2o", "h2o", Need::Peers, "optional, a server to compare with"),
    tool("caddy", "caddy", Need::Peers, "optional, a server to compare with"),
];

/// Installs what tests and benches need.
pub(crate) fn run() -> Outcome {
    components()?;
    provide(&[Need::Tests, Need::Benches])?;
    websockets();
    if let Err(error) = provide(&[Need::Peers]) {
        println!("  {error}; the benches leave out what is missing");
    }
    let chromium = has_chromium() || (install(&["chromium"]).is_ok() && has_chromium());
    println!("  {} chromium: optional, a real browser", if chromium { "present" } else { "absent " });
    let nextest = shell::found("cargo-nextest");
    println!("  {} cargo-nextest: optional, runs the tests in parallel", if nextest { "present" } else { "absent " });
    Ok(())
}

/// Installs what the tests need.
pub(crate) fn for_tests() -> Outcome {
    components()?;
    provide(&[Need::Tests])?;
    websockets();
    Ok(())
}

/// What tests leave out on this machine, in a line each: they pass where what they need is not there, and nobody reads what a test says that
/// passes. A browser is some hundred megabytes, which `cargo xtask test` does not fetch.
pub(crate) fn left_out() -> Vec<String> {
    let mut lines = Vec::new();
    if !has_chromium() {
        lines.push("NOT RUN: what needs Chromium, which is not here (`cargo xtask setup` installs it)".to_owned());
    }
    if !has_websockets() {
        lines.push(
            "NOT RUN: what needs Python's websockets, which are not here (`cargo xtask setup` installs them)"
                .to_owned(),
        );
    }
    lines
}

fn has_chromium() -> bool {
    ["chromium", "chromium-browser", "google-chrome"].iter().any(|name| shell::found(name))
}

fn has_websockets() -> bool {
    let import = |python: &&str| shell::succeeds(&mut shell::command(python, ["-c", "import websockets"]));
    ["python3", "/usr/bin/python3"].iter().any(import)
}

/// A module of Python's is no program that could be looked for in PATH. What needs it says so where it is missing.
fn websockets() {
    let there = has_websockets() || (install(&["python3-websockets"]).is_ok() && has_websockets());
    println!("  {} websockets of Python: optional, real WebSockets", if there { "present" } else { "absent " });
}

/// Makes sure of rustfmt and clippy, which a minimal toolchain lacks.
fn components() -> Outcome {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if shell::succeeds(&mut shell::cargo([subcommand, "--version"])) {
            println!("  present {component}");
        } else {
            println!("  missing {component}: adding it to the toolchain");
            shell::run(&mut shell::command("rustup", ["component", "add", component]))?;
        }
    }
    Ok(())
}

fn provide(needs: &[Need]) -> Outcome {
    let mut missing = Vec::new();
    for tool in TOOLS.iter().filter(|tool| needs.contains(&tool.need)) {
        let found = shell::found(tool.program);
        println!("  {} {}: {}", if found { "present" } else { "missing" }, tool.program, tool.purpose);
        if !found {
            missing.push(tool);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    install(&packages)?;
    match missing.iter().find(|tool| !shell::found(tool.program)) {
        None => Ok(()),
        Some(tool) => {
            Err(format!("{} is still missing after {} was installed; install it by hand", tool.program, tool.package))
        }
    }
}

fn how_to_install(packages: &[&str]) -> String {
    let names = packages.join(" ");
    let managers = [
        ("apt-get", "sudo apt-get install --no-install-recommends"),
        ("dnf", "sudo dnf install"),
        ("pacman", "sudo pacman -S"),
        ("apk", "sudo apk add"),
        ("brew", "brew install"),
    ];
    match managers.iter().find(|(manager, _)| shell::found(manager)) {
        Some((_, command)) => format!("run: {command} {names}   (the names are Debian's, others may differ)"),
        None => format!("install by hand (Debian's names): {names}"),
    }
}

/// Installs packages with the system's package manager, if that is apt and this is root.
pub(crate) fn install(packages: &[&str]) -> Outcome {
    if !shell::found("apt-get") || !is_root() {
        return Err(format!("these tools are missing; {}", how_to_install(packages)));
    }
    // Servers must be there, not running: tests and benches start their own.
    let _quiet = NoServices::declare()?;
    shell::run(apt(&["update", "-q"]).env("DEBIAN_FRONTEND", "noninteractive"))?;
    let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    shell::run(apt(&arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn apt(arguments: &[&str]) -> Command {
    shell::command("apt-get", arguments)
}

/// While it lives, installing a package starts no service (Debian's policy-rc.d, exit status 101 = not allowed).
struct NoServices {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn declare() -> Outcome<NoServices> {
        if Path::new(POLICY).exists() {
            return Ok(NoServices { ours: false });
        }
        let written = fs::write(POLICY, "#!/bin/sh\nexit 101\n").map_err(|error| format!("{POLICY}: {error}"));
        written.and_then(|()| shell::run(&mut shell::command("chmod", ["755", POLICY])))?;
        Ok(NoServices { ours: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}

/// The effective user is 0, by /proc; false where there is no /proc.
fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    uids.split_whitespace().nth(1) == Some("0")
}
