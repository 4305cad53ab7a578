//! Changes to fields, and what may stand in one.

use forward::CertificatePart;

use crate::diagnostic::Diagnostic;
use crate::plan::HeaderEdits;
use crate::read::{Cursor, redirect};
use crate::source::Place;

/// Whose fields are changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

pub(crate) fn edits(table: Option<Cursor<'_>>, side: Side) -> HeaderEdits {
    let Some(table) = table else { return HeaderEdits::default() };
    let mut remove = Vec::new();
    for (name, place) in table.texts("remove") {
        if check_name(&table, &name, place, side) {
            remove.push(name);
        }
    }
    HeaderEdits { remove, set: fields(&table, "set", side), add: fields(&table, "add", side) }
}

fn fields(table: &Cursor<'_>, key: &'static str, side: Side) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for entry in table.text_table(key) {
        let name_fits = check_name(table, &entry.name, entry.name_place.clone(), side);
        let full_name = format!("{key}.{}", entry.name);
        warn_of_placeholder(table, &full_name, &entry.value, entry.value_place.clone(), side);
        let value_fits = check_value(table, &full_name, &entry.value, entry.value_place.clone())
            && check_variable(
                table,
                &full_name,
                &entry.value,
                entry.value_place,
                side == Side::Request && key == "set",
            );
        if fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(&entry.name)) {
            let twice =
                Diagnostic::error(format!("the field `{}` is given twice in `{}.{key}`", entry.name, table.path()));
            table.notes().push(twice.at(entry.name_place).expected("field names have no case"));
        } else if name_fits && value_fits {
            fields.push((entry.name, entry.value));
        }
    }
    fields
}

fn check_name(table: &Cursor<'_>, name: &str, place: Place, side: Side) -> bool {
    if !is_token(name) {
        let wrong = Diagnostic::error(format!("`{}` is not the name of a field", name.escape_debug()));
        table.notes().push(wrong.at(place).expected("expected letters, digits and hyphens, such as `x-env`"));
        return false;
    }
    let lower = name.to_ascii_lowercase();
    let reason = match lower.as_str() {
        "connection" | "content-length" | "keep-alive" | "proxy-connection" | "te" | "trailer"
        | "transfer-encoding" | "upgrade" => {
            "it frames the message or belongs to one connection, so the server sets it"
        }
        "host" if side == Side::Request => "use `host` of `proxy` for that",
        "expect" if side == Side::Request => "the server answers it itself, before the request is forwarded",
        "date" if side == Side::Response => "the server sets it on every answer",
        _ => return true,
    };
    let reserved = Diagnostic::error(format!("the field `{name}` cannot be changed here"));
    table.notes().push(reserved.at(place).expected("not this field").hint(reason));
    false
}

/// Notes a value that could not be sent; `name` is the key it belongs to.
pub(crate) fn check_value(table: &Cursor<'_>, name: &str, value: &str, place: Place) -> bool {
    let problem = if value.contains(['\r', '\n']) {
        "holds a line end, which would begin another field"
    } else if value.chars().any(|c| c.is_ascii_control() && c != '\t') {
        "holds a control character"
    } else if value.trim_matches([' ', '\t']) != value {
        "begins or ends with white space, which is not part of a value"
    } else {
        return true;
    };
    let wrong = Diagnostic::error(format!("`{}` {problem}", table.full_name(name)));
    table.notes().push(wrong.at(place).expected("expected the value of a field, one line"));
    false
}

/// Notes a value that stands for a part of the client's certificate where there is none: `set` of a request, which takes out
/// what the client has sent of that name, is the only place.
fn check_variable(table: &Cursor<'_>, name: &str, value: &str, place: Place, may: bool) -> bool {
    if !value.starts_with("{ssl_") || (may && CertificatePart::of_value(value).is_some()) {
        return true;
    }
    let names: Vec<String> = CertificatePart::NAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
    let (problem, hint) = match may {
        true => ("stands for nothing known", format!("known are {}", names.join(", "))),
        false => ("stands here in vain", "what clients have shown is told in `request_headers.set` only".to_owned()),
    };
    let named = value.split_inclusive('}').next().unwrap_or(value);
    let wrong = Diagnostic::error(format!("`{}` {problem}: {named}", table.full_name(name)));
    table.notes().push(wrong.at(place).expected("expected the value of a field").hint(hint));
    false
}

/// Warns of what stands for something elsewhere: in a redirect, or in nginx's configuration. The value may be a secret: of it no more is said than
/// what is the same in every configuration.
fn warn_of_placeholder(table: &Cursor<'_>, name: &str, value: &str, place: Place, side: Side) {
    let is_variable = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let of_redirects = redirect::NAMES.iter().map(|known| format!("{{{known}}}")).find(|known| value.contains(known));
    let problem = match of_redirects {
        Some(known) => format!("holds `{known}`, which is sent as it stands"),
        None if value.strip_prefix('$').is_some_and(is_variable) => "is sent as it stands, with its `$`".to_owned(),
        None => return,
    };
    let literal = Diagnostic::warning(format!("`{}` {problem}", table.full_name(name)));
    let told = "servers are told of the client in X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host and Forwarded";
    let hint = (side == Side::Request).then(|| told.to_owned());
    table.notes().push(literal.at(place).expected("nothing is put in here").maybe_hint(hint));
}

/// RFC 9110 §5.6.2.
pub(crate) fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
