//! One failure: what, with whom, and in what words.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::kind::{Kind, Side};

/// One failure of one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What failed.
    pub kind: Kind,
    /// The status to answer with, while no answer has begun.
    pub status: u16,
    /// What happened, in a sentence for the log. It may name servers and addresses that are no client's business.
    pub sentence: Cow<'static, str>,
    /// The server it happened with, as the configuration writes it.
    pub server: Option<Box<str>>,
    /// The methods for the Allow field of a 405.
    pub allow: Option<Cow<'static, str>>,
    /// Seconds after which asking again may help, for Retry-After. A 503 that does not know says 1.
    pub retry_after: Option<u16>,
}

impl Failure {
    /// A failure about which no more is known than its kind.
    pub const fn new(kind: Kind) -> Failure {
        Failure {
            kind,
            status: kind.status(),
            sentence: Cow::Borrowed(kind.sentence()),
            server: None,
            allow: None,
            retry_after: None,
        }
    }

    /// A failure with a sentence of its own.
    pub fn because(kind: Kind, sentence: impl Into<Cow<'static, str>>) -> Failure {
        Failure { sentence: sentence.into(), ..Failure::new(kind) }
    }

    /// The same, with that server.
    #[must_use]
    pub fn with_server(self, server: &str) -> Failure {
        Failure { server: Some(server.into()), ..self }
    }

    /// The same, where asking again may help after `wait`: told in whole seconds, at least one.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Failure {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        Failure { retry_after: Some(u16::try_from(seconds.max(1)).unwrap_or(u16::MAX)), ..self }
    }

    /// The verdict: `UREF upstream/connect: sentence`.
    pub fn verdict(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(|f| {
            let kind = self.kind;
            write!(f, "{} {}/{}: {}", kind.code(), kind.side().name(), kind.phase().name(), self.sentence)
        })
    }

    /// What happened, in a sentence for a client that is not to know which servers stand behind.
    pub fn public_sentence(&self) -> &str {
        match self.kind.side() {
            Side::Upstream => self.kind.sentence(),
            // What a proxied exchange that took too long waited for.
            Side::Local if self.kind == Kind::ExchangeTimeout => self.kind.sentence(),
            Side::Client | Side::Local => &self.sentence,
        }
    }

    /// A request that `http1` refuses.
    pub const fn refused(status: u16, sentence: &'static str) -> Failure {
        Failure {
            kind: Kind::BadRequest,
            status,
            sentence: Cow::Borrowed(sentence),
            server: None,
            allow: None,
            retry_after: None,
        }
    }

    /// A 405 with the methods that are allowed.
    pub fn method_not_allowed(allow: impl Into<Cow<'static, str>>) -> Failure {
        Failure { allow: Some(allow.into()), ..Failure::new(Kind::MethodNotAllowed) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.verdict())
    }
}

impl std::error::Error for Failure {}

impl From<Kind> for Failure {
    fn from(kind: Kind) -> Failure {
        Failure::new(kind)
    }
}

#[cfg(test)]
mod tests;
