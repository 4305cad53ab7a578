//! A peer that cuts its handshake messages into small records.

use std::io::{IoSlice, Read};
use std::sync::Arc;

use buf::{Class, ReadBuf};
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tls::{ClientConfig, Received, Session, server_name};

use crate::common::{ISSUED, client_options};

/// rustls itself as the server, with records of 64 bytes.
fn server() -> rustls::ServerConnection {
    let chain = vec![CertificateDer::from_pem_slice(ISSUED.chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(ISSUED.key.as_bytes()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.max_fragment_size = Some(64);
    config.ticketer = Ticketer::new().unwrap();
    rustls::ServerConnection::new(Arc::new(config)).unwrap()
}

fn to_server(client: &mut Session, server: &mut rustls::ServerConnection) {
    let mut bytes = client.flight().bytes();
    while !bytes.is_empty() {
        server.read_tls(&mut bytes).unwrap();
        server.process_new_packets().unwrap();
    }
    let n = client.flight().len();
    client.flight().advance(n);
}

fn from_server(server: &mut rustls::ServerConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut bytes).unwrap();
    }
    bytes
}

#[test]
fn one_may_write_between_the_pieces_of_a_message() {
    let mut server = server();
    let config = ClientConfig::new(client_options()).unwrap();
    let mut client = Session::client(&config, server_name("a.example").unwrap()).unwrap();
    while !client.handshake().unwrap() {
        to_server(&mut client, &mut server);
        let bytes = from_server(&mut server);
        assert_eq!(client.incoming().fill_from(&bytes), bytes.len());
    }
    to_server(&mut client, &mut server);
    // Two tickets, each in several records, and a word behind them.
    std::io::Write::write_all(&mut server.writer(), b"hello").unwrap();
    let tickets = from_server(&mut server);
    assert!(tickets.len() > 400, "{}", tickets.len());
    let mut window = ReadBuf::new(Class::K4);
    let mut sent = 0;
    for byte in &tickets {
        client.incoming().fill_from(&[*byte]);
        // Before and after what came is looked at.
        for look in [false, true] {
            if look && client.receive(&mut window).unwrap() == Received::Plain(5) {
                break;
            }
            sent += client.send(&[IoSlice::new(b"x")]).unwrap();
            to_server(&mut client, &mut server);
        }
    }
    assert_eq!(window.filled(), b"hello");
    let mut got = Vec::new();
    let _ = server.reader().read_to_end(&mut got);
    assert_eq!(got.len(), sent);
    assert!(sent > 800);
}
