//! Why nothing was, or could be, measured.

use load::ErrorKind;

/// What went wrong before there was a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The arguments, or files they name.
    Usage(String),
    /// The target could not be reached at all.
    Target(ErrorKind, String),
    /// This program or its machine.
    Local(String),
}

impl Problem {
    pub(crate) fn usage(sentence: impl Into<String>) -> Problem {
        Problem::Usage(sentence.into())
    }

    pub(crate) fn local(sentence: impl Into<String>) -> Problem {
        Problem::Local(sentence.into())
    }

    pub(crate) fn lookup(host: &str, why: String) -> Problem {
        Problem::Target(ErrorKind::Resolve, format!("the name {host} does not resolve: {why}"))
    }

    pub(crate) fn sentence(&self) -> &str {
        match self {
            Problem::Usage(sentence) | Problem::Target(_, sentence) | Problem::Local(sentence) => sentence,
        }
    }

    /// The program's exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Problem::Target(..) => 1,
            Problem::Usage(_) => 2,
            Problem::Local(_) => 3,
        }
    }
}
