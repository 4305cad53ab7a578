//! `[upstream.NAME]`.

use balance::{EjectionPolicy, RetryOn, RetryPolicy};
use client_address::proxy_protocol::Version;

use crate::address::{Address, ServerAddress, check_unix_length};
use crate::diagnostic::Diagnostic;
use crate::options::{self, Kind, nearest};
use crate::plan::{Balance, HashKey, KeepAlive, Server, Upstream, UpstreamTimeouts, UpstreamTls};
use crate::read::leaf::{Word, Wrong};
use crate::read::{Cursor, health, items_of, tls, with_defaults};
use crate::tree::{Node, Value};

pub(crate) fn upstream(name: &str, table: Cursor<'_>) -> Option<Upstream> {
    if name.is_empty() || name.chars().any(char::is_control) {
        let wrong = Diagnostic::error("the name of an upstream is empty or holds a control character");
        table.notes().push(wrong.at(table.place()).expected("expected a name, such as `[upstream.api]`"));
    }
    let balance = balance(&table);
    // HTTP/1.1 is the only protocol that works, so there is nothing to keep.
    table.get::<Word>("protocol");
    let upstream = rest(name, &table);
    let tls = tls::upstream(&table.section_or_empty("tls"));
    let servers = servers(&table)?;
    tls::check_servers(&table, tls.as_ref(), &servers)?;
    Some(Upstream { servers, tls: tls?, balance: balance?, ..upstream })
}

/// An upstream of these servers, with a default for all else.
pub(crate) fn defaults(name: &str, servers: Vec<Server>) -> Upstream {
    with_defaults(&options::UPSTREAM, |table| {
        table.node("servers");
        table.node("balance");
        table.node("protocol");
        table.node("tls");
        Upstream { servers, ..rest(name, &table) }
    })
}

/// All but the servers.
fn rest(name: &str, table: &Cursor<'_>) -> Upstream {
    Upstream {
        name: name.to_owned(),
        servers: Vec::new(),
        keep_alive: keep_alive(table.section_or_empty("keep_alive")),
        timeouts: timeouts(table.section_or_empty("timeouts")),
        retry: retry(table.section_or_empty("retry")),
        resolve: table.get("resolve"),
        proxy_protocol: match table.get::<u64>("proxy_protocol") {
            1 => Some(Version::V1),
            2 => Some(Version::V2),
            _ => None,
        },
        tls: UpstreamTls::default(),
        balance: Balance::RoundRobin,
        queue: table.get("queue"),
        slow_start: table.optional("slow_start").unwrap_or_default(),
        ejection: table.section("ejection").map(ejection),
        health: table.section("health").map(|table| health::health(&table)),
        sticky: table.section("sticky").and_then(|table| health::sticky(name, &table)),
    }
}

fn ejection(table: Cursor<'_>) -> EjectionPolicy {
    EjectionPolicy {
        consecutive: table.get::<u64>("consecutive") as u32,
        share: table.get("share"),
        window: table.get("window"),
        time: table.get("for"),
        max_ejected: table.get("max_ejected"),
    }
}

/// One of the words, or `{ hash = "..." }`.
fn balance(table: &Cursor<'_>) -> Option<Balance> {
    if let Some(node) = table.node("balance")
        && let Value::Table(inner) = &node.value
    {
        let hash = inner.entry("hash").filter(|_| inner.entries.len() == 1).and_then(|entry| entry.node.text());
        let key = hash.and_then(hash_key);
        if key.is_none() {
            let expected = "expected `{ hash = \"header:NAME\" }`, `\"cookie:NAME\"`, `\"path\"` or `\"query\"`";
            table.wrong("balance", node, Wrong::new("names nothing that could be hashed", expected));
        }
        return key.map(Balance::Hash);
    }
    Some(match table.get::<Word>("balance").0 {
        "least_connections" => Balance::LeastConnections,
        "random_two" => Balance::RandomTwo,
        "ewma" => Balance::Ewma,
        "ip_hash" => Balance::Hash(HashKey::Client),
        "first" => Balance::First,
        _ => Balance::RoundRobin,
    })
}

fn hash_key(text: &str) -> Option<HashKey> {
    let is_token =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b"=;,\"()".contains(&b));
    match text.split_once(':') {
        Some(("header", name)) if is_token(name) => Some(HashKey::Header(name.to_owned())),
        Some(("cookie", name)) if is_token(name) => Some(HashKey::Cookie(name.to_owned())),
        None if text == "path" => Some(HashKey::Path),
        None if text == "query" => Some(HashKey::Query),
        _ => None,
    }
}

fn servers(table: &Cursor<'_>) -> Option<Vec<Server>> {
    let node = match table.node("servers") {
        Some(node) => node,
        None => {
            table.required::<Vec<String>>("servers");
            return None;
        }
    };
    let Some(items) = items_of(node) else {
        let key = options::UPSTREAM.key("servers")?;
        table.wrong("servers", node, Wrong::kind(key, node));
        return None;
    };
    if items.is_empty() {
        table.wrong("servers", node, Wrong::new("is empty", "expected at least one server"));
    }
    let mut servers: Vec<Server> = Vec::new();
    for item in items {
        let Some(server) = server(table, item) else { continue };
        if servers.iter().any(|s| s.address == server.address && s.tls == server.tls) {
            let twice = Diagnostic::warning(format!("the server `{}` is listed twice", server.address));
            let hint = "`weight` gives a server a larger share";
            table.notes().push(twice.at(table.place_of(item.span.clone())).expected("a second time here").hint(hint));
        }
        servers.push(server);
    }
    (servers.len() == items.len() && !servers.is_empty()).then_some(servers)
}

fn server(upstream: &Cursor<'_>, item: &Node) -> Option<Server> {
    // As though each address stood in a table of its own: `"A"` is `{ address = "A" }`.
    let Kind::Servers(section) = options::UPSTREAM.key("servers")?.kind else { return None };
    let path = upstream.full_name("servers");
    let (source, notes) = (upstream.source(), upstream.notes());
    let server = match &item.value {
        Value::Table(table) => {
            let table = Cursor::new(section, path, source, table, item.span.clone(), notes);
            let weight = table.get::<u64>("weight") as u32;
            let (backup, max_connections) = (table.get("backup"), table.optional("max_connections"));
            Server { weight, backup, max_connections, ..plain_server(table.required::<ServerAddress>("address")?) }
        }
        Value::Text(text) => match text.text.parse::<ServerAddress>() {
            Ok(address) => plain_server(address),
            Err(error) => {
                let key = section.key("address")?;
                let wrong = Wrong::new(error.message, format!("expected {}", key.kind.describe()));
                upstream.wrong("servers", item, wrong.hint(error.hint));
                return None;
            }
        },
        _ => {
            let wrong =
                Wrong::new("holds something that is no server", format!("expected an address, found {}", item.what()));
            upstream.wrong("servers", item, wrong.hint("such as `\"127.0.0.1:3000\"`"));
            return None;
        }
    };
    let address = server.address.within(&source.folder);
    if let Address::Unix(path) = &address
        && let Err(error) = check_unix_length(path)
    {
        upstream.wrong("servers", item, Wrong::new(error.message, "").hint(error.hint));
        return None;
    }
    Some(Server { address, ..server })
}

fn default_weight() -> u32 {
    with_defaults(&options::SERVER, |table| {
        table.node("address");
        table.node("backup");
        table.node("max_connections");
        table.get::<u64>("weight") as u32
    })
}

/// A server with the default weight.
pub(crate) fn plain_server(ServerAddress { address, tls }: ServerAddress) -> Server {
    Server { address, tls, weight: default_weight(), backup: false, max_connections: None }
}

fn keep_alive(table: Cursor<'_>) -> KeepAlive {
    KeepAlive {
        idle: table.get::<u64>("idle") as usize,
        idle_timeout: table.get("idle_timeout"),
        max_requests: table.get("max_requests"),
        max_age: table.get("max_age"),
        hand_over: table.get("hand_over"),
    }
}

fn timeouts(table: Cursor<'_>) -> UpstreamTimeouts {
    UpstreamTimeouts {
        connect: table.get("connect"),
        header: table.get("header"),
        body: table.get("body"),
        tunnel: table.get("tunnel"),
        queue: table.get("queue"),
    }
}

fn retry(table: Cursor<'_>) -> RetryPolicy {
    let mut on = RetryOn::nothing();
    for (word, place) in table.texts("on") {
        if let Err(error) = on.add(&word) {
            let near = nearest(&word, ["connect", "reset", "timeout", "4xx", "5xx"].into_iter());
            let wrong =
                Diagnostic::error(format!("`{}` cannot hold `\"{}\"`", table.full_name("on"), word.escape_debug()));
            let hint = near.map(|near| format!("did you mean `\"{near}\"`?"));
            table.notes().push(wrong.at(place).expected(error.to_string()).maybe_hint(hint));
        }
    }
    RetryPolicy {
        attempts: table.get::<u64>("attempts") as u32,
        on,
        budget: table.get("budget"),
        idempotent_only: table.get::<Word>("methods").0 == "idempotent",
    }
}
