//! What an [`Error`] says, in words.

use std::fmt;

use rustls::{AlertDescription, CertificateError, PeerIncompatible};
use rustls_pki_types::ServerName;

use crate::certificate::{day, days};
use crate::error::{Error, Failed, NO_CERTIFICATE, Role};

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::PlainHttp => f.write_str("What arrived is HTTP without TLS."),
            Error::NotTls => f.write_str("What arrived is not TLS."),
            Error::ClosedEarly => f.write_str("The connection was closed during the TLS handshake."),
            Error::Truncated => {
                f.write_str("The connection ended without TLS's close_notify, so that bytes may be missing.")
            }
            Error::TooLarge => f.write_str("A TLS handshake message is larger than 64 KiB."),
            Error::Exhausted => f.write_str("The connection's TLS keys are used up; a new connection is needed."),
            Error::Closed => f.write_str("The TLS connection is closed for sending."),
            Error::Failed(failed) => failed.fmt(f),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use rustls::Error as E;
        let peer = self.peer;
        match &self.cause {
            E::InvalidCertificate(error) => certificate_sentence(f, peer, error),
            E::NoCertificatesPresented => write!(f, "The {peer} showed no certificate, and one is required."),
            E::NoApplicationProtocol | E::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                write!(f, "The {peer} speaks none of our protocols (ALPN).")
            }
            E::AlertReceived(alert) => alert_sentence(f, peer, *alert),
            E::PeerIncompatible(what) => incompatible_sentence(f, peer, what),
            E::General(text) if text == NO_CERTIFICATE => {
                write!(f, "No certificate fits what the {peer} asked for: its name or its signature schemes.")
            }
            E::DecryptError => write!(f, "A TLS record of the {peer} was damaged on its way."),
            E::InvalidMessage(_) | E::InappropriateMessage { .. } | E::InappropriateHandshakeMessage { .. } => {
                write!(f, "The {peer} sent a broken TLS message: {}.", self.cause)
            }
            E::PeerSentOversizedRecord => write!(f, "The {peer} sent a TLS record that is too large."),
            E::PeerMisbehaved(what) => write!(f, "The {peer} broke the rules of TLS ({what:?})."),
            other => write!(f, "TLS failed: {other}."),
        }
    }
}

fn certificate_sentence(f: &mut fmt::Formatter<'_>, peer: Role, error: &CertificateError) -> fmt::Result {
    use CertificateError as C;
    match error {
        C::ExpiredContext { time, not_after } => {
            let ago = days((time.as_secs().saturating_sub(not_after.as_secs()) / 86_400) as i64);
            write!(f, "The {peer}'s certificate expired on {} ({ago} ago).", day(not_after.as_secs()))
        }
        C::Expired => write!(f, "The {peer}'s certificate has expired."),
        C::NotValidYetContext { not_before, .. } => {
            let from = day(not_before.as_secs());
            write!(f, "The {peer}'s certificate is valid from {from} on only; is this machine's clock right?")
        }
        C::NotValidYet => write!(f, "The {peer}'s certificate is not valid yet."),
        C::UnknownIssuer => {
            write!(f, "The {peer}'s certificate was issued by an authority that is not trusted here.")
        }
        C::NotValidForNameContext { expected, presented } => {
            write!(f, "The {peer}'s certificate is not for {}; ", Name(expected))?;
            if presented.is_empty() { f.write_str("it names nothing.") } else { names_sentence(f, presented) }
        }
        C::NotValidForName => write!(f, "The {peer}'s certificate is for another name."),
        C::Revoked => write!(f, "The {peer}'s certificate was revoked."),
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
            write!(f, "The {peer}'s certificate is not meant for a {peer} (extended key usage).")
        }
        C::BadEncoding => write!(f, "The {peer}'s certificate cannot be read."),
        C::BadSignature => write!(f, "The signature of the {peer}'s certificate is wrong."),
        C::UnknownRevocationStatus => {
            write!(f, "No revocation list says whether the {peer}'s certificate is still good.")
        }
        C::ExpiredRevocationList | C::ExpiredRevocationListContext { .. } => {
            write!(f, "The revocation list for the {peer}'s certificate is out of date.")
        }
        // The verifier has no variant of its own for what `openssl req -x509` makes when it is told nothing else.
        C::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            write!(
                f,
                "The {peer}'s certificate is that of an authority (CA:TRUE), which is for signing others and not for a {peer}."
            )
        }
        other => write!(f, "The {peer}'s certificate is not accepted: {other}."),
    }
}

/// `it names a, b and c.`, a few of them.
fn names_sentence(f: &mut fmt::Formatter<'_>, presented: &[String]) -> fmt::Result {
    const SHOWN: usize = 5;
    f.write_str("it names ")?;
    for (i, name) in presented.iter().take(SHOWN).enumerate() {
        let before = match i {
            0 => "",
            _ if i + 1 == presented.len() => " and ",
            _ => ", ",
        };
        write!(f, "{before}{}", bare(name).escape_default())?;
    }
    match presented.len().saturating_sub(SHOWN) {
        0 => f.write_str("."),
        more => write!(f, " and {more} more."),
    }
}

/// The verifier writes each as Rust would print the type that held it: `DnsName("a.example")`, `IpAddress(127.0.0.1)`.
fn bare(name: &str) -> &str {
    let address = name.strip_prefix("IpAddress(").and_then(|rest| rest.strip_suffix(')'));
    address.or_else(|| name.split('"').nth(1)).unwrap_or(name)
}

struct Name<'a>(&'a ServerName<'static>);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_str())
    }
}

fn alert_sentence(f: &mut fmt::Formatter<'_>, peer: Role, alert: AlertDescription) -> fmt::Result {
    use AlertDescription as A;
    let why = match alert {
        A::UnknownCA => "it does not trust the authority that issued our certificate",
        A::CertificateExpired => "it says that our certificate has expired",
        A::CertificateRevoked => "it says that our certificate was revoked",
        A::BadCertificate | A::CertificateUnknown | A::UnsupportedCertificate => "it does not accept our certificate",
        A::CertificateRequired => "it requires a certificate of ours, and got none",
        A::AccessDenied => "it denies access",
        A::UnrecognisedName => "it knows no server of this name",
        A::ProtocolVersion => "it does not speak our versions of TLS",
        A::HandshakeFailure | A::InsufficientSecurity => "it shares no cipher suite, group or signature scheme with us",
        A::DecodeError | A::UnexpectedMessage | A::IllegalParameter => "it could not make sense of what we sent",
        A::BadRecordMac | A::DecryptError => "a record or signature of ours did not verify",
        A::InternalError => "it had an internal error",
        A::UserCanceled => "it was cancelled there",
        _ => return write!(f, "The {peer} ended the TLS connection by alert {} ({alert:?}).", u8::from(alert)),
    };
    write!(f, "The {peer} ended the TLS connection: {why} (alert {}).", u8::from(alert))
}

fn incompatible_sentence(f: &mut fmt::Formatter<'_>, peer: Role, what: &PeerIncompatible) -> fmt::Result {
    use PeerIncompatible as P;
    match what {
        P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled
        | P::ServerDoesNotSupportTls12Or13
        | P::ServerTlsVersionIsDisabledByOurConfig
        | P::SupportedVersionsExtensionRequired => {
            write!(f, "The {peer} speaks no version of TLS that is enabled here.")
        }
        P::NoCipherSuitesInCommon => write!(f, "The {peer} and we have no cipher suite in common."),
        P::NoKxGroupsInCommon | P::NamedGroupsExtensionRequired | P::KeyShareExtensionRequired => {
            write!(f, "The {peer} and we have no key exchange group in common.")
        }
        P::NoSignatureSchemesInCommon
        | P::NoCertificateRequestSignatureSchemesInCommon
        | P::SignatureAlgorithmsExtensionRequired => {
            write!(f, "The {peer} and we have no signature scheme in common.")
        }
        other => write!(f, "The {peer} lacks something that is required here ({other:?})."),
    }
}
