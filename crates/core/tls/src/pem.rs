//! Certificates and keys out of PEM text (RFC 7468), and what is wrong with it in words.

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::identity::{ConfigError, Input};

/// The certificates in PEM text, at least one.
pub(crate) fn certificates(pem: &[u8], input: Input) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let all: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|e| broken(input, pem, &e))?;
    if all.is_empty() { Err(no_certificate(input)) } else { Ok(all) }
}

pub(crate) fn no_certificate(input: Input) -> ConfigError {
    ConfigError::new(input, "There is no certificate in it (no \"-----BEGIN CERTIFICATE-----\").")
}

/// What is wrong with `text`, which should be PEM. A key may stand where anything else should, so no byte of it gets into the sentence but a label that is
/// one: a log has more readers than a key.
pub(crate) fn broken(input: Input, text: &[u8], error: &pem::Error) -> ConfigError {
    let sentence = match error {
        pem::Error::MissingSectionEnd { .. } | pem::Error::Base64Decode(_) if has_end_within_line(text) => {
            "An \"-----END\" in it does not begin its line. BEGIN, the base64 and END need lines of their own. Put the file there as it was \
             issued."
                .to_owned()
        }
        pem::Error::MissingSectionEnd { end_marker: label } => match label_in(label) {
            Some(whole) if whole.len() == label.len() => format!(
                "It ends before \"-----END {whole}-----\": it was cut short, or is still being written. Put the whole file there."
            ),
            None if !label.windows(5).any(|five| five == b"-----") => {
                "It ends within a part that has begun: it was cut short, or is still being written. Put the whole file there.".to_owned()
            }
            // The whole line was taken for a label.
            label => more_than_begin(label),
        },
        pem::Error::IllegalSectionStart { line } => {
            let label = label_in(line.strip_prefix(b"-----BEGIN ").unwrap_or_default());
            let begin = label.map(|label| format!("-----BEGIN {label}"));
            match (begin, line.trim_ascii_end()) {
                (Some(begin), line) if line[begin.len()..].iter().all(|byte| *byte == b'-') => {
                    let dashes = "-".repeat((line.len() - begin.len()).min(10));
                    format!(
                        "A part of it begins with \"{begin}{dashes}\", which is no line of PEM such as \"-----BEGIN CERTIFICATE-----\". \
                         Put an undamaged file there."
                    )
                }
                _ => more_than_begin(label),
            }
        }
        pem::Error::Base64Decode(_) => {
            "What stands between a BEGIN and its END in it is no base64: it is damaged. Put an undamaged file there."
                .to_owned()
        }
        _ => "It is no PEM that can be read. Put an undamaged file there.".to_owned(),
    };
    ConfigError::new(input, sentence)
}

/// Whether an END stands behind something else in its line, though the BEGIN before it has a line of its own.
fn has_end_within_line(text: &[u8]) -> bool {
    let lines = text.split(|byte| matches!(byte, b'\r' | b'\n'));
    let mut stuck = lines.filter(|line| !line.trim_ascii_start().starts_with(b"-----"));
    stuck.any(|line| line.windows(9).any(|part| part == b"-----END "))
}

/// The labels of what stands in files of certificates and keys (RFC 7468, and OpenSSL's own).
const LABELS: [&str; 15] = [
    "CERTIFICATE REQUEST",
    "CERTIFICATE",
    "DH PARAMETERS",
    "DSA PRIVATE KEY",
    "EC PARAMETERS",
    "EC PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "NEW CERTIFICATE REQUEST",
    "OPENSSH PRIVATE KEY",
    "PRIVATE KEY",
    "PUBLIC KEY",
    "RSA PRIVATE KEY",
    "RSA PUBLIC KEY",
    "TRUSTED CERTIFICATE",
    "X509 CRL",
];

/// The label that `text` begins with; a longer one stands before those that it begins with.
fn label_in(text: &[u8]) -> Option<&'static str> {
    LABELS.into_iter().find(|label| text.starts_with(label.as_bytes()))
}

fn more_than_begin(label: Option<&str>) -> String {
    let begin = label.map_or("-----BEGIN".to_owned(), |label| format!("-----BEGIN {label}-----"));
    format!(
        "The line of \"{begin}\" has more in it than that: the file has lost its line ends, as happens in a variable or a form. \
         BEGIN, the base64 and END need lines of their own (\"\\n\" in letters ends none). Put the file there as it was issued."
    )
}

pub(crate) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, ConfigError> {
    let contains = |text: &[u8]| pem.windows(text.len()).any(|w| w == text);
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        _ if contains(b"ENCRYPTED PRIVATE KEY") || contains(b"Proc-Type: 4,ENCRYPTED") => ConfigError::new(
            Input::Key,
            "The private key is encrypted. Write it without a passphrase: openssl pkey -in KEY -out NEW.",
        ),
        pem::Error::NoItemsFound if ["", "RSA ", "EC "].iter().any(|kind| {
            contains(format!("-----BEGIN {kind}PRIVATE KEY-----").as_bytes())
        }) =>
        {
            ConfigError::new(
                Input::Key,
                "The private key in it does not begin its line. Take away what stands before \"-----BEGIN\", such as quotes or spaces; BEGIN, \
                 the base64 and END need lines of their own.",
            )
        }
        pem::Error::NoItemsFound => {
            ConfigError::new(Input::Key, "There is no private key in it (no \"-----BEGIN PRIVATE KEY-----\").")
        }
        other => broken(Input::Key, pem, &other),
    })
}
