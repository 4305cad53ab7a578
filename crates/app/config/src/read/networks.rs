//! Lists of networks.

use client_address::Network;

use crate::diagnostic::Diagnostic;
use crate::read::{Cursor, items_of};

/// Whether `unix:` may stand among them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sockets {
    May,
    MayNot,
}

/// The networks of a list; what is wrong with any is noted.
pub(crate) fn networks(table: &Cursor<'_>, key: &'static str, sockets: Sockets) -> Vec<Network> {
    let mut networks = Vec::new();
    for (text, place) in table.texts(key) {
        let (message, hint) = match Network::parse(&text) {
            Ok(Network::Unix) if sockets == Sockets::MayNot => {
                ("is for `listener.trusted_proxies` only: who comes through a Unix socket has no address", None)
            }
            Ok(network) => {
                networks.push(network);
                continue;
            }
            Err(bad) => (bad.message, bad.hint),
        };
        let wrong = Diagnostic::error(format!("`{}`: `{}` {message}", table.full_name(key), text.escape_debug()));
        let expected = "expected a network such as `\"10.0.0.0/8\"` or `\"fd00::/8\"`, or an address";
        table.notes().push(wrong.at(place).expected(expected).maybe_hint(hint));
    }
    networks
}

/// The same where an empty list would let nobody through.
pub(crate) fn some_networks(table: &Cursor<'_>, key: &'static str) -> Vec<Network> {
    if let Some(node) = table.node(key).filter(|node| items_of(node).is_some_and(<[_]>::is_empty)) {
        let empty = Diagnostic::error(format!("`{}` is empty, so nobody could ever pass", table.full_name(key)));
        let place = table.place_of(node.span.clone());
        table
            .notes()
            .push(empty.at(place).expected("expected at least one network").hint("leave it out to let all pass"));
    }
    networks(table, key, Sockets::MayNot)
}
