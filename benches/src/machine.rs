//! The machine, in words, and what stood on it when the bench ran.

use std::{
    fs,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

/// Where and with what a bench ran.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// "2-core AMD EPYC virtual machine, kernel 6.18".
    pub words: String,
    /// "2026-01-31", UTC.
    pub date: String,
    /// The commit that was measured, with "+" when the tree held more than it.
    pub commit: String,
    /// Compiler, peers, and the system's congestion control, one a line.
    pub versions: Vec<String>,
}

impl Machine {
    /// Looks around.
    pub fn look() -> Machine {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let versions = [("rustc", "--version"), ("nginx", "-v"), ("haproxy", "-v"), ("valgrind", "--version")];
        Machine {
            words: words(&info, &release),
            date: date(seconds),
            commit: commit(),
            versions: versions
                .iter()
                .filter_map(|(program, argument)| version(program, argument))
                .chain(congestion_control())
                .collect(),
        }
    }

    /// The name of the folder for this machine's evidence of this day.
    pub fn folder(&self) -> String {
        let words: String = self.words.chars().map(|c| if c.is_alphanumeric() || c == '.' { c } else { '-' }).collect();
        let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
        format!("{}-{}", self.date, words.join("-").to_lowercase())
    }
}

/// How much a connection may send at once, and when: over loopback too it decides who sleeps how often.
fn congestion_control() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").ok()?;
    Some(told_control(name.trim()))
}

/// Where the system paces, not all of the peers do.
fn told_control(name: &str) -> String {
    let but = if name.starts_with("bbr") { "; over loopback our servers and the yardsticks use reno" } else { "" };
    format!("TCP congestion control {name}{but}")
}

fn words(cpuinfo: &str, release: &str) -> String {
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
        line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
    };
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    // "AMD EPYC 7B13 64-Core Processor" and the like: what names the make, without the marks.
    let model = field("model name").replace("(R)", "").replace("(TM)", "");
    let model: Vec<&str> = model.split_whitespace().filter(|word| *word != "Processor" && *word != "CPU").collect();
    let virtual_machine = field("flags").split_whitespace().any(|flag| flag == "hypervisor");
    let kind = if virtual_machine { "virtual machine" } else { "machine" };
    let kernel: Vec<&str> = release.trim().split('.').take(2).collect();
    let model = if model.is_empty() { "unknown".to_owned() } else { model.join(" ") };
    format!("{cores}-core {model} {kind}, kernel {}", kernel.join("."))
}

/// The civil date of a Unix time, by counting years and months.
fn date(seconds: u64) -> String {
    let leap = |year: u64| year.is_multiple_of(400) || (year.is_multiple_of(4) && !year.is_multiple_of(100));
    let (mut day, mut year) = (seconds / 86_400, 1970);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", day + 1)
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    // Evidence of an earlier bench of the same session is no change to what is measured.
    let changed = git(&["status", "--porcelain", "--", ".", ":!benches/runs"]).is_some_and(|list| !list.is_empty());
    if changed { format!("{commit}+") } else { commit }
}

fn version(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    // nginx tells its version on standard error.
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next()?.trim();
    // HAProxy adds its home page.
    Some(line.split(" - http").next().unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_named_in_words() {
        let info = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu hypervisor\n\nprocessor\t: 1\n";
        assert_eq!(words(info, "6.18.44-x\n"), "2-core AMD EPYC virtual machine, kernel 6.18");
        let info = "processor : 0\nmodel name : Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz\nflags : fpu\n";
        assert_eq!(words(info, "6.1.0"), "1-core Intel Core i7-8550U @ 1.80GHz machine, kernel 6.1");
    }

    #[test]
    fn who_is_not_paced_is_told_where_the_others_are() {
        assert_eq!(told_control("cubic"), "TCP congestion control cubic");
        let told = "TCP congestion control bbr; over loopback our servers and the yardsticks use reno";
        assert_eq!(told_control("bbr"), told);
    }

    #[test]
    fn its_folder_is_a_plain_name() {
        let machine = Machine {
            words: "2-core AMD EPYC virtual machine, kernel 6.18".to_owned(),
            date: "2026-01-31".to_owned(),
            commit: String::new(),
            versions: Vec::new(),
        };
        assert_eq!(machine.folder(), "2026-01-31-2-core-amd-epyc-virtual-machine-kernel-6.18");
    }

    #[test]
    fn days_have_their_dates() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_767_225_599, "2025-12-31"),
            (1_767_225_600, "2026-01-01"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }
}
