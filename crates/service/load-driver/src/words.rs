//! What went wrong, in words.

use load::ErrorKind;

use crate::work::Expected;

/// How an answer differs from what was expected of it.
pub(crate) fn mismatch(kind: ErrorKind, status: u16, asked: Option<u16>, expected: Option<Expected>) -> String {
    match (kind, expected) {
        (ErrorKind::FailureStatus, _) => format!("answered {status}"),
        (ErrorKind::Status, _) if asked.is_some_and(|asked| asked != status) => {
            format!("answered {status} instead of {}", asked.unwrap_or_default())
        }
        (ErrorKind::Status, Some(first)) if first.status != status => {
            format!("answered {status}, the first answer was {}", first.status)
        }
        (ErrorKind::Status, _) => format!("answered {status}"),
        (ErrorKind::Length, Some(first)) => format!("another length than the first answer's {} bytes", first.length),
        (ErrorKind::Body, Some(first)) => format!("not the same {} bytes as the first answer's", first.length),
        _ => kind.words().to_owned(),
    }
}
