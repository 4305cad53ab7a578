//! What processes cost, from /proc: run time, memory, and how busy the machine was.

use std::{fs, io, path::Path, time::Duration};

/// `pid` and all its descendants, parents before children.
pub fn tree(pid: u32) -> Vec<u32> {
    let parents = parents();
    let mut tree = vec![pid];
    let mut next = 0;
    while next < tree.len() {
        let parent = tree[next];
        tree.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    tree
}

/// Every process with its parent.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in brackets may itself hold brackets and spaces.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((pid, parent))
    })
    .collect()
}

/// Ticks are always 1/100 s in the interface of Linux's /proc (USER_HZ).
const TICK: Duration = Duration::from_millis(10);

/// Time on a CPU, user and system together, of all threads of all `pids`: the scheduler's own count, exact to the
/// tick in progress.
pub fn cpu_time(pids: &[u32]) -> io::Result<Duration> {
    let mut total = 0;
    for pid in pids {
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            total += run_time(&thread?.path().join("schedstat"))?;
        }
    }
    Ok(Duration::from_nanos(total))
}

fn run_time(schedstat: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(schedstat)?;
    let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
    first.ok_or_else(|| io::Error::other(format!("{}: {text:?}", schedstat.display())))
}

/// Time on a CPU, user and system together, of all children of this process that have ended and been waited for, and of theirs;
/// to 10 ms.
pub fn ended_children() -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // Behind the name, which may hold anything: cutime and cstime are the 14th and 15th.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace().skip(13).take(2);
    let ticks: Vec<u32> = fields.filter_map(|word| word.parse().ok()).collect();
    match ticks.as_slice() {
        [user, system] => Ok(TICK * (user + system)),
        _ => Err(io::Error::other(format!("/proc/self/stat: {stat:?}"))),
    }
}

/// The most memory that a process has had at once (VmHWM), in bytes.
pub fn peak(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other(format!("process {pid} has no VmHWM")))
}

/// How many descriptors a process has open; none once it is gone.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Bytes that a process has had read from a disk.
pub fn read_from_disk(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("read_bytes: "));
    let bytes = line.and_then(|line| line.trim().parse().ok());
    bytes.ok_or_else(|| io::Error::other(format!("process {pid} has no read_bytes")))
}

/// How long the machine's CPUs were busy since it started, all together, with the time stolen from it.
pub fn machine_busy() -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks: Vec<u32> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum::<u32>();
    Ok(TICK * busy)
}

/// Memory of processes, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Proportional set size: pages shared with other processes count by share.
    pub pss: u64,
    /// The part of it that no file backs: heap and stacks.
    pub anonymous: u64,
}

/// The memory of all `pids` together.
pub fn memory(pids: &[u32]) -> io::Result<Memory> {
    let mut total = Memory::default();
    for pid in pids {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        total.pss += kibibytes(&text, "Pss:")?;
        total.anonymous += kibibytes(&text, "Pss_Anon:")?;
    }
    Ok(total)
}

fn kibibytes(text: &str, key: &str) -> io::Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let figure = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    figure.map(|figure| figure * 1024).ok_or_else(|| io::Error::other(format!("smaps_rollup has no {key}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_run_and_holds_memory() {
        let pids = [std::process::id()];
        let before = cpu_time(&pids).expect("schedstat");
        let mut word = 1u64;
        while cpu_time(&pids).expect("schedstat") < before + Duration::from_millis(5) {
            (0..100_000).for_each(|_| word = std::hint::black_box(word.wrapping_mul(3)));
        }
        let memory = memory(&pids).expect("smaps_rollup");
        assert!(memory.pss >= memory.anonymous && memory.anonymous > 0);
        assert!(machine_busy().expect("stat") > Duration::ZERO);
    }

    #[test]
    fn a_tree_holds_its_children() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat");
        let tree = tree(std::process::id());
        drop(child.stdin.take());
        child.wait().expect("cat ends when its input does");
        assert_eq!(tree[0], std::process::id());
        assert!(tree.contains(&child.id()));
    }
}
