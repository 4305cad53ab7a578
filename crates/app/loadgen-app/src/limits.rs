//! What this machine allows: descriptors of a process, local ports of an address, memory.

use crate::arguments::Load;
use crate::plan::{PacePlan, Plan};
use crate::problem::Problem;
use load::words::{bytes, count};

/// Descriptors of a process that are no connections: standard streams, the files and pipes of the parent, libraries'.
const RESERVED: u64 = 32;

/// Descriptors of a worker that are no connections: epoll, its twin, eventfd, timers, the thread's statistics.
const PER_WORKER: u64 = 8;

/// The most worker processes: beyond that their number is a mistake.
const PROCESSES_MAX: u64 = 255;

/// The most that are started unasked. Beyond, a number that was mistyped is likelier than one that was meant.
const UNASKED_MAX: u64 = 64;

/// The least memory that a connection takes, in bytes: the kernel's part of its socket and ours.
const CONNECTION_BYTES: u64 = 4 << 10;

/// The least that a worker process takes, in bytes.
const PROCESS_BYTES: u64 = 4 << 20;

/// What a machine has.
#[derive(Clone, Copy, Debug)]
struct Machine {
    /// Descriptors that a process may hold.
    descriptors: u64,
    /// Local ports of an address.
    ports: u64,
    /// Memory that is to be had, in bytes; `u64::MAX` where that is not known.
    memory: u64,
}

/// Divides the connections among workers and processes, as many as the descriptors make necessary.
pub(crate) fn divide(plan: &mut Plan, load: &Load) -> Result<(), Problem> {
    let limit = process::raise_descriptor_limit().map_or_else(|_| 1024, |limit| limit.now);
    divide_within(plan, load, Machine { descriptors: limit, ports: local_ports(), memory: memory() })
}

fn divide_within(plan: &mut Plan, load: &Load, machine: Machine) -> Result<(), Problem> {
    let Machine { descriptors, ports, memory } = machine;
    let connections = plan.connections;
    let threads = u64::from(load.threads).min(connections);
    // In an open loop there is a timer for each plan, and a plan for each origin.
    let timers = if matches!(plan.pace, PacePlan::Open(..)) { plan.origins.len() as u64 } else { 0 };
    let of_workers = |processes: u64| (PER_WORKER + timers) * threads.div_ceil(processes.max(1));
    let room = |processes: u64| descriptors.saturating_sub(RESERVED + of_workers(processes));
    let processes = match load.processes {
        Some(given) => u64::from(given).min(connections),
        None => (1..=UNASKED_MAX).find(|n| room(*n) * n >= connections).unwrap_or(UNASKED_MAX),
    };
    if room(processes) < connections.div_ceil(processes) {
        let (within, most) = (room(processes) * processes, room(PROCESSES_MAX) * PROCESSES_MAX);
        let more = match () {
            () if most >= connections => {
                let needed = (processes..=PROCESSES_MAX).find(|n| room(*n) * n >= connections).unwrap_or(PROCESSES_MAX);
                format!("use fewer, or give --processes {needed}")
            }
            () => format!(
                "use {} at most (--processes {PROCESSES_MAX}), or raise the hard limit (ulimit -Hn)",
                count(most)
            ),
        };
        return Err(Problem::usage(format!(
            "--connections {}: a process may hold {} descriptors here, which is room for {} connections in {}; {more}",
            count(connections),
            count(descriptors),
            count(within),
            if processes == 1 { "one process".to_owned() } else { format!("{processes} worker processes") },
        )));
    }
    let needed = connections.saturating_mul(CONNECTION_BYTES).saturating_add(processes * PROCESS_BYTES);
    if needed > memory {
        return Err(Problem::usage(format!(
            "--connections {}: they take {} of memory at least, and {} are to be had here",
            count(connections),
            bytes(needed),
            bytes(memory),
        )));
    }
    let tcp: u64 = plan.origins.iter().map(|o| o.tcp_addresses() as u64).sum();
    // Connections to different destinations may share a local port.
    let pairs = tcp * plan.sources.len().max(1) as u64;
    if tcp > 0 && connections > ports.saturating_mul(pairs) {
        let needed = connections.div_ceil(ports.max(1) * tcp);
        return Err(Problem::usage(format!(
            "--connections {}: an address has {} local ports here, so {needed} source addresses are needed; \
             give --source FIRST-LAST, or widen net.ipv4.ip_local_port_range",
            count(connections),
            count(ports),
        )));
    }
    plan.processes = processes as usize;
    // Every process has the same number of threads.
    plan.workers = (threads.div_ceil(processes) * processes).min(connections) as usize;
    Ok(())
}

/// Memory that could be had without swapping.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.split_ascii_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    kib.map_or(u64::MAX, |kib| kib.saturating_mul(1024))
}

/// Local ports that the system gives to outgoing connections of one address.
pub(crate) fn local_ports() -> u64 {
    /// Linux's own default: 32768 to 60999.
    const DEFAULT: u64 = 28_232;
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = text.split_ascii_whitespace().map(str::parse::<u64>);
    match (ends.next(), ends.next()) {
        (Some(Ok(first)), Some(Ok(last))) if first <= last => last - first + 1,
        _ => DEFAULT,
    }
}

#[cfg(test)]
mod tests;
