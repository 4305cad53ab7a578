//! Certificates made on the spot, and two machines joined by hand.

use std::io::IoSlice;
use std::sync::LazyLock;

use buf::{Class, ReadBuf};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tls::{
    ClientConfig, ClientOptions, Error, Identity, Received, Roots, ServerConfig, ServerOptions, Session, server_name,
};

/// An authority.
pub(crate) struct Authority {
    pub(crate) pem: String,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// One below this one, and its certificate.
    pub(crate) fn authority(&self, name: &str, serial: &rcgen::SerialNumber) -> (Authority, String) {
        self.authority_with(name, serial, |_| {})
    }

    pub(crate) fn authority_with(
        &self,
        name: &str,
        serial: &rcgen::SerialNumber,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Authority, String) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(serial.clone());
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        (Authority { pem: pem.clone(), issuer: Issuer::new(params, key) }, pem)
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, KeyPair::generate().unwrap(), |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        key: KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let names: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { chain: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A certificate and its key, in PEM.
pub(crate) struct Issued {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Issued {
    pub(crate) fn identity(&self) -> Identity {
        Identity::from_pem(self.chain.as_bytes(), self.key.as_bytes()).unwrap()
    }
}

pub(crate) static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("Test Authority"));
pub(crate) static ISSUED: LazyLock<Issued> = LazyLock::new(|| AUTHORITY.issue(&["a.example", "*.wild.example"]));

pub(crate) fn server_options() -> ServerOptions {
    ServerOptions { identities: vec![ISSUED.identity()], ..ServerOptions::default() }
}

pub(crate) fn client_options() -> ClientOptions {
    ClientOptions::new(Roots::from_pem(AUTHORITY.pem.as_bytes()).unwrap())
}

/// A client and a server, joined.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) client: Session,
    pub(crate) server: Session,
}

impl Pair {
    pub(crate) fn new(client: &ClientConfig, server: &ServerConfig, name: &str) -> Pair {
        let client = Session::client(client, server_name(name).unwrap()).unwrap();
        Pair { client, server: Session::server(server).unwrap() }
    }

    pub(crate) fn with(client: ClientOptions, server: ServerOptions) -> Pair {
        Pair::new(&ClientConfig::new(client).unwrap(), &ServerConfig::new(server).unwrap(), "a.example")
    }

    /// A pair whose handshake is over.
    pub(crate) fn open() -> Pair {
        let mut pair = Pair::with(client_options(), server_options());
        pair.shake(usize::MAX).unwrap();
        pair
    }

    /// Carries the handshake through in pieces of at most `piece` bytes. Each side acts on every piece.
    pub(crate) fn shake(&mut self, piece: usize) -> Result<(), (Side, Error)> {
        for _ in 0..1_000_000 {
            let client = self.client.handshake().map_err(|e| (Side::Client, e));
            let server = self.server.handshake().map_err(|e| (Side::Server, e));
            if client? & server? && self.client.flight().is_empty() && self.server.flight().is_empty() {
                return Ok(());
            }
            pump(&mut self.client, &mut self.server, piece);
            pump(&mut self.server, &mut self.client, piece);
        }
        panic!("the handshake does not end");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Moves at most `piece` bytes; whether there were any.
pub(crate) fn pump(from: &mut Session, to: &mut Session, piece: usize) -> bool {
    let bytes = from.flight().bytes();
    if bytes.is_empty() {
        return false;
    }
    let n = to.incoming().fill_from(&bytes[..bytes.len().min(piece)]);
    from.flight().advance(n);
    n > 0
}

/// Sends `message` through and gives what comes out at the other end, cut into `piece`s on the way, read through a window
/// of `class`.
pub(crate) fn carry(from: &mut Session, to: &mut Session, message: &[u8], piece: usize, class: Class) -> Vec<u8> {
    let mut window = ReadBuf::new(class);
    let mut got = Vec::new();
    let mut rest = message;
    while got.len() < message.len() {
        if from.flight().is_empty() && !rest.is_empty() {
            let (a, b) = rest.split_at(rest.len().min(7));
            let n = from.send(&[IoSlice::new(a), IoSlice::new(&[]), IoSlice::new(b)]).unwrap();
            assert!(n > 0);
            rest = &rest[n..];
        }
        pump(from, to, piece);
        loop {
            let received = to.receive(&mut window).unwrap();
            got.extend_from_slice(window.filled());
            window.clear();
            match received {
                Received::Plain(_) => {}
                Received::Nothing => break,
                Received::End => panic!("no end was sent"),
            }
        }
    }
    to.release();
    got
}

/// Bytes that are not all alike.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}
