//! `[runtime]`, `[limits]`, `[timeouts]` and `[[listener]]`.

use crate::address::{ListenAddress, check_unix_length};
use crate::diagnostic::Diagnostic;
use crate::options;
use crate::plan::{AccessFormat, AccessLog, Limits, Listener, LogTarget, Runtime, Timeouts};
use crate::read::leaf::{ByteRate, Size, Word, Wrong};
use crate::read::networks::{Sockets, networks};
use crate::read::{Cursor, items_of, tls, with_defaults};
use crate::source::Place;

pub(crate) fn runtime(table: Cursor<'_>) -> Runtime {
    Runtime {
        workers: table.get("workers"),
        pin: table.get("pin"),
        max_connections: table.get("max_connections"),
        shutdown_timeout: table.get("shutdown_timeout"),
    }
}

pub(crate) fn limits(table: Cursor<'_>) -> Limits {
    let header_bytes = table.get::<Size>("header_bytes").0 as usize;
    let uri_bytes = table.get::<Size>("uri_bytes").0 as usize;
    if uri_bytes > header_bytes
        && let Some(node) = table.node("uri_bytes")
    {
        let wrong = Wrong::new("is more than `limits.header_bytes`", "a request line is part of the head");
        table.wrong("uri_bytes", node, wrong.hint("raise `header_bytes` too, up to `\"64KiB\"`"));
    }
    Limits {
        header_bytes,
        headers: table.get::<u64>("headers") as usize,
        uri_bytes: uri_bytes.min(header_bytes),
        body_bytes: table.get::<Size>("body_bytes").0,
    }
}

pub(crate) fn timeouts(table: Cursor<'_>) -> Timeouts {
    Timeouts {
        tls_handshake: table.get("tls_handshake"),
        header: table.get("header"),
        body: table.get("body"),
        idle: table.get("idle"),
        write: table.get("write"),
        min_rate: table.get::<ByteRate>("min_rate").0,
    }
}

pub(crate) fn access_log(table: Cursor<'_>) -> Option<AccessLog> {
    let format = match table.optional::<Word>("format") {
        Some(Word("common")) => AccessFormat::Common,
        Some(Word("json")) => AccessFormat::Json,
        _ => AccessFormat::Combined,
    };
    let Some(path) = table.optional::<String>("path") else {
        if table.node("path").is_none() && table.node("format").is_some() {
            let off = Diagnostic::warning("`[log.access]` without `path` logs nothing").at(table.place());
            table.notes().push(off.expected("no `path` here").hint("`path = \"-\"` is standard output").absence());
        }
        return None;
    };
    let target = match path.as_str() {
        "-" => LogTarget::Stdout,
        path => LogTarget::File(table.source().folder.join(path)),
    };
    Some(AccessLog { target, format })
}

pub(crate) fn listener(table: Cursor<'_>) -> Option<Listener> {
    let backlog = table.get::<u64>("backlog") as u32;
    // HTTP/1.1 is the only word that works, so there is nothing to keep; an empty list would speak nothing.
    if table.words("protocols").is_empty()
        && let Some(node) = table.node("protocols").filter(|node| items_of(node).is_some_and(<[_]>::is_empty))
    {
        table.wrong("protocols", node, Wrong::new("is empty", "expected `[\"http/1.1\"]`"));
    }
    let reason = table.get("reason");
    let proxy_protocol = table.get("proxy_protocol");
    let trusted_proxies = networks(&table, "trusted_proxies", Sockets::May);
    if proxy_protocol && table.node("trusted_proxies").is_none_or(|n| items_of(n).is_some_and(<[_]>::is_empty)) {
        let nobody = Diagnostic::error("`listener.proxy_protocol` lets nobody in without `trusted_proxies`");
        let hint = "name the balancers in front, such as `trusted_proxies = [\"10.0.0.0/8\"]`";
        table
            .notes()
            .push(nobody.at(table.key_place("proxy_protocol")).expected("only they may connect then").hint(hint));
    }
    let is_plain = table.node("tls").is_none();
    let tls = table.section("tls").and_then(|table| tls::listener(&table));
    let address = listen_address(&table, "address")?;
    // Without what it was to have for TLS, it must not become a plain one.
    (is_plain || tls.is_some()).then_some(Listener { address, backlog, reason, tls, proxy_protocol, trusted_proxies })
}

/// Where to listen; a socket's path is relative to the file that names it.
fn listen_address(table: &Cursor<'_>, key: &'static str) -> Option<ListenAddress> {
    let address = table.required::<ListenAddress>(key)?.within(&table.source().folder);
    if let ListenAddress::Unix(path) = &address
        && let Err(error) = check_unix_length(path)
    {
        let long = Diagnostic::error(format!("`{}` {}", table.full_name(key), error.message));
        table.notes().push(long.at(table.key_place(key)).hint(error.hint));
        return None;
    }
    Some(address)
}

/// `[admin]`. Whoever reaches it learns the names and addresses of servers and how much goes through: an address beyond this
/// machine is worth a warning.
pub(crate) fn admin(table: &Cursor<'_>) -> Option<(Place, ListenAddress)> {
    table.node("listen")?;
    let address = listen_address(table, "listen")?;
    if let ListenAddress::Tcp(socket) = &address
        && !socket.ip().is_loopback()
    {
        let open = Diagnostic::warning(format!("`{}` is open to others than this machine", table.full_name("listen")));
        let open = open.at(table.key_place("listen")).expected("whoever reaches it reads all metrics");
        table.notes().push(open.hint("listen on `127.0.0.1:9900`, or on an address that only your monitoring reaches"));
    }
    Some((table.value_place("listen"), address))
}

/// A listener with every default.
pub(crate) fn default_listener(address: ListenAddress) -> Listener {
    with_defaults(&options::LISTENER, |table| {
        table.node("address");
        table.node("protocols");
        table.node("tls");
        let backlog = table.get::<u64>("backlog") as u32;
        let reason = table.get("reason");
        let (proxy_protocol, trusted_proxies) = (table.get("proxy_protocol"), Vec::new());
        table.node("trusted_proxies");
        Listener { address, backlog, reason, tls: None, proxy_protocol, trusted_proxies }
    })
}
