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
        let line = self.text();
        let hidden = match open_after(&self.source.text[..self.line_start()]) {
            Some(quotes) => end_of(line, quotes).unwrap_or(line.len()),
            None => 0,
        };
        "*".repeat(hidden) + &without_secrets(&line[hidden..])
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

/// The endings of the keys whose values are secrets, in lower case: `ticket_secret`, and fields that carry credentials, such as
/// `Authorization` and `x-api-key`. (A `client_key` is the name of a file.)
const SECRETS: [&str; 6] = ["secret", "token", "password", "authorization", "-key", COOKIE];

/// The key of a field that carries a session, and of the name of one.
const COOKIE: &str = "cookie";

/// Where the next secret value of `line` begins, looked for from `from` on.
fn next_secret(line: &str, mut from: usize) -> Option<usize> {
    let lower = line.to_ascii_lowercase();
    loop {
        let ends = SECRETS.iter().filter_map(|key| Some((from + lower[from..].find(key)? + key.len(), *key)));
        let (end, key) = ends.min()?;
        from = end;
        // The key may be quoted itself.
        let behind = line[from..].trim_start_matches(['"', '\'']).trim_start();
        let Some(value) = behind.strip_prefix('=').map(str::trim_start) else { continue };
        if key != COOKIE || !is_name(value) {
            return Some(line.len() - value.len());
        }
    }
}

/// Whether a value is no more than a name in quotes.
fn is_name(value: &str) -> bool {
    let quoted = value.split(['"', '\'']).nth(1);
    quoted.is_some_and(|name| !name.is_empty() && !name.contains(['=', ';']))
}

fn without_secrets(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut done = 0;
    while let Some(at) = next_secret(line, done) {
        let hidden = hidden(&line[at..]);
        shown.push_str(&line[done..at + hidden.start]);
        shown.extend(std::iter::repeat_n('*', hidden.len()));
        done = at + hidden.end;
    }
    shown + &line[done..]
}

/// What ends the secret that begins in `line` and goes on in the lines behind it; none where none does.
fn opened_in(line: &str) -> Option<&'static str> {
    let mut from = 0;
    while let Some(at) = next_secret(line, from) {
        for quotes in [BASIC, LITERAL] {
            if line[at..].strip_prefix(quotes).is_some_and(|rest| end_of(rest, quotes).is_none()) {
                return Some(quotes);
            }
        }
        from = at;
    }
    None
}

/// What a text begins and ends with that goes over several lines: with escapes in it, or none.
const BASIC: &str = "\"\"\"";
const LITERAL: &str = "'''";

/// Where such a text ends, if it does in this line.
fn end_of(line: &str, quotes: &str) -> Option<usize> {
    let escapes = |before: &str| before.bytes().rev().take_while(|byte| *byte == b'\\').count();
    let mut ends = line.match_indices(quotes).map(|(at, _)| at);
    ends.find(|at| quotes == LITERAL || escapes(&line[..*at]).is_multiple_of(2))
}

/// What ends the secret within which the line behind those of `before` begins.
fn open_after(before: &str) -> Option<&'static str> {
    before.lines().fold(None, |open, line| match open {
        None => opened_in(line),
        Some(quotes) => end_of(line, quotes).is_none().then_some(quotes),
    })
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
            ("token = \"abc\"", "token = \"***\""),
            ("set = { Authorization = \"B c\", b = \"d\" }", "set = { Authorization = \"***\", b = \"d\" }"),
            ("\"X-Api-Key\" = 'abc'", "\"X-Api-Key\" = '***'"),
            ("Cookie = \"sid=abc\"", "Cookie = \"*******\""),
            ("sticky = { cookie = \"t g\", secret = \"a\" }", "sticky = { cookie = \"t g\", secret = \"*\" }"),
            ("client_key = \"tls/me.key\"", "client_key = \"tls/me.key\""),
            ("key = \"header:authorization\"", "key = \"header:authorization\""),
        ] {
            assert_eq!(without_secrets(line), shown);
        }
    }

    #[test]
    fn later_lines_of_a_secret_are_not_shown_either() {
        let shown = |text: &str| {
            let source = Arc::new(Source { name: String::new(), folder: PathBuf::new(), text: text.to_owned() });
            let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
            let lines: Vec<_> = starts.map(|start| Place::new(&source, start..start).shown()).collect();
            lines.join("\n")
        };
        for (text, expected) in [
            ("secret = \"\"\"\nabc\nde\"\"\"\na = 1", "secret = \"**\n***\n**\"\"\"\na = 1"),
            ("secret = '''\na\\'''\na = \"b\"", "secret = '**\n**'''\na = \"b\""),
            ("secret = \"\"\"a\\\"\"\"\nb\"\"\"\nc", "secret = \"*******\n*\"\"\"\nc"),
            ("secret = \"\"\"a\"\"\"\nb = 1", "secret = \"******\nb = 1"),
            ("body = \"\"\"\nabc\"\"\"", "body = \"\"\"\nabc\"\"\""),
            // Never closed: all that follows may belong to it.
            ("secret = \"\"\"\nabc\nb = 1", "secret = \"**\n***\n*****"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }
}
