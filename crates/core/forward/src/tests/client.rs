use super::*;

#[test]
fn addresses_are_written_as_each_field_wants_them() {
    for (given, address, node) in [
        ("0.0.0.0", "0.0.0.0", "0.0.0.0"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("10.99.100.255", "10.99.100.255", "10.99.100.255"),
        ("255.255.255.255", "255.255.255.255", "255.255.255.255"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("::1", "::1", "\"[::1]\""),
        ("2001:db8::7", "2001:db8::7", "\"[2001:db8::7]\""),
        (
            "2001:db8:1111:2222:3333:4444:5555:6666",
            "2001:db8:1111:2222:3333:4444:5555:6666",
            "\"[2001:db8:1111:2222:3333:4444:5555:6666]\"",
        ),
    ] {
        let text = ClientAddress::new(given.parse::<IpAddr>().expect("an address"));
        assert_eq!((text.address(), text.node()), (address.as_bytes(), node.as_bytes()), "{given}");
    }
    assert_eq!(ClientAddress::unknown().address(), b"unknown");
    assert_eq!(ClientAddress::unknown().node(), b"unknown");
}

#[test]
fn every_byte_of_an_ipv4_address_is_written_as_the_library_does() {
    for b in 0..=255u8 {
        let v4 = std::net::Ipv4Addr::new(b, 1, 255 - b, b);
        assert_eq!(ClientAddress::new(v4.into()).address(), v4.to_string().as_bytes());
    }
}

#[test]
fn an_address_takes_little_room() {
    assert!(size_of::<ClientAddress>() <= 48);
}
