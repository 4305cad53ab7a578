//! What went wrong with a request, in a closed vocabulary, and how often.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a request is no success. Each is told apart, and a request counts under exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The target's name has no address, or the resolver failed.
    Resolve,
    /// The target refused the connection.
    ConnectRefused,
    /// The connection was not established before its deadline.
    ConnectTimeout,
    /// The connection failed for another reason (unreachable network, reset while connecting).
    ConnectOther,
    /// The TLS handshake failed: certificate, version, alert.
    Tls,
    /// The target closed the connection where an answer was due, before its first byte.
    Closed,
    /// The target reset the connection.
    Reset,
    /// No whole answer came before the deadline.
    Timeout,
    /// What came is not the protocol.
    Garbage,
    /// The connection ended inside an answer: less came than was promised.
    Truncated,
    /// More came than was promised or asked for.
    TooLong,
    /// A whole answer with a status of 400 or above, where no such status was expected.
    FailureStatus,
    /// A whole answer with another status than the first one's.
    Status,
    /// A whole answer of another length than the first one's.
    Length,
    /// A whole answer of the right length and other bytes than the first one's (or than were sent, for an echo).
    Body,
    /// The generator has no descriptor left for a connection.
    LocalDescriptors,
    /// The generator has no local port left for a connection.
    LocalPorts,
    /// The generator failed in another way (out of buffers, source address not its own).
    LocalOther,
}

impl ErrorKind {
    /// Every kind, in the order of a request's life.
    pub const ALL: [ErrorKind; 18] = [
        ErrorKind::Resolve,
        ErrorKind::ConnectRefused,
        ErrorKind::ConnectTimeout,
        ErrorKind::ConnectOther,
        ErrorKind::Tls,
        ErrorKind::Closed,
        ErrorKind::Reset,
        ErrorKind::Timeout,
        ErrorKind::Garbage,
        ErrorKind::Truncated,
        ErrorKind::TooLong,
        ErrorKind::FailureStatus,
        ErrorKind::Status,
        ErrorKind::Length,
        ErrorKind::Body,
        ErrorKind::LocalDescriptors,
        ErrorKind::LocalPorts,
        ErrorKind::LocalOther,
    ];

    /// The kind in plain words, to stand behind a count.
    pub fn words(self) -> &'static str {
        match self {
            ErrorKind::Resolve => "name not resolved",
            ErrorKind::ConnectRefused => "connection refused",
            ErrorKind::ConnectTimeout => "connecting timed out",
            ErrorKind::ConnectOther => "connecting failed",
            ErrorKind::Tls => "TLS handshake failed",
            ErrorKind::Closed => "closed without an answer",
            ErrorKind::Reset => "connection reset",
            ErrorKind::Timeout => "no whole answer in time",
            ErrorKind::Garbage => "answer is not the protocol",
            ErrorKind::Truncated => "answer cut short",
            ErrorKind::TooLong => "more bytes than announced",
            ErrorKind::FailureStatus => "status 400 or above",
            ErrorKind::Status => "status is not the expected one",
            ErrorKind::Length => "length differs from the first answer",
            ErrorKind::Body => "bytes differ from what was expected",
            ErrorKind::LocalDescriptors => "generator out of descriptors",
            ErrorKind::LocalPorts => "generator out of local ports",
            ErrorKind::LocalOther => "generator's own failure",
        }
    }

    /// The kind as it stands in JSON and CSV.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Resolve => "resolve",
            ErrorKind::ConnectRefused => "connect_refused",
            ErrorKind::ConnectTimeout => "connect_timeout",
            ErrorKind::ConnectOther => "connect_other",
            ErrorKind::Tls => "tls",
            ErrorKind::Closed => "closed",
            ErrorKind::Reset => "reset",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Garbage => "garbage",
            ErrorKind::Truncated => "truncated",
            ErrorKind::TooLong => "too_long",
            ErrorKind::FailureStatus => "failure_status",
            ErrorKind::Status => "status",
            ErrorKind::Length => "length",
            ErrorKind::Body => "body",
            ErrorKind::LocalDescriptors => "local_descriptors",
            ErrorKind::LocalPorts => "local_ports",
            ErrorKind::LocalOther => "local_other",
        }
    }

    /// Whether no connection could be made, so that a request that was due was never sent.
    pub fn is_of_connecting(self) -> bool {
        matches!(self, ErrorKind::Resolve | ErrorKind::ConnectRefused | ErrorKind::ConnectTimeout)
    }

    /// Whether the generator's own limits are to blame, and not the target.
    pub fn is_local(self) -> bool {
        matches!(self, ErrorKind::LocalDescriptors | ErrorKind::LocalPorts | ErrorKind::LocalOther)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// How often each kind happened. Counting one costs an addition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "BTreeMap<ErrorKind, u64>", from = "BTreeMap<ErrorKind, u64>")]
pub struct ErrorCounts {
    counts: [u64; ErrorKind::ALL.len()],
}

impl ErrorCounts {
    /// Counts one.
    pub fn count(&mut self, kind: ErrorKind) {
        self.add(kind, 1);
    }

    /// Counts `times`.
    pub fn add(&mut self, kind: ErrorKind, times: u64) {
        let slot = &mut self.counts[kind as usize];
        *slot = slot.saturating_add(times);
    }

    /// How often `kind` happened.
    pub fn of(&self, kind: ErrorKind) -> u64 {
        self.counts[kind as usize]
    }

    /// How many in all.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// How many the generator itself is to blame for.
    pub fn local(&self) -> u64 {
        self.sum(ErrorKind::is_local)
    }

    /// How many requests were never sent, since no connection could be made for them.
    pub fn of_connecting(&self) -> u64 {
        self.sum(ErrorKind::is_of_connecting)
    }

    fn sum(&self, counts: impl Fn(ErrorKind) -> bool) -> u64 {
        self.iter().filter(|(kind, _)| counts(*kind)).map(|(_, count)| count).sum()
    }

    /// The kinds that happened, with their counts, in the order of [`ErrorKind::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (ErrorKind, u64)> + '_ {
        ErrorKind::ALL.into_iter().map(|kind| (kind, self.of(kind))).filter(|(_, count)| *count > 0)
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &ErrorCounts) {
        for (kind, count) in other.iter() {
            self.add(kind, count);
        }
    }
}

impl From<ErrorCounts> for BTreeMap<ErrorKind, u64> {
    fn from(counts: ErrorCounts) -> BTreeMap<ErrorKind, u64> {
        counts.iter().collect()
    }
}

impl From<BTreeMap<ErrorKind, u64>> for ErrorCounts {
    fn from(map: BTreeMap<ErrorKind, u64>) -> ErrorCounts {
        let mut counts = ErrorCounts::default();
        for (kind, count) in map {
            counts.add(kind, count);
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_place_its_words_and_its_name_of_serde() {
        for (place, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            assert!(!kind.words().is_empty());
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.name()));
        }
    }

    #[test]
    fn counts_add_up_by_kind_and_survive_json() {
        let mut counts = ErrorCounts::default();
        counts.count(ErrorKind::Reset);
        counts.add(ErrorKind::LocalPorts, 4);
        let mut sum = counts;
        sum.merge(&counts);
        assert_eq!((sum.of(ErrorKind::Reset), sum.total(), sum.local()), (2, 10, 8));
        let text = serde_json::to_string(&sum).unwrap();
        assert_eq!(text, r#"{"reset":2,"local_ports":8}"#);
        assert_eq!(serde_json::from_str::<ErrorCounts>(&text).unwrap(), sum);
    }
}
