//! What answers a route: `proxy`, `files`, `redirect` or `respond`.

use std::path::{Path, PathBuf};

use router::{HostPattern, PathPattern, Rule, host_of};

use crate::diagnostic::Diagnostic;
use crate::options;
use crate::plan::{Action, Files, HostField, Proxy, Respond, Symlinks};
use crate::read::headers::check_value;
use crate::read::leaf::Word;
use crate::read::redirect::redirect;
use crate::read::{Cursor, split, with_defaults};
use crate::source::Place;

/// An action, and the names of the upstreams it asks for. Until these are looked up, its ids are their places in this list.
pub(crate) struct ActionDraft {
    pub(crate) action: Option<Action>,
    pub(crate) upstreams: Vec<(String, Place)>,
}

pub(crate) fn action(route: &Cursor<'_>, rule: Option<&Rule>) -> ActionDraft {
    let mut draft = ActionDraft { action: None, upstreams: Vec::new() };
    if let Some(table) = route.section("proxy") {
        (draft.action, draft.upstreams) = proxy(table, rule);
    }
    let files = route.section("files").map(|table| files(table, rule));
    let redirect = route.section("redirect").map(|table| redirect(table, rule));
    let respond = route.section("respond").map(respond);
    check_one(route);
    draft.action = draft.action.or(files.flatten()).or(redirect.flatten()).or(respond.flatten());
    draft
}

fn check_one(route: &Cursor<'_>) {
    let given: Vec<_> =
        ["proxy", "files", "redirect", "respond"].into_iter().filter(|a| route.node(a).is_some()).collect();
    match given.as_slice() {
        [] => route.notes().push(
            Diagnostic::error("`[[route]]` has no action")
                .at(route.place())
                .expected("expected one of `proxy`, `files`, `redirect` or `respond`")
                .hint("such as `files = { root = \"./public\" }`")
                .absence(),
        ),
        [_] => {}
        [first, others @ ..] => {
            for other in others {
                let second = Diagnostic::error(format!("`[[route]]` has both `{first}` and `{other}`"));
                let place = route.key_place(first);
                route.notes().push(
                    second.at(route.key_place(other)).expected("a second action").related(&place, "the first one"),
                );
            }
        }
    }
}

fn proxy(table: Cursor<'_>, rule: Option<&Rule>) -> (Option<Action>, Vec<(String, Place)>) {
    let (to, named) = split::destination(&table);
    let strip_prefix = prefix(&table, "strip_prefix");
    let add_prefix = prefix(&table, "add_prefix");
    if let (Some(prefix), Some(rule)) = (&strip_prefix, rule) {
        check_strip(&table, prefix, &rule.path, "nothing is taken off");
    }
    let host = host_field(&table);
    let action = match (to, strip_prefix, add_prefix, host) {
        (Some(to), Some(strip_prefix), Some(add_prefix), Some(host)) => {
            Some(Action::Proxy(Proxy { to, strip_prefix, add_prefix, host }))
        }
        _ => None,
    };
    (action, named)
}

/// A prefix in normal form, without a slash at its end; `/` alone says nothing.
fn prefix(table: &Cursor<'_>, key: &'static str) -> Option<String> {
    let text: String = table.get(key);
    let trimmed = text.strip_suffix('/').unwrap_or(&text);
    if trimmed.is_empty() {
        return Some(String::new());
    }
    let (message, hint) = match PathPattern::parse(trimmed) {
        Ok(PathPattern::Exact(path)) if !path.ends_with('/') => return Some(path.into()),
        Ok(PathPattern::Exact(_)) => ("ends with several `/`".to_owned(), None),
        Ok(_) => ("is a pattern".to_owned(), None),
        Err(error) if trimmed.starts_with('/') => {
            (error.message.replace("can never match: ", "cannot be used: "), error.hint)
        }
        Err(_) => ("does not begin with `/`".to_owned(), Some(format!("write `/{trimmed}`"))),
    };
    let wrong = Diagnostic::error(format!("`{}`: `{}` {message}", table.full_name(key), text.escape_debug()));
    let wrong = wrong.at(table.value_place(key)).expected("expected the front of a path, such as `\"/api\"`");
    table.notes().push(wrong.maybe_hint(hint));
    None
}

fn check_strip(table: &Cursor<'_>, prefix: &str, path: &PathPattern, so: &str) {
    let stripped = PathPattern::Prefix(prefix.into());
    let can_apply = matches!(path, PathPattern::Regex(_)) || stripped.covers(path) || path.covers(&stripped);
    if !prefix.is_empty() && !can_apply {
        let never = Diagnostic::warning(format!("`strip_prefix` never applies: the route's path is `{path}`"));
        table.notes().push(never.at(table.key_place("strip_prefix")).expected(so).absence());
    }
}

fn host_field(table: &Cursor<'_>) -> Option<HostField> {
    let text: String = table.get("host");
    match text.as_str() {
        "client" => return Some(HostField::Client),
        "upstream" => return Some(HostField::Upstream),
        _ => {}
    }
    let host = std::str::from_utf8(host_of(text.as_bytes())).unwrap_or_default();
    let port = text[host.len()..].trim_start_matches('.');
    let port_fits = port.is_empty() || port[1..].parse::<u16>().is_ok_and(|n| n > 0 && !port.contains('+'));
    if port_fits && !host.ends_with('.') && matches!(HostPattern::parse(host), Ok(HostPattern::Exact(_))) {
        return Some(HostField::Fixed(text));
    }
    let place = table.value_place("host");
    let wrong = Diagnostic::error(format!("`{}` is not a host", table.full_name("host"))).at(place);
    table.notes().push(wrong.expected("expected `\"client\"`, `\"upstream\"` or a name such as `\"example.com\"`"));
    None
}

fn files(table: Cursor<'_>, rule: Option<&Rule>) -> Option<Action> {
    let files = files_below(PathBuf::new(), &table);
    if let Some(rule) = rule {
        check_strip(&table, &files.strip_prefix, &rule.path, "no file is ever found");
    }
    let root: String = table.required("root")?;
    let root = folder(&table, &root)?;
    Some(Action::Files(Files { root, ..files }))
}

/// `root` served with every default.
pub(crate) fn default_files(root: PathBuf) -> Files {
    with_defaults(&options::FILES, |table| {
        table.node("root");
        files_below(root, &table)
    })
}

/// All but the root.
fn files_below(root: PathBuf, table: &Cursor<'_>) -> Files {
    let Word(symlinks) = table.get("symlinks");
    Files {
        root,
        strip_prefix: prefix(table, "strip_prefix").unwrap_or_default(),
        index: index_names(table),
        listing: table.get("listing"),
        fallback: fallback(table),
        precompressed: codings(table, "precompressed"),
        compress: codings(table, "compress"),
        symlinks: match symlinks {
            "refuse" => Symlinks::Refuse,
            "follow" => Symlinks::Follow,
            _ => Symlinks::Beneath,
        },
        cache_control: cache_control(table),
        page_cache_control: None,
        hidden: table.get("hidden"),
        live: false,
    }
}

/// The codings of a list, each once.
fn codings(table: &Cursor<'_>, key: &'static str) -> Vec<&'static str> {
    let mut codings = table.words(key);
    let mut seen = Vec::new();
    codings.retain(|coding| {
        let is_new = !seen.contains(coding);
        seen.push(*coding);
        is_new
    });
    codings
}

/// The path of a file, without anything that would have to be decoded or removed first.
fn fallback(table: &Cursor<'_>) -> Option<String> {
    let path: String = table.optional("fallback")?;
    let Some(problem) = wrong_path(&path) else { return Some(path) };
    let wrong = Diagnostic::error(format!("`{}`: `{}` {problem}", table.full_name("fallback"), path.escape_debug()));
    let better = format!("/{}", path.strip_prefix("./").unwrap_or(&path));
    let hint =
        (!path.starts_with('/') && wrong_path(&better).is_none()).then(|| format!("write `{}`", better.escape_debug()));
    let wrong = wrong.at(table.value_place("fallback"));
    table
        .notes()
        .push(wrong.expected("expected the path of a file beneath root, such as `\"/index.html\"`").maybe_hint(hint));
    None
}

/// What is wrong with the path of a file, if anything is.
fn wrong_path(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        Some("does not begin with `/`")
    } else if path.ends_with('/') {
        Some("names a folder")
    } else if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        Some("has a dot segment")
    } else if path.contains(['%', '\\', '\0', '?', '#']) || path.len() > FALLBACK_MAX {
        Some("is not the plain path of a file")
    } else {
        None
    }
}

/// The longest path that the system takes is not much longer.
const FALLBACK_MAX: usize = 4000;

/// A Cache-Control longer than this is a mistake, and the heads that hold it must stay small.
const CACHE_CONTROL_MAX: usize = 1024;

fn cache_control(table: &Cursor<'_>) -> Option<String> {
    let value: String = table.optional("cache_control")?;
    let place = table.value_place("cache_control");
    let problem = if value.is_empty() {
        "is empty".to_owned()
    } else if value.len() > CACHE_CONTROL_MAX {
        format!("has {} bytes, more than the {CACHE_CONTROL_MAX} that are sensible", value.len())
    } else if !check_value(table, "cache_control", &value, place.clone()) {
        return None;
    } else if let Some(odd) = value.chars().find(|c| *c != ' ' && !c.is_ascii_graphic()) {
        format!("holds `{}`, which is no visible ASCII character", odd.escape_default())
    } else {
        return Some(value);
    };
    let wrong = Diagnostic::error(format!("`{}` {problem}", table.full_name("cache_control"))).at(place);
    table.notes().push(wrong.expected("expected directives, such as `\"max-age=3600\"`, or no such line at all"));
    None
}

fn index_names(table: &Cursor<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for (name, place) in table.texts("index") {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
            let wrong = Diagnostic::error(format!("`{}` is not the name of a file", name.escape_debug()));
            let expected = "expected a name without `/` and `\\`, such as `\"index.html\"`";
            table.notes().push(wrong.at(place).expected(expected));
        } else {
            names.push(name);
        }
    }
    names
}

/// The absolute path of a folder that is there.
fn folder(table: &Cursor<'_>, text: &str) -> Option<PathBuf> {
    let place = table.value_place("root");
    check_folder(&table.source().folder.join(text))
        .map_err(|problem| {
            let relative =
                Path::new(text).is_relative().then(|| "a relative path starts from the folder of this file".to_owned());
            let wrong = Diagnostic::error(format!("the folder `{}` {problem}", text.escape_debug())).at(place);
            table.notes().push(wrong.expected("expected a folder that is there").maybe_hint(relative));
        })
        .ok()
}

/// Makes a path absolute and checks that it is a folder; the error goes on from its name.
pub(crate) fn check_folder(path: &Path) -> Result<PathBuf, String> {
    let path = std::path::absolute(path).map_err(|_| "has no absolute path".to_owned())?;
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Ok(path),
        Ok(_) => Err("is a file, not a folder".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err("does not exist".to_owned()),
        Err(error) => Err(format!("cannot be used: {}", crate::files::reason(error))),
    }
}

fn respond(table: Cursor<'_>) -> Option<Action> {
    let status = table.get::<u64>("status") as u16;
    let body: String = table.get("body");
    let content_type: String = table.get("content_type");
    let type_place = table.value_place("content_type");
    let type_fits = check_value(&table, "content_type", &content_type, type_place);
    if matches!(status, 204 | 205 | 304) && !body.is_empty() {
        let bodied = Diagnostic::error(format!("a {status} answer has no body")).at(table.key_place("body"));
        table.notes().push(bodied.expected("leave it out, or choose another status"));
        return None;
    }
    type_fits.then_some(Action::Respond(Respond { status, body, content_type }))
}
