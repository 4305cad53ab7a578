//! The request target (RFC 9112 §3.2).

use message::{Method, Span, TargetForm};

use crate::authority::{self, Port};

/// A target, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) form: TargetForm,
    /// Of absolute-form and authority-form targets.
    pub(crate) authority: Option<Span>,
    /// Empty for authority-form and asterisk-form.
    pub(crate) path: Span,
    pub(crate) query: Option<Span>,
}

/// Takes the target apart that stands at `span` in `head`. `None` when it is malformed, or of a form that the method
/// does not have: only CONNECT names an authority, only OPTIONS a `*`.
///
/// Any visible ASCII is let through but `#`: a fragment is never sent, and browsers leave `|`, `^` and `{` as they
/// are. Percent-encodings are judged where the path is normalised.
pub(crate) fn split(method: Method, head: &[u8], span: Span) -> Option<Target> {
    let bytes = span.of(head);
    let start = usize::from(span.start);
    if method == Method::Connect {
        let named = authority::judge(bytes)? == Port::Number;
        let nowhere = Span::new(start, start);
        return named.then_some(Target {
            form: TargetForm::Authority,
            authority: Some(span),
            path: nowhere,
            query: None,
        });
    }
    match bytes {
        [b'/', ..] => {
            let (path, query) = path_and_query(bytes, 0, start)?;
            Some(Target { form: TargetForm::Origin, authority: None, path, query })
        }
        b"*" if method == Method::Options => {
            let nowhere = Span::new(start, start);
            Some(Target { form: TargetForm::Asterisk, authority: None, path: nowhere, query: None })
        }
        _ => absolute(bytes, start),
    }
}

fn absolute(bytes: &[u8], start: usize) -> Option<Target> {
    let host = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| bytes.get(..scheme.len()).is_some_and(|b| b.eq_ignore_ascii_case(scheme)))?
        .len();
    let end = bytes[host..].iter().position(|b| matches!(b, b'/' | b'?' | b'#')).map_or(bytes.len(), |n| host + n);
    authority::judge(&bytes[host..end])?;
    let (path, query) = path_and_query(bytes, end, start)?;
    let authority = Some(Span::new(start + host, start + end));
    Some(Target { form: TargetForm::Absolute, authority, path, query })
}

/// The bytes that may stand in a path here: ASCII but `?`, where it ends, and `#`.
const PATH: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 128 {
        table[b] = b != b'?' as usize && b != b'#' as usize;
        b += 1;
    }
    table
};

/// Splits what begins at `from` at its first `?`; `start` is where `bytes` stands in the head.
fn path_and_query(bytes: &[u8], from: usize, start: usize) -> Option<(Span, Option<Span>)> {
    let mut mark = from;
    while mark < bytes.len() && PATH[usize::from(bytes[mark])] {
        mark += 1;
    }
    if mark < bytes.len() && bytes[mark] != b'?' {
        return None;
    }
    let path = Span::new(start + from, start + mark);
    if mark == bytes.len() {
        return Some((path, None));
    }
    let query = &bytes[mark + 1..];
    if query.iter().any(|b| *b == b'#' || *b >= 0x80) {
        return None;
    }
    Some((path, Some(Span::new(start + mark + 1, start + bytes.len()))))
}
