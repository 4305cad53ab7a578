//! What can go wrong.

use std::fmt;

use rustls::{AlertDescription, CertificateError};

/// A side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The side that connected.
    Client,
    /// The side that accepted.
    Server,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Client => "client",
            Role::Server => "server",
        })
    }
}

/// Why a TLS connection failed. It prints as a sentence for the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// What arrived instead of a handshake looks like HTTP without TLS.
    PlainHttp,
    /// What arrived instead of a handshake is something else.
    NotTls,
    /// The peer closed the connection before the handshake was over.
    ClosedEarly,
    /// The connection ended without a close_notify: bytes may be missing.
    Truncated,
    /// A handshake message is larger than 64 KiB.
    TooLarge,
    /// As many records were sent as the keys are good for (TLS 1.2 only).
    Exhausted,
    /// Something was to be sent after the close_notify.
    Closed,
    /// The protocol, or a certificate, failed.
    Failed(Box<Failed>),
}

/// A failure of the protocol, and who the peer was.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// Who the peer is.
    pub peer: Role,
    /// What rustls says.
    pub cause: rustls::Error,
}

/// The kinds of errors, for counters. Closed: a new one is an edit here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// HTTP on a TLS port, or from one.
    PlainHttp,
    /// Something else that is not TLS.
    NotTls,
    /// The peer went away during the handshake.
    ClosedEarly,
    /// The connection ended without a close_notify.
    Truncated,
    /// The peer broke the protocol: garbage, a bad record, an oversized message.
    Protocol,
    /// No protocol (ALPN) in common.
    NoCommonProtocol,
    /// No version, cipher suite, group or signature scheme in common, or no certificate for the name.
    Incompatible,
    /// The peer's certificate has expired.
    Expired,
    /// The peer's certificate is not valid yet.
    NotYetValid,
    /// The peer's certificate is signed by nobody we trust.
    UnknownIssuer,
    /// The peer's certificate is for other names.
    NameMismatch,
    /// The peer's certificate was revoked.
    Revoked,
    /// The peer showed no certificate where one is required.
    NoCertificate,
    /// The peer's certificate cannot be used for another reason.
    BadCertificate,
    /// The peer refused us by an alert.
    Refused,
    /// Our own side: no random numbers, no clock, keys used up.
    Local,
}

impl Reason {
    /// All there are, in the order of their numbers.
    pub const ALL: [Reason; 16] = [
        Reason::PlainHttp,
        Reason::NotTls,
        Reason::ClosedEarly,
        Reason::Truncated,
        Reason::Protocol,
        Reason::NoCommonProtocol,
        Reason::Incompatible,
        Reason::Expired,
        Reason::NotYetValid,
        Reason::UnknownIssuer,
        Reason::NameMismatch,
        Reason::Revoked,
        Reason::NoCertificate,
        Reason::BadCertificate,
        Reason::Refused,
        Reason::Local,
    ];

    /// The name of the reason in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::PlainHttp => "plain_http",
            Reason::NotTls => "not_tls",
            Reason::ClosedEarly => "closed_early",
            Reason::Truncated => "truncated",
            Reason::Protocol => "protocol",
            Reason::NoCommonProtocol => "no_common_protocol",
            Reason::Incompatible => "incompatible",
            Reason::Expired => "expired",
            Reason::NotYetValid => "not_yet_valid",
            Reason::UnknownIssuer => "unknown_issuer",
            Reason::NameMismatch => "name_mismatch",
            Reason::Revoked => "revoked",
            Reason::NoCertificate => "no_certificate",
            Reason::BadCertificate => "bad_certificate",
            Reason::Refused => "refused",
            Reason::Local => "local",
        }
    }
}

impl Error {
    pub(crate) fn of(cause: rustls::Error, peer: Role) -> Error {
        match cause {
            // During a handshake only; afterwards it is a clean end.
            rustls::Error::AlertReceived(AlertDescription::CloseNotify) => Error::ClosedEarly,
            cause => Error::Failed(Box::new(Failed { peer, cause })),
        }
    }

    /// Before it is known who the peer is; see [`Error::blame`].
    pub(crate) fn unblamed(cause: rustls::Error) -> Error {
        Error::of(cause, Role::Client)
    }

    pub(crate) fn blame(mut self, role: Role) -> Error {
        if let Error::Failed(failed) = &mut self {
            failed.peer = role;
        }
        self
    }

    /// The kind of the error.
    pub fn reason(&self) -> Reason {
        match self {
            Error::PlainHttp => Reason::PlainHttp,
            Error::NotTls => Reason::NotTls,
            Error::ClosedEarly => Reason::ClosedEarly,
            Error::Truncated => Reason::Truncated,
            Error::TooLarge => Reason::Protocol,
            Error::Exhausted | Error::Closed => Reason::Local,
            Error::Failed(failed) => failed.reason(),
        }
    }

    /// Whether a certificate is what it failed over: the peer's, or ours in the peer's eyes.
    pub fn is_over_certificate(&self) -> bool {
        let alert = match self {
            Error::Failed(failed) => match &failed.cause {
                rustls::Error::AlertReceived(alert) => Some(*alert),
                _ => None,
            },
            _ => None,
        };
        self.is_our_refusal() || alert.is_some_and(is_over_certificate)
    }

    /// Whether it was the peer's certificate, or that there was none, of which it is told by an alert.
    pub fn is_our_refusal(&self) -> bool {
        use rustls::Error as E;
        match self {
            Error::Failed(failed) => {
                matches!(failed.cause, E::InvalidCertificate(_) | E::NoCertificatesPresented)
            }
            _ => false,
        }
    }
}

fn is_over_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    const ALL: [A; 13] = [
        A::NoCertificate,
        A::BadCertificate,
        A::UnsupportedCertificate,
        A::CertificateRevoked,
        A::CertificateExpired,
        A::CertificateUnknown,
        A::UnknownCA,
        A::CertificateRequired,
        A::AccessDenied,
        A::UnrecognisedName,
        A::CertificateUnobtainable,
        A::BadCertificateStatusResponse,
        A::BadCertificateHashValue,
    ];
    ALL.contains(&alert)
}

impl Failed {
    fn reason(&self) -> Reason {
        use rustls::Error as E;
        match &self.cause {
            E::NoApplicationProtocol | E::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                Reason::NoCommonProtocol
            }
            E::AlertReceived(_) => Reason::Refused,
            E::PeerIncompatible(_) => Reason::Incompatible,
            E::General(text) if text == NO_CERTIFICATE => Reason::Incompatible,
            E::NoCertificatesPresented => Reason::NoCertificate,
            E::InvalidCertificate(certificate) => certificate_reason(certificate),
            E::InvalidCertRevocationList(_)
            | E::FailedToGetCurrentTime
            | E::FailedToGetRandomBytes
            | E::HandshakeNotComplete
            | E::EncryptError
            | E::BadMaxFragmentSize
            | E::InconsistentKeys(_)
            | E::General(_)
            | E::Other(_) => Reason::Local,
            _ => Reason::Protocol,
        }
    }
}

fn certificate_reason(error: &CertificateError) -> Reason {
    use CertificateError as C;
    match error {
        C::Expired | C::ExpiredContext { .. } => Reason::Expired,
        C::NotValidYet | C::NotValidYetContext { .. } => Reason::NotYetValid,
        C::UnknownIssuer => Reason::UnknownIssuer,
        C::NotValidForName | C::NotValidForNameContext { .. } => Reason::NameMismatch,
        C::Revoked => Reason::Revoked,
        _ => Reason::BadCertificate,
    }
}

/// What rustls says when the resolver has no certificate for the client.
pub(crate) const NO_CERTIFICATE: &str = "no server certificate chain resolved";

impl std::error::Error for Error {}
