//! How long sessions are resumed.

use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tls::{ClientAuth, ClientConfig, Error, Reason, Secret, ServerConfig, ServerOptions, Tickets, Versions};

use crate::common::{AUTHORITY, Issued, Pair, Side, carry, client_options, server_options};

/// How many seconds the certificates are good for: long enough for a busy machine to shake hands twice.
const SECONDS: u64 = 3;

/// A certificate that ends in three seconds; and waits until it has.
#[expect(
    clippy::disallowed_methods,
    reason = "certificates are judged by the time of day, which is rustls' own affair"
)]
fn ending(name: &str) -> (Issued, impl FnOnce()) {
    let since_1970 = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let end = since_1970().as_secs() + SECONDS;
    let short =
        |params: &mut CertificateParams| params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(end);
    let issued = AUTHORITY.issue_with(&[name], KeyPair::generate().unwrap(), short);
    (issued, move || sleep(Duration::from_secs(end + 1).saturating_sub(since_1970())))
}

/// Whether the session was resumed, or who gave up and why. A byte each way, so that the client sees its tickets.
fn met(client: &ClientConfig, server: &ServerConfig) -> Result<bool, (Side, Error)> {
    let mut pair = Pair::new(client, server, "a.example");
    pair.shake(usize::MAX)?;
    assert_eq!(carry(&mut pair.client, &mut pair.server, b"x", 99, buf::Class::K4), b"x");
    assert_eq!(carry(&mut pair.server, &mut pair.client, b"x", 99, buf::Class::K4), b"x");
    Ok(pair.server.is_resumed())
}

#[test]
fn a_session_ends_with_the_certificate_that_its_client_has_shown() {
    let (mine, wait) = ending("me");
    let with = |version, required| {
        let tickets = Some(Tickets::new(&Secret::new().unwrap(), b""));
        let client_auth = Some(ClientAuth::new(AUTHORITY.pem.as_bytes(), required, None).unwrap());
        let server = ServerOptions { tickets, client_auth, versions: version, ..server_options() };
        let mut client = client_options();
        client.identity = Some(mine.identity());
        (ClientConfig::new(client).unwrap(), ServerConfig::new(server).unwrap())
    };
    let mut sides = Vec::new();
    for version in [Versions::Only12, Versions::Only13] {
        for required in [true, false] {
            sides.push(with(version, required));
        }
    }
    for (client, server) in &sides {
        // What is resumed gives a ticket too, which ends no later.
        assert_eq!([(); 3].map(|()| met(client, server)), [Ok(false), Ok(true), Ok(true)]);
        // A client without a certificate in between leaves no mark.
        let nobody = ClientConfig::new(client_options()).unwrap();
        let _ = met(&nobody, server);
    }
    wait();
    for (client, server) in &sides {
        let (side, error) = met(client, server).unwrap_err();
        assert_eq!((side, error.reason()), (Side::Server, Reason::Expired), "{error}");
    }
}

/// A ticket that is read late speaks for the certificate that its own connection began with, whatever was shown since.
#[test]
fn a_ticket_ends_with_what_its_own_connection_has_shown() {
    let (short, wait) = ending("a.example");
    let with = |identity| {
        let tickets = Some(Tickets::new(&Secret::from_text("one for both"), b""));
        ServerConfig::new(ServerOptions { tickets, identities: vec![identity], ..server_options() }).unwrap()
    };
    let client = ClientConfig::new(client_options()).unwrap();
    let open = |server: &ServerConfig| {
        let mut pair = Pair::new(&client, server, "a.example");
        pair.shake(usize::MAX).unwrap();
        (pair.server.is_resumed(), pair)
    };
    let reads = |pair: &mut Pair| {
        assert_eq!(carry(&mut pair.server, &mut pair.client, b"x", 99, buf::Class::K4), b"x");
    };
    let (_, mut early) = open(&with(short.identity()));
    wait();
    let renewed = with(AUTHORITY.issue(&["a.example"]).identity());
    let (is_resumed, mut other) = open(&renewed);
    assert!(!is_resumed);
    reads(&mut early);
    assert!(!open(&renewed).0, "it was resumed past the end of the certificate");
    // Those of the other one are good, those of the first do not end them.
    reads(&mut other);
    assert!(open(&renewed).0);
}

#[test]
fn a_session_with_a_server_ends_with_its_certificate() {
    let (short, wait) = ending("a.example");
    let with = |version, identity| {
        let tickets = Some(Tickets::new(&Secret::from_text("one for both"), b""));
        ServerConfig::new(ServerOptions { tickets, versions: version, identities: vec![identity], ..server_options() })
            .unwrap()
    };
    let versions = [Versions::Only12, Versions::Only13];
    let clients = versions.map(|version| (version, ClientConfig::new(client_options()).unwrap()));
    for (version, client) in &clients {
        let server = with(*version, short.identity());
        assert_eq!([met(client, &server), met(client, &server)], [Ok(false), Ok(true)]);
    }
    wait();
    for (version, client) in &clients {
        // One that has been renewed meanwhile is asked for it; one that has not is refused.
        let renewed = with(*version, AUTHORITY.issue(&["a.example"]).identity());
        assert_eq!([met(client, &renewed), met(client, &renewed)], [Ok(false), Ok(true)]);
        let fresh = ClientConfig::new(client_options()).unwrap();
        let (side, error) = met(&fresh, &with(*version, short.identity())).unwrap_err();
        assert_eq!((side, error.reason()), (Side::Client, Reason::Expired));
    }
}
