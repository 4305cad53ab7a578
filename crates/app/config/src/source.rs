//! The text of a file, and places in it.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// One file, kept so that an error can show the line it is about.
pub(crate) struct Source {
    /// As it is printed: the path as it was given.
    pub(crate) name: String,
    /// The folder that relative paths in it start from.
    pub(crate) folder: PathBuf,
    pub(crate) text: String,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A stretch of a file.
#[derive(Clone, Debug)]
pub struct Place {
    pub(crate) source: Arc<Source>,
    pub(crate) span: Range<usize>,
}

impl Place {
    pub(crate) fn new(source: &Arc<Source>, span: Range<usize>) -> Place {
        // A span that is not on character boundaries would be a fault of the parser; show the file's start then.
        let valid = source.text.get(span.clone()).is_some();
        Place { source: Arc::clone(source), span: if valid { span } else { 0..0 } }
    }

    /// The file, as its path was given.
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// The line it begins in, from 1.
    pub fn line(&self) -> usize {
        self.before().bytes().filter(|b| *b == b'\n').count() + 1
    }

    /// The character of the line it begins with, from 1.
    pub fn column(&self) -> usize {
        self.source.text[self.line_start()..self.span.start].chars().count() + 1
    }

    /// The offset of the first byte of the line it begins in.
    pub(crate) fn line_start(&self) -> usize {
        self.before().rfind('\n').map_or(0, |n| n + 1)
    }

    /// The line it begins in, without its end.
    pub fn text(&self) -> &str {
        let rest = &self.source.text[self.line_start()..];
        rest.lines().next().unwrap_or_default()
    }

    /// The same as it may be shown: terminals and the logs of builds have more readers than the file, so what stands behind `secret =` and
    /// the like becomes asterisks, byte for byte.
    pub(crate) fn shown(&self) -> String {
        without_secrets(self.text())
    }

    /// The place within [`Place::text`]: what goes on in further lines is cut off, nothing becomes one character.
    pub(crate) fn in_line(&self) -> Range<usize> {
        let line = self.text();
        let start = (self.span.start - self.line_start()).min(line.len());
        let end = (self.span.end - self.line_start()).clamp(start, line.len());
        start..end
    }

    fn before(&self) -> &str {
        &self.source.text[..self.span.start]
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file(), self.line(), self.column())
    }
}

/// The ending of every key whose value is one: `ticket_secret`.
const SECRET: &str = "secret";

fn without_secrets(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(SECRET) {
        let (before, behind) = rest.split_at(at + SECRET.len());
        shown.push_str(before);
        rest = behind;
        // The key may be quoted itself.
        let Some(value) = behind.trim_start_matches(['"', '\'']).trim_start().strip_prefix('=') else { continue };
        let value = value.trim_start();
        let hidden = hidden(value);
        shown.push_str(&behind[..behind.len() - value.len() + hidden.start]);
        shown.extend(std::iter::repeat_n('*', hidden.len()));
        rest = &value[hidden.end..];
    }
    shown + rest
}

/// What is not shown of a secret value and what follows it: the text in its quotes, and all up to the line's end where it is not clear where
/// that is. The name of a variable is no secret.
fn hidden(value: &str) -> Range<usize> {
    let quote = match value.bytes().next() {
        Some(quote @ (b'"' | b'\'')) => quote,
        _ => return 0..value.len(),
    };
    let mut escaped = false;
    let end = value.bytes().skip(1).position(|byte| {
        let ends = byte == quote && !escaped;
        escaped = byte == b'\\' && quote == b'"' && !escaped;
        ends
    });
    let Some(end) = end.map(|end| end + 1) else { return 1..value.len() };
    match value[end + 1..].trim_start().bytes().next() {
        None | Some(b',' | b'}' | b'#') => {}
        // It may well be a part of the secret.
        Some(_) => return 1..value.len(),
    }
    let name = value[1..end].strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    match name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')) {
        true => 0..0,
        false => 1..end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (line, shown) in [
            ("secret = \"abc\"", "secret = \"***\""),
            ("ticket_secret='abc' # mine", "ticket_secret='***' # mine"),
            (
                "sticky = { \"secret\" = \"a\\\"c\", cookie = \"x\" }",
                "sticky = { \"secret\" = \"****\", cookie = \"x\" }",
            ),
            ("a = { secret = \"abc\" }, b = { secret = \"d\" }", "a = { secret = \"***\" }, b = { secret = \"*\" }"),
            ("secret = \"${STICKY_SECRET}\"", "secret = \"${STICKY_SECRET}\""),
            ("secret = \"${A:-abc}\"", "secret = \"*********\""),
            ("secret = \"${A}bc\"", "secret = \"******\""),
            // Whatever is wrong with the quotes.
            ("secret = abc", "secret = ***"),
            ("secret = \"abc", "secret = \"***"),
            ("secret = \"ab\"c\"", "secret = \"*****"),
            ("secret = \"\"\"abc", "secret = \"*****"),
            ("secret = \"é\"", "secret = \"**\""),
            ("secret =", "secret ="),
            ("secret", "secret"),
            ("path = \"/secret\"", "path = \"/secret\""),
            ("\"/secret\" = \"/x\"", "\"/secret\" = \"**\""),
        ] {
            assert_eq!(without_secrets(line), shown);
        }
    }
}
