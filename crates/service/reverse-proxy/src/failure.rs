//! What a failed try means for the retry machine and for the client.

use std::fmt;

use balance::{Cause, Decision, ServerId};
use forward::TooManyOptions;
use http1::{Fault, Garbage, HeadTooLarge};
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

impl Who<'_> {
    /// What it failed in: `sentence` goes on behind its name.
    #[cold]
    pub(crate) fn failed(self, kind: Kind, sentence: fmt::Arguments<'_>) -> Failure {
        let failure = Failure::because(kind, format!("{self} {sentence}"));
        match self.upstream.server(self.server) {
            Some(server) => failure.with_server(server.text()),
            None => failure,
        }
    }
}

/// A try that did not bring an answer to the client. In a box, so that what goes well is handed on in registers.
pub(crate) struct TryFailed {
    /// Whether (and as what) the retry machine may look at it. `None`: the client's own failure, or one of ours.
    pub(crate) cause: Option<Cause>,
    pub(crate) failure: Failure,
    /// What follows, where that had to be decided already.
    pub(crate) decided: Option<Decision>,
    /// How far the try had come.
    pub(crate) seen: Seen,
}

/// How far a try had come when it failed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Its connection had carried an exchange before.
    pub(crate) reused: bool,
    pub(crate) request_bytes_written: bool,
    pub(crate) answer_bytes_read: bool,
}

impl TryFailed {
    /// The client's failure, or ours: another server would not help.
    #[cold]
    pub(crate) fn ours(failure: Failure) -> Box<TryFailed> {
        Box::new(TryFailed { cause: None, failure, decided: None, seen: Seen::default() })
    }

    #[cold]
    pub(crate) fn of_server(cause: Cause, kind: Kind, who: Who<'_>, sentence: fmt::Arguments<'_>) -> Box<TryFailed> {
        TryFailed::with_cause(cause, who.failed(kind, sentence))
    }

    /// A failure that another try might mend.
    #[cold]
    pub(crate) fn with_cause(cause: Cause, failure: Failure) -> Box<TryFailed> {
        Box::new(TryFailed { cause: Some(cause), failure, decided: None, seen: Seen::default() })
    }
}

/// A server's broken answer, in words; `answering` when its head was whole.
#[cold]
pub(crate) fn garbage(who: Who<'_>, garbage: &Garbage, answering: bool) -> Box<TryFailed> {
    match garbage {
        Garbage::Truncated if !answering => TryFailed::of_server(
            Cause::Reset,
            Kind::UpstreamClosed,
            who,
            format_args!("closed the connection before the head of its answer was complete"),
        ),
        Garbage::Closed => TryFailed::of_server(
            Cause::Reset,
            Kind::UpstreamClosed,
            who,
            format_args!("closed the connection before it sent a byte of its answer"),
        ),
        Garbage::Truncated => TryFailed::of_server(
            Cause::Reset,
            Kind::UpstreamTruncated,
            who,
            format_args!("closed the connection before its answer was complete"),
        ),
        // An answer that breaks the rules is no accident of the connection: asking again would bring it again.
        other => {
            let kind = match other {
                _ if answering => Kind::UpstreamTruncated,
                Garbage::Fault(Fault::FieldsTooLarge | Fault::TooManyFields | Fault::FirstLineTooLong)
                | Garbage::TooManyInterim => Kind::UpstreamHeadTooLarge,
                _ => Kind::UpstreamGarbage,
            };
            TryFailed::ours(who.failed(kind, format_args!("sent a broken answer: {}", other.sentence())))
        }
    }
}

/// The client's body broke a promise that its framing had made.
#[cold]
pub(crate) fn mismatch() -> Box<TryFailed> {
    TryFailed::ours(Failure::because(Kind::Internal, "The request's body did not have its declared length."))
}

/// We asked for no coding, undo none, and may not pass one on without its name.
#[cold]
pub(crate) fn coded(who: Who<'_>) -> Box<TryFailed> {
    let sentence = format_args!("sent a body in a transfer coding that it was not asked for");
    TryFailed::ours(who.failed(Kind::UpstreamGarbage, sentence))
}

/// A 101 that is not to be.
#[cold]
pub(crate) fn unasked_switch(who: Who<'_>, why: &str) -> Box<TryFailed> {
    TryFailed::ours(who.failed(Kind::UpstreamSwitched, format_args!("switched protocols {why}")))
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
    pub(crate) fn of_client(&self) -> Box<TryFailed> {
        TryFailed::ours(match self {
            Unfit::Options(flood) => Failure::because(Kind::BadRequest, flood.to_string()),
            Unfit::TooLarge => Failure::refused(431, "The header fields are larger than this proxy can pass on."),
        })
    }

    /// What is told of a server that sent such a head.
    #[cold]
    pub(crate) fn of_server(&self, who: Who<'_>) -> Box<TryFailed> {
        TryFailed::ours(match self {
            Unfit::Options(flood) => who.failed(Kind::UpstreamGarbage, format_args!("sent a broken answer: {flood}")),
            Unfit::TooLarge => {
                let sentence = format_args!("sent header fields larger than this proxy can pass on");
                who.failed(Kind::UpstreamHeadTooLarge, sentence)
            }
        })
    }
}
