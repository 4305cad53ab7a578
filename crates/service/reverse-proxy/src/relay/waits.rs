//! What a server is waited for, for how long, and what it means that the time is over.

use std::io;
use std::time::Duration;

use balance::{Cause, Decision};
use event_loop::now;
use net::Transport;
use observe::Kind;
use serve::Exchange;
use upstream::Timeouts;

use super::{Relay, Upload};
use crate::failure::TryFailed;
use crate::proxy::Tries;

/// How long a server is waited for that was asked whether it wants the body.
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// What the deadline of the server's stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Wait {
    /// The head of its answer.
    Head = 1,
    /// Its next bytes, or its reading of ours.
    Silence,
    /// Its leave to send the body.
    Continue,
    /// A sign that a connection that was idle still leads to it: that the request is acknowledged, which its system does however busy it
    /// is. The first part of [`Wait::Head`].
    Sign,
}

/// Whether an operation failed because our own deadline is over; the system's patience with a peer ends with an error of the same kind.
pub(super) fn is_over(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none()
}

impl<'p> Relay<'p> {
    /// The server sends nothing at present. That is its silence only when it owes us something: while it has all that came of a
    /// request that goes on, the client is waited for, whose time the body's reader keeps; and the head's time begins when the
    /// request is sent.
    pub(super) fn wait_for_answer(&mut self, wait: Wait) {
        let uploads = self.upload == Upload::Streaming;
        let owes = if wait == Wait::Silence { !uploads || self.has_unsent() } else { !uploads };
        if owes {
            self.start_waiting(wait);
        }
    }

    pub(super) fn start_waiting(&mut self, wait: Wait) {
        let timeouts = self.timeouts();
        let wait =
            if wait == Wait::Head && self.doubted && timeouts.connect < timeouts.header { Wait::Sign } else { wait };
        if self.wait == Some(wait) {
            return;
        }
        let timeout = match wait {
            Wait::Head => timeouts.header,
            Wait::Silence => timeouts.body,
            Wait::Continue => CONTINUE_WAIT,
            Wait::Sign => timeouts.connect,
        };
        self.wait_for(wait, timeout);
    }

    fn wait_for(&mut self, wait: Wait, timeout: Duration) {
        self.checkout.stream().set_deadline(now().after(timeout), wait as u8);
        self.wait = Some(wait);
    }

    pub(super) fn stop_waiting(&mut self) {
        if self.wait.take().is_some() {
            self.checkout.stream().clear_deadline();
        }
    }

    fn timeouts(&self) -> &'p Timeouts {
        &self.checkout.upstream().options().timeouts
    }

    /// The time is over in which a connection comes about. When nothing of the request was acknowledged in it, none would: the server's machine
    /// is gone, or a firewall between us has forgotten a connection that was idle for too long. Then the request goes out once more where that
    /// is safe; otherwise the head has the rest of its time.
    #[cold]
    pub(super) fn look_for_a_sign(&mut self, exchange: &Exchange<'_>, tries: &Tries<'p>) -> Result<(), Box<TryFailed>> {
        self.stop_waiting();
        self.doubted = false;
        let (upstream, server) = (self.checkout.upstream(), self.checkout.server());
        let Timeouts { connect, header, .. } = *self.timeouts();
        if self.is_unheard(connect) {
            let decision = upstream.decide(&tries.failed(Cause::Reset, self.seen(), exchange));
            if !matches!(decision, Decision::GiveUp(_)) {
                upstream.distrust(server);
                let sentence = format_args!("acknowledged nothing on an idle connection within {connect:?}");
                let failed = TryFailed::of_server(Cause::Reset, Kind::UpstreamTimeout, self.who(), sentence);
                return Err(Box::new(TryFailed { decided: Some(decision), ..*failed }));
            }
        }
        self.wait_for(Wait::Head, header.saturating_sub(connect));
        Ok(())
    }

    /// Whether something that was sent is not acknowledged, and nothing was for so long.
    fn is_unheard(&self, within: Duration) -> bool {
        self.checkout.stream().unacknowledged_for().is_some_and(|time| time + SYSTEM_TICK >= within)
    }

    #[cold]
    pub(super) fn broken(&self, error: &io::Error) -> Box<TryFailed> {
        let who = self.who();
        if !is_over(error) {
            // Over TLS 1.3 a server says only after the handshake that it does not take the certificate it was shown.
            let refused = net::tls_error(error).is_some_and(|error| error.reason() != tls::Reason::Truncated);
            let kind = match self.answering {
                true => Kind::UpstreamTruncated,
                false if refused => Kind::UpstreamTls,
                false if error.kind() == io::ErrorKind::TimedOut => Kind::UpstreamTimeout,
                false => Kind::UpstreamReset,
            };
            return TryFailed::of_server(Cause::Reset, kind, who, format_args!("{}", how_broken(error)));
        }
        match self.wait {
            Some(Wait::Head | Wait::Sign) | None => {
                let within = self.timeouts().header;
                let sentence = match self.input.len() {
                    0 if self.is_unheard(within) => {
                        format!("acknowledged nothing of the request within {within:?}: {GONE}")
                    }
                    0 => format!("accepted the connection but sent no response head within {within:?}"),
                    n => format!("sent {n} bytes of a response head, but not all of it, within {within:?}"),
                };
                TryFailed::of_server(Cause::Timeout, Kind::UpstreamTimeout, who, format_args!("{sentence}"))
            }
            Some(Wait::Silence | Wait::Continue) => {
                let within = self.timeouts().body;
                let sentence = match self.is_unheard(within) {
                    true => format!("acknowledged nothing of what was sent to it for {within:?}: {GONE}"),
                    false => format!("neither sent nor read anything for {within:?}"),
                };
                TryFailed::of_server(Cause::Timeout, Kind::UpstreamSilent, who, format_args!("{sentence}"))
            }
        }
    }
}

/// The system's times are coarser than ours.
const SYSTEM_TICK: Duration = Duration::from_millis(20);

/// What it means when a system acknowledges nothing.
pub(crate) const GONE: &str = "its machine is gone, or packets are dropped on the way";

/// How a connection broke, behind the server's name. With a time-out of the system's it is no doing of the server's.
fn how_broken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => format!("acknowledged nothing until the system gave its connection up: {GONE}"),
        _ => format!("broke the connection: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patience_of_the_system_is_not_ours() {
        let given_up = io::Error::from_raw_os_error(110);
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
        assert!(!is_over(&given_up) && is_over(&io::ErrorKind::TimedOut.into()));
        assert!(how_broken(&given_up).starts_with("acknowledged nothing until the system"));
        assert!(how_broken(&io::Error::from_raw_os_error(104)).starts_with("broke the connection: "));
    }
}
