//! What a certificate says about itself (RFC 5280). It is not verified here.

use std::net::IpAddr;

use rustls::SupportedCipherSuite;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls_pki_types::SignatureVerificationAlgorithm;

use crate::der::{self, Reader};
use crate::distinguished_name::{ascii, name_text};

/// The facts of a certificate, as far as somebody operating a server asks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whom it is for, in the form of RFC 4514, the most specific part first: `CN=api,O=Example`.
    pub subject: String,
    /// Who issued it, in the same form.
    pub issuer: String,
    /// The names and addresses it is valid for (subject alternative names), in lower case, wildcards as they stand.
    pub names: Vec<String>,
    /// From when it is valid, seconds since 1970.
    pub not_before: u64,
    /// Until when it is valid, seconds since 1970.
    pub not_after: u64,
    /// Its serial number, in hexadecimal digits.
    pub serial: String,
    /// Whether it may sign others (CA:TRUE).
    is_authority: bool,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
    /// The SubjectPublicKeyInfo.
    pub(crate) public_key: Vec<u8>,
}

impl Certificate {
    /// Reads a certificate; `None` when it is none.
    pub fn read(der: &[u8]) -> Option<Certificate> {
        // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }
        let mut tbs = Reader(der).inside(der::SEQUENCE)?.inside(der::SEQUENCE)?;
        tbs.optional(0xa0);
        let serial = tbs.expect(0x02)?;
        tbs.expect(der::SEQUENCE)?;
        let issuer = tbs.expect(der::SEQUENCE)?;
        let mut validity = tbs.inside(der::SEQUENCE)?;
        let not_before = der::time(validity.any()?)?;
        let not_after = der::time(validity.any()?)?;
        let subject = tbs.expect(der::SEQUENCE)?;
        let public_key = tbs.expect(der::SEQUENCE)?;
        tbs.optional(0x81);
        tbs.optional(0x82);
        let (names, is_authority) = match tbs.inside_optional(0xa3) {
            Some(mut extensions) => read_extensions(extensions.inside(der::SEQUENCE)?)?,
            None => (Vec::new(), false),
        };
        Some(Certificate {
            subject: name_text(subject.body)?,
            issuer: name_text(issuer.body)?,
            names,
            not_before,
            not_after,
            serial: hex(serial.body),
            is_authority,
            subject_der: subject.whole.to_vec(),
            issuer_der: issuer.whole.to_vec(),
            public_key: public_key.whole.to_vec(),
        })
    }

    /// Whether `other` says that it is who issued this one. Signatures are not looked at.
    pub fn is_issued_by(&self, other: &Certificate) -> bool {
        self.issuer_der == other.subject_der
    }

    /// Whether its subject is this name, in DER.
    pub(crate) fn is_called(&self, name: &[u8]) -> bool {
        self.subject_der == name
    }

    /// What an operator should know at `now` of a certificate by which clients are judged, as sentences.
    pub(crate) fn warnings_as_authority(&self, now: u64) -> Vec<String> {
        let mut warnings = Vec::new();
        // Who has issued itself is the client that it names and may be believed as such.
        if !self.is_authority && !self.is_root() {
            warnings.push(format!(
                "The certificate of {} is not that of an authority (CA:TRUE) but was issued by {}: nobody is let in by it. Name the authority's certificate.",
                self.title(),
                self.issuer
            ));
        }
        if self.not_after < now {
            warnings.push(format!(
                "The authority {} expired on {}: whom it has signed is let in all the same. Replace it.",
                self.subject,
                day(self.not_after)
            ));
        }
        warnings
    }

    /// Whether it is its own issuer, as the last of a chain may be, which nobody looks at then.
    pub(crate) fn is_root(&self) -> bool {
        self.is_issued_by(self)
    }

    /// The name to call it by: its first name, or its subject.
    pub fn title(&self) -> &str {
        self.names.first().unwrap_or(&self.subject)
    }

    /// Whether it is valid for `host`, a name or an address as a URL has it; a wildcard stands for one label.
    pub fn covers(&self, host: &[u8]) -> bool {
        let host = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
        let parent = host.iter().position(|b| *b == b'.').map(|dot| &host[dot + 1..]);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(rest) => parent.is_some_and(|parent| parent.eq_ignore_ascii_case(rest.as_bytes())),
            None => host.eq_ignore_ascii_case(name.as_bytes()),
        })
    }

    /// Days until it expires at `now` (seconds since 1970); negative when it has.
    pub fn days_left(&self, now: u64) -> i64 {
        days_between(now, self.not_after)
    }
}

/// So many whole days, in words.
pub(crate) fn days(number: i64) -> String {
    match number {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        n => format!("{n} days"),
    }
}

pub(crate) fn days_between(now: u64, end: u64) -> i64 {
    (end as i64 - now as i64).div_euclid(86_400)
}

/// Whether the key of `issuer` has signed the certificate in `der`; none where that cannot be told, since we do not know how it is signed.
pub(crate) fn is_signed_by(der: &[u8], issuer: &Certificate, algorithms: &WebPkiSupportedAlgorithms) -> Option<bool> {
    // A BIT STRING's first byte says how many bits of the last do not count: none in all that is signed.
    fn bits(item: der::Item<'_>) -> Option<&[u8]> {
        item.body.split_first().map(|(_, bits)| bits)
    }
    let mut parts = Reader(der).inside(der::SEQUENCE)?;
    let (signed, algorithm) = (parts.expect(der::SEQUENCE)?, parts.expect(der::SEQUENCE)?);
    let signature = bits(parts.expect(der::BIT_STRING)?)?;
    let mut key = Reader(&issuer.public_key).inside(der::SEQUENCE)?;
    let kind = key.expect(der::SEQUENCE)?;
    let key = bits(key.expect(der::BIT_STRING)?)?;
    let fits = |known: &&&dyn SignatureVerificationAlgorithm| {
        known.signature_alg_id().as_ref() == algorithm.body && known.public_key_alg_id().as_ref() == kind.body
    };
    let mut fitting = algorithms.all.iter().filter(fits).peekable();
    fitting.peek()?;
    Some(fitting.any(|known| known.verify_signature(key, signed.whole, signature).is_ok()))
}

/// Who a client is, as the certificate says that it has shown. All are fit for a field and a log: visible ASCII and spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Whom it is for, in the form of RFC 4514; what is not ASCII as hexadecimal digits behind backslashes.
    pub subject: Box<str>,
    /// Who issued it, in the same form.
    pub issuer: Box<str>,
    /// Its serial number, in hexadecimal digits.
    pub serial: Box<str>,
    /// The SHA-256 fingerprint, in hexadecimal digits.
    pub fingerprint: Box<str>,
}

impl ClientCertificate {
    pub(crate) fn read(der: &[u8]) -> Option<ClientCertificate> {
        let read = Certificate::read(der)?;
        Some(ClientCertificate {
            subject: ascii(&read.subject),
            issuer: ascii(&read.issuer),
            serial: read.serial.into(),
            fingerprint: fingerprint(der).into(),
        })
    }
}

/// The SHA-256 fingerprint of a certificate in hexadecimal digits, as `openssl x509 -fingerprint -sha256` gives it without
/// its colons.
pub fn fingerprint(der: &[u8]) -> String {
    match TLS13_AES_128_GCM_SHA256 {
        SupportedCipherSuite::Tls13(suite) => hex(suite.common.hash_provider.hash(der).as_ref()),
        SupportedCipherSuite::Tls12(suite) => hex(suite.common.hash_provider.hash(der).as_ref()),
    }
}

/// The day of a time, as `2026-11-20`.
pub(crate) fn day(seconds: u64) -> String {
    let (year, month, day) = der::civil_from_days((seconds / 86_400) as i64);
    format!("{year:04}-{month:02}-{day:02}")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|d| char::from(b"0123456789abcdef"[usize::from(d)])).collect()
}

const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// The names, and whether it is an authority.
fn read_extensions(mut extensions: Reader<'_>) -> Option<(Vec<String>, bool)> {
    let (mut names, mut is_authority) = (Vec::new(), false);
    while !extensions.is_empty() {
        let mut extension = extensions.inside(der::SEQUENCE)?;
        let kind = extension.expect(der::OID)?.body;
        extension.optional(der::BOOLEAN);
        match kind {
            SUBJECT_ALT_NAME => names.extend(alternative_names(Reader(extension.expect(0x04)?.body))?),
            BASIC_CONSTRAINTS => {
                let mut constraints = Reader(extension.expect(0x04)?.body).inside(der::SEQUENCE)?;
                is_authority = constraints.optional(der::BOOLEAN).is_some_and(|ca| ca.body != [0]);
            }
            _ => {}
        }
    }
    Some((names, is_authority))
}

fn alternative_names(mut value: Reader<'_>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut general = value.inside(der::SEQUENCE)?;
    while !general.is_empty() {
        let name = general.any()?;
        match name.tag {
            0x82 => names.push(std::str::from_utf8(name.body).ok()?.to_ascii_lowercase()),
            0x87 => names.extend(address(name.body).map(|ip| ip.to_string())),
            _ => {}
        }
    }
    Some(names)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_who_it_is_for_and_how_long() {
        let mut params = rcgen::CertificateParams::new(vec!["A.Example".to_owned(), "*.b.example".to_owned()]).unwrap();
        params.subject_alt_names.push(rcgen::SanType::IpAddress("::1".parse().unwrap()));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Tolls, Bridges & Co");
        params.distinguished_name.push(rcgen::DnType::CommonName, " a\nb ");
        params.not_before = rcgen::date_time_ymd(2024, 2, 29);
        params.not_after = rcgen::date_time_ymd(2051, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap();
        let read = Certificate::read(der.der()).unwrap();
        assert_eq!(read.names, ["a.example", "*.b.example", "::1"]);
        assert_eq!(read.subject, "CN=\\ a\\0ab\\ ,O=Tolls\\, Bridges & Co");
        assert_eq!((day(read.not_before), day(read.not_after)), ("2024-02-29".to_owned(), "2051-01-01".to_owned()));
        assert!(read.is_issued_by(&read));
        assert_eq!(read.days_left(read.not_after - 86_400 * 3), 3);
        assert_eq!(read.days_left(read.not_after + 1), -1);
    }

    #[test]
    fn what_a_client_is_called_is_fit_for_a_field() {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "J\u{fc}rg\r\nX-Admin: 1");
        let key = rcgen::KeyPair::generate().unwrap();
        let read = ClientCertificate::read(params.self_signed(&key).unwrap().der()).unwrap();
        assert_eq!(&*read.subject, "CN=J\\c3\\bcrg\\0d\\0aX-Admin: 1");
        assert_eq!(read.fingerprint.len(), 64);
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        let names = vec!["a.example".to_owned(), "*.b.example".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let read = Certificate::read(made.cert.der()).unwrap();
        for host in ["a.example", "A.Example", "x.b.example", "127.0.0.1", "[::1]"] {
            assert!(read.covers(host.as_bytes()), "{host}");
        }
        for host in ["", "example", "x.a.example", "b.example", "x.y.b.example", "127.0.0.2"] {
            assert!(!read.covers(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn no_cut_or_changed_certificate_makes_it_panic() {
        let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        let der = made.cert.der();
        for cut in 0..der.len() {
            assert!(Certificate::read(&der[..cut]).is_none());
        }
        for at in 0..der.len() {
            for value in [0, 0x1f, 0x7f, 0x80, 0x84, 0xff] {
                let mut changed = der.to_vec();
                changed[at] = value;
                let _ = Certificate::read(&changed);
            }
        }
    }

    #[test]
    fn a_fingerprint_is_the_hash_of_the_whole() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(fingerprint(b"abc"), abc);
    }
}
