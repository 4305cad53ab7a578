//! What concerns the process as a whole: its descriptor limit, the CPUs it may use, what it and its threads cost, what its
//! heap holds for nobody, where it is on the earth.

mod heap;
mod local_time;
mod own;
mod times;

use std::io;
use std::num::NonZero;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process_group, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

pub use heap::give_back_free_pages;
pub use local_time::utc_offset;
pub use own::{cpu_time, most_descriptors, open_descriptors, resident};
pub use times::{Memory, ThreadClock, ThreadTimes, memory_of};

/// How many descriptors this process may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorLimit {
    /// Before it was raised.
    pub before: u64,
    /// Now.
    pub now: u64,
}

/// Raises the soft descriptor limit to the hard one.
///
/// # Errors
/// The system's; the old limit holds then.
pub fn raise_descriptor_limit() -> io::Result<DescriptorLimit> {
    let limit = getrlimit(Resource::Nofile);
    let before = limit.current.unwrap_or(u64::MAX);
    // Unlimited means what the kernel's own cap is; a million is far above what is used here.
    let hard = limit.maximum.unwrap_or(1 << 20);
    if before >= hard {
        return Ok(DescriptorLimit { before, now: before });
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum: limit.maximum })?;
    Ok(DescriptorLimit { before, now: hard })
}

/// How a group of processes is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// SIGTERM: they may tidy up.
    Asked,
    /// SIGKILL.
    Forced,
}

/// Tells all processes of the group that `leader` leads to end.
///
/// # Errors
/// The system's; that nobody is left is one.
pub fn end_group(leader: u32, how: Ending) -> io::Result<()> {
    let signal = match how {
        Ending::Asked => Signal::TERM,
        Ending::Forced => Signal::KILL,
    };
    let leader = i32::try_from(leader).ok().filter(|leader| *leader > 1).and_then(Pid::from_raw);
    let leader = leader.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process_group(leader, signal)?)
}

/// The number of CPUs this process may use; at least 1.
pub fn usable_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Pins the calling thread to the `n`th of the CPUs it may use (counting round again beyond the last).
///
/// # Errors
/// The system's.
pub fn pin_to_cpu(n: usize) -> io::Result<()> {
    let usable = sched_getaffinity(None)?;
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| usable.is_set(*cpu)).collect();
    let Some(cpu) = cpus.get(n % cpus.len().max(1)) else { return Ok(()) };
    let mut one = CpuSet::new();
    one.set(*cpu);
    Ok(sched_setaffinity(None, &one)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_once() {
        let first = raise_descriptor_limit().unwrap();
        assert!(first.now >= first.before && first.now > 0);
        assert_eq!(raise_descriptor_limit().unwrap(), DescriptorLimit { before: first.now, now: first.now });
    }

    #[test]
    fn a_thread_can_be_pinned() {
        std::thread::spawn(|| {
            pin_to_cpu(usize::MAX).unwrap();
            assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
        })
        .join()
        .unwrap();
    }
}
