//! What is agreed on, however the bytes are cut.

use tls::{ClientConfig, Error, KeyExchange, Reason, Secret, ServerConfig, ServerOptions, Tickets, Versions};

use crate::common::{AUTHORITY, ISSUED, Pair, Side, carry, client_options, server_options};

#[test]
fn the_best_of_both_is_agreed_on() {
    let mut server = server_options();
    server.alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut client = client_options();
    client.alpn = vec![b"http/1.1".to_vec()];
    let mut pair = Pair::with(client, server);
    pair.shake(usize::MAX).unwrap();
    for side in [&pair.client, &pair.server] {
        assert_eq!(side.version(), Some("TLSv1.3"));
        assert_eq!(side.key_exchange(), Some("X25519MLKEM768"));
        assert_eq!(side.alpn(), Some(&b"http/1.1"[..]));
        assert!(side.cipher_suite().unwrap().starts_with("TLS13_AES"), "{:?}", side.cipher_suite());
        assert!(!side.is_resumed());
    }
    assert_eq!(pair.server.server_name(), Some("a.example"));
    assert_eq!(pair.client.server_name(), None);
    let shown = &pair.client.peer_certificates().unwrap()[0];
    assert_eq!(tls::Certificate::read(shown).unwrap().names, ["a.example", "*.wild.example"]);
}

#[test]
fn every_cut_of_the_bytes_gives_the_same() {
    for version in [Versions::Only12, Versions::Only13] {
        for piece in [1, 2, 3, 7, 64, 1000] {
            let mut server = server_options();
            server.versions = version;
            let mut pair = Pair::with(client_options(), server);
            pair.shake(piece).unwrap();
            assert_eq!(
                carry(&mut pair.client, &mut pair.server, b"to the server", piece, buf::Class::K4),
                b"to the server"
            );
            assert_eq!(carry(&mut pair.server, &mut pair.client, b"and back", piece, buf::Class::K4), b"and back");
        }
    }
    assert_eq!(buf::stats().leased, 0);
}

#[test]
fn a_side_of_another_version_or_group_is_told_in_words() {
    // A hello of TLS 1.2 only cannot be made here, so one of a version that nobody speaks stands for it: record of a
    // ClientHello of TLS 1.0 without extensions.
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2f, 1, 0]);
    let mut pair = Pair::with(client_options(), server_options());
    pair.server.incoming().fill_from(&hello);
    let error = pair.server.handshake().unwrap_err();
    assert_eq!(error.reason(), Reason::Incompatible, "{error}");
    assert_eq!(error.to_string(), "The client speaks no version of TLS that is enabled here.");
    assert_eq!(pair.server.flight().bytes(), [0x15, 3, 1, 0, 2, 2, 70], "protocol_version, and no other alert");
    // The same of TLS 1.2 lacks something else.
    hello[10] = 3;
    let mut pair = Pair::with(client_options(), server_options());
    pair.server.incoming().fill_from(&hello);
    let error = pair.server.handshake().unwrap_err();
    assert_eq!(error.to_string(), "The client and we have no signature scheme in common.");
    assert_eq!(pair.server.flight().bytes()[5..], [2, 40]);

    let mut server = server_options();
    server.key_exchange = KeyExchange::Classic;
    let mut client = client_options();
    client.key_exchange = KeyExchange::Classic;
    let mut pair = Pair::with(client, server);
    pair.shake(usize::MAX).unwrap();
    assert_eq!(pair.client.key_exchange(), Some("X25519"));
}

#[test]
fn no_protocol_in_common_ends_it_for_both() {
    let mut server = server_options();
    server.alpn = vec![b"h2".to_vec()];
    let mut client = client_options();
    client.alpn = vec![b"http/1.1".to_vec()];
    let mut pair = Pair::with(client, server);
    let (side, error) = pair.shake(usize::MAX).unwrap_err();
    assert_eq!((side, error.reason()), (Side::Server, Reason::NoCommonProtocol));
    assert_eq!(error.to_string(), "The client speaks none of our protocols (ALPN).");
    crate::common::pump(&mut pair.server, &mut pair.client, usize::MAX);
    let error = pair.client.handshake().unwrap_err();
    assert_eq!(error.to_string(), "The server speaks none of our protocols (ALPN).");
}

#[test]
fn sessions_are_resumed_with_shared_tickets_only() {
    let tickets = Tickets::new(&Secret::new().unwrap(), b"");
    let with = |tickets: Option<Tickets>| ServerConfig::new(ServerOptions { tickets, ..server_options() }).unwrap();
    // Two workers, or the same one before and after a reload.
    let workers = [with(Some(tickets.clone())), with(Some(tickets))];
    let client = ClientConfig::new(client_options()).unwrap();
    let resumed = |client: &ClientConfig, server: &ServerConfig| {
        let mut pair = Pair::new(client, server, "a.example");
        pair.shake(usize::MAX).unwrap();
        assert_eq!(carry(&mut pair.server, &mut pair.client, b"x", 99, buf::Class::K4), b"x");
        assert_eq!(pair.client.is_resumed(), pair.server.is_resumed());
        assert_eq!(pair.server.server_name(), Some("a.example"));
        pair.server.is_resumed()
    };
    let count = (0..10).filter(|i| resumed(&client, &workers[i % 2])).count();
    assert_eq!(count, 9);
    // Keys of its own, or none at all.
    assert!(!resumed(&client, &with(Some(Tickets::new(&Secret::new().unwrap(), b"")))));
    let fresh = ClientConfig::new(client_options()).unwrap();
    assert_eq!((0..3).filter(|_| resumed(&fresh, &with(None))).count(), 0);
    // A client that does not want it.
    let mut options = client_options();
    options.resumption = false;
    let never = ClientConfig::new(options).unwrap();
    assert_eq!((0..3).filter(|_| resumed(&never, &workers[0])).count(), 0);
}

#[test]
fn without_sni_the_default_certificate_is_shown() {
    let mut client = client_options();
    client.sni = false;
    let mut pair = Pair::with(client, server_options());
    pair.shake(usize::MAX).unwrap();
    assert_eq!(pair.server.server_name(), None);
}

#[test]
fn a_server_without_a_certificate_is_not_built() {
    let error = ServerConfig::new(ServerOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "A TLS listener needs a certificate.");
    assert!(tls::server_name("no host!").is_err());
    assert!(tls::server_name("[::1]").is_ok());
}

#[test]
fn an_end_during_the_handshake_is_no_truncation() {
    let mut pair = Pair::with(client_options(), server_options());
    assert!(!pair.client.handshake().unwrap());
    assert_eq!(pair.client.transport_ended(), Err(Error::ClosedEarly));
    assert_eq!(pair.client.handshake(), Err(Error::ClosedEarly), "an error stays");
    let _ = (&*AUTHORITY, &*ISSUED);
}
