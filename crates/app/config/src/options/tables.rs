//! The options of every table, in the order of the reference.

mod route;
mod server;
mod upstream;

pub(crate) use route::*;
pub(crate) use server::*;
pub(crate) use upstream::*;

use super::{Choice, Key, Kind, Section};

/// An option with a default.
const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, default, example: "", doc, built: true }
}

/// An option that is off when absent, with an example for the reference.
const fn off(name: &'static str, kind: Kind, example: &'static str, doc: &'static str) -> Key {
    Key { name, kind, default: "", example, doc, built: true }
}

/// An option that does not work yet.
const fn later(key: Key) -> Key {
    Key { built: false, ..key }
}

const fn works(word: &'static str) -> Choice {
    Choice { word, built: true, is_form: false }
}

const fn planned(word: &'static str) -> Choice {
    Choice { word, built: false, is_form: false }
}

/// Not a word but what may stand there otherwise.
const fn form(word: &'static str) -> Choice {
    Choice { word, built: true, is_form: true }
}

/// Every table, in the order of the reference.
pub(crate) const ALL: &[&Section] = &[
    &FILE,
    &RUNTIME,
    &ADMIN,
    &LOG,
    &LOG_ACCESS,
    &LIMITS,
    &TIMEOUTS,
    &LISTENER,
    &LISTENER_TLS,
    &HSTS,
    &CERTIFICATE,
    &ROUTE,
    &MATCH,
    &PROXY,
    &SPLIT,
    &FILES,
    &REDIRECT,
    &RESPOND,
    &REQUEST_HEADERS,
    &RESPONSE_HEADERS,
    &RATE_LIMIT,
    &BASIC_AUTH,
    &UPSTREAM,
    &SERVER,
    &KEEP_ALIVE,
    &UPSTREAM_TIMEOUTS,
    &RETRY,
    &STICKY,
    &HEALTH,
    &EJECTION,
    &UPSTREAM_TLS,
];
