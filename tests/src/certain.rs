//! What the kernel knows of a process, and waiting for what can only be asked for.

use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::PATIENCE;

/// The open descriptors of a process.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The resident memory of a process in KiB.
pub fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Asks until the answer is good; fails after [`PATIENCE`] with the last one. For state that nobody announces, such as
/// the number of a process's descriptors.
pub fn eventually<T: std::fmt::Debug>(what: &str, mut ask: impl FnMut() -> T, good: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask();
        if good(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: still {answer:?} after {PATIENCE:?}");
        sleep(Duration::from_millis(10));
    }
}
