//! Lengths of files and functions, against the limits and the ratchet.

use std::collections::BTreeMap;

use super::{
    Findings, Project, SourceFile,
    rules::{Ratchet, Rules},
    scrub::{is_word, line_of, words},
};

/// Checks every Rust file and function.
pub(crate) fn check(rules: &Rules, ratchet: &Ratchet, project: &Project, found: &mut Findings) {
    let limits = &rules.limits;
    let files = project.rust().map(|file| (file.path.clone(), file.text.lines().count()));
    judge("file", limits.file_habit, limits.file_end, files.collect(), &ratchet.files, found);
    let functions = project.rust().flat_map(|file| {
        functions(file).into_iter().map(|function| (format!("{}::{}", file.path, function.name), function.lines))
    });
    // Two functions of one name in one file (two `new`): the longer one counts.
    let mut longest: BTreeMap<String, usize> = BTreeMap::new();
    for (name, lines) in functions {
        let entry = longest.entry(name).or_default();
        *entry = lines.max(*entry);
    }
    judge("function", limits.function_habit, limits.function_end, longest, &ratchet.functions, found);
}

fn judge(
    what: &str,
    habit: usize,
    end: usize,
    lengths: BTreeMap<String, usize>,
    exceptions: &BTreeMap<String, usize>,
    found: &mut Findings,
) {
    for (name, &lines) in &lengths {
        match exceptions.get(name) {
            Some(&allowed) if lines > allowed => {
                found.error(format!("{name}: {lines} lines; its exception ends at {allowed} and may only shrink"));
            }
            Some(_) if lines <= end => {
                found.error(format!("{name}: {lines} lines; take its exception out of ratchet.toml"));
            }
            Some(&allowed) if lines < allowed => {
                found.error(format!("{name}: {lines} lines; lower its exception in ratchet.toml from {allowed}"));
            }
            Some(_) => {}
            None if lines > end => {
                found.error(format!("{name}: {lines} lines; a {what} ends at {end}: split it by concern"))
            }
            None if lines > habit => found.note(format!("{name}: {lines} lines; the habit is {habit} for a {what}")),
            None => {}
        }
    }
    for name in exceptions.keys().filter(|name| !lengths.contains_key(*name)) {
        found.error(format!("{name}: is gone; take its exception out of ratchet.toml"));
    }
}

/// A function and its length from its `fn` line to its closing brace.
#[derive(Debug, PartialEq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) lines: usize,
}

/// The functions with a body in `file`, found by their braces.
pub(crate) fn functions(file: &SourceFile) -> Vec<Function> {
    let code = &file.code;
    let mut all = Vec::new();
    for at in words(code, "fn") {
        let name: String =
            code[at + 2..].trim_start().bytes().take_while(|byte| is_word(*byte)).map(char::from).collect();
        // `fn(u8) -> u8` is a type.
        if name.is_empty() {
            continue;
        }
        if let Some(end) = body_end(code, at) {
            all.push(Function { name, lines: line_of(code, end) - line_of(code, at) + 1 });
        }
    }
    all
}

/// The closing brace of the function whose `fn` is at `at`; `None` for one without a body.
fn body_end(code: &str, at: usize) -> Option<usize> {
    let (mut braces, mut others) = (0usize, 0usize);
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => others += 1,
            b')' | b']' => others = others.saturating_sub(1),
            b';' if braces == 0 && others == 0 => return None,
            b'{' => braces += 1,
            b'}' => {
                braces = braces.checked_sub(1)?;
                // A brace inside brackets of the signature (`[u8; { N }]`) is not the body.
                if braces == 0 && others == 0 {
                    return Some(offset);
                }
            }
            _ => {}
        }
    }
    None
}
