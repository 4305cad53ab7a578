//! Peers that send anything, cut anywhere.

use std::io::IoSlice;

use buf::{Class, ReadBuf};
use testkit::Rng;
use tls::{Error, Reason, Received, Session, Versions};

use crate::common::{Pair, client_options, noise, pump, server_options};

/// Feeds `bytes` in pieces; what the handshake comes to.
fn feed(session: &mut Session, mut bytes: &[u8]) -> Result<bool, Error> {
    let mut done = session.handshake()?;
    while !bytes.is_empty() && !done {
        let n = session.incoming().fill_from(bytes);
        assert!(n > 0, "the machine says that it needs more, and takes none");
        bytes = &bytes[n..];
        done = session.handshake()?;
    }
    Ok(done)
}

fn server() -> Session {
    Pair::with(client_options(), server_options()).server
}

#[test]
fn http_on_the_port_is_recognised() {
    assert_eq!(feed(&mut server(), b"GET / HTTP/1.1\r\n\r\n"), Err(Error::PlainHttp));
    assert_eq!(feed(&mut server(), b"P"), Err(Error::PlainHttp));
    assert_eq!(feed(&mut server(), b"hello"), Err(Error::NotTls));
    assert_eq!(feed(&mut server(), b"\x80\x2e\x01\x00\x02"), Err(Error::NotTls), "SSL 2");
    let mut pair = Pair::with(client_options(), server_options());
    assert_eq!(feed(&mut pair.client, b"HTTP/1.1 400 Bad Request\r\n"), Err(Error::PlainHttp));
}

#[test]
fn who_ends_the_handshake_politely_is_not_said_to_refuse_a_certificate() {
    let end = |alert: &[u8]| feed(&mut server(), &[&[0x15, 3, 1, 0, 2], alert].concat()).unwrap_err();
    assert_eq!(end(&[2, 0]), Error::ClosedEarly, "close_notify");
    for (alert, is_over_certificate) in [(48, true), (46, true), (47, false), (40, false), (80, false)] {
        let error = end(&[2, alert]);
        assert_eq!((error.reason(), error.is_over_certificate()), (Reason::Refused, is_over_certificate), "{error}");
    }
}

#[test]
fn garbage_ends_the_handshake_with_an_alert_and_no_panic() {
    let mut random = Rng::new(7);
    for round in 0..2000 {
        let mut bytes = vec![0x16, 3, 1];
        let len = 1 + random.below(600) as usize;
        bytes.extend([(len >> 8) as u8, len as u8]);
        bytes.extend((0..len).map(|_| random.below(256) as u8));
        if round % 2 == 0 {
            // A plausible head of a hello, so that the parser gets further.
            bytes.splice(5..6, [1, 0, (len >> 8) as u8]);
        }
        let mut session = server();
        if let Err(error) = feed(&mut session, &bytes) {
            assert_eq!(session.handshake(), Err(error));
        }
    }
    assert_eq!(buf::stats().leased, 0);
}

#[test]
fn every_changed_byte_of_a_handshake_is_survived() {
    let mut random = Rng::new(8);
    for _ in 0..600 {
        let mut pair = Pair::with(client_options(), server_options());
        let at = random.below(4000) as usize;
        let mut seen = 0;
        for _ in 0..20 {
            if pair.client.handshake().is_err() || pair.server.handshake().is_err() {
                break;
            }
            for to_server in [true, false] {
                let (from, to) =
                    if to_server { (&mut pair.client, &mut pair.server) } else { (&mut pair.server, &mut pair.client) };
                let mut bytes = from.flight().bytes().to_vec();
                from.flight().advance(bytes.len());
                if let Some(byte) = at.checked_sub(seen).and_then(|at| bytes.get_mut(at)) {
                    *byte ^= 1 << random.below(8);
                }
                seen += bytes.len();
                to.incoming().fill_from(&bytes);
            }
        }
    }
    assert_eq!(buf::stats().leased, 0);
}

#[test]
fn a_handshake_cut_at_every_byte_ends_cleanly() {
    for version in [Versions::Only12, Versions::Only13] {
        let mut cut = 0;
        loop {
            let mut server = server_options();
            server.versions = version;
            let mut pair = Pair::with(client_options(), server);
            let mut left = cut;
            let mut open = true;
            while open {
                pair.client.handshake().unwrap();
                pair.server.handshake().unwrap();
                open = false;
                for to_server in [true, false] {
                    let (from, to) = if to_server {
                        (&mut pair.client, &mut pair.server)
                    } else {
                        (&mut pair.server, &mut pair.client)
                    };
                    let n = from.flight().len().min(left);
                    open |= n > 0 && pump(from, to, n);
                    left -= n;
                }
            }
            let (client, server) = (pair.client.handshake().unwrap(), pair.server.handshake().unwrap());
            let expected = |done| if done { Error::Truncated } else { Error::ClosedEarly };
            assert_eq!(pair.client.transport_ended(), Err(expected(client)));
            assert_eq!(pair.server.transport_ended(), Err(expected(server)));
            drop(pair);
            assert_eq!(buf::stats().leased, 0, "cut at {cut}");
            if client && server {
                break;
            }
            // Every byte where messages begin, every seventh in the long certificates and keys.
            cut += if cut < 300 { 1 } else { 7 };
        }
        assert!(cut > 1000, "{cut}");
    }
}

#[test]
fn an_oversized_hello_is_bounded() {
    // Records that belong to one hello of 65,535 bytes by its own word, then to one of 16 MB.
    for (size, expected) in [([0, 0xff, 0xff], None), ([0xff, 0xff, 0xff], Some(Reason::Protocol))] {
        let mut session = server();
        let mut bytes = Vec::new();
        let mut body = vec![1, size[0], size[1], size[2]];
        body.resize(60_000, 7);
        for part in body.chunks(16_000) {
            bytes.extend([0x16, 3, 1, (part.len() >> 8) as u8, part.len() as u8]);
            bytes.extend_from_slice(part);
        }
        match (feed(&mut session, &bytes), expected) {
            (Ok(false), None) => assert!(buf::stats().leased_bytes <= 64 << 10),
            (Err(error), Some(reason)) => assert_eq!(error.reason(), reason),
            (other, _) => panic!("{other:?}"),
        }
        // Whatever it said, at 64 KiB it is over.
        if expected.is_none() {
            let more: Vec<u8> = [&[0x16, 3, 1, 0x3e, 0x80][..], &noise(16_000)].concat();
            assert_eq!(feed(&mut session, &more).unwrap_err().reason(), Reason::Protocol);
        }
    }
    assert_eq!(buf::stats().leased, 0);
}

#[test]
fn a_record_that_says_too_much_or_was_changed_is_refused() {
    let mut window = ReadBuf::new(Class::K16);
    let mut pair = Pair::open();
    pair.server.incoming().fill_from(&[0x17, 3, 3, 0x50, 0]);
    assert_eq!(pair.server.receive(&mut window).unwrap_err().reason(), Reason::Protocol);

    pair = Pair::open();
    pair.client.send(&[IoSlice::new(b"GET /")]).unwrap();
    let mut bytes = pair.client.flight().bytes().to_vec();
    bytes[8] ^= 1;
    pair.server.incoming().fill_from(&bytes);
    let error = pair.server.receive(&mut window).unwrap_err();
    assert_eq!(error.to_string(), "A TLS record of the client was damaged on its way.");
    // The client learns why.
    pair.client.flight().advance(bytes.len());
    assert!(pump(&mut pair.server, &mut pair.client, usize::MAX));
    let error = pair.client.receive(&mut window).unwrap_err();
    assert_eq!(
        error.to_string(),
        "The server ended the TLS connection: a record or signature of ours did not verify (alert 20)."
    );
    assert_eq!(pair.server.send(&[IoSlice::new(b"x")]).unwrap_err().reason(), Reason::Protocol);
    pair.server.close();
    window.clear();
    drop(pair);
    assert_eq!(buf::stats().leased, 0);
}

#[test]
fn a_stream_of_empty_records_is_not_followed_for_ever() {
    let mut pair = Pair::open();
    let mut window = ReadBuf::new(Class::K16);
    // Plain change_cipher_spec records after the handshake, which cost nothing to send.
    for _ in 0..100 {
        pair.server.incoming().fill_from(&[0x14, 3, 3, 0, 1, 1]);
        match pair.server.receive(&mut window) {
            Ok(Received::Nothing) => {}
            Err(error) => {
                assert_eq!(error.reason(), Reason::Protocol);
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("followed");
}
