//! The reference: every option with its type, default and meaning, as a commented file.

use super::{ALL, Choice, Key, Kind, Section};
use crate::units::format_size;

/// The text of `configs/reference.toml`. It is itself a valid configuration that says nothing but defaults.
pub fn reference() -> String {
    let mut text = String::from(HEAD);
    for section in ALL {
        render_section(section, &mut text);
    }
    text
}

const HEAD: &str = "\
# Tollgate: every option.
#
# Made from the table of options by `cargo xtask docs`; edit crates/app/config/src/options instead.
#
# Lines that say what holds anyway are live, all else is commented out with an example. What is absent is off, unless
# it has a default. \"Not built yet\": known, but an error unless it is given its default.
#
# Durations are written \"250ms\", \"10s\", \"2m\", \"1h\", \"7d\"; sizes \"256B\", \"16KiB\", \"10MiB\", \"1GiB\". Addresses are
# \"127.0.0.1:8080\", \"[::1]:8080\", \"unix:/run/app.sock\" or, for servers, \"host.name:80\" and
# \"https://host.name:443\". Relative paths are relative to the file that names them. \"${NAME}\" and \"${NAME:-default}\"
# put the environment in, inside any string; \"$${\" is \"${\".
";

const WIDTH: usize = 118;

fn render_section(section: &Section, text: &mut String) {
    let live = is_live(section);
    let off = if live { "" } else { "# " };
    if !section.path.is_empty() {
        text.push('\n');
        if section.keys.iter().all(|k| !k.built) {
            push_comment("Not built yet.", text);
        }
        match section.title {
            title if title.starts_with('[') => text.push_str(&format!("{off}{title}\n")),
            title => push_comment(&format!("Each item of {title}, written as a table in braces:"), text),
        }
        if !section.doc.is_empty() {
            push_comment(section.doc, text);
        }
    }
    for key in section.keys.iter().filter(|k| !matches!(k.kind, Kind::Section(_) | Kind::Named(_))) {
        // The tables of the file itself have sections of their own.
        if section.path.is_empty() && matches!(key.kind, Kind::Sections(_)) {
            continue;
        }
        render_key(key, live, text);
    }
}

fn render_key(key: &Key, live: bool, text: &mut String) {
    text.push('\n');
    push_comment(key.doc, text);
    let mut facts = type_of(&key.kind);
    match key.default {
        "" => facts.push_str("; no default"),
        default => facts.push_str(&format!("; default {default}")),
    }
    if !key.built {
        facts.push_str("; not built yet");
    }
    push_comment(&format!("({facts})"), text);
    // The default listener says its address too.
    let said = if key.default.is_empty() { key.example } else { key.default };
    let off = if live && (!key.default.is_empty() || key.name == "address") { "" } else { "# " };
    text.push_str(&format!("{off}{} = {said}\n", key.name));
}

/// Whether the section can stand in the file as it is: of a listener, there is one by default; a route or an upstream
/// would be a new one.
fn is_live(section: &Section) -> bool {
    // A route or an upstream would be a new one, and TLS needs certificates.
    let adds = ["route", "upstream", "listener.tls"].iter().any(|path| section.path.starts_with(path));
    !adds && section.keys.iter().any(|k| k.built || !k.default.is_empty())
}

/// The type with its bounds; words that are not built yet are named as such.
fn type_of(kind: &Kind) -> String {
    let words = |choices: &[Choice]| {
        let marked = |c: &Choice| format!("{}{}", c.typed(), if c.built { "" } else { " (not built yet)" });
        choices.iter().map(marked).collect::<Vec<_>>().join(", ")
    };
    match kind {
        Kind::Duration { zero: true } => "a duration, also \"0s\"".to_owned(),
        Kind::Age => "a duration, also \"0s\"".to_owned(),
        Kind::Duration { zero: false } => "a duration".to_owned(),
        Kind::Size { least, most } => format!("a size from {} to {}", format_size(*least), format_size(*most)),
        Kind::Choice(choices) => format!("one of {}", words(choices)),
        Kind::Choices(choices) => format!("a list of {}", words(choices)),
        Kind::Sections(_) => "a list of tables".to_owned(),
        // Messages quote what is to be typed; here it would only be noise.
        other => other.describe().replace('`', ""),
    }
}

fn push_comment(comment: &str, text: &mut String) {
    let mut line = String::from("#");
    for word in comment.split_whitespace() {
        if line.len() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
