//! Loopback is not paced.

use std::net::IpAddr;
use std::os::fd::AsFd;

use rustix::net::sockopt;

/// Every system has it, and lets everybody choose it.
const UNPACED: &str = "reno";

/// Where the system's congestion control paces (BBR does), takes it from a socket that is bound to, or will connect to, an address of loopback; what
/// a listener accepts inherits it. Nothing is lost there for want of a pace. At a pace each segment goes from a timer, and wakes the receiver, who has slept
/// since the one before: bytes over loopback cost several times the CPU. To be called before the connection is made: a pace once begun stays.
pub(crate) fn unpaced(socket: impl AsFd, address: IpAddr) {
    if address.to_canonical().is_loopback() && is_paced(&socket) {
        // What cannot be had is done without.
        let _ = sockopt::set_tcp_congestion(&socket, UNPACED);
    }
}

/// Whether a timer of the kernel's sends on it, at a rate that it works out.
pub(crate) fn is_paced(socket: impl AsFd) -> bool {
    sockopt::tcp_congestion(socket).is_ok_and(|name| name.starts_with("bbr"))
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};

    use super::*;

    fn under(control: &str, address: &str) -> Option<String> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket is given");
        // A system that does not have this control, or keeps it to itself, says so.
        sockopt::set_tcp_congestion(&socket, control).ok()?;
        unpaced(&socket, address.parse().expect("it is an address"));
        Some(sockopt::tcp_congestion(&socket).expect("it has one"))
    }

    #[test]
    fn a_pace_is_taken_from_loopback_alone() {
        // A system without it has nothing to take.
        let Some(after) = under("bbr", "127.0.0.1") else { return };
        assert_eq!(after, UNPACED);
        assert_eq!(under("bbr", "127.8.9.10").as_deref(), Some(UNPACED));
        assert_eq!(under("bbr", "::1").as_deref(), Some(UNPACED));
        assert_eq!(under("bbr", "::ffff:127.0.0.1").as_deref(), Some(UNPACED));
        assert_eq!(under("bbr", "0.0.0.0").as_deref(), Some("bbr"));
        assert_eq!(under("bbr", "192.0.2.1").as_deref(), Some("bbr"));
    }

    #[test]
    fn who_has_no_pace_keeps_the_control_it_has() {
        if let Some(after) = under("cubic", "127.0.0.1") {
            assert_eq!(after, "cubic");
        }
        assert_eq!(under("reno", "127.0.0.1").as_deref(), Some("reno"));
    }
}
