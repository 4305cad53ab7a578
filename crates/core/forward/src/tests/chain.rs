//! Two proxies of ours one behind the other: the second learns what the first did, whichever field it reads.

use client_address::{Network, Networks, Told, told};
use proptest::prelude::*;

use super::*;

/// The address of the first.
const FIRST: &str = "192.0.2.7";

/// What both trust.
const TRUSTED: &[&str] = &["192.0.2.7", "10.0.0.0/8", "fd00::/8"];

/// What a proxy trusts that knows more of the others.
const MORE: &[&str] = &["192.0.2.7", "10.0.0.0/8", "fd00::/8", "5.5.5.5", "2001:db8::/32"];

fn hear_as(fields: &Fields, trusted: &[&str]) -> Told {
    let networks: Vec<Network> = trusted.iter().map(|n| Network::parse(n).expect("a network")).collect();
    told(fields, Some(FIRST.parse().expect("an address")), &Networks::new(&networks)).expect("no contradiction")
}

fn hear(fields: &Fields) -> Told {
    hear_as(fields, TRUSTED)
}

fn text(node: &str) -> String {
    if node.contains(':') { format!("\"{node}\"") } else { node.to_owned() }
}

fn node() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "10.0.0.1",
        "10.0.0.2:80",
        "5.5.5.5",
        "6.6.6.6:4711",
        "[2001:db8::1]",
        "[2001:db8::1]:80",
        "[fd00::1]",
        "unknown",
        "_hidden",
        "garbage",
        "10.0.0.300",
    ])
}

fn scheme() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["http", "https", "HTTPS", "wss"])
}

/// Which of the two fields a proxy in front of both sends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sends {
    List,
    Pairs,
    Both,
}

proptest! {
    #[test]
    fn a_second_proxy_hears_what_the_first_heard(
        nodes in prop::collection::vec((node(), prop::option::of(scheme())), 1..6),
        schemes in prop::collection::vec(scheme(), 0..7),
        sends in prop::sample::select(vec![Sends::List, Sends::Pairs, Sends::Both]),
        over_tls in any::<bool>(), address in prop::sample::select(vec![FIRST, "unknown"]),
    ) {
        let list = nodes.iter().map(|(node, _)| (*node).to_owned()).collect::<Vec<_>>().join(", ");
        let pair = |(node, scheme): &(&str, Option<&str>)| match scheme {
            Some(scheme) => format!("for={};proto={scheme}", text(node)),
            None => format!("for={}", text(node)),
        };
        let pairs = nodes.iter().map(pair).collect::<Vec<_>>().join(", ");
        let mut lines = vec!["Host: a".to_owned()];
        if sends != Sends::Pairs {
            lines.push(format!("X-Forwarded-For: {list}"));
        }
        if sends != Sends::List {
            lines.push(format!("Forwarded: {pairs}"));
        }
        if !schemes.is_empty() {
            lines.push(format!("X-Forwarded-Proto: {}", schemes.join(", ")));
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let head = request_head("GET / HTTP/1.1", &lines);
        let heard = hear(&head.fields);
        let ours = if over_tls { Scheme::Https } else { Scheme::Http };
        let asked = heard.over_tls.map(|tls| if tls { Scheme::Https } else { Scheme::Http });
        let setup = Setup { trusted: true, scheme: ours, asked, address, ..Setup::default() };
        let (sent, _) = setup.try_send(&head).expect("it can be sent");
        let further = hear(&sent);
        prop_assert_eq!(further.client, heard.client, "{:?}", sent);
        prop_assert_eq!(further.over_tls, Some(heard.over_tls.unwrap_or(over_tls)), "{:?}", sent);
        prop_assert_eq!(hear_as(&sent, MORE).client, hear_as(&head.fields, MORE).client, "{:?}", sent);
        // Either field alone tells of the same client.
        for gone in [Known::XForwardedFor, Known::Forwarded] {
            let mut left = FieldsBuilder::new();
            sent.iter().zip(sent.lines()).filter(|(_, line)| line.known != gone).for_each(|(field, line)| {
                left.push_known(line.known, field.name, field.value);
            });
            prop_assert_eq!(hear(&left.finish()).client, heard.client, "{:?}", sent);
        }
    }

    /// What a client says whom the first does not trust is nowhere in what the second is told.
    #[test]
    fn a_stranger_is_told_of_and_tells_nothing(
        claims in prop::collection::vec((node(), scheme()), 1..4), both in any::<bool>(),
    ) {
        let list = claims.iter().map(|(node, _)| *node).collect::<Vec<_>>().join(", ");
        let schemes = claims.iter().map(|(_, scheme)| *scheme).collect::<Vec<_>>().join(", ");
        let mut lines = vec!["Host: a".to_owned(), format!("X-Forwarded-For: {list}"), format!("x-forwarded-proto: {schemes}")];
        if both {
            lines.push(format!("forwarded: for={};proto=https", text(claims[0].0)));
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let setup = Setup { address: "203.0.113.9", ..Setup::default() };
        let (sent, _) = setup.try_send(&request_head("GET / HTTP/1.1", &lines)).expect("it can be sent");
        prop_assert_eq!(hear(&sent), Told { client: Some([203, 0, 113, 9].into()), over_tls: Some(false) });
        prop_assert_eq!(sent.all(Known::XForwardedFor).collect::<Vec<_>>(), [b"203.0.113.9"]);
        prop_assert_eq!(sent.all(Known::Forwarded).collect::<Vec<_>>(), [&b"for=203.0.113.9;host=a;proto=http"[..]]);
    }
}

/// The shortest elements, which become longest; as many as a head has room for do not fit, and are refused.
#[test]
fn long_lists_are_carried_whole_or_do_not_fit() {
    let setup = Setup { trusted: true, ..Setup::default() };
    for list in ["X-Forwarded-For: a", "X-Forwarded-For: ::", "Forwarded: a", "Forwarded: for=::;proto=https"] {
        let (name, element) = list.split_once(": ").expect("a field");
        let head = |count: usize| {
            let line = format!("{name}: {}", vec![element; count].join(","));
            request_head("GET / HTTP/1.1", &["Host: a", &line, "X-Forwarded-Proto: https"])
        };
        // Bounds are checked and what was sent is read back in there.
        let (text, _) = setup.send(&head(1_000));
        let commas = text.matches(',').count();
        assert!(
            commas >= 2 * 1_000 && text.ends_with("for=192.0.2.7;host=a;proto=http\r\nVia: 1.1 tollgate\r\n"),
            "{list}"
        );
        let most = head(65_000 / (element.len() + 1) - 10);
        assert!(Setup { trusted: true, address: "unknown", ..Setup::default() }.overflows(&most), "{list}");
    }
}
