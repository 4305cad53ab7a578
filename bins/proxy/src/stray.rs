//! What is said of a word on the command line that no option stands before.

use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};
use config::ServerAddress;

/// `error`, or the option that was meant, where that can be told: other proxies take their files and servers in other ways.
pub(crate) fn explained(error: Error, command: &mut Command) -> Error {
    let of = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    let hint = match error.kind() {
        ErrorKind::InvalidSubcommand | ErrorKind::ArgumentConflict => {
            of(ContextKind::InvalidSubcommand).and_then(meant)
        }
        ErrorKind::UnknownArgument => of(ContextKind::InvalidArg).and_then(other),
        _ => None,
    };
    hint.map_or(error, |hint| command.error(ErrorKind::UnknownArgument, hint))
}

/// A word by itself, which clap takes for a subcommand.
fn meant(word: &str) -> Option<String> {
    let path = Path::new(word);
    if path.is_file() || path.extension().is_some_and(|extension| extension == "toml") {
        return Some(format!("write `--config {word}` for the configuration file `{word}`"));
    }
    if path.is_dir() {
        return Some(format!("`{word}` is a folder: `server {word}` serves it"));
    }
    let is_server = word.contains(':') && word.parse::<ServerAddress>().is_ok();
    is_server.then(|| format!("write `--to {word}` to forward to the server {word}"))
}

/// An option of nginx, HAProxy, Caddy or of everybody.
fn other(option: &str) -> Option<String> {
    let hint = match option {
        "-c" | "-f" | "-t" => {
            "write `--config FILE` for the configuration file, and `--check` too if it is only to be checked"
        }
        "-p" | "--port" | "--from" => {
            "write `--listen 127.0.0.1:8080 --to ADDR`, or `--config FILE` and the listeners in there"
        }
        _ => return None,
    };
    Some(format!("there is no `{option}`: {hint}"))
}
