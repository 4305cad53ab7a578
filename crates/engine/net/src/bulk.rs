//! How often a long file looks whether its socket has room.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use clock::Tick;
use rustix::net::sockopt;

/// So much of a file is sent between two looks, in bytes.
const STRETCH: u64 = 1 << 20;

/// A file that was sent so long ago, in milliseconds, is not under way any more.
const PAST_MS: u32 = 20;

/// The connection that sent a piece of a long file last.
#[derive(Clone, Copy)]
struct Sender {
    socket: RawFd,
    at: Tick,
    /// When another one did, if any.
    other: Option<Tick>,
    /// Whether a timer of the kernel's sends on it, at a rate that it works out; once that was asked.
    is_paced: Option<bool>,
}

thread_local! {
    static LAST: Cell<Option<Sender>> = const { Cell::new(None) };
}

/// Whether to look for room behind these bytes of a file, which filled a piece. Looking after each piece makes the connection wait more often, and be
/// woken more often. That pays for one that is paced and alone: while it waits, the kernel sends what is queued, and does so without us.
pub(crate) fn looks_behind(socket: impl AsFd, offset: u64, sent: u64) -> bool {
    let (fd, now) = (socket.as_fd().as_raw_fd(), event_loop::now());
    let mut sender = turn_of(LAST.get(), fd, now);
    let looks = offset / STRETCH != (offset + sent) / STRETCH
        || (sender.is_alone(now)
            && *sender
                .is_paced
                .get_or_insert_with(|| sockopt::tcp_congestion(socket).is_ok_and(|name| name.starts_with("bbr"))));
    LAST.set(Some(sender));
    looks
}

/// What is known of the sender when it is `fd`'s turn.
fn turn_of(last: Option<Sender>, fd: RawFd, now: Tick) -> Sender {
    match last {
        Some(last) if last.socket == fd => Sender { at: now, ..last },
        last => Sender { socket: fd, at: now, other: last.map(|last| last.at), is_paced: None },
    }
}

impl Sender {
    fn is_alone(&self, now: Tick) -> bool {
        self.other.is_none_or(|other| now.0.wrapping_sub(other.0) >= PAST_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_while_another_does_is_not_alone() {
        let mut last = turn_of(None, 3, Tick(100));
        assert!(last.is_alone(Tick(100)));
        last = turn_of(Some(last), 3, Tick(200));
        assert!(last.is_alone(Tick(200)));
        last = turn_of(Some(last), 4, Tick(210));
        assert!(!last.is_alone(Tick(210)));
        last = turn_of(Some(last), 3, Tick(215));
        assert!(!last.is_alone(Tick(215)));
        // The other one has ended since.
        last = turn_of(Some(last), 3, Tick(210 + PAST_MS));
        assert!(last.is_alone(Tick(210 + PAST_MS)));
    }

    #[test]
    fn what_was_asked_of_a_socket_is_kept_for_its_turns_only() {
        let first = Sender { is_paced: Some(true), ..turn_of(None, 3, Tick(0)) };
        let again = turn_of(Some(first), 3, Tick(1));
        assert_eq!(again.is_paced, Some(true));
        assert_eq!(turn_of(Some(again), 4, Tick(2)).is_paced, None);
    }
}
