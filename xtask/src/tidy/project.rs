//! The files of the project, and the checks that need no Rust: machine paths, examples that no test starts.

use std::{fs, path::Path};

use super::{Findings, scrub::scrub};
use crate::shell::{self, Outcome};

/// Every text file of the project: what git tracks, or would if it were added.
#[derive(Debug, Default)]
pub(crate) struct Project {
    pub(crate) files: Vec<SourceFile>,
}

/// One text file.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// From the root on, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// For Rust, the text with comments, strings and characters blanked out; else empty.
    pub(crate) code: String,
}

impl SourceFile {
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> SourceFile {
        let (path, text) = (path.into(), text.into());
        let code = if path.ends_with(".rs") { scrub(&text) } else { String::new() };
        SourceFile { path, text, code }
    }

    /// The file is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

impl Project {
    /// Reads the project at `root`; files that are not text are left out.
    pub(crate) fn read(root: &Path) -> Outcome<Project> {
        let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let list = shell::read(&mut shell::command("git", arguments))?;
        let mut files = Vec::new();
        for path in list.split('\0').filter(|path| !path.is_empty()) {
            // A file that is deleted and not yet committed is listed and not there; a link to a folder is no file.
            if let Ok(text) = fs::read_to_string(root.join(path)) {
                files.push(SourceFile::new(path, text));
            }
        }
        Ok(Project { files })
    }

    pub(crate) fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(|file| file.is_rust())
    }
}

/// Checks the files as texts.
pub(crate) fn check(project: &Project, found: &mut Findings) {
    for file in &project.files {
        machine_paths(file, found);
    }
    configs_are_tested(project, found);
}

/// Folders that exist on one machine only. Written in two pieces, so that this file passes its own check.
const MACHINE_FOLDERS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/ba", "sh_")];

fn machine_paths(file: &SourceFile, found: &mut Findings) {
    if file.path == "Cargo.lock" {
        return;
    }
    for (number, line) in file.text.lines().enumerate() {
        if let Some(folder) = MACHINE_FOLDERS.iter().find(|folder| names_folder(line, folder)) {
            found.error(format!("{}:{}: a path of one machine ({folder})", file.path, number + 1));
        }
    }
}

/// `line` has `folder` as the start of an absolute path, not in the middle of another path or address.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | '}'))
    })
}

/// Every example configuration is started by a test: named in one, or found by one that lists the folder. Those in
/// folders below are parts that an example includes.
fn configs_are_tested(project: &Project, found: &mut Findings) {
    let tests: Vec<&SourceFile> = project.rust().filter(|file| is_test(file)).collect();
    let listed = tests.iter().any(|file| file.text.contains("configs") && file.code.contains("read_dir"));
    let examples = project.files.iter().filter_map(|file| file.path.strip_prefix("configs/"));
    for name in examples.filter(|name| name.ends_with(".toml") && !name.contains('/') && !listed) {
        if !tests.iter().any(|file| file.text.contains(name)) {
            found.error(format!("configs/{name}: no test starts it"));
        }
    }
}

fn is_test(file: &SourceFile) -> bool {
    file.path.starts_with("tests/")
        || file.path.contains("/tests/")
        || file.path.ends_with("/tests.rs")
        || file.code.contains("#[cfg(test)]")
}
