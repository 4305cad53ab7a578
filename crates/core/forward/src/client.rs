//! What is told of the client.

use std::fmt;
use std::io::Write;
use std::net::IpAddr;

/// Each octet's decimal digits and a dot, and how many bytes that are.
static OCTETS: [([u8; 4], u8); 256] = {
    let mut table = [([b'.'; 4], 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let digits = [b'0' + (octet / 100) as u8, b'0' + (octet / 10 % 10) as u8, b'0' + (octet % 10) as u8];
        let skipped = if octet >= 100 {
            0
        } else if octet >= 10 {
            1
        } else {
            2
        };
        let mut i = skipped;
        while i < 3 {
            table[octet].0[i - skipped] = digits[i];
            i += 1;
        }
        table[octet].1 = 4 - skipped as u8;
        octet += 1;
    }
    table
};

/// `"[` + the longest IPv6 address + `]"`.
const NODE_MAX: usize = 2 + 39 + 2;

/// A client's address as text, written once and used for each of its requests. Takes no memory but its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress {
    text: [u8; NODE_MAX],
    len: u8,
    /// Brackets and quotes around it that X-Forwarded-For does without.
    quoted: bool,
}

impl ClientAddress {
    /// The text of `address`. An IPv4 address that was mapped into IPv6 is told as what it is.
    pub fn new(address: IpAddr) -> ClientAddress {
        match address.to_canonical() {
            IpAddr::V4(v4) => ClientAddress::dotted(v4.octets()),
            IpAddr::V6(v6) => ClientAddress::format(true, format_args!("\"[{v6}]\"")),
        }
    }

    /// For a client that has no address, such as one behind a Unix socket (RFC 7239 §6.2).
    pub fn unknown() -> ClientAddress {
        ClientAddress::format(false, format_args!("unknown"))
    }

    /// Whether there is none.
    pub fn is_unknown(&self) -> bool {
        self.node() == b"unknown"
    }

    /// As X-Forwarded-For has it: `192.0.2.1`, `2001:db8::1`, `unknown`.
    pub fn address(&self) -> &[u8] {
        let node = self.node();
        if self.quoted { &node[2..node.len() - 2] } else { node }
    }

    /// As a parameter of Forwarded has it (RFC 7239 §6): `192.0.2.1`, `"[2001:db8::1]"`, `unknown`.
    pub fn node(&self) -> &[u8] {
        &self.text[..usize::from(self.len)]
    }

    /// Without the formatting machinery, which takes a thousand instructions for this.
    fn dotted(octets: [u8; 4]) -> ClientAddress {
        let mut text = [0; NODE_MAX];
        let mut at = 0;
        for octet in octets {
            let (digits, len) = OCTETS[usize::from(octet)];
            // All four, of which the next ones overwrite what is no digit.
            if let Some(room) = text.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                *room = digits;
            }
            at += usize::from(len);
        }
        // The dot behind the last one does not count.
        ClientAddress { text, len: (at - 1) as u8, quoted: false }
    }

    fn format(quoted: bool, text: fmt::Arguments<'_>) -> ClientAddress {
        let mut address = ClientAddress { text: [0; NODE_MAX], len: 0, quoted };
        let mut rest = &mut address.text[..];
        // No address is longer than the room for it; were one, it would be cut and not panic.
        let _ = rest.write_fmt(text);
        address.len = (NODE_MAX - rest.len()) as u8;
        address
    }
}

impl fmt::Debug for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientAddress({})", self.address().escape_ascii())
    }
}

/// How the client reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In plain text.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// What a request's field may say of the certificate that its client has shown. The names are nginx's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificatePart {
    /// `SUCCESS`, or `NONE` of a client that has shown no certificate.
    Verify,
    /// Whom it is for.
    Subject,
    /// Who issued it.
    Issuer,
    /// Its serial number.
    Serial,
    /// Its SHA-256 fingerprint.
    Fingerprint,
}

impl CertificatePart {
    /// How each is written as a field's value.
    pub const NAMES: [(&'static str, CertificatePart); 5] = [
        ("{ssl_client_verify}", CertificatePart::Verify),
        ("{ssl_client_s_dn}", CertificatePart::Subject),
        ("{ssl_client_i_dn}", CertificatePart::Issuer),
        ("{ssl_client_serial}", CertificatePart::Serial),
        ("{ssl_client_fingerprint}", CertificatePart::Fingerprint),
    ];

    /// The part that `value` stands for, if it is one of [`CertificatePart::NAMES`].
    pub fn of_value(value: &str) -> Option<CertificatePart> {
        CertificatePart::NAMES.iter().find(|(name, _)| *name == value).map(|(_, part)| *part)
    }
}

/// A client's certificate, which was found good. Its parts are fit for a field.
#[derive(Clone, Copy, Debug)]
pub struct ClientCertificate<'a> {
    /// Whom it is for (RFC 4514).
    pub subject: &'a str,
    /// Who issued it.
    pub issuer: &'a str,
    /// Its serial number, in hexadecimal digits.
    pub serial: &'a str,
    /// Its SHA-256 fingerprint, in hexadecimal digits.
    pub fingerprint: &'a str,
}

impl<'a> ClientCertificate<'a> {
    /// The most bytes that are told of one part; a longer one is left out, as if there were none.
    pub const PART_MAX: usize = 2048;

    pub(crate) fn part(certificate: Option<&ClientCertificate<'a>>, part: CertificatePart) -> Option<&'a [u8]> {
        let Some(certificate) = certificate else {
            return (part == CertificatePart::Verify).then_some(&b"NONE"[..]);
        };
        let text = match part {
            CertificatePart::Verify => "SUCCESS",
            CertificatePart::Subject => certificate.subject,
            CertificatePart::Issuer => certificate.issuer,
            CertificatePart::Serial => certificate.serial,
            CertificatePart::Fingerprint => certificate.fingerprint,
        };
        (!text.is_empty() && text.len() <= Self::PART_MAX).then_some(text.as_bytes())
    }
}

/// Who asks, and how far what it says of others is believed.
#[derive(Clone, Copy, Debug)]
pub struct ClientInfo<'a> {
    /// Its address.
    pub address: &'a ClientAddress,
    /// How it reached us.
    pub scheme: Scheme,
    /// How the client asked that it speaks for, as far as it is believed; else as `scheme`.
    pub asked: Scheme,
    /// Whether it is a proxy whose X-Forwarded-* and Forwarded are believed and appended to. Those of any other
    /// client are replaced.
    pub trusted: bool,
    /// The certificate that it has shown; where the rules ask for it ([`crate::FieldRules::wants_certificate`]).
    pub certificate: Option<ClientCertificate<'a>>,
}
