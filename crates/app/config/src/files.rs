//! Reading a file and what it includes.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glob::{MatchOptions, Pattern};

use crate::diagnostic::Diagnostic;
use crate::environment::Lookup;
use crate::small_file::read_regular_file;
use crate::source::{Place, Source};
use crate::syntax::{Parsed, parse};
use crate::tree::{Node, Table, Value};

/// A file that was read.
pub(crate) struct Document {
    pub(crate) source: Arc<Source>,
    pub(crate) table: Table,
    pub(crate) partial: bool,
    pub(crate) incomplete: Vec<Range<usize>>,
}

/// All files, the first one first, each before what it includes.
pub(crate) struct Files {
    pub(crate) documents: Vec<Document>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// A configuration is text that people write; more is a mistake (a log, a disk).
const FILE_BYTES_MAX: u64 = 16 << 20;
const FILES_MAX: usize = 4096;
/// Includes inside includes; reading them is recursive.
const DEPTH_MAX: usize = 16;

/// Reads `path` and everything it includes.
pub(crate) fn load(path: &Path, lookup: &Lookup<'_>) -> Files {
    let mut loader = Loader::new(lookup);
    match read(path) {
        Err(reason) => {
            loader.files.diagnostics.push(Diagnostic::error(format!("cannot read `{}`: {reason}", path.display())))
        }
        Ok(text) => {
            loader.seen.insert(identity(path), None);
            loader.add(Source::new(path.display().to_string(), folder_of(path), text));
        }
    }
    loader.files
}

/// Parses a text as if it were a file in `folder`, and reads what it includes.
pub(crate) fn parse_text(text: &str, name: &str, folder: &Path, lookup: &Lookup<'_>) -> Files {
    let mut loader = Loader::new(lookup);
    loader.add(Source::new(name.to_owned(), folder.to_owned(), text.to_owned()));
    loader.files
}

struct Loader<'a> {
    lookup: &'a Lookup<'a>,
    files: Files,
    /// Every file so far, and where it was included.
    seen: HashMap<PathBuf, Option<Place>>,
    /// Files being read, each included by the one before.
    depth: usize,
}

impl<'a> Loader<'a> {
    fn new(lookup: &'a Lookup<'a>) -> Loader<'a> {
        Loader {
            lookup,
            files: Files { documents: Vec::new(), diagnostics: Vec::new() },
            seen: HashMap::new(),
            depth: 0,
        }
    }

    /// Parses a file and goes on with its includes.
    fn add(&mut self, source: Source) {
        let source = Arc::new(source);
        let Parsed { table, errors, partial, incomplete } = parse(&source, self.lookup);
        self.files.diagnostics.extend(errors);
        let patterns = match table.entry("include").map(|e| &e.node) {
            Some(Node { value: Value::List(patterns), .. }) => patterns.clone(),
            // Anything else is reported where all keys are checked.
            _ => Vec::new(),
        };
        self.files.documents.push(Document { source: Arc::clone(&source), table, partial, incomplete });
        self.depth += 1;
        for pattern in &patterns {
            if let Some(text) = pattern.text() {
                self.include(text, &source, pattern.span.clone());
            }
        }
        self.depth -= 1;
    }

    fn include(&mut self, pattern: &str, source: &Arc<Source>, span: Range<usize>) {
        let place = Place::new(source, span);
        let paths = match expand(pattern, &source.folder) {
            Ok(paths) => paths,
            Err(problem) => {
                let wrong = Diagnostic::error(format!("the included path `{pattern}` {problem}")).at(place);
                let expected = "expected a path, in which `*` stands for any part of a name";
                return self.files.diagnostics.push(wrong.expected(expected));
            }
        };
        if paths.is_empty() {
            let warning = Diagnostic::warning(format!("`{pattern}` matches no file"));
            self.files.diagnostics.push(warning.at(place.clone()).expected("nothing is included here"));
        }
        for path in paths {
            self.include_file(&path, &place);
        }
    }

    fn include_file(&mut self, path: &Path, place: &Place) {
        let shown = path.display();
        let error = |message: String| Diagnostic::error(message).at(place.clone());
        let diagnostic = match self.seen.get(&identity(path)) {
            Some(earlier) => {
                let repeated = error(format!("`{shown}` is included twice")).expected("a second time here");
                match earlier {
                    Some(earlier) => repeated.related(earlier, "first here"),
                    None => repeated.hint("it is the file that everything begins with"),
                }
            }
            None if self.depth > DEPTH_MAX => error(format!("files include each other more than {DEPTH_MAX} deep")),
            None if self.seen.len() >= FILES_MAX => error(format!("more than {FILES_MAX} files are included")),
            None => {
                self.seen.insert(identity(path), Some(place.clone()));
                match read_regular_file(path, FILE_BYTES_MAX).and_then(text_of) {
                    Err(reason) => error(format!("cannot read `{shown}`: {reason}")).expected("included here"),
                    Ok(text) => {
                        return self.add(Source::new(shown.to_string(), folder_of(path), text));
                    }
                }
            }
        };
        self.files.diagnostics.push(diagnostic);
    }
}

/// The files of one pattern, sorted. A pattern without wildcards is a file that must be there. The error goes on from
/// the pattern: "is empty".
fn expand(pattern: &str, folder: &Path) -> Result<Vec<PathBuf>, String> {
    if pattern.is_empty() {
        return Err("is empty".to_owned());
    }
    if !pattern.contains(['*', '?', '[']) {
        return Ok(vec![folder.join(pattern)]);
    }
    let full = if Path::new(pattern).is_absolute() {
        pattern.to_owned()
    } else {
        let folder = folder.to_str().ok_or("is relative to a folder whose name is not UTF-8")?;
        Path::new(&Pattern::escape(folder)).join(pattern).to_string_lossy().into_owned()
    };
    let options =
        MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let found = glob::glob_with(&full, options).map_err(|error| format!("is not a pattern: {}", error.msg))?;
    let mut paths = Vec::new();
    for path in found {
        let path = path.map_err(|error| format!("leads to `{}`: {}", error.path().display(), error.error()))?;
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The first file. It may be a pipe: whoever starts a program has it read what another one writes.
fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(reason)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(reason)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("it is larger than 16 MiB".to_owned());
    }
    text_of(bytes)
}

fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        format!("line {line} is not UTF-8")
    })
}

/// The system's reason, without the number that Rust puts behind it.
pub(crate) fn reason(error: std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).to_owned()
}

/// One name for a file however it was reached.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
