//! `redirect`: where to, in pieces.

use router::{PathPattern, Rule};

use crate::diagnostic::Diagnostic;
use crate::options::nearest;
use crate::plan::{Action, Piece, Redirect};
use crate::read::Cursor;

/// Where a redirect leads.
pub(crate) fn redirect(table: Cursor<'_>, rule: Option<&Rule>) -> Option<Action> {
    let status = table.get::<u64>("status") as u16;
    let status_fits = matches!(status, 301 | 302 | 303 | 307 | 308);
    if !status_fits {
        let wrong = Diagnostic::error(format!("`{}` cannot be {status}", table.full_name("status")));
        table.notes().push(wrong.at(table.value_place("status")).expected("expected 301, 302, 303, 307 or 308"));
    }
    let to: String = table.required("to")?;
    let pieces = pieces(&table, &to, rule.map(|rule| &rule.path))?;
    status_fits.then_some(Action::Redirect(Redirect { to: pieces, status }))
}

/// The placeholders there are.
pub(crate) const NAMES: [&str; 7] = ["scheme", "host", "authority", "uri", "path", "query", "rest"];

fn pieces(table: &Cursor<'_>, to: &str, path: Option<&PathPattern>) -> Option<Vec<Piece>> {
    let refuse = |message: String, hint: Option<String>| {
        let wrong = Diagnostic::error(format!("`{}` {message}", table.full_name("to"))).at(table.value_place("to"));
        let shape = "expected a URL or a path, such as `\"https://{host}{uri}\"`";
        table.notes().push(wrong.expected(shape).maybe_hint(hint));
        None
    };
    let mut pieces = Vec::new();
    let mut rest = to;
    while !rest.is_empty() {
        let at = rest.find(['{', '}']).unwrap_or(rest.len());
        let (text, from) = rest.split_at(at);
        if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return refuse(format!("holds `{}`, which cannot stand in a URL", odd.escape_default()), None);
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        if from.is_empty() {
            break;
        }
        let Some((name, after)) = from.strip_prefix('{').and_then(|f| f.split_once('}')) else {
            return refuse("has a brace without its partner".to_owned(), None);
        };
        pieces.push(match name {
            "host" => Piece::Host,
            "uri" => Piece::Uri,
            "path" => Piece::Path,
            "scheme" => Piece::Scheme,
            "authority" => Piece::Authority,
            "query" => Piece::Query,
            "rest" => match path {
                Some(PathPattern::Prefix(prefix)) => Piece::Rest(prefix.len()),
                // The path has an error of its own.
                None => return None,
                Some(_) => {
                    let hint = "it is what the `*` of a path such as `/old/*` stands for".to_owned();
                    return refuse("has `{rest}`, but the route's path has no `*`".to_owned(), Some(hint));
                }
            },
            _ => {
                let near = nearest(name, NAMES.into_iter());
                let all = || NAMES.map(|n| format!("`{{{n}}}`")).join(", ");
                let hint = near.map_or_else(|| format!("there are {}", all()), |n| format!("did you mean `{{{n}}}`?"));
                return refuse(format!("has the unknown placeholder `{{{}}}`", name.escape_debug()), Some(hint));
            }
        });
        rest = after;
    }
    match leads_astray(&pieces) {
        Some((message, hint)) => refuse(message.to_owned(), Some(hint.to_owned())),
        None => Some(pieces),
    }
}

/// A target that a client could turn into a redirect to any host it likes, or that is no URL.
fn leads_astray(pieces: &[Piece]) -> Option<(&'static str, &'static str)> {
    use Piece::{Authority, Host, Path, Query, Rest, Scheme, Text, Uri};
    let from_client = "would let a request for `//other.host` lead away from this site";
    let text = |n: usize| if let Some(Text(text)) = pieces.get(n) { text.as_str() } else { "" };
    let (scheme_len, after_scheme) = match pieces {
        [Scheme, Text(text), ..] if text.starts_with("://") => (2, &text[3..]),
        [Scheme, ..] => return Some(("has no `://` behind its scheme", "such as `{scheme}://{host}/`")),
        [Text(text), ..] => match ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme)) {
            Some(after) => (1, after),
            None => (0, ""),
        },
        _ => (0, ""),
    };
    if scheme_len > 0 {
        return match (after_scheme, pieces.get(scheme_len)) {
            // What is put in behind a host begins with a slash, as in `https://a.test{uri}`, or could change the host.
            ("", Some(Host | Authority)) => host_goes_on(&pieces[scheme_len + 1..]),
            ("", _) => Some(("has no host", "such as `https://{host}{uri}`")),
            (after, next) if after.contains(['/', '?']) || next.is_none() => None,
            (_, _) => host_goes_on(&pieces[scheme_len..]),
        };
    }
    match pieces {
        [] => Some(("is empty", "such as `/elsewhere`")),
        [Text(text), next, ..] if text == "/" && !matches!(next, Host | Authority | Scheme) => {
            Some((from_client, "leave the `/` in front out, and write the host"))
        }
        [Text(_), ..] if text(0).starts_with("//") => Some(("has no scheme", "begin it with `https://`")),
        [Text(_), ..] if text(0).starts_with('/') && (text(0).len() > 1 || pieces.len() == 1) => None,
        [Uri | Path | Rest(_) | Query, ..] => Some((from_client, "write the host: `https://{host}{uri}`")),
        _ => Some(("is neither a URL nor a path", "begin it with `https://`, `http://` or `/`")),
    }
}

/// What follows a host must not be able to become part of it.
fn host_goes_on(behind: &[Piece]) -> Option<(&'static str, &'static str)> {
    match behind {
        [] | [Piece::Uri | Piece::Path, ..] => None,
        [Piece::Text(text), ..] if text.starts_with(['/', '?']) => None,
        // A port, and whatever is behind it.
        [Piece::Text(text), ..] if text.starts_with(':') && text.contains(['/', '?']) => None,
        [Piece::Text(text), rest @ ..] if text.starts_with(':') => host_goes_on(rest),
        // Empty, or begins with a slash.
        [Piece::Rest(_)] => None,
        [Piece::Rest(_), Piece::Text(text), ..] if text.starts_with(['/', '?']) => None,
        _ => Some(("lets what a client sends become part of the host", "write a `/` behind the host")),
    }
}
