//! PROXY headers, both versions, both ways.

use client_address::proxy_protocol::{Ends, Header, OFFERED_MAX, Version, read, write};
use proptest::prelude::*;

fn ends(source: &str, destination: &str) -> Ends {
    Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend_from_slice(&[command, family]);
    header.extend_from_slice(&(body.len() as u16).to_be_bytes());
    header.extend_from_slice(body);
    header
}

#[test]
fn version_1_tells_who_connected() {
    let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n";
    let header = Header { ends: Some(ends("192.0.2.1:4711", "198.51.100.2:443")), is_local: false, len: line.len() };
    assert_eq!(read(line), Ok(Some(header)));
    assert_eq!(read(&[line, &b"GET / HTTP/1.1\r\n"[..]].concat()), Ok(Some(header)), "what follows is not ours");
    let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n";
    assert_eq!(read(line).unwrap().unwrap().ends, Some(ends("[2001:db8::1]:1", "[2001:db8::2]:65535")));
    for unknown in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN ffff::1 whatever 0 0\r\n"] {
        assert_eq!(read(unknown), Ok(Some(Header { ends: None, is_local: false, len: unknown.len() })));
    }
}

#[test]
fn version_2_tells_who_connected_and_its_extensions_are_skipped() {
    let addresses = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x67, 1, 0xbb];
    let told = Some(ends("192.0.2.1:4711", "198.51.100.2:443"));
    assert_eq!(read(&v2(0x21, 0x11, &addresses)), Ok(Some(Header { ends: told, is_local: false, len: 28 })));
    let with_tlvs = [&addresses[..], &[0x20; 4000]].concat();
    let header = v2(0x21, 0x11, &with_tlvs);
    assert_eq!(read(&header[..OFFERED_MAX]), Ok(Some(Header { ends: told, is_local: false, len: 16 + 12 + 4000 })));
    assert_eq!(read(&v2(0x20, 0x11, &addresses)), Ok(Some(Header { ends: None, is_local: true, len: 28 })), "LOCAL");
    assert_eq!(read(&v2(0x20, 0x00, &[])), Ok(Some(Header { ends: None, is_local: true, len: 16 })));
    assert_eq!(read(&v2(0x21, 0x00, &[1, 2, 3])), Ok(Some(Header { ends: None, is_local: false, len: 19 })), "UNSPEC");
    assert_eq!(
        read(&v2(0x21, 0x31, &[0; 216])),
        Ok(Some(Header { ends: None, is_local: false, len: 232 })),
        "a Unix socket"
    );
}

#[test]
fn anything_else_is_refused_as_soon_as_it_shows() {
    for bad in [
        &b"G"[..],
        b"\x16\x03\x01",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4711\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443 \r\n",
        b"PROXY TCP4 192.0.2.1  198.51.100.2 4711 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 04711 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 65536\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.2 4711 443\r\n",
        b"PROXY UDP4 192.0.2.1 198.51.100.2 4711 443\r\n",
        b"PROXY \r\n",
        &[b'P', b'R', b'O', b'X', b'Y', b' '].into_iter().chain([b'x'; 120]).collect::<Vec<_>>(),
        &v2(0x11, 0x11, &[0; 12]),
        &v2(0x22, 0x11, &[0; 12]),
        &v2(0x21, 0x12, &[0; 12]),
        &v2(0x21, 0x11, &[0; 11]),
        &v2(0x21, 0x21, &[0; 35]),
    ] {
        assert!(read(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn ends_of_two_families_are_told_as_one() {
    let mixed = Some(ends("192.0.2.1:1", "[2001:db8::2]:2"));
    let v1 = write(Version::V1, mixed);
    assert_eq!(&*v1, b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n");
    assert_eq!(read(&write(Version::V2, mixed)).unwrap().unwrap().ends.unwrap().destination.port(), 2);
}

proptest! {
    #[test]
    fn what_is_written_is_read(source: std::net::SocketAddr, to: [u8; 16], port: u16, binary: bool, none: bool, cut: u8) {
        let source = std::net::SocketAddr::new(source.ip().to_canonical(), source.port());
        let to = if source.is_ipv4() { std::net::IpAddr::from([to[0], to[1], to[2], to[3]]) } else { to.into() };
        let ends = (!none && to.to_canonical() == to).then(|| Ends { source, destination: (to, port).into() });
        let header = write(if binary { Version::V2 } else { Version::V1 }, ends);
        prop_assert!(header.len() <= OFFERED_MAX);
        let is_local = binary && ends.is_none();
        prop_assert_eq!(read(&header), Ok(Some(Header { ends, is_local, len: header.len() })));
        let cut = usize::from(cut) % header.len();
        prop_assert_eq!(read(&header[..cut]), Ok(None));
    }

    #[test]
    fn nothing_panics_and_enough_bytes_are_always_an_answer(bytes: Vec<u8>, signed: bool) {
        let mut bytes = if signed { [&b"\r\n\r\n\0\r\nQUIT\n"[..], &bytes].concat() } else { bytes };
        let _ = read(&bytes);
        bytes.resize(OFFERED_MAX, b'a');
        prop_assert!(!matches!(read(&bytes), Ok(None)));
    }
}
