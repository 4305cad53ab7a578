//! Whom trusted proxies tell of.

use std::net::IpAddr;

use client_address::{Network, Networks, Node, Told, Unbelievable, told};
use message::{Fields, FieldsBuilder, Known};

fn fields(lines: &[(&str, &str)]) -> Fields {
    let mut fields = FieldsBuilder::new();
    for (name, value) in lines {
        fields.push_known(Known::of(name.as_bytes()), name.as_bytes(), value.as_bytes());
    }
    fields.finish()
}

/// Asked by 10.0.0.1, which is trusted like all of 10.0.0.0/8 and fd00::/8.
fn all(lines: &[(&str, &str)]) -> Result<Told, Unbelievable> {
    let trusted = ["10.0.0.0/8", "fd00::/8"].map(|n| Network::parse(n).unwrap());
    told(&fields(lines), Some([10, 0, 0, 1].into()), &Networks::new(&trusted))
}

fn client(lines: &[(&str, &str)]) -> Result<Option<IpAddr>, Unbelievable> {
    all(lines).map(|told| told.client)
}

/// Whether the client asked over TLS.
fn over_tls(lines: &[(&str, &str)]) -> Option<bool> {
    all(lines).expect("no contradiction").over_tls
}

fn by_list(value: &str) -> String {
    client(&[("X-Forwarded-For", value)]).unwrap().map_or("unknown".into(), |ip| ip.to_string())
}

fn by_pairs(value: &str) -> String {
    client(&[("Forwarded", value)]).unwrap().map_or("unknown".into(), |ip| ip.to_string())
}

#[test]
fn x_forwarded_for_is_walked_from_the_right() {
    for (value, expected) in [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 10.0.0.2", "203.0.113.9"),
        // What the client made up stands to the left of where it was seen.
        ("127.0.0.1, 203.0.113.9", "203.0.113.9"),
        ("10.9.9.9, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("garbage, 203.0.113.9,10.0.0.2", "203.0.113.9"),
        ("10.3.3.3, 10.0.0.2", "10.3.3.3"),
        ("2001:db8::7, fd00::1", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        (" , 203.0.113.9 ,, ", "203.0.113.9"),
        ("203.0.113.9, unknown", "unknown"),
        ("203.0.113.9, 10.0.0", "unknown"),
        ("", "10.0.0.1"),
    ] {
        assert_eq!(by_list(value), expected, "{value}");
    }
    let lines = [("X-Forwarded-For", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9, 10.0.0.2")];
    assert_eq!(client(&lines), Ok(Some([203, 0, 113, 9].into())), "several lines are one list");
    assert_eq!(client(&[]), Ok(Some([10, 0, 0, 1].into())));
}

#[test]
fn forwarded_is_read_as_its_rfc_says() {
    for (value, expected) in [
        ("for=203.0.113.9", "203.0.113.9"),
        ("For=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
        ("by=10.0.0.1 ; for=\"203.0.113.9:80\"", "203.0.113.9"),
        ("for=\"[2001:db8::7]:4711\"", "2001:db8::7"),
        ("for=1.1.1.1, for=203.0.113.9, for=10.0.0.2", "203.0.113.9"),
        // A quoted comma, or quote, ends no element.
        ("for=1.1.1.1;host=\"a,for=2.2.2.2\", for=10.0.0.2", "1.1.1.1"),
        ("for=1.1.1.1;host=\"a\\\",for=2.2.2.2\", for=10.0.0.2", "1.1.1.1"),
        ("for=_hidden, for=10.0.0.2", "unknown"),
        ("for=unknown", "unknown"),
        ("proto=https", "unknown"),
        ("for=1.1.1.1;for=2.2.2.2", "unknown"),
        ("for", "unknown"),
        ("for=203.0.113.9;", "203.0.113.9"),
        (";for=203.0.113.9 ;; secret=\"a,b\"", "203.0.113.9"),
        ("for =203.0.113.9", "unknown"),
        ("for=203.0.113.9;by", "unknown"),
        ("for=\"[2001:db8::7]:_x\"", "2001:db8::7"),
    ] {
        assert_eq!(by_pairs(value), expected, "{value}");
    }
}

#[test]
fn when_both_are_there_they_must_agree() {
    let both = |list: &str, pairs: &str| client(&[("X-Forwarded-For", list), ("Forwarded", pairs)]);
    assert_eq!(both("1.1.1.1, 10.0.0.2", "for=1.1.1.1"), Ok(Some([1, 1, 1, 1].into())));
    assert_eq!(both("1.1.1.1", "for=127.0.0.1"), Err(Unbelievable::Disagreement));
    assert_eq!(both("1.1.1.1", "for=unknown"), Err(Unbelievable::Disagreement));
    assert_eq!(both("", "for=1.1.1.1"), Ok(Some([1, 1, 1, 1].into())), "an empty one says nothing");
}

#[test]
fn a_quote_that_does_not_end_swallows_nothing() {
    for value in ["for=\", for=203.0.113.9", "for=1.1.1.1;host=\"a\\\", for=203.0.113.9", "\""] {
        assert_eq!(client(&[("Forwarded", value)]), Err(Unbelievable::OpenQuote), "{value}");
    }
    let lines = [("Forwarded", "for=\""), ("Forwarded", "for=203.0.113.9")];
    assert_eq!(client(&lines), Err(Unbelievable::OpenQuote));
    assert_eq!(by_pairs("for=1.1.1.1;host=\"\", for=203.0.113.9"), "203.0.113.9");
}

#[test]
fn the_scheme_is_the_one_at_the_place_of_the_client() {
    const CLIENT: &str = "203.0.113.9";
    for (addresses, schemes, expected) in [
        // What most proxies send: a single one, whatever the number of addresses.
        (CLIENT, "https", Some(true)),
        ("203.0.113.9, 10.0.0.2", "https", Some(true)),
        ("1.1.1.1, 203.0.113.9, 10.0.0.2, 10.0.0.3", "http", Some(false)),
        ("", "https", Some(true)),
        // One for each address.
        ("203.0.113.9, 10.0.0.2", "https, http", Some(true)),
        ("203.0.113.9, 10.0.0.2", "http, https", Some(false)),
        ("203.0.113.9, 10.0.0.2, 10.0.0.3", "https,http , http", Some(true)),
        // What the client made up stands to the left of where it was seen, in both lists or in one.
        ("10.9.9.9, 203.0.113.9", "https, http", Some(false)),
        ("203.0.113.9", "https, http", Some(false)),
        ("203.0.113.9, 10.0.0.2", "https, http, http", Some(false)),
        // Fewer than addresses: the first of them comes nearest.
        ("203.0.113.9, 10.0.0.2, 10.0.0.3", "https, http", Some(true)),
        ("1.1.1.1, 203.0.113.9, 10.0.0.3", "https, http", Some(true)),
        // All are trusted, and so is what they say.
        ("10.0.0.2", "https, http", Some(true)),
        ("", "https, http", Some(true)),
        // An address that is not known has a scheme all the same.
        ("1.1.1.1, unknown, 10.0.0.2", "http, https, http", Some(true)),
        // Any case; what proxies call a WebSocket; what is none.
        (CLIENT, "HTTPS", Some(true)),
        (CLIENT, "wss", Some(true)),
        (CLIENT, "ws", Some(false)),
        (CLIENT, "ftp", None),
        (CLIENT, "https http", None),
        (CLIENT, "\"https\"", None),
        (CLIENT, " , ", None),
        (CLIENT, "", None),
    ] {
        let lines = [("X-Forwarded-For", addresses), ("X-Forwarded-Proto", schemes)];
        assert_eq!(over_tls(&lines), expected, "{lines:?}");
    }
    let lines =
        [("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "203.0.113.9, 10.0.0.2"), ("x-forwarded-proto", "http")];
    assert_eq!(over_tls(&lines), Some(true), "several lines are one list");
    assert_eq!(over_tls(&[]), None);
}

#[test]
fn the_scheme_in_forwarded_is_the_one_of_the_clients_element() {
    for (value, expected) in [
        ("for=203.0.113.9;proto=https", Some(true)),
        ("proto=http;for=203.0.113.9, for=10.0.0.2;proto=https", Some(false)),
        ("for=1.1.1.1;proto=https, for=203.0.113.9;proto=http, for=10.0.0.2;proto=https", Some(false)),
        ("for=203.0.113.9, for=10.0.0.2;proto=https", None),
        ("for=203.0.113.9;PROTO=\"HTTPS\"", Some(true)),
        ("for=203.0.113.9;proto=https;proto=http", None),
        ("for=203.0.113.9;proto=gopher", None),
        ("for=10.0.0.3;proto=https, for=10.0.0.2;proto=http", Some(true)),
        ("for=unknown;proto=https", Some(true)),
        ("proto=https", Some(true)),
        ("for=203.0.113.9;host=\"a;proto=https\"", None),
    ] {
        assert_eq!(over_tls(&[("Forwarded", value)]), expected, "{value}");
    }
    // The field that more proxies set has the word; what it does not say, the other may.
    let both = |schemes: &str| {
        over_tls(&[("Forwarded", "for=203.0.113.9;proto=https, for=10.0.0.2"), ("X-Forwarded-Proto", schemes)])
    };
    assert_eq!(
        [both("http"), both("http, https"), both("ftp"), both("")],
        [Some(false), Some(false), Some(true), Some(true)]
    );
}

#[test]
fn nodes_are_read_and_written_for_either_field() {
    for (text, address, listed, paired) in [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:80", "192.0.2.1", "192.0.2.1", "\"192.0.2.1:80\""),
        ("192.0.2.1:_p-1", "192.0.2.1", "192.0.2.1", "\"192.0.2.1:_p-1\""),
        ("[192.0.2.1]", "192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("2001:DB8::7", "2001:db8::7", "2001:DB8::7", "\"[2001:DB8::7]\""),
        ("[2001:db8::7]", "2001:db8::7", "2001:db8::7", "\"[2001:db8::7]\""),
        ("[2001:db8::7]:4711", "2001:db8::7", "2001:db8::7", "\"[2001:db8::7]:4711\""),
        ("::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "\"[::ffff:192.0.2.1]\""),
        ("fe80::1%eth0", "fe80::1", "fe80::1", "\"[fe80::1]\""),
        ("[fe80::1%3]:80", "fe80::1", "fe80::1", "\"[fe80::1]:80\""),
        ("unknown", "", "unknown", "unknown"),
        ("Unknown:80", "", "unknown", "unknown"),
        ("_hidden", "", "_hidden", "_hidden"),
        ("_hidden:80", "", "_hidden", "_hidden"),
        ("_", "", "unknown", "unknown"),
        ("_a;for=1.1.1.1", "", "unknown", "unknown"),
        ("192.0.2.1%1", "", "unknown", "unknown"),
        ("192.0.2.1:", "", "unknown", "unknown"),
        ("192.0.2.1:123456", "", "unknown", "unknown"),
        ("192.0.2.1:8 0", "", "unknown", "unknown"),
        ("192.0.2.1:+80", "", "unknown", "unknown"),
        ("[2001:db8::7", "", "unknown", "unknown"),
        ("[2001:db8::7]80", "", "unknown", "unknown"),
        ("[]", "", "unknown", "unknown"),
        (":80", "", "unknown", "unknown"),
        ("\"192.0.2.1\"", "", "unknown", "unknown"),
        ("host.example", "", "unknown", "unknown"),
        ("\u{e9}", "", "unknown", "unknown"),
    ] {
        let node = Node::parse(text.as_bytes());
        let address: Option<IpAddr> = (!address.is_empty()).then(|| address.parse().expect("an address"));
        assert_eq!(node.ip(), address, "{text}");
        assert_eq!(node.listed(), listed.as_bytes(), "{text}");
        assert_eq!(node.paired().concat(), paired.as_bytes(), "{text}");
        // Whichever of the two the next proxy reads.
        assert_eq!(Node::parse(node.listed()).ip(), address, "{text}");
        assert_eq!(client(&[("Forwarded", &format!("for={paired}"))]), Ok(address), "{text}");
    }
}
