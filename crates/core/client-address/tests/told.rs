//! Whom trusted proxies tell of.

use std::net::IpAddr;

use client_address::{Network, Networks, Unbelievable, told, told_scheme};
use message::{Fields, FieldsBuilder, Known};

fn fields(lines: &[(&str, &str)]) -> Fields {
    let mut fields = FieldsBuilder::new();
    for (name, value) in lines {
        fields.push_known(Known::of(name.as_bytes()), name.as_bytes(), value.as_bytes());
    }
    fields.finish()
}

/// Asked by 10.0.0.1, which is trusted like all of 10.0.0.0/8 and fd00::/8.
fn client(lines: &[(&str, &str)]) -> Result<Option<IpAddr>, Unbelievable> {
    let trusted = ["10.0.0.0/8", "fd00::/8"].map(|n| Network::parse(n).unwrap());
    told(&fields(lines), Some([10, 0, 0, 1].into()), &Networks::new(&trusted))
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
fn the_scheme_is_the_one_that_the_nearest_proxy_saw() {
    let scheme = |value: &str| told_scheme(&fields(&[("X-Forwarded-Proto", value)]));
    assert_eq!([scheme("https"), scheme("https, http"), scheme("ftp")], [Some(true), Some(false), None]);
    assert_eq!(told_scheme(&fields(&[])), None);
}
