//! What is said of a word on the command line that no option stands before, and of an option that other programs have.

use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

/// What a program answers to what it does not know; none where nothing can be told of it.
pub struct Hints {
    /// To a word by itself.
    pub word: fn(&str) -> Option<String>,
    /// To an option.
    pub option: fn(&str) -> Option<&'static str>,
    /// To what was given beside `--config`, where the file says it.
    pub beside_config: fn(&str) -> Option<String>,
}

impl Hints {
    /// `error`, or what was meant, where that can be told: other programs take their files and addresses in other ways.
    pub fn explained(&self, error: Error, command: &mut Command) -> Error {
        let of = |kind| match error.get(kind) {
            Some(ContextValue::String(word)) => Some(word.clone()),
            Some(ContextValue::Strings(words)) => Some(words.join(", ")),
            _ => None,
        };
        let word = |kind| of(kind).and_then(|word| (self.word)(&word));
        let hint = match error.kind() {
            ErrorKind::InvalidSubcommand => word(ContextKind::InvalidSubcommand),
            ErrorKind::ArgumentConflict => word(ContextKind::InvalidSubcommand).or_else(|| {
                let pair = [of(ContextKind::InvalidArg)?, of(ContextKind::PriorArg)?];
                let [one, other] = pair.each_ref().map(|argument| argument.starts_with("--config"));
                if one == other { None } else { (self.beside_config)(&pair[usize::from(one)]) }
            }),
            ErrorKind::UnknownArgument => of(ContextKind::InvalidArg).and_then(|argument| {
                if !argument.starts_with('-') {
                    return (self.word)(&argument);
                }
                let hint = (self.option)(&argument)?;
                Some(format!("there is no `{argument}`: {hint}"))
            }),
            _ => None,
        };
        hint.map_or(error, |hint| command.error(ErrorKind::UnknownArgument, hint))
    }
}

/// What to write where `word` is a configuration file, by its name.
pub fn configuration_file(word: &Path) -> Option<String> {
    let named_so = word.extension().is_some_and(|extension| extension == "toml") && !word.is_dir();
    named_so.then(|| as_configuration(word))
}

/// What to write where `file` is meant as the configuration file.
pub fn as_configuration(file: &Path) -> String {
    format!("write `--config {0}` for the configuration file `{0}`", file.display())
}

/// What to write for the option with which nginx, HAProxy and Caddy take a configuration file, or check it.
pub fn configuration_option(option: &str) -> Option<&'static str> {
    matches!(option, "-c" | "-f" | "-t")
        .then_some("write `--config FILE` for the configuration file, and `--check` too if it is only to be checked")
}
