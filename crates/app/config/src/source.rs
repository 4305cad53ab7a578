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
