//! What a thread cost and how long it had to wait for a CPU; what a process holds of memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// CPU time of a thread since it began. All zero where the system keeps no such statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadTimes {
    /// Spent on a CPU, in its own code and in the system's.
    pub cpu: Duration,
    /// Spent ready to run while others had the CPU.
    pub run_queue: Duration,
    /// How often it was given a CPU.
    pub turns: u64,
}

/// Reads the times of the thread that made it. Belongs to that thread.
#[derive(Debug)]
pub struct ThreadClock {
    /// `/proc/thread-self/schedstat`, where there is such a file.
    statistics: Option<File>,
    /// The CPU clock is that of the thread that asks.
    _not_send: std::marker::PhantomData<*const ()>,
}

impl ThreadClock {
    /// A clock of the calling thread. Holds a descriptor.
    pub fn of_this_thread() -> ThreadClock {
        let statistics = File::open("/proc/thread-self/schedstat").ok();
        ThreadClock { statistics, _not_send: std::marker::PhantomData }
    }

    /// The times now. Costs a system call.
    pub fn read(&self) -> ThreadTimes {
        let mut text = [0; 96];
        let read = self.statistics.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
        times_of(&text[..read]).unwrap_or_default()
    }

    /// Whether the system keeps these statistics.
    pub fn is_kept(&self) -> bool {
        self.statistics.is_some()
    }
}

/// The three numbers: nanoseconds on the CPU, nanoseconds waiting for it, turns on it.
fn times_of(text: &[u8]) -> Option<ThreadTimes> {
    let text = std::str::from_utf8(text).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
    let (cpu, run_queue) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    let turns = numbers.next()?.ok()?;
    Some(ThreadTimes { cpu: Duration::from_nanos(cpu), run_queue: Duration::from_nanos(run_queue), turns })
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident: what of it lies in memory, shared pages counted in full.
    pub resident: u64,
    /// Proportional: the same with shared pages divided by who shares them. `None` when it may not be read.
    pub proportional: Option<u64>,
}

/// The memory of process `id`, its children not counted.
///
/// # Errors
/// `NotFound` when there is no such process.
pub fn memory_of(id: u32) -> io::Result<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let resident = kib_of(&status, "VmRSS:").unwrap_or(0);
    let rollup = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok();
    let proportional = rollup.and_then(|text| kib_of(&text, "Pss:"));
    Ok(Memory { resident, proportional })
}

/// The bytes of the line that begins with `name` and counts in kB.
pub(crate) fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_in_the_times_of_its_thread() {
        let clock = ThreadClock::of_this_thread();
        let before = clock.read();
        let mut sum = 0u64;
        while clock.read().cpu < before.cpu + Duration::from_millis(5) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let after = clock.read();
        assert!(after.cpu > before.cpu && after.run_queue >= before.run_queue);
    }

    #[test]
    fn the_three_numbers_are_read() {
        let times = |cpu, run_queue, turns| {
            Some(ThreadTimes { cpu: Duration::from_nanos(cpu), run_queue: Duration::from_nanos(run_queue), turns })
        };
        assert_eq!(times_of(b"123 456 7\n"), times(123, 456, 7));
        for bad in [&b"123"[..], b"1 x 2", b"1 2", b"", &[0xFF]] {
            assert_eq!(times_of(bad), None);
        }
    }

    #[test]
    fn our_own_memory_is_more_than_nothing() {
        let memory = memory_of(std::process::id()).unwrap();
        assert!(memory.resident > 64 << 10);
        assert!(memory.proportional.is_none_or(|bytes| bytes > 0));
        assert_eq!(kib_of("Name: x\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12 << 10));
    }

    #[test]
    fn a_process_that_is_none_is_not_found() {
        assert_eq!(memory_of(u32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
