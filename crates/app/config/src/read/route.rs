//! `[[route]]`.

use std::time::Duration;

use client_address::{Network, Networks};
use router::{Conditions, HostPattern, MethodToken, PathPattern, PatternError, Rule, Scheme, ValuePattern};

use crate::diagnostic::Diagnostic;
use crate::plan::{Action, ErrorPage, HeaderEdits, Statuses};
use crate::read::action::{self, ActionDraft};
use crate::read::cursor::TextEntry;
use crate::read::headers::{Side, edits, is_token};
use crate::read::leaf::{Size, Word};
use crate::read::networks::{Sockets, networks, some_networks};
use crate::read::{Cursor, items_of};
use crate::source::Place;

/// A route before its upstream is looked up. Parts that had errors are missing.
pub(crate) struct RouteDraft {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) rule: Option<Rule>,
    pub(crate) action: Option<Action>,
    /// The upstreams it asks for, by name, also where the action has other errors.
    pub(crate) upstreams: Vec<(String, Place)>,
    pub(crate) request_headers: HeaderEdits,
    pub(crate) response_headers: HeaderEdits,
    pub(crate) allow: Vec<Network>,
    pub(crate) deny: Vec<Network>,
    /// None: the limit for all.
    pub(crate) body_bytes: Option<u64>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) buffer_request: bool,
    pub(crate) error_pages: Vec<ErrorPage>,
}

pub(crate) fn route(table: Cursor<'_>) -> RouteDraft {
    let rule = rule(&table);
    let name = name(&table, rule.as_ref());
    let ActionDraft { action, upstreams } = action::action(&table, rule.as_ref());
    RouteDraft {
        place: table.place(),
        name,
        rule,
        action,
        upstreams,
        request_headers: edits(table.section("request_headers"), Side::Request),
        response_headers: edits(table.section("response_headers"), Side::Response),
        allow: some_networks(&table, "allow"),
        deny: networks(&table, "deny", Sockets::MayNot),
        body_bytes: table.optional::<Size>("body_bytes").map(|size| size.0),
        timeout: table.optional("timeout"),
        buffer_request: table.get("buffer_request"),
        error_pages: error_pages(&table),
    }
}

/// A page is held in memory by every worker.
const ERROR_PAGE_BYTES: u64 = 1 << 20;

fn error_pages(table: &Cursor<'_>) -> Vec<ErrorPage> {
    let mut pages = Vec::new();
    for TextEntry { name, name_place, value, value_place } in table.text_table("error_pages") {
        let Some(statuses) = statuses(&name) else {
            let wrong =
                Diagnostic::error(format!("`route.error_pages`: `{}` is no status of a failure", name.escape_debug()));
            table.notes().push(
                wrong.at(name_place).expected("expected a status from `\"400\"` to `\"599\"`, `\"4xx\"` or `\"5xx\"`"),
            );
            continue;
        };
        let path = table.source().folder.join(&value);
        let problem = match (std::path::absolute(&path), std::fs::metadata(&path)) {
            (Ok(file), Ok(found)) if found.is_file() && found.len() <= ERROR_PAGE_BYTES => {
                pages.push(ErrorPage { statuses, file });
                continue;
            }
            (_, Ok(found)) if found.is_file() => "has more than 1 MiB".to_owned(),
            (_, Ok(_)) => "is no file".to_owned(),
            (_, Err(error)) if error.kind() == std::io::ErrorKind::NotFound => "does not exist".to_owned(),
            (_, Err(error)) => format!("cannot be used: {}", crate::files::reason(error)),
        };
        let wrong = Diagnostic::error(format!("the page `{}` {problem}", value.escape_debug())).at(value_place);
        table.notes().push(wrong.expected("expected a file that is there"));
    }
    pages
}

fn statuses(text: &str) -> Option<Statuses> {
    match text {
        "4xx" => Some(Statuses::Class(4)),
        "5xx" => Some(Statuses::Class(5)),
        _ => text.parse().ok().filter(|n| text.len() == 3 && (400..600).contains(n)).map(Statuses::One),
    }
}

fn rule(table: &Cursor<'_>) -> Option<Rule> {
    let hosts = patterns(table, "hosts", HostPattern::parse);
    let methods = patterns(table, "methods", MethodToken::parse);
    let text: String = table.get("path");
    let path = PathPattern::parse(&text).map_err(|error| {
        let place = table.value_place("path");
        let shape = "expected `\"/exact\"`, `\"/prefix/*\"` or `\"~regex\"`";
        table.notes().push(wrong_pattern("route.path", &text, error).at(place).expected(shape));
    });
    let conditions = table.section("match").map_or(Some(Conditions::default()), |table| conditions(&table));
    Some(Rule { hosts: hosts?, path: path.ok()?, methods: methods?, conditions: conditions? })
}

fn conditions(table: &Cursor<'_>) -> Option<Conditions> {
    let clients = table.node("clients").map(|_| Networks::new(&some_networks(table, "clients")));
    let headers = values(table, "headers", |name| is_token(name).then_some(()).ok_or("is not the name of a field"));
    let query = values(table, "query", |name| (!name.is_empty()).then_some(()).ok_or("is no name of a parameter"));
    let scheme = table.optional::<Word>("scheme").map(|word| match word.0 {
        "https" => Scheme::Https,
        _ => Scheme::Http,
    });
    Some(Conditions { fields: headers?, query: query?, clients, scheme })
}

/// Names and what their values must be; none when one of them is wrong.
fn values(
    table: &Cursor<'_>,
    key: &'static str,
    check: fn(&str) -> Result<(), &'static str>,
) -> Option<Vec<(Box<[u8]>, ValuePattern)>> {
    let entries = table.text_table(key);
    let count = entries.len();
    let mut values = Vec::with_capacity(count);
    for TextEntry { name, name_place, value, value_place } in entries {
        if let Err(message) = check(&name) {
            let wrong = Diagnostic::error(format!("`{}`: `{}` {message}", table.full_name(key), name.escape_debug()));
            table.notes().push(wrong.at(name_place).expected("expected a name such as `x-canary`"));
            continue;
        }
        match ValuePattern::parse(&value) {
            Ok(pattern) => values.push((name.into_bytes().into(), pattern)),
            Err(error) => {
                // The value may be a secret, which is in the line that is shown, or hidden there.
                let wrong = Diagnostic::error(format!("`{}.{name}` {}", table.full_name(key), error.message));
                let wrong = wrong.maybe_hint(error.hint).at(value_place);
                table.notes().push(wrong.expected("expected a value, `\"*\"` for any, or `\"~regex\"`"));
            }
        }
    }
    (values.len() == count).then_some(values)
}

/// The patterns of a list; none when one of them, or the list, is wrong.
fn patterns<T>(table: &Cursor<'_>, key: &'static str, parse: fn(&str) -> Result<T, PatternError>) -> Option<Vec<T>> {
    let texts = table.texts(key);
    if let Some(node) = table.node(key).filter(|_| texts.is_empty()) {
        if items_of(node).is_some_and(<[_]>::is_empty) {
            let empty = Diagnostic::error(format!("`route.{key}` is empty, so nothing could ever match"));
            let place = table.place_of(node.span.clone());
            table.notes().push(empty.at(place).expected("expected at least one").hint("leave it out to match any"));
        }
        return None;
    }
    let count = texts.len();
    let mut patterns = Vec::with_capacity(count);
    for (text, place) in texts {
        match parse(&text) {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => {
                let expected = match key {
                    "hosts" => "expected a name such as `\"example.com\"` or `\"*.example.com\"`, or an IP address",
                    _ => "expected a method such as `\"GET\"`",
                };
                table.notes().push(wrong_pattern(&format!("route.{key}"), &text, error).at(place).expected(expected));
            }
        }
    }
    (patterns.len() == count).then_some(patterns)
}

fn wrong_pattern(name: &str, text: &str, error: PatternError) -> Diagnostic {
    Diagnostic::error(format!("`{name}`: `{}` {}", text.escape_debug(), error.message)).maybe_hint(error.hint)
}

/// The name, or one made from host and path.
fn name(table: &Cursor<'_>, rule: Option<&Rule>) -> String {
    match table.optional::<String>("name") {
        Some(name) if !name.is_empty() && !name.chars().any(char::is_control) => return name,
        Some(_) => {
            let wrong = Diagnostic::error("`route.name` is empty or holds a control character");
            let place = table.value_place("name");
            table.notes().push(wrong.at(place).expected("expected a name for logs and metrics"));
        }
        None => {}
    }
    let Some(rule) = rule else { return String::new() };
    match rule.hosts.first() {
        Some(host) => format!("{host}{}", rule.path),
        None => rule.path.to_string(),
    }
}
