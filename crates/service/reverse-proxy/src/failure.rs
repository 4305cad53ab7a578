//! What a failed try means for the retry machine and for the client.

use std::fmt;

use balance::{Cause, Decision, ServerId};
use forward::TooManyOptions;
use http1::{Garbage, HeadTooLarge};
use observe::{Failure, Kind};
use upstream::Upstream;

/// The server of a try, for sentences: `upstream api 127.0.0.1:3001`.
#[derive(Clone, Copy)]
pub(crate) struct Who<'a> {
    pub(crate) upstream: &'a Upstream,
    pub(crate) server: ServerId,
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.upstream.server(self.server).map_or("?", |s| s.text());
        write!(f, "upstream {} {server}", self.upstream.options().name)
    }
}

/// A try that did not bring an answer to the client.
pub(crate) struct TryFailed {
    /// Whether (and as what) the retry machine may look at it. `None`: the client's own failure, or one of ours.
    pub(crate) cause: Option<Cause>,
    pub(crate) failure: Failure,
    /// What follows, where that had to be decided already.
    pub(crate) decided: Option<Decision>,
}

impl TryFailed {
    /// The client's failure, or ours: another server would not help.
    pub(crate) fn ours(failure: Failure) -> TryFailed {
        TryFailed { cause: None, failure, decided: None }
    }

    pub(crate) fn of_server(cause: Cause, kind: Kind, sentence: String) -> TryFailed {
        TryFailed { cause: Some(cause), failure: Failure::because(kind, sentence), decided: None }
    }
}

/// A server's broken answer, in words.
pub(crate) fn garbage(who: Who<'_>, garbage: &Garbage) -> TryFailed {
    match garbage {
        Garbage::Closed => TryFailed::of_server(
            Cause::Reset,
            Kind::UpstreamClosed,
            format!("{who} closed the connection before it sent a byte of its answer"),
        ),
        Garbage::Truncated => TryFailed::of_server(
            Cause::Reset,
            Kind::UpstreamTruncated,
            format!("{who} closed the connection before its answer was complete"),
        ),
        // An answer that breaks the rules is no accident of the connection: asking again would bring it again.
        other => TryFailed::ours(Failure::because(
            Kind::UpstreamGarbage,
            format!("{who} sent a broken answer: {}", other.sentence()),
        )),
    }
}

/// Why a head cannot be passed on.
pub(crate) enum Unfit {
    /// Connection names more fields than anybody needs.
    Options(TooManyOptions),
    /// With what is added here it is larger than a head may be.
    TooLarge,
}

impl From<TooManyOptions> for Unfit {
    fn from(flood: TooManyOptions) -> Unfit {
        Unfit::Options(flood)
    }
}

impl From<HeadTooLarge> for Unfit {
    fn from(_: HeadTooLarge) -> Unfit {
        Unfit::TooLarge
    }
}

impl Unfit {
    /// What a client is told that sent such a head.
    #[cold]
    pub(crate) fn of_client(&self) -> TryFailed {
        TryFailed::ours(match self {
            Unfit::Options(flood) => Failure::because(Kind::BadRequest, flood.to_string()),
            Unfit::TooLarge => Failure::refused(431, "The header fields are larger than this proxy can pass on."),
        })
    }

    /// What is told of a server that sent such a head.
    #[cold]
    pub(crate) fn of_server(&self, who: Who<'_>) -> TryFailed {
        let sentence = match self {
            Unfit::Options(flood) => format!("{who} sent a broken answer: {flood}"),
            Unfit::TooLarge => format!("{who} sent header fields larger than this proxy can pass on"),
        };
        TryFailed::ours(Failure::because(Kind::UpstreamGarbage, sentence))
    }
}
