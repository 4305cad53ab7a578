//! One definition per option: its name, type, default, meaning, and whether it works yet. The check for unknown keys,
//! the "not built yet" errors, every default and the reference come from here.

mod reference;
mod tables;

pub use reference::reference;
pub(crate) use tables::*;

/// The keys of one table.
#[derive(Debug)]
pub(crate) struct Section {
    /// How messages call it: `[[route]]`, `[route.proxy]`.
    pub(crate) title: &'static str,
    /// In front of its keys when they are named in full: `route.proxy`; empty for the file itself.
    pub(crate) path: &'static str,
    /// What it is as a whole, for the reference; may be empty.
    pub(crate) doc: &'static str,
    pub(crate) keys: &'static [Key],
}

/// One option.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What an absent key means, as TOML; empty when it means "off".
    pub(crate) default: &'static str,
    /// For the reference where there is no default, as TOML.
    pub(crate) example: &'static str,
    /// What it is, for the reference.
    pub(crate) doc: &'static str,
    /// Whether it works. If not, only the default is accepted.
    pub(crate) built: bool,
}

/// What a value must look like.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A duration of 1 ms to 7 days, or also 0.
    Duration {
        zero: bool,
    },
    /// A size in bytes within bounds.
    Size {
        least: u64,
        most: u64,
    },
    /// A size in bytes of which `0` means no limit.
    SizeOrNone,
    /// Bytes a second; `0` means off.
    ByteRate,
    /// So many in a time.
    Rate,
    /// How long somebody else keeps something: a duration of up to a hundred years, in whole seconds.
    Age,
    /// A whole number within bounds.
    Whole {
        least: u64,
        most: u64,
    },
    /// A whole number from 1, or `auto`.
    WholeOrAuto {
        most: u64,
    },
    /// From 0 to 1.
    Share,
    Boolean,
    Text,
    /// A path, relative to the file that names it.
    Path,
    /// An address to listen on.
    ListenAddress,
    /// Where a server is reached.
    Address,
    /// A list of texts.
    Texts,
    /// One of these words.
    Choice(&'static [Choice]),
    /// A list of these words.
    Choices(&'static [Choice]),
    /// A table whose keys the user chooses, with text values.
    TextTable,
    Section(&'static Section),
    /// An array of tables.
    Sections(&'static Section),
    /// A table of tables whose names the user chooses.
    Named(&'static Section),
    /// A list of addresses, or tables that hold one.
    Servers(&'static Section),
}

/// One word of a choice.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) word: &'static str,
    pub(crate) built: bool,
    /// What else may stand there than a text, as it is written; it is read elsewhere.
    pub(crate) is_form: bool,
}

impl Choice {
    /// As it is typed.
    pub(crate) fn typed(&self) -> String {
        if self.is_form { self.word.to_owned() } else { format!("\"{}\"", self.word) }
    }
}

impl Section {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|k| k.name == name)
    }
}

impl Kind {
    /// What is expected, with its article and an example.
    pub(crate) fn describe(&self) -> String {
        match self {
            Kind::Duration { .. } => "a duration such as `\"10s\"`".to_owned(),
            Kind::Age => "a duration such as `\"365d\"`".to_owned(),
            Kind::Size { .. } => "a size such as `\"16KiB\"`".to_owned(),
            Kind::SizeOrNone => "a size such as `\"10MiB\"`, or `\"0\"` for no limit".to_owned(),
            Kind::ByteRate => "a rate such as `\"256B/s\"`, or `\"0\"` for none".to_owned(),
            Kind::Rate => "a rate such as `\"100/s\"`".to_owned(),
            Kind::Whole { least, most: u64::MAX } => format!("a whole number from {least}"),
            Kind::Whole { least, most } => format!("a whole number from {least} to {most}"),
            Kind::WholeOrAuto { most } => format!("`\"auto\"` or a whole number from 1 to {most}"),
            Kind::Share => "a number from 0 to 1".to_owned(),
            Kind::Boolean => "`true` or `false`".to_owned(),
            Kind::Text => "a text".to_owned(),
            Kind::Path => "a path".to_owned(),
            Kind::ListenAddress => "an address such as `\"127.0.0.1:8080\"` or `\"unix:/run/app.sock\"`".to_owned(),
            Kind::Address => {
                "an address such as `\"127.0.0.1:3000\"`, `\"https://host.name:443\"` or `\"unix:/run/app.sock\"`"
                    .to_owned()
            }
            Kind::Texts => "a list of texts".to_owned(),
            Kind::Choice(choices) => one_of(choices),
            Kind::Choices(choices) => format!("a list of {}", one_of(choices)),
            Kind::TextTable => "a table of texts".to_owned(),
            Kind::Section(_) => "a table".to_owned(),
            Kind::Sections(section) => format!("tables, each under its own `{}`", section.title),
            Kind::Named(section) => format!("tables, each under its own `{}`", section.title),
            Kind::Servers(_) => {
                "a list of addresses, or of tables such as `{ address = \"127.0.0.1:3000\", weight = 3 }`".to_owned()
            }
        }
    }
}

/// `"a"`, `"b"` or `"c"`; those that work only, unless none does.
fn one_of(choices: &[Choice]) -> String {
    let any_built = choices.iter().any(|c| c.built);
    let words: Vec<String> =
        choices.iter().filter(|c| c.built || !any_built).map(|c| format!("`{}`", c.typed())).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// The section that has a key of this name, for a key that stands in the wrong table. None when several do.
pub(crate) fn home_of(name: &str) -> Option<&'static Section> {
    let mut homes = ALL.iter().copied().filter(|section| section.key(name).is_some());
    let home = homes.next()?;
    homes.next().is_none().then_some(home)
}

/// The name among `known` that `name` most likely stands for.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase().replace('-', "_");
    let allowed = 1 + lower.chars().count() / 4;
    known
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let keys = || ["header", "body", "idle", "write", "min_rate", "tls_handshake"].into_iter();
        for (name, expected) in [
            ("heder", Some("header")),
            ("Header", Some("header")),
            ("min-rate", Some("min_rate")),
            ("tls_handshak", Some("tls_handshake")),
            ("wirte", Some("write")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, keys()), expected, "{name}");
        }
    }

    /// Cursors keep a bit for each key, look at every default, and take a table that is not built for wholly unbuilt.
    #[test]
    fn the_table_of_options_is_sound() {
        for section in ALL {
            assert!(section.keys.len() <= 64, "{}", section.title);
            for key in section.keys {
                let name = format!("{} {}", section.title, key.name);
                let is_table = matches!(key.kind, Kind::Section(_) | Kind::Sections(_) | Kind::Named(_));
                assert!(is_table || !key.doc.is_empty(), "{name} says nothing");
                assert!(is_table || !key.default.is_empty() || !key.example.is_empty(), "{name} has no example");
                for text in [key.default, key.example] {
                    let line = format!("x = {text}");
                    assert!(text.is_empty() || line.parse::<toml::Table>().is_ok(), "{name}: {text}");
                }
                assert_eq!(section.keys.iter().filter(|k| k.name == key.name).count(), 1, "{name} is there twice");
                if let Kind::Section(inner) | Kind::Sections(inner) | Kind::Named(inner) | Kind::Servers(inner) =
                    key.kind
                {
                    assert!(ALL.iter().any(|s| std::ptr::eq(*s, inner)), "{name} is missing in ALL");
                    assert!(key.built || inner.keys.iter().all(|k| !k.built), "{name} holds something built");
                }
            }
        }
    }
}
