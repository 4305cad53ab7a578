//! The state of a session, what was agreed on, and who the peer is.

use std::fmt;

use rustls::{HandshakeKind, ProtocolVersion};
use rustls_pki_types::CertificateDer;

use super::Session;
use crate::certificate::ClientCertificate;
use crate::error::Error;

impl Session {
    /// Whether the handshake is still going on.
    pub fn is_handshaking(&self) -> bool {
        self.common().is_handshaking()
    }

    /// Whether the peer said that no byte follows.
    pub fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Whether [`Session::close`] has been called, so that nothing more can be sent.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The error that ended the connection, if one did.
    pub fn error(&self) -> Option<&Error> {
        self.failed.as_ref()
    }

    /// The protocol agreed on (ALPN, RFC 7301), once the hello messages were exchanged.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.common().alpn_protocol()
    }

    /// The name that the client asked for (SNI, RFC 6066), in lower case; on the server's side only.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The peer's certificates, its own first. None when it has shown none.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.common().peer_certificates()
    }

    /// Who the client is, by the certificate it has shown and that was found good; none when it has shown none. Read once for a
    /// connection.
    pub fn client_certificate(&self) -> Option<&ClientCertificate> {
        let read = || ClientCertificate::read(self.peer_certificates()?.first()?).map(Box::new);
        self.client.get_or_init(read).as_deref()
    }

    /// Whether a request for `host` (without its port) may come this way: it is the name that the client asked for in the
    /// handshake, or the certificate that it was shown covers it too. True for clients that asked for no name, which could not
    /// choose, and on the client's side.
    pub fn covers(&self, host: &[u8]) -> bool {
        let Some(name) = &self.server_name else { return true };
        let host = host.strip_suffix(b".").unwrap_or(host);
        host.eq_ignore_ascii_case(name.as_bytes()) || self.shown.as_ref().is_none_or(|shown| shown.covers(host))
    }

    /// The protocol's version as it is written: `TLSv1.2` or `TLSv1.3`.
    pub fn version(&self) -> Option<&'static str> {
        match self.common().protocol_version()? {
            ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
            ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
            _ => None,
        }
    }

    /// The cipher suite by its IANA name.
    pub fn cipher_suite(&self) -> Option<&'static str> {
        self.common().negotiated_cipher_suite()?.suite().as_str()
    }

    /// The key exchange group by its IANA name; none in a session resumed in TLS 1.2.
    pub fn key_exchange(&self) -> Option<&'static str> {
        self.common().negotiated_key_exchange_group()?.name().as_str()
    }

    /// Whether the handshake was a resumption, without certificates.
    pub fn is_resumed(&self) -> bool {
        self.common().handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (&self.failed, self.is_handshaking()) {
            (Some(_), _) => "failed",
            (None, true) => "handshaking",
            (None, false) => "open",
        };
        write!(f, "Session({}, {state})", self.version().unwrap_or("no version yet"))
    }
}
