//! Errors and warnings as a user reads them.

use std::collections::BTreeSet;
use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};

use crate::source::Place;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but says something that has no effect or is hardly meant.
    Warning,
}

/// One thing to tell the user about the configuration.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Where; none where no file is involved, or the file could not be read.
    pub place: Option<Place>,
    /// What was expected there; printed under the line. May be empty.
    pub expected: String,
    /// Another place that has to do with it, and what that is ("first given here").
    pub related: Option<(Place, String)>,
    /// What to write instead, where that is known.
    pub hint: Option<String>,
    /// An error that says something is missing: not said when a file could not be read whole. A warning that can wait
    /// until there are no errors.
    pub(crate) of_absence: bool,
}

impl Diagnostic {
    /// An error that belongs to no place in a file.
    pub fn error(message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            message: message.into(),
            place: None,
            expected: String::new(),
            related: None,
            hint: None,
            of_absence: false,
        }
    }

    pub(crate) fn warning(message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(message) }
    }

    pub(crate) fn at(mut self, place: Place) -> Diagnostic {
        self.place = Some(place);
        self
    }

    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Diagnostic {
        self.expected = expected.into();
        self
    }

    pub(crate) fn related(mut self, place: &Place, label: &str) -> Diagnostic {
        self.related = Some((place.clone(), label.to_owned()));
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Diagnostic {
        self.hint = hint;
        self
    }

    /// Marks an error as about something missing, a warning as one that can wait.
    pub(crate) fn absence(mut self) -> Diagnostic {
        self.of_absence = true;
        self
    }

    /// The same in one line, for a log: `app.toml:3:5: what is wrong: what was expected; what to write instead`.
    pub fn line(&self) -> String {
        let mut line = String::new();
        if let Some(place) = &self.place {
            line.push_str(&format!("{place}: "));
        }
        line.push_str(&self.message);
        if !self.expected.is_empty() {
            line.push_str(&format!(": {}", self.expected));
        }
        if let Some((place, label)) = &self.related {
            line.push_str(&format!(" ({label}: {place})"));
        }
        if let Some(hint) = &self.hint {
            line.push_str(&format!("; {hint}"));
        }
        // Names of files and values of keys may hold anything.
        line.replace(char::is_control, " ")
    }

    /// The text with its source line and caret, without a line end; in colour (ANSI) when asked.
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()));
        if let Some(place) = &self.place {
            group = group.element(snippet(place, AnnotationKind::Primary, &self.expected));
        } else if !self.expected.is_empty() {
            group = group.element(Level::NOTE.message(normalize_untrusted_str(&self.expected)));
        }
        if let Some((place, label)) = &self.related {
            group = group.element(snippet(place, AnnotationKind::Context, label));
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(normalize_untrusted_str(hint)));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// Only the line in question is handed over, so that the cost does not grow with the file.
fn snippet<'a>(
    place: &'a Place,
    kind: AnnotationKind,
    label: &'a str,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    // The renderer normalises the source line, but neither labels nor, whatever it says, the path.
    let file = normalize_untrusted_str(place.file());
    let mut annotation = kind.span(place.in_line());
    if !label.is_empty() {
        annotation = annotation.label(normalize_untrusted_str(label));
    }
    Snippet::source(place.shown()).line_start(place.line()).path(file).annotation(annotation)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// Everything that is wrong with a configuration. Its `Display` is [`Report::render`] without colour.
#[derive(Clone, Debug)]
pub struct Report {
    /// All errors and warnings, file by file and top to bottom; at least one is an error.
    pub diagnostics: Vec<Diagnostic>,
}

/// More are counted but not printed: a file of garbage should not fill the disk of who logs it.
const PRINTED_MAX: usize = 200;

impl Report {
    /// How many errors.
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count()
    }

    /// How many warnings.
    pub fn warnings(&self) -> usize {
        self.diagnostics.len() - self.errors()
    }

    /// All of them, each with its line and caret, and a last line that counts them.
    pub fn render(&self, colour: bool) -> String {
        let mut text = String::new();
        for diagnostic in self.diagnostics.iter().take(PRINTED_MAX) {
            text.push_str(&diagnostic.render(colour));
            text.push_str("\n\n");
        }
        if self.diagnostics.len() > PRINTED_MAX {
            text.push_str(&format!("... and {} more\n\n", self.diagnostics.len() - PRINTED_MAX));
        }
        text.push_str(&self.count_line());
        text
    }

    fn count_line(&self) -> String {
        let files: BTreeSet<_> = self.diagnostics.iter().filter_map(|d| Some(d.place.as_ref()?.file())).collect();
        let mut line = counted(self.errors(), "error");
        if self.warnings() > 0 {
            line = format!("{line}, {}", counted(self.warnings(), "warning"));
        }
        if files.len() > 1 {
            line = format!("{line} in {} files", files.len());
        }
        line
    }
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

impl From<Diagnostic> for Report {
    fn from(diagnostic: Diagnostic) -> Report {
        Report { diagnostics: vec![diagnostic] }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}
