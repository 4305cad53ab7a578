//! The text of a file, and places in it.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// One file, kept so that an error can show the line it is about.
pub(crate) struct Source {
    /// As it is printed: the path as it was given.
    pub(crate) name: String,
    /// The folder that relative paths in it start from.
    pub(crate) folder: PathBuf,
    pub(crate) text: String,
    /// The lines that begin within a secret: where each begins, and within what. Found out when the first line is shown.
    within: OnceLock<Vec<(usize, Open)>>,
}

impl Source {
    pub(crate) fn new(name: String, folder: PathBuf, text: String) -> Source {
        Source { name, folder, text, within: OnceLock::new() }
    }

    /// What secret the line that begins at `start` is within.
    fn open_at(&self, start: usize) -> Option<Open> {
        let within = self.within.get_or_init(|| lines_within_secrets(&self.text));
        within.binary_search_by_key(&start, |(start, _)| *start).ok().map(|at| within[at].1)
    }
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
        let open = self.source.open_at(self.line_start());
        let hidden = open.map_or(0, |open| open.end_in(line).unwrap_or(line.len()));
        "*".repeat(hidden) + &without_passwords(without_secrets(&line[hidden..]))
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
const SECRETS: [&str; 12] = [
    "secret",
    "token",
    "password",
    "passwd",
    "passphrase",
    "credentials",
    "authorization",
    "-auth",
    "-key",
    "api_key",
    "apikey",
    COOKIE,
];

/// The key of a field that carries a session, and of the name of one.
const COOKIE: &str = "cookie";

/// Where the next secret value of `line` begins, looked for from `from` on.
fn next_secret(line: &str, mut from: usize) -> Option<usize> {
    let lower = line.to_ascii_lowercase();
    loop {
        let ends = SECRETS.iter().filter_map(|key| Some((from + lower[from..].find(key)? + key.len(), *key)));
        let (end, key) = ends.min()?;
        from = end;
        let Some(value) = value_behind(line, end) else { continue };
        if key != COOKIE || !is_name(value) {
            return Some(line.len() - value.len());
        }
    }
}

/// The value of the key that ends at `end`, and all behind it: also where no `=`, or a colon, stands between them.
fn value_behind(line: &str, end: usize) -> Option<&str> {
    // The key may be quoted itself.
    let unquoted = line[end..].trim_start_matches(['"', '\'']);
    let behind = unquoted.trim_start();
    if let Some(value) = behind.strip_prefix('=') {
        return Some(value.trim_start());
    }
    if behind.starts_with(['"', '\'']) {
        return Some(behind);
    }
    if let Some(value) = behind.strip_prefix(':').filter(|value| value.starts_with([' ', '\t', '"', '\''])) {
        return Some(value.trim_start());
    }
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || "-_.\"' \t".contains(c);
    let begins_line = behind.len() < unquoted.len() && line[..end].chars().all(is_of_key);
    (begins_line && !behind.starts_with([',', ']', '}', '#'])).then_some(behind)
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

/// The same without what stands between the colon and the `@` of `user:password@host`.
fn without_passwords(line: String) -> String {
    let Some(at) = line.rfind('@') else { return line };
    let mut shown = String::with_capacity(line.len());
    for word in line[..=at].split_inclusive(['"', '\'', ' ', '\t', ',']) {
        let colon = word.match_indices(':').map(|(at, _)| at + 1).find(|at| !word[*at..].starts_with("//"));
        match (colon, word.rfind('@')) {
            (Some(from), Some(to)) if from < to => {
                shown.push_str(&word[..from]);
                shown.extend(std::iter::repeat_n('*', to - from));
                shown.push_str(&word[to..]);
            }
            _ => shown.push_str(word),
        }
    }
    shown + &line[at + 1..]
}

/// What a secret stands in that goes on in further lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// A text that ends with these quotes.
    Text(&'static str),
    /// A list or a table, so many brackets deep.
    Brackets(usize),
}

impl Open {
    /// Where it ends, if it does in this line; else what goes on in the next.
    fn end_in(self, line: &str) -> Result<usize, Open> {
        match self {
            Open::Text(quotes) => end_of(line, quotes).ok_or(self),
            Open::Brackets(depth) => end_of_brackets(line, depth).map_err(Open::Brackets),
        }
    }
}

fn lines_within_secrets(text: &str) -> Vec<(usize, Open)> {
    let (mut within, mut open, mut start) = (Vec::new(), None, 0);
    for line in text.split_inclusive('\n') {
        within.extend(open.map(|open| (start, open)));
        open = match open.map(|open: Open| open.end_in(line)) {
            None => opened_in(line),
            Some(Ok(end)) => opened_in(&line[end..]),
            Some(Err(open)) => Some(open),
        };
        start += line.len();
    }
    // Where the text ends with a line end there is one more line, of nothing.
    within.extend(open.map(|open| (start, open)));
    within
}

/// What the last secret of `line` stands in, if it goes on in the lines behind it.
fn opened_in(line: &str) -> Option<Open> {
    let line = &line[..comment(line)];
    let mut from = 0;
    while let Some(at) = next_secret(line, from) {
        let value = &line[at..];
        for quotes in [BASIC, LITERAL] {
            if value.strip_prefix(quotes).is_some_and(|rest| end_of(rest, quotes).is_none()) {
                return Some(Open::Text(quotes));
            }
        }
        if value.starts_with(['[', '{'])
            && let Err(depth) = end_of_brackets(&value[1..], 1)
        {
            return Some(Open::Brackets(depth));
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

/// Where the outermost of `depth` brackets ends, or how deep the next line begins.
fn end_of_brackets(line: &str, mut depth: usize) -> Result<usize, usize> {
    for (at, byte) in unquoted(line) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 1 => return Ok(at),
            b']' | b'}' => depth -= 1,
            b'#' => break,
            _ => {}
        }
    }
    Err(depth)
}

/// Where a comment begins, or the line ends.
fn comment(line: &str) -> usize {
    unquoted(line).find(|(_, byte)| *byte == b'#').map_or(line.len(), |(at, _)| at)
}

/// The bytes of a line that are in no quotes, and their places.
fn unquoted(line: &str) -> impl Iterator<Item = (usize, u8)> {
    let (mut quote, mut escaped) = (None, false);
    line.bytes().enumerate().filter(move |(_, byte)| {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(b'"') if *byte == b'\\' => escaped = true,
            Some(open) if open == *byte => quote = None,
            Some(_) => {}
            None if matches!(byte, b'"' | b'\'') => quote = Some(*byte),
            None => return true,
        }
        false
    })
}

/// What is not shown of a secret value and what follows it: the text in its quotes, and all up to the line's end where it is not clear where
/// that is. The name of a variable is no secret.
fn hidden(value: &str) -> Range<usize> {
    let quote = match value.bytes().next() {
        Some(quote @ (b'"' | b'\'')) => quote,
        Some(b'[' | b'{') => return 1..1 + end_of_brackets(&value[1..], 1).unwrap_or(value.len() - 1),
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
            ("X-ApiKey = \"abc\"", "X-ApiKey = \"***\""),
            // Lists and tables, where a text was wanted.
            ("token = [\"abc\", 'd'], a = 1", "token = [**********], a = 1"),
            ("token = { a = \"]}\" }", "token = {**********}"),
            ("token = [\"abc\",", "token = [******"),
            // What is written elsewhere between a key and its value.
            ("Authorization: \"abc\"", "Authorization: \"***\""),
            ("\"x-token\": abc", "\"x-token\": ***"),
            ("authorization \"abc\"", "authorization \"***\""),
            ("  authorization Bearer abc", "  authorization **********"),
            ("secretary = \"abc\"", "secretary = \"abc\""),
            ("hash = \"cookie:sid\"", "hash = \"cookie:sid\""),
            ("remove = [\"cookie\", \"x-token\" ]", "remove = [\"cookie\", \"x-token\" ]"),
            ("  \"x-token\" ,", "  \"x-token\" ,"),
        ] {
            assert_eq!(without_secrets(line), shown);
        }
    }

    #[test]
    fn passwords_of_users_are_not_shown() {
        for (line, shown) in [
            ("a = [\"http://b:cd@e:1\", \"f:g/@h\", \"i:1\"]", "a = [\"http://b:**@e:1\", \"f:**@h\", \"i:1\"]"),
            ("a = \"http://b@c:1/\" # d@e", "a = \"http://b@c:1/\" # d@e"),
            ("a = \"http://b:c\"", "a = \"http://b:c\""),
        ] {
            assert_eq!(without_passwords(line.to_owned()), shown);
        }
    }

    #[test]
    fn later_lines_of_a_secret_are_not_shown_either() {
        let shown = |text: &str| {
            let source = Arc::new(Source::new(String::new(), PathBuf::new(), text.to_owned()));
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
            ("token = [\n \"a]\", # ]\n [1],\n] # b\nc", "token = [\n**********\n*****\n] # b\nc"),
            ("token = [\n\"a\"], secret = '''b\nc'''", "token = [\n***], secret = '***\n*'''"),
            ("# secret = [\na = 1", "# secret = [\na = 1"),
            // Never closed: all that follows may belong to it.
            ("token = {\na = \"b\"\n", "token = {\n*******\n"),
            ("secret = \"\"\"\nabc\nb = 1", "secret = \"**\n***\n*****"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }
}
