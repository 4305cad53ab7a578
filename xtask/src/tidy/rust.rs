//! What Rust files may not hold: `unsafe` outside the engine, unfinished marks, a crate without its header.

use super::{
    Findings, Project, SourceFile,
    graph::Metadata,
    rules::Rules,
    scrub::{line_of, words},
};

/// Macros that mean "not finished" or "left over". Each stands for itself followed by `!`.
const BANNED_MACROS: [(&str, &str); 3] = [
    ("todo", "finish it, or leave the option out"),
    ("unimplemented", "finish it, or leave the option out"),
    ("dbg", "a leftover of debugging"),
];

/// Checks every Rust file of the project.
pub(crate) fn check(rules: &Rules, metadata: &Metadata, project: &Project, found: &mut Findings) {
    let unsafe_folders: Vec<String> =
        rules.layer.iter().filter(|layer| rules.may_be_unsafe(layer)).map(|layer| format!("{}/", layer.path)).collect();
    for file in project.rust() {
        if !unsafe_folders.iter().any(|folder| file.path.starts_with(folder)) {
            no_unsafe(file, found);
        }
        for (name, cure) in BANNED_MACROS {
            for at in words(&file.code, name).filter(|at| file.code[at + name.len()..].starts_with('!')) {
                found.error(format!("{}:{}: {name}!: {cure}", file.path, line_of(&file.code, at)));
            }
        }
    }
    headers(metadata, project, found);
}

fn no_unsafe(file: &SourceFile, found: &mut Findings) {
    for at in words(&file.code, "unsafe") {
        found.error(format!("{}:{}: unsafe belongs to the engine layer", file.path, line_of(&file.code, at)));
    }
}

/// Every target of every crate says in its first lines what it is.
fn headers(metadata: &Metadata, project: &Project, found: &mut Findings) {
    for member in metadata.members() {
        for target in &member.targets {
            let path = metadata.relative(&target.src_path);
            let header = project.file(path).is_none_or(|file| file.text.trim_start().starts_with("//!"));
            if !header {
                found.error(format!("{path}: {} has no `//!` header that says what it is", target.name));
            }
        }
    }
}
