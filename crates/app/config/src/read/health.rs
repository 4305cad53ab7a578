//! `[upstream.NAME.health]` and `[upstream.NAME.sticky]`.

use crate::diagnostic::Diagnostic;
use crate::plan::{Health, Statuses, Sticky};
use crate::read::Cursor;
use crate::read::leaf::Wrong;

pub(crate) fn health(table: &Cursor<'_>) -> Health {
    let path: Option<String> = table.optional("path");
    if let (Some(path), Some(node)) = (&path, table.node("path"))
        && !(path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#'))
    {
        let expected = "expected a path that begins with `/`, with a query or without, percent-encoded";
        table.wrong("path", node, Wrong::new("is no path that can be asked for", expected));
    }
    let host: Option<String> = table.optional("host");
    if let (Some(host), Some(node)) = (&host, table.node("host"))
        && (host.is_empty() || !host.bytes().all(|b| b.is_ascii_graphic()))
    {
        table.wrong("host", node, Wrong::new("is no host", "expected a name, with a port or without"));
    }
    let body: Option<String> = table.optional("body").filter(|body: &String| !body.is_empty());
    for (name, is_there) in [("host", host.is_some()), ("body", body.is_some()), ("expect", has(table, "expect"))] {
        if is_there && path.is_none() {
            let idle = Diagnostic::warning(format!("`{}` has no effect", table.full_name(name)));
            let place = table.key_place(name);
            table.notes().push(idle.at(place).expected("needs `path`: without one, a connection is all that is tried"));
        }
    }
    Health {
        path,
        host,
        body,
        expect: expect(table),
        interval: table.get("interval"),
        jitter: table.get("jitter"),
        timeout: table.get("timeout"),
        rise: table.get::<u64>("rise") as u32,
        fall: table.get::<u64>("fall") as u32,
    }
}

fn has(table: &Cursor<'_>, name: &'static str) -> bool {
    table.node(name).is_some()
}

fn expect(table: &Cursor<'_>) -> Vec<Statuses> {
    let mut expect = Vec::new();
    for (word, place) in table.texts("expect") {
        match statuses(&word) {
            Some(statuses) => expect.push(statuses),
            None => {
                let what = format!("`{}` cannot hold `\"{}\"`", table.full_name("expect"), word.escape_debug());
                let shape = "expected a status from `\"200\"` to `\"599\"`, or a class such as `\"2xx\"`";
                table.notes().push(Diagnostic::error(what).at(place).expected(shape));
            }
        }
    }
    if let Some(node) = table.node("expect").filter(|_| expect.is_empty() && table.texts("expect").is_empty()) {
        table.wrong("expect", node, Wrong::new("is empty", "expected at least one status"));
    }
    expect
}

fn statuses(text: &str) -> Option<Statuses> {
    match text.as_bytes() {
        [class @ b'2'..=b'5', b'x', b'x'] => Some(Statuses::Class(class - b'0')),
        [_, _, _] => text.parse().ok().filter(|status| (200..600).contains(status)).map(Statuses::One),
        _ => None,
    }
}

/// None when something in it is wrong, which is then noted.
pub(crate) fn sticky(upstream: &str, table: &Cursor<'_>) -> Option<Sticky> {
    let cookie = table.optional("cookie").unwrap_or_else(|| default_cookie(upstream));
    if let Some(node) = table.node("cookie")
        && !is_cookie_name(&cookie)
    {
        let expected = "expected letters, digits and `-`, `_`, `.`";
        table.wrong("cookie", node, Wrong::new("is no name of a cookie", expected));
    }
    let ttl = table.optional("ttl");
    let secret: String = table.required("secret")?;
    if let Some(node) = table.node("secret")
        && secret.len() < SECRET_BYTES
    {
        let what = match secret.is_empty() {
            true => Diagnostic::error(format!("`{}` is empty", table.full_name("secret"))),
            false => Diagnostic::warning(format!("`{}` is short", table.full_name("secret"))),
        };
        let hint = "`openssl rand -hex 16` makes one; all processes that share clients need the same";
        table.notes().push(what.at(table.place_of(node.span.clone())).expected("could be guessed").hint(hint));
    }
    Some(Sticky { cookie, ttl, secret })
}

/// One for each upstream: a client that goes to two of them keeps two cookies.
fn default_cookie(upstream: &str) -> String {
    let byte = |byte: u8| if is_cookie_name(&char::from(byte).to_string()) { char::from(byte) } else { '_' };
    format!("tg_{}", upstream.bytes().map(byte).collect::<String>())
}

/// What is shorter can be tried out.
const SECRET_BYTES: usize = 16;

fn is_cookie_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
