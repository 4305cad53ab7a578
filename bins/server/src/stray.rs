//! What is said of words and options that `server` does not know, and of a folder that is none.

use std::path::Path;

use app::stray::{Hints, configuration_file, configuration_option};
use config::{ListenAddress, Report};

/// Other servers take their folders, files and ports in other ways.
pub(crate) const HINTS: Hints = Hints { word, option, beside_config };

/// A second word by itself; the first is the folder.
fn word(word: &str) -> Option<String> {
    let told = configuration_file(Path::new(word)).or_else(|| listened_on(word));
    if word.starts_with("https://") {
        // As in `--cors https://a.test`.
        return Some(format!(
            "`{word}` is no folder; an option that takes an address is written `--listen ADDR`, and `--cors` takes none: pages of every site may read the files then"
        ));
    }
    told.or_else(|| {
        Some(format!(
            "one folder is served, and `{word}` would be a second one: with `--config FILE` a route serves each"
        ))
    })
}

/// An option that other servers have for what is written otherwise here.
fn option(option: &str) -> Option<&'static str> {
    Some(match option {
        "-l" | "-a" | "-b" | "-H" | "--bind" | "--host" | "--hostname" | "--address" => {
            "write `--listen 127.0.0.1:8000`, or `--listen 0.0.0.0:8000` for everybody on the network"
        }
        "-d" | "-r" | "--dir" | "--directory" | "--root" | "--path" => {
            "the folder stands by itself, as in `server ./public`"
        }
        "-s" | "--single" | "--fallback" => "write `--spa` where index.html answers for paths that are not there",
        "-w" | "--watch" | "--live" | "--livereload" | "--reload" => {
            "write `--dev`, and pages reload when their files change"
        }
        "-o" => "write `--open` to open the site in the browser",
        "-i" | "--browse" | "--autoindex" => "write `--listing` to see what is in a folder without index.html",
        "-g" | "-z" | "--gzip" | "--brotli" | "--compress" => "text is compressed without being told to",
        "-S" | "-C" | "-K" | "--ssl" | "--https" | "--cert" | "--key" => {
            "write `--tls-cert FILE --tls-key FILE`, or `--tls` for a certificate of your own making"
        }
        "--to" | "--proxy" | "-P" => "`proxy --to ADDR` forwards to other servers",
        "-v" => "write `--version`, or `--log plain` for a line for each request",
        _ => return configuration_option(option),
    })
}

fn beside_config(argument: &str) -> Option<String> {
    let is_said_there = argument != "--open";
    is_said_there.then(|| {
        format!("the configuration file says what is served, and how and where: leave out {argument}, or `--config`")
    })
}

/// `report`, where the file of `--config` is a folder.
pub(crate) fn of_config(mut report: Report, file: &Path) -> Report {
    if let Some(diagnostic) = report.diagnostics.first_mut().filter(|_| file.is_dir()) {
        diagnostic.hint = Some(format!("`server {}` serves the folder", file.display()));
    }
    report
}

/// `report`, with what to write instead of a folder that is none, where that can be told.
pub(crate) fn of_folder(mut report: Report, folder: &Path) -> Report {
    if let Some(diagnostic) = report.diagnostics.first_mut() {
        diagnostic.hint = instead_of(folder);
    }
    report
}

fn instead_of(folder: &Path) -> Option<String> {
    if let Some(hint) = configuration_file(folder) {
        return Some(hint);
    }
    if folder.is_file() {
        let name = folder.file_name()?;
        let parent = folder.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        return Some(format!(
            "serve the folder that it is in with `server {}`, and ask for /{}",
            parent.display(),
            name.display()
        ));
    }
    listened_on(folder.to_str()?)
}

/// A port, or an address with one.
fn listened_on(word: &str) -> Option<String> {
    let address = word.trim_start_matches("http://").trim_end_matches('/');
    let port = address.trim_start_matches("localhost").trim_start_matches(':');
    if let Ok(port) = port.parse::<u16>() {
        return Some(format!("write `--listen 127.0.0.1:{port}` to listen on the port {port}"));
    }
    address.parse::<ListenAddress>().ok()?;
    Some(format!("write `--listen {address}` to listen there"))
}
