//! `cargo xtask tidy`: the architecture and the house rules, checked.
//!
//! The rules are data (`xtask/layers.toml`, `xtask/ratchet.toml`); each check is a pure function over file texts or
//! `cargo metadata`, so that the tests can hand it a broken project.

use std::{fs, path::Path};

use crate::shell::{self, Outcome};

mod graph;
mod manifests;
mod project;
mod rules;
mod rust;
mod scrub;
mod sizes;
#[cfg(test)]
mod tests;

use graph::Metadata;
use project::{Project, SourceFile};
use rules::{Ratchet, Rules};

/// What the checks found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Each breaks a rule; one is enough to fail.
    pub(crate) errors: Vec<String>,
    /// Habits not kept; they do not fail.
    pub(crate) notes: Vec<String>,
}

impl Findings {
    fn error(&mut self, text: impl Into<String>) {
        self.errors.push(text.into());
    }

    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

/// Checks the working tree and prints what was found.
pub(crate) fn run() -> Outcome {
    let root = shell::root();
    let rules: Rules = parse(&root.join("xtask/layers.toml"))?;
    let ratchet: Ratchet = parse(&root.join("xtask/ratchet.toml"))?;
    let metadata =
        Metadata::parse(&shell::read(&mut shell::cargo(["metadata", "--format-version", "1", "--locked"]))?)?;
    let project = Project::read(&root)?;

    let found = check(&rules, &ratchet, &metadata, &project);
    for note in &found.notes {
        println!("note: {note}");
    }
    for error in &found.errors {
        println!("error: {error}");
    }
    println!(
        "tidy: {} crates, {} files, {} errors, {} notes",
        metadata.members().len(),
        project.files.len(),
        found.errors.len(),
        found.notes.len()
    );
    if found.errors.is_empty() { Ok(()) } else { Err(format!("tidy found {} errors", found.errors.len())) }
}

/// All checks.
fn check(rules: &Rules, ratchet: &Ratchet, metadata: &Metadata, project: &Project) -> Findings {
    let mut found = Findings::default();
    graph::check(rules, metadata, &mut found);
    manifests::check(rules, metadata, project, &mut found);
    rust::check(rules, metadata, project, &mut found);
    sizes::check(rules, ratchet, project, &mut found);
    project::check(project, &mut found);
    found
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Outcome<T> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}
