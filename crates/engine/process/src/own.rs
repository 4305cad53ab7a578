//! What this process as a whole costs and holds, for its metrics.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::times::kib_of;

/// CPU time of all threads since the process began, in its own code and the system's.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.clamp(0, 999_999_999) as u32)
}

/// Bytes that lie in memory, shared pages counted in full. Cheaper than [`crate::memory_of`]: no page is looked at.
///
/// # Errors
/// There is no `/proc`.
pub fn resident() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    kib_of(&status, "VmRSS:").ok_or(io::ErrorKind::InvalidData.into())
}

/// How many descriptors are open. Takes a descriptor, and some microseconds per thousand of them.
///
/// # Errors
/// There is no `/proc`, or no descriptor left.
pub fn open_descriptors() -> io::Result<usize> {
    // The one that reads the list is in it.
    Ok(std::fs::read_dir("/proc/self/fd")?.count().saturating_sub(1))
}

/// How many may be open.
pub fn most_descriptors() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_memory_and_descriptors_show() {
        let (cpu, open) = (cpu_time(), open_descriptors().unwrap());
        let held: Vec<_> = (0..8).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        assert!(open_descriptors().unwrap() >= open + held.len() - 4, "others close some meanwhile, but not these");
        assert!(most_descriptors() > open as u64);
        let mut sum = 0u64;
        while cpu_time() < cpu + Duration::from_millis(2) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let reported = crate::memory_of(std::process::id()).unwrap().resident;
        assert!(resident().unwrap().abs_diff(reported) < reported / 2);
    }
}
