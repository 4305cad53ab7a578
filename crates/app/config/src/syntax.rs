//! From text to a tree, with every syntax error and every fault of the environment.

use std::ops::Range;
use std::sync::Arc;

use toml::de::DeTable;

use crate::diagnostic::Diagnostic;
use crate::environment::{BadSubstitution, Lookup, substitute};
use crate::source::{Place, Source};
use crate::tree::{Table, Text, plant};

/// What could be read of a file.
pub(crate) struct Parsed {
    pub(crate) table: Table,
    pub(crate) errors: Vec<Diagnostic>,
    /// It is not the whole file: what seems to be missing may be in what could not be read.
    pub(crate) partial: bool,
    /// Strings that the environment could not be put into: what else seems wrong with them follows from that.
    pub(crate) incomplete: Vec<Range<usize>>,
}

/// Parses a file. When its syntax is wrong in some lines, the other lines are still read, so that what else is wrong is
/// reported at once too.
pub(crate) fn parse(source: &Arc<Source>, lookup: &Lookup<'_>) -> Parsed {
    let (document, broken) = DeTable::parse_recoverable(&source.text);
    if broken.is_empty() {
        return grow(document, source, lookup);
    }
    let mut errors: Vec<Diagnostic> = broken.iter().map(|error| syntax_error(source, error)).collect();
    errors.dedup_by(|b, a| same_line(a, b));
    let mut parsed = Parsed { table: Table::default(), errors: Vec::new(), partial: true, incomplete: Vec::new() };
    if let Some(text) = without_lines(source, &broken) {
        let (document, broken) = DeTable::parse_recoverable(&text);
        if broken.is_empty() {
            parsed = Parsed { partial: true, ..grow(document, source, lookup) };
        }
    }
    parsed.errors.splice(0..0, errors);
    parsed
}

fn grow(document: toml::Spanned<DeTable<'_>>, source: &Arc<Source>, lookup: &Lookup<'_>) -> Parsed {
    let (mut errors, mut incomplete) = (Vec::new(), Vec::new());
    let table = plant(document, &mut |text, span| {
        let (text, substituted, bad) = substitute(text, lookup);
        if !bad.is_empty() {
            incomplete.push(span.clone());
        }
        errors.extend(bad.into_iter().map(|bad| environment_error(source, span.clone(), bad)));
        Text { text, substituted }
    });
    Parsed { table, errors, partial: false, incomplete }
}

/// One fault often trips the parser several times in a line; the first says it best.
fn same_line(a: &Diagnostic, b: &Diagnostic) -> bool {
    let (Some(a), Some(b)) = (&a.place, &b.place) else { return false };
    let (first, last) = (a.span.start.min(b.span.start), a.span.start.max(b.span.start));
    !a.source.text[first..last].contains('\n')
}

fn syntax_error(source: &Arc<Source>, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    let (message, expected) = match error.message().split_once(", expected ") {
        Some((message, expected)) => (message, format!("expected {expected}")),
        None => (error.message(), String::new()),
    };
    let (expected, hint) = match message {
        "duplicate key" => ("given a second time here".to_owned(), Some("a key, or a table, can be given once")),
        "string values must be quoted" | "invalid boolean" => {
            ("expected a value".to_owned(), Some("a text is put in double quotes"))
        }
        "invalid basic string" => (expected, Some("a text ends with a double quote, in the same line")),
        "unclosed array" => (expected, Some("a `]` is missing")),
        "unclosed inline table" => (expected, Some("a `}` is missing")),
        "missing comma between array elements" => (expected, Some("or a `]` is missing further up")),
        "extra `=`" => ("one is enough".to_owned(), None),
        _ => (expected, None),
    };
    Diagnostic::error(format!("the file is not valid TOML: {message}"))
        .at(Place::new(source, span))
        .expected(expected)
        .maybe_hint(hint.map(str::to_owned))
}

fn environment_error(source: &Arc<Source>, span: Range<usize>, bad: BadSubstitution) -> Diagnostic {
    let (needle, message, expected, hint) = match bad {
        BadSubstitution::Unset(name) => (
            format!("${{{name}}}"),
            format!("the environment variable `{name}` is not set"),
            "its value would go here",
            format!("give it a default: `${{{name}:-default}}`"),
        ),
        BadSubstitution::NotText(name) => (
            format!("${{{name}"),
            format!("the environment variable `{name}` is not UTF-8"),
            "its value would go here",
            "set it to valid text".to_owned(),
        ),
        BadSubstitution::NoName(name) => (
            format!("${{{name}"),
            format!("`{name}` is not the name of an environment variable"),
            "expected `${NAME}` or `${NAME:-default}`",
            "`$${` stands for `${` itself".to_owned(),
        ),
        BadSubstitution::Unclosed => (
            "${".to_owned(),
            "`${` without a `}`".to_owned(),
            "expected `${NAME}` or `${NAME:-default}`",
            "`$${` stands for `${` itself".to_owned(),
        ),
    };
    // An escape may hide it; then the whole string is shown.
    let within = source.text.get(span.clone()).and_then(|text| text.find(&needle));
    let span = match within {
        Some(at) => span.start + at..span.start + at + needle.len(),
        None => span,
    };
    Diagnostic::error(message).at(Place::new(source, span)).expected(expected).hint(hint)
}

/// The text with the lines of all errors blanked, so that every other byte keeps its place. None when a table's header
/// is among them: its keys would fall to another table.
fn without_lines(source: &Arc<Source>, broken: &[toml::de::Error]) -> Option<String> {
    let mut bytes = source.text.clone().into_bytes();
    let mut blanked = 0..0;
    for error in broken {
        let place = Place::new(source, error.span()?);
        if blanked.contains(&place.span.start) {
            continue;
        }
        let start = place.line_start();
        let line = place.text();
        if line.trim_start().starts_with('[') {
            return None;
        }
        blanked = start..start + line.len();
        bytes[blanked.clone()].fill(b' ');
    }
    String::from_utf8(bytes).ok()
}
