//! Time to the nanosecond, for measuring: a clock, and a timer that keeps to tens of microseconds.
//!
//! The worker's own clock ([`crate::now`]) moves once a turn and in milliseconds, which is right for deadlines and far too
//! coarse for load that is sent on a plan. This timer is a descriptor of its own (a timerfd) in the worker's poll.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use mio::unix::SourceFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::registration::{Direction, Ready, Registration};

const SECOND: u64 = 1_000_000_000;

/// Nanoseconds of a monotonic clock that begins at a second when this process first asks; the same for all its threads.
/// Costs no system call, but some 20 to 70 ns: for measuring, not for deadlines.
#[inline]
pub fn nanos() -> u64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let since = ORIGIN.get_or_init(Instant::now).elapsed();
    (since.as_secs() + 1).wrapping_mul(SECOND).wrapping_add(u64::from(since.subsec_nanos()))
}

/// A timer in nanoseconds of [`nanos`]. One task waits for it at a time.
///
/// Fires tens of microseconds after its time on an idle worker (the kernel's high-resolution timer and one wake-up);
/// on a busy one in the first turn that begins after it. Setting it costs a system call.
#[derive(Debug)]
pub struct Timer {
    // Before the descriptor, so that the place in the table is given back while the number is still ours.
    registration: Registration,
    fd: OwnedFd,
    /// What it is set to; 0 when it is not.
    at: Cell<u64>,
}

impl Timer {
    /// A timer that is not set.
    ///
    /// # Errors
    /// The system's, when there is no descriptor left; `Unsupported` on a simulated worker.
    pub fn new() -> io::Result<Timer> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let registration = Registration::of(&mut SourceFd(&fd.as_raw_fd()))?;
        Ok(Timer { registration, fd, at: Cell::new(0) })
    }

    /// Waits until [`nanos`] has reached `at`; at once when it has already.
    ///
    /// # Errors
    /// The system's.
    pub async fn sleep_until(&self, at: u64) -> io::Result<()> {
        while nanos() < at {
            self.set(at)?;
            std::future::poll_fn(|cx| self.poll_fired(cx)).await?;
        }
        Ok(())
    }

    /// Sets it to `at`; a time in the past fires at once. Costs nothing when it is set to that already.
    ///
    /// # Errors
    /// The system's.
    pub fn set(&self, at: u64) -> io::Result<()> {
        if self.at.get() == at {
            return Ok(());
        }
        // Zero would disarm it.
        let wait = at.saturating_sub(nanos()).max(1);
        // Setting it forgets an expiry that nobody has taken; what was reported of it is stale too.
        self.registration.clear(Ready::READ);
        let value = Timespec { tv_sec: (wait / SECOND) as i64, tv_nsec: (wait % SECOND) as _ };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &once)?;
        self.at.set(at);
        Ok(())
    }

    /// Ready when the time that was set has come; then it is not set any more.
    ///
    /// # Errors
    /// The poll's.
    pub fn poll_fired(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.registration.poll_ready(cx, Direction::Read))?;
        // Not read: the next setting resets the descriptor's counter, and its next expiry is a new edge.
        self.registration.clear(Ready::READ);
        self.at.set(0);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
