//! What is said of words and options that `proxy` does not know.

use std::path::Path;

use app::stray::{Hints, as_configuration, configuration_file, configuration_option};
use config::ServerAddress;

/// Other proxies take their files and servers in other ways.
pub(crate) const HINTS: Hints = Hints { word, option, beside_config };

/// A word by itself, which clap takes for a subcommand.
fn word(word: &str) -> Option<String> {
    let path = Path::new(word);
    if let Some(hint) = configuration_file(path) {
        return Some(hint);
    }
    if path.is_file() {
        return Some(as_configuration(path));
    }
    if path.is_dir() {
        return Some(format!("`{word}` is a folder: `server {word}` serves it"));
    }
    let is_server = word.contains(':') && word.parse::<ServerAddress>().is_ok();
    is_server.then(|| format!("write `--to {word}` to forward to the server {word}"))
}

/// An option of nginx, HAProxy, Caddy or of everybody.
fn option(option: &str) -> Option<&'static str> {
    match option {
        "-p" | "--port" | "--from" => {
            Some("write `--listen 127.0.0.1:8080 --to ADDR`, or `--config FILE` and the listeners in there")
        }
        _ => configuration_option(option),
    }
}

fn beside_config(argument: &str) -> Option<String> {
    Some(format!(
        "the configuration file says where to listen and what to forward to: leave out {argument}, or `--config`"
    ))
}
