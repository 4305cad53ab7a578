//! What is said of words and options that `server` does not know, and of a folder that is none.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use app::stray::{Hints, configuration_file, configuration_option};
use config::{ListenAddress, Report, ServerAddress};

/// Other servers take their folders, files and ports in other ways.
pub(crate) const HINTS: Hints = Hints { word, option, beside_config };

/// A second word by itself; the first is the folder.
fn word(word: &str) -> Option<String> {
    let told = configuration_file(Path::new(word)).or_else(|| listened_on(word, ""));
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
    listened_on(folder.to_str()?, "server ")
}

/// A port, an address to listen on or a site: what to write instead. `command` is what the option stands behind.
fn listened_on(word: &str, command: &str) -> Option<String> {
    let listen = |address: &dyn Display, scheme: &str| {
        let tls = if scheme == "https" { "--tls " } else { "" };
        format!("`{command}{tls}--listen {address}`")
    };
    let at_port = |port: u16, scheme: &str| {
        let here = listen(&format_args!("127.0.0.1:{port}"), scheme);
        match port {
            0 => format!("write {here} to listen on a port that the system chooses"),
            _ => format!(
                "write {here} to listen on the port {port}, or {} for everybody on the network",
                listen(&format_args!("0.0.0.0:{port}"), scheme)
            ),
        }
    };
    if let Some(port) = port_of(word.strip_prefix(':').unwrap_or(word)) {
        return Some(at_port(port, ""));
    }
    if word.starts_with("unix:") {
        let address = word.parse::<ListenAddress>().ok()?;
        return Some(format!("write {} to listen there", listen(&address, "")));
    }
    let (scheme, rest) = word.split_once("://").unwrap_or(("", word));
    let usual = match scheme {
        "https" => 443,
        "http" | "" => 80,
        _ => return None,
    };
    let (host, port) = host_and_port(rest.split('/').next()?);
    // A folder may be called anything; a site has a scheme or a port.
    if scheme.is_empty() && (port.is_none() && host != "localhost" || rest.trim_end_matches('/').contains('/')) {
        return None;
    }
    let port = port.unwrap_or(usual);
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        _ if host == "localhost" => Some(at_port(port, scheme)),
        Ok(ip) if scheme.is_empty() || ip.is_loopback() || ip.is_unspecified() => {
            Some(format!("write {} to listen there", listen(&SocketAddr::new(ip, port), scheme)))
        }
        _ => {
            let tls = if scheme == "https" { "https://" } else { "" };
            let server = format!("{tls}{host}:{port}").parse::<ServerAddress>().ok()?;
            Some(format!("`server` serves a folder; write `proxy --to {server}` to forward requests to that server"))
        }
    }
}

fn host_and_port(authority: &str) -> (&str, Option<u16>) {
    let apart = authority.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    match apart.map(|(host, port)| (host, port_of(port))) {
        Some((host, Some(port))) => (host, Some(port)),
        _ => (authority, None),
    }
}

fn port_of(digits: &str) -> Option<u16> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}
