//! `[listener.tls]` and `[upstream.NAME.tls]`: certificates and keys are read, and held against each other.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tls::{ConfigError, Identity, Input, Roots, ShownTo};

use crate::address::Address;
use crate::diagnostic::Diagnostic;
use crate::plan::{CertificateFiles, ClientAuth, Hsts, ListenerTls, Server, TicketSecret, TlsVersion, UpstreamTls};
use crate::read::leaf::{Word, Wrong};
use crate::read::{Cursor, items_of};
use crate::small_file::read_small_file;
use crate::source::Place;

/// None when something in it is wrong, which is then noted: such a listener must not become a plain one.
pub(crate) fn listener(table: &Cursor<'_>) -> Option<ListenerTls> {
    let min_version = match table.get::<Word>("min_version").0 {
        "1.3" => TlsVersion::V13,
        _ => TlsVersion::V12,
    };
    let certificates = certificates(table);
    let client_auth = client_auth(table);
    let hsts = table.section("hsts").map(|section| hsts(&section));
    let ticket_secret = table.node("ticket_secret").map(|_| ticket_secret(table));
    // Only here, so that whatever else is wrong was named before.
    let hsts = hsts.map_or(Some(None), |read| read.map(Some))?;
    let ticket_secret = ticket_secret.map_or(Some(None), |read| read.map(Some))?;
    let (client_auth, client_crl) = client_auth?;
    Some(ListenerTls { certificates: certificates?, min_version, client_auth, client_crl, hsts, ticket_secret })
}

/// What is shorter could be tried out, and with it every recorded session be read.
const TICKET_SECRET_BYTES: usize = 32;

fn ticket_secret(table: &Cursor<'_>) -> Option<TicketSecret> {
    let secret: String = table.required("ticket_secret")?;
    if secret.len() < TICKET_SECRET_BYTES {
        let short = format!("`{}` is too short", table.full_name("ticket_secret"));
        let short = Diagnostic::error(short).at(table.value_place("ticket_secret")).expected("could be guessed");
        table
            .notes()
            .push(short.hint("`openssl rand -hex 32` makes one; all programs that share clients need the same"));
        return None;
    }
    Some(TicketSecret(secret))
}

fn hsts(table: &Cursor<'_>) -> Option<Hsts> {
    let max_age = table.required::<Duration>("max_age");
    let (include_subdomains, preload): (bool, bool) = (table.get("include_subdomains"), table.get("preload"));
    let max_age = max_age?;
    // What the browsers' list asks for; anything less is not taken there.
    if preload && (!include_subdomains || max_age < Duration::from_secs(365 * 86_400)) {
        let weak = format!("`{}` has no effect", table.full_name("preload"));
        let weak = Diagnostic::warning(weak).at(table.key_place("preload")).expected("asks for more");
        table.notes().push(weak.hint("the list takes `include_subdomains = true` and a `max_age` of a year or more"));
    }
    Some(Hsts { max_age, include_subdomains, preload })
}

fn certificates(table: &Cursor<'_>) -> Option<Vec<CertificateFiles>> {
    let Some(node) = table.node("certificates") else {
        table.required::<Vec<String>>("certificates");
        return None;
    };
    let tables = table.sections("certificates");
    let listed = items_of(node).map(<[_]>::len);
    if listed == Some(0) {
        let wrong = Wrong::new("is empty", "expected at least one certificate with its key");
        table.wrong("certificates", node, wrong.hint("such as `[{ cert = \"tls/a.pem\", key = \"tls/a.key\" }]`"));
    }
    let read: Vec<_> = tables.iter().filter_map(certificate).collect();
    if read.is_empty() || listed != Some(read.len()) {
        return None;
    }
    let (files, identities): (Vec<_>, Vec<_>) = read.into_iter().unzip();
    for (place, sentence) in tls::never_shown(&identities) {
        tables[place].notes().push(said(Diagnostic::warning, &tables[place], "cert", &sentence));
    }
    Some(files)
}

fn certificate(table: &Cursor<'_>) -> Option<(CertificateFiles, Identity)> {
    table.required::<String>("cert");
    table.required::<String>("key");
    let pair = read_pair(table, "cert", "key");
    if table.node("ocsp").is_none() {
        return pair.inspect(|(_, identity)| warn(table, "cert", identity, ShownTo::Clients));
    }
    let response = pem(table, "ocsp");
    let ((files, identity), (path, response)) = (pair?, response?);
    match identity.with_ocsp(response) {
        Ok(identity) => {
            warn(table, "cert", &identity, ShownTo::Clients);
            Some((CertificateFiles { ocsp: Some(path), ..files }, identity))
        }
        Err(e) => {
            table.notes().push(said(Diagnostic::error, table, "ocsp", &e.sentence));
            None
        }
    }
}

/// Notes what an operator should know of it.
fn warn(table: &Cursor<'_>, cert: &'static str, identity: &Identity, to: ShownTo) {
    for sentence in identity.warnings(unix_now(), to) {
        table.notes().push(said(Diagnostic::warning, table, cert, &sentence));
    }
}

/// The certificate that servers are shown and its key, where both are there and fit each other.
fn shown_to_servers(table: &Cursor<'_>) -> Option<CertificateFiles> {
    read_pair(table, "client_cert", "client_key").map(|(files, identity)| {
        warn(table, "client_cert", &identity, ShownTo::Servers);
        files
    })
}

fn read_pair(table: &Cursor<'_>, cert: &'static str, key: &'static str) -> Option<(CertificateFiles, Identity)> {
    let (chain, private) = (pem(table, cert), pem(table, key));
    let ((cert_path, chain), (key_path, private)) = (chain?, private?);
    match Identity::from_pem(&chain, &private) {
        Ok(identity) => {
            if is_open_to_all(&key_path) {
                let open =
                    format!("`{}`: the private key can be read by every user of this machine", table.full_name(key));
                let open = Diagnostic::warning(open).at(table.value_place(key)).expected("open to everybody");
                table.notes().push(
                    open.hint(format!("`chmod 600 {}`, owned by whoever starts this program", key_path.display())),
                );
            }
            Some((CertificateFiles { cert: cert_path, key: key_path, ocsp: None }, identity))
        }
        Err(ConfigError { input, sentence }) => {
            let name = if input == Input::Key { key } else { cert };
            let error = said(Diagnostic::error, table, name, &sentence);
            let other = if input == Input::Key { (cert, "its certificate") } else { (key, "its key") };
            table.notes().push(error.related(&table.value_place(other.0), other.1));
            None
        }
    }
}

/// Whether clients show certificates, and the file of those that were revoked.
fn client_auth(table: &Cursor<'_>) -> Option<(ClientAuth, Option<PathBuf>)> {
    let word = table.get::<Word>("client_auth").0;
    let crl = match table.node("client_crl") {
        None => None,
        Some(_) => Some(pem(table, "client_crl")?),
    };
    if table.node("client_ca").is_none() {
        if word == "none" {
            never_used(table, "client_crl");
            return Some((ClientAuth::None, None));
        }
        let wrong = Wrong::new("asks for certificates, but nothing says who signs them", "needs `client_ca` beside it");
        if let Some(node) = table.node("client_auth") {
            table.wrong("client_auth", node, wrong.hint("such as `client_ca = \"tls/clients.pem\"`"));
        }
        return None;
    }
    let (path, authorities) = pem(table, "client_ca")?;
    let revocations = crl.as_ref().map(|(_, bytes)| &bytes[..]);
    let name = |input| if input == Input::Revocations { "client_crl" } else { "client_ca" };
    match tls::ClientAuth::new(&authorities, word == "require", revocations) {
        Ok(auth) => {
            for (input, sentence) in auth.warnings(unix_now()) {
                table.notes().push(said(Diagnostic::warning, table, name(input), &sentence));
            }
        }
        Err(e) => {
            table.notes().push(said(Diagnostic::error, table, name(e.input), &e.sentence));
            return None;
        }
    }
    let crl = crl.map(|(path, _)| path);
    Some(match word {
        "request" => (ClientAuth::Request(path), crl),
        "require" => (ClientAuth::Require(path), crl),
        _ => {
            never_used(table, "client_ca");
            never_used(table, "client_crl");
            (ClientAuth::None, None)
        }
    })
}

/// Warns of a file about clients' certificates where clients are not asked.
fn never_used(table: &Cursor<'_>, name: &'static str) {
    if table.node(name).is_some() {
        let idle = Diagnostic::warning(format!("`{}` has no effect: clients are not asked", table.full_name(name)));
        let idle = idle.at(table.key_place(name)).expected("never used");
        table.notes().push(idle.hint("add `client_auth = \"require\"` or `\"request\"`").absence());
    }
}

pub(crate) fn upstream(table: &Cursor<'_>) -> Option<UpstreamTls> {
    let server_name = table.optional::<String>("server_name");
    let insecure = table.get::<bool>("insecure");
    let mut right = true;
    if let Some(name) = &server_name
        && let Err(e) = tls::server_name(name)
    {
        table.notes().push(said(Diagnostic::error, table, "server_name", &e.sentence));
        right = false;
    }
    let ca = match table.node("ca") {
        None => None,
        Some(_) => authorities(table).map(Some).unwrap_or_else(|| {
            right = false;
            None
        }),
    };
    let client = match (table.node("client_cert"), table.node("client_key")) {
        (None, None) => None,
        (Some(_), Some(_)) => shown_to_servers(table).map(Some).unwrap_or_else(|| {
            right = false;
            None
        }),
        (cert, _) => {
            let (there, missing) =
                if cert.is_some() { ("client_cert", "client_key") } else { ("client_key", "client_cert") };
            let alone = format!("`{}` stands alone", table.full_name(there));
            let alone = Diagnostic::error(alone).at(table.key_place(there));
            table.notes().push(alone.expected(format!("needs `{missing}` beside it")));
            right = false;
            None
        }
    };
    if insecure {
        let name = table.full_name("insecure");
        let any = Diagnostic::warning(format!("`{name}`: any certificate is believed, and so anybody on the way"));
        table.notes().push(any.at(table.key_place("insecure")).expected("nothing is verified"));
    }
    right.then_some(UpstreamTls { server_name, ca, client, insecure })
}

fn authorities(table: &Cursor<'_>) -> Option<PathBuf> {
    let (path, bytes) = pem(table, "ca")?;
    match Roots::from_pem(&bytes) {
        Ok(_) => Some(path),
        Err(e) => {
            table.notes().push(said(Diagnostic::error, table, "ca", &e.sentence));
            None
        }
    }
}

/// Holds the servers of an upstream against its `[upstream.NAME.tls]`. None when a server's certificate could carry no
/// name, which is then noted.
pub(crate) fn check_servers(table: &Cursor<'_>, tls: Option<&UpstreamTls>, servers: &[Server]) -> Option<()> {
    let over_tls = || servers.iter().filter(|s| s.tls);
    if table.node("tls").is_some() && over_tls().next().is_none() {
        let idle = format!("`{}` has no effect: no server is spoken to over TLS", table.full_name("tls"));
        let idle = Diagnostic::warning(idle).at(table.key_place("tls")).expected("never used");
        table.notes().push(idle.hint("write `https://` in front of the addresses").absence());
    }
    if tls.is_none_or(|tls| tls.server_name.is_some()) {
        return Some(());
    }
    let nameless = over_tls().find(|server| match &server.address {
        Address::Unix(_) => true,
        Address::Name { host, .. } => tls::server_name(host).is_err(),
        Address::Tcp(_) => false,
    });
    let Some(server) = nameless else { return Some(()) };
    let message = format!("nothing says which name the certificate of `https://{}` must carry", server.address);
    let error = Diagnostic::error(message).at(table.value_place("servers"));
    let name = format!("add `{}`", table.full_name("tls.server_name"));
    table.notes().push(error.expected("needs a name to verify").hint(name));
    None
}

/// A certificate and its key for a command line; what an operator should know of it, as sentences.
pub(crate) fn check_files(files: &CertificateFiles) -> Result<Vec<String>, String> {
    let read = |path: &Path| read_small_file(path).map_err(|why| format!("`{}` cannot be read: {why}", path.display()));
    let (chain, private) = (read(&files.cert)?, read(&files.key)?);
    let path = |input| if input == Input::Key { &files.key } else { &files.cert };
    Identity::from_pem(&chain, &private)
        .map(|identity| identity.warnings(unix_now(), ShownTo::Clients))
        .map_err(|e| format!("`{}`: {}", path(e.input).display(), in_a_line(&e.sentence)))
}

/// Reads the file that a key names.
fn pem(table: &Cursor<'_>, name: &'static str) -> Option<(PathBuf, Vec<u8>)> {
    let node = table.node(name)?;
    let text = node.text()?;
    let path = table.source().folder.join(text);
    match read_small_file(&path) {
        Ok(bytes) => Some((path, bytes)),
        Err(why) => {
            let wrong = Wrong::new("names a file that cannot be read", why);
            let mut hint = "relative paths start from the folder of this file".to_owned();
            if let Some(command) = made_by(table, name, &path) {
                hint = format!("{hint}; for trying it out, `{command}` makes it");
            }
            table.wrong(name, node, wrong.hint(hint));
            None
        }
    }
}

/// The command that makes the file of a key, when there is none, nor one that it would replace, and it makes files of this name.
fn made_by(table: &Cursor<'_>, name: &str, path: &Path) -> Option<String> {
    let is_absent = |path: &Path| path.try_exists().is_ok_and(|there| !there);
    let (folder, file) = (path.parent()?, path.file_name()?.to_str()?);
    let certified = match name {
        "cert" | "key" => {
            let text = |name| table.node(name).and_then(|node| node.text());
            let stem = |name, ending| text(name).and_then(|path| path.strip_suffix(ending));
            let one = stem("cert", ".pem").filter(|one| stem("key", ".key") == Some(one))?;
            let pair = ["pem", "key"].map(|ending| table.source().folder.join(format!("{one}.{ending}")));
            pair.iter().all(|path| is_absent(path)).then(|| Path::new(one).file_name()?.to_str())?
        }
        "ca" | "client_ca" => Some("localhost").filter(|_| file == "authority.pem" && is_absent(path)),
        _ => None,
    }?;
    // The files of that name are the authority's.
    tls::server_name(certified).ok().filter(|_| certified != "authority")?;
    let address = if certified == "localhost" { " 127.0.0.1" } else { "" };
    Some(format!("proxy cert dev {certified}{address} --out {}", shell_word(folder)?))
}

/// A folder as a word for the shell.
fn shell_word(folder: &Path) -> Option<String> {
    let text = folder.to_str()?;
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    Some(match text {
        "" => ".".to_owned(),
        text if text.chars().all(is_plain) && !text.starts_with('-') => text.to_owned(),
        text => format!("'{}'", text.replace('\'', "'\\''")),
    })
}

/// A sentence about the file of a key, at the key's value. What follows the first sentence is the hint.
fn said(kind: impl Fn(String) -> Diagnostic, table: &Cursor<'_>, name: &'static str, sentence: &str) -> Diagnostic {
    let (what, hint) = match sentence.split_once(". ") {
        Some((what, hint)) => (what, Some(hint)),
        None => (sentence, None),
    };
    let place: Place = table.value_place(name);
    let message = format!("`{}`: {}", table.full_name(name), in_a_line(what));
    kind(message).at(place).maybe_hint(hint.map(in_a_line))
}

/// A sentence within another: without its capital and its full stop.
fn in_a_line(sentence: &str) -> String {
    let text = sentence.trim_end_matches('.');
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
}

fn is_open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
