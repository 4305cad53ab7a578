//! Why handshakes fail: counted by reason, and told once a minute for each, so that neither old clients go unnoticed nor whoever knocks
//! on all doors fills the log.

use std::io;
use std::time::Duration;

use clock::Tick;
use observe::HANDSHAKE_FAILURES;
use tls::Reason;

/// One of a reason is told in so much time.
const TOLD_EVERY: Duration = Duration::from_secs(60);

const TIMED_OUT: usize = 0;
const BROKEN: usize = 1;
const OTHERS: usize = 2;

const _: () = assert!(OTHERS + Reason::ALL.len() <= HANDSHAKE_FAILURES, "each reason has a counter");

/// The reasons by which [`observe::Counters::handshake_failures`] counts, in the order of their numbers, by the names that metrics have for
/// them.
pub fn handshake_failures() -> impl Iterator<Item = &'static str> {
    ["timed_out", "broken"].into_iter().chain(Reason::ALL.iter().map(|reason| reason.name()))
}

/// The number of the reason: what TLS says, or how the connection ended.
pub(crate) fn number(error: Option<&tls::Error>, end: io::ErrorKind) -> usize {
    match (error, end) {
        (Some(error), _) => OTHERS + error.reason() as usize,
        (None, io::ErrorKind::TimedOut) => TIMED_OUT,
        (None, _) => BROKEN,
    }
}

/// Which were told of last, and how many were not since.
#[derive(Debug, Default)]
pub(crate) struct Told([(Option<Tick>, u32); HANDSHAKE_FAILURES]);

impl Told {
    /// Whether a failure for that reason is told of, and how many before it were not.
    pub(crate) fn is_due(&mut self, reason: usize, now: Tick) -> Option<u32> {
        let (last, unsaid) = self.0.get_mut(reason)?;
        if last.is_some_and(|last| now.since(last) < TOLD_EVERY) {
            *unsaid = unsaid.saturating_add(1);
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_go_together() {
        let names: Vec<_> = handshake_failures().collect();
        for (place, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!((*reason as usize, names[OTHERS + place]), (place, reason.name()));
        }
        assert_eq!(names[number(None, io::ErrorKind::TimedOut)], "timed_out");
        assert_eq!(names[number(Some(&tls::Error::PlainHttp), io::ErrorKind::Other)], "plain_http");
    }

    #[test]
    fn one_a_minute_is_told_of_and_how_many_were_not() {
        let mut told = Told::default();
        let at = |seconds: u32| Tick(seconds * 1000);
        assert_eq!(told.is_due(3, at(0)), Some(0));
        assert_eq!([told.is_due(3, at(1)), told.is_due(3, at(59))], [None, None]);
        assert_eq!(told.is_due(4, at(59)), Some(0), "each reason by itself");
        assert_eq!(told.is_due(3, at(60)), Some(2));
        assert_eq!([told.is_due(3, at(61)), told.is_due(3, at(200))], [None, Some(1)]);
    }
}
