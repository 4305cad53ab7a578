//! Networks, against their definition bit by bit.

use std::net::{IpAddr, Ipv4Addr};

use client_address::{Network, Networks};
use proptest::prelude::*;

fn set(texts: &[&str]) -> Networks {
    let networks: Vec<_> = texts.iter().map(|t| Network::parse(t).expect(t)).collect();
    Networks::new(&networks)
}

fn has(networks: &Networks, address: &str) -> bool {
    networks.contains(address.parse().expect(address))
}

#[test]
fn a_network_holds_its_addresses_and_no_other() {
    let networks = set(&["10.0.0.0/8", "192.0.2.7", "fd00::/8", "::1"]);
    for inside in ["10.0.0.0", "10.255.255.255", "192.0.2.7", "fdff::1", "::1", "::ffff:10.1.2.3"] {
        assert!(has(&networks, inside), "{inside}");
    }
    for outside in ["9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.8", "fc00::1", "fe00::", "::2", "::", "0.0.0.1"]
    {
        assert!(!has(&networks, outside), "{outside}");
    }
    assert!(!networks.contains_unix());
    assert!(set(&["unix:"]).contains_unix() && !set(&["unix:"]).is_empty());
    assert!(set(&[]).is_empty());
}

#[test]
fn all_of_one_family_is_nobody_of_the_other() {
    let (v4, v6) = (set(&["0.0.0.0/0"]), set(&["::/0"]));
    assert!(has(&v4, "255.255.255.255") && has(&v4, "0.0.0.0") && !has(&v4, "::1"));
    assert!(has(&v6, "::") && has(&v6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") && !has(&v6, "1.2.3.4"));
}

#[test]
fn what_is_no_network_is_refused_with_a_hint_where_one_helps() {
    for bad in
        ["", "10", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "::/129", "a.test", "unix", "10.0.0.0/8/9"]
    {
        assert!(Network::parse(bad).is_err(), "{bad}");
    }
    let bits = Network::parse("10.1.2.3/8").unwrap_err();
    assert_eq!(bits.hint.as_deref(), Some("write `10.0.0.0/8` for the network, or the address alone"));
    assert!(Network::parse("::ffff:10.0.0.0/104").is_err());
}

proptest! {
    #[test]
    fn a_set_holds_what_one_of_its_networks_holds(
        networks in proptest::collection::vec((any::<u32>(), 0u8..=32), 0..12),
        address in any::<u32>(),
        near in any::<prop::sample::Index>(),
        off in -2i64..=2,
    ) {
        let mask = |length: u8| u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        let parsed: Vec<_> = networks.iter()
            .map(|(first, length)| Network::parse(&format!("{}/{length}", Ipv4Addr::from(first & mask(*length)))).unwrap())
            .collect();
        let set = Networks::new(&parsed);
        let edge = if networks.is_empty() { 0 } else { let (n, l) = networks[near.index(networks.len())]; n & mask(l) };
        for address in [address, edge.wrapping_add(off as u32)] {
            let by_definition = networks.iter().any(|(first, l)| first & mask(*l) == address & mask(*l));
            prop_assert_eq!(set.contains(IpAddr::V4(address.into())), by_definition);
        }
    }
}
