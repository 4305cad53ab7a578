//! Whom `proxy` sends requests to: one upstream, or several with their shares.

use crate::diagnostic::Diagnostic;
use crate::plan::{Destination, Share, SplitBy, UpstreamId};
use crate::read::leaf::{Word, Wrong};
use crate::read::{Cursor, items_of};
use crate::source::Place;

/// The destination, and the upstreams' names. Until these are looked up, the ids are their places in this list.
pub(crate) fn destination(table: &Cursor<'_>) -> (Option<Destination>, Vec<(String, Place)>) {
    let Word(by) = table.get("split_by");
    let by = if by == "client" { SplitBy::Client } else { SplitBy::Request };
    if table.node("split").is_none() {
        if table.node("split_by").is_some() {
            let alone = Diagnostic::error(format!("`{}` without `split` says nothing", table.full_name("split_by")));
            table.notes().push(alone.at(table.key_place("split_by")).expected("leave it out, or add `split`"));
        }
        if let Some(node) = table.node("upstream").filter(|node| items_of(node).is_some()) {
            let wrong = Wrong::new("is one upstream, not a list", "expected its name");
            let several = "several of them, each with its share: `split = [{ upstream = \"a\", weight = 9 }, { upstream = \"b\", weight = 1 }]`";
            table.wrong("upstream", node, wrong.hint(several));
            return (None, Vec::new());
        }
        let named: Vec<_> =
            table.required("upstream").map(|name: String| (name, table.value_place("upstream"))).into_iter().collect();
        return ((!named.is_empty()).then_some(Destination::One(UpstreamId(0))), named);
    }
    if table.node("upstream").is_some() {
        let both = Diagnostic::error(format!("`{}` has both `upstream` and `split`", table.path()));
        let first = table.key_place("split");
        let expected = "expected one of the two";
        table.notes().push(both.at(table.key_place("upstream")).expected(expected).related(&first, "the other one"));
    }
    let (shares, named) = shares(table);
    (shares.map(|shares| Destination::Split { shares, by }), named)
}

fn shares(table: &Cursor<'_>) -> (Option<Vec<Share>>, Vec<(String, Place)>) {
    let mut named: Vec<(String, Place)> = Vec::new();
    let mut shares = Vec::new();
    let mut right = true;
    for share in table.sections("split") {
        let weight = share.get::<u64>("weight") as u32;
        let Some(name) = share.required::<String>("upstream") else {
            right = false;
            continue;
        };
        let place = share.value_place("upstream");
        if let Some((_, first)) = named.iter().find(|(other, _)| *other == name) {
            let twice =
                Diagnostic::error(format!("`{}` names `{}` twice", table.full_name("split"), name.escape_debug()));
            let twice = twice.at(place.clone()).expected("expected one share of each upstream");
            table.notes().push(twice.related(first, "first here"));
        }
        shares.push(Share { upstream: UpstreamId(named.len()), weight });
        named.push((name, place));
    }
    if right && shares.iter().all(|share| share.weight == 0) {
        let nobody =
            Diagnostic::error(format!("`{}` has no weight above 0, so nobody would answer", table.full_name("split")));
        let expected = "expected at least one upstream with a weight";
        table.notes().push(nobody.at(table.value_place("split")).expected(expected));
        right = false;
    }
    (right.then_some(shares), named)
}
