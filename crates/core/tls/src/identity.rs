//! A certificate chain with its key, checked before anybody is served with it.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::certificate::{Certificate, day, days, days_between, is_signed_by};
use crate::ocsp::Response;
use crate::pem::{certificates, no_certificate, private_key};

/// Which input of a configuration a mistake is in, so that the caller can name the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The certificate chain.
    Certificate,
    /// The private key.
    Key,
    /// The authorities that peers' certificates are checked against.
    Authorities,
    /// The OCSP response.
    Ocsp,
    /// The revocation list.
    Revocations,
    /// A name to connect to.
    Name,
    /// The options as a whole.
    Options,
}

/// A mistake in what a configuration is built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where it is.
    pub input: Input,
    /// What it is, as a sentence, with what to do about it.
    pub sentence: String,
}

impl ConfigError {
    pub(crate) fn new(input: Input, sentence: impl Into<String>) -> ConfigError {
        ConfigError { input, sentence: sentence.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for ConfigError {}

/// Who is shown a certificate, in the sentences about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownTo {
    /// It is a listener's.
    Clients,
    /// It is shown to servers that ask who connects.
    Servers,
}

impl fmt::Display for ShownTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ShownTo::Clients => "clients",
            ShownTo::Servers => "servers",
        })
    }
}

/// More than this, a chain and its OCSP response, would not leave room for the rest of the handshake's flight.
const CHAIN_BYTES: usize = 48 << 10;

/// A certificate chain and the private key of its first certificate, and what is stapled to it. Clones share all.
#[derive(Clone, Debug)]
pub struct Identity {
    /// With the OCSP response, where there is one.
    pub(crate) key: Arc<CertifiedKey>,
    /// The same without it.
    pub(crate) unstapled: Arc<CertifiedKey>,
    pub(crate) leaf: Arc<Certificate>,
    /// The rest of the chain.
    issuers: Arc<[Certificate]>,
    /// Which of them, from 0, has not signed the one before it, though it bears the name of its issuer.
    stranger: Option<usize>,
    ocsp: Option<Arc<Response>>,
}

impl Identity {
    /// Reads a chain (the certificate itself, then each issuer in turn; the root may be left out) and its key, both in PEM.
    /// They may be one and the same file.
    ///
    /// # Errors
    /// No certificate, no key, an encrypted key, a key of another certificate, or a chain out of order. Expiry is no error:
    /// see [`Identity::warnings`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Identity, ConfigError> {
        let chain = certificates(chain, Input::Certificate)?;
        if chain.iter().map(|c| c.len()).sum::<usize>() > CHAIN_BYTES {
            return Err(ConfigError::new(Input::Certificate, "The certificate chain is larger than 48 KiB."));
        }
        let read = chain.iter().enumerate().map(|(i, der)| {
            let error = || {
                let number = i + 1;
                format!("Certificate {number} of the chain cannot be read: it is damaged, or no certificate. Put it in again from where it was issued.")
            };
            Certificate::read(der).ok_or_else(|| ConfigError::new(Input::Certificate, error()))
        });
        let read: Vec<Certificate> = read.collect::<Result<_, _>>()?;
        let key = private_key(key)?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = certified(&chain, &read, key, &provider)?;
        check_order(&read)?;
        let algorithms = &provider.signature_verification_algorithms;
        let stranger =
            (1..read.len()).find(|at| is_signed_by(&key.cert[at - 1], &read[*at], algorithms) == Some(false));
        let mut read = read.into_iter();
        let leaf = read.next().ok_or_else(|| no_certificate(Input::Certificate))?;
        let key = Arc::new(key);
        Ok(Identity {
            unstapled: Arc::clone(&key),
            key,
            leaf: Arc::new(leaf),
            issuers: read.collect(),
            stranger: stranger.map(|at| at - 1),
            ocsp: None,
        })
    }

    /// Adds an OCSP response (DER), stapled to every full handshake. Its signature is not verified.
    ///
    /// # Errors
    /// It is none, it is an error itself, it is about another certificate, or it leaves no room for the chain. That it is out of date
    /// is no error: see [`Identity::warnings`].
    pub fn with_ocsp(mut self, response: Vec<u8>) -> Result<Identity, ConfigError> {
        let wrong = |sentence: String| ConfigError::new(Input::Ocsp, sentence);
        let read = Response::read(&response, &self.leaf).map_err(wrong)?;
        let mut key = CertifiedKey::clone(&self.unstapled);
        if key.cert.iter().map(|c| c.len()).sum::<usize>() + response.len() > CHAIN_BYTES {
            return Err(wrong("The OCSP response and the certificate chain are larger than 48 KiB together.".into()));
        }
        key.ocsp = Some(response);
        self.key = Arc::new(key);
        self.ocsp = Some(Arc::new(read));
        Ok(self)
    }

    /// The OCSP response that is stapled, until it ends.
    pub fn ocsp(&self) -> Option<&[u8]> {
        self.key.ocsp.as_deref()
    }

    /// Until when that is, seconds since 1970, where the response says it.
    pub fn staple_until(&self) -> Option<u64> {
        self.ocsp.as_ref()?.next_update
    }

    /// What is to be known of the response at `now` where it is out of date: a sentence.
    pub fn stale_ocsp(&self, now: u64) -> Option<String> {
        self.ocsp.as_ref()?.too_old(self.leaf.title(), now)
    }

    /// What the certificate says.
    pub fn certificate(&self) -> &Certificate {
        &self.leaf
    }

    /// Until when clients can believe it, seconds since 1970: the earliest end in the chain. A root in it does not count, since clients
    /// have their own.
    pub fn not_after(&self) -> u64 {
        let issuers = self.issuers.iter().filter(|issuer| !issuer.is_root()).map(|issuer| issuer.not_after);
        issuers.fold(self.leaf.not_after, u64::min)
    }

    /// Days until then; negative when it has come.
    pub fn days_left(&self, now: u64) -> i64 {
        days_between(now, self.not_after())
    }

    /// What an operator should know at `now` (seconds since 1970) of a certificate that is shown to such peers, as sentences: it has
    /// expired, expires within 30 days, is not valid yet, or names nothing, and the same of its issuers; what is stapled to it is out of
    /// date, or says that it was revoked.
    pub fn warnings(&self, now: u64, to: ShownTo) -> Vec<String> {
        let leaf = &self.leaf;
        let title = leaf.title();
        let mut warnings = Vec::new();
        match leaf.days_left(now) {
            left if left < 0 => warnings.push(format!(
                "The certificate for {title} expired on {}: {to} will refuse it. Replace it.",
                day(leaf.not_after)
            )),
            left @ 0..=30 => {
                let (end, left) = (day(leaf.not_after), days(left));
                warnings.push(format!("The certificate for {title} expires on {end} ({left})."));
            }
            _ => {}
        }
        if now < leaf.not_before {
            warnings.push(format!(
                "The certificate for {title} is valid from {} on only: {to} will refuse it until then.",
                day(leaf.not_before)
            ));
        }
        // Of a client's certificate it is the subject that counts.
        if leaf.names.is_empty() && to == ShownTo::Clients {
            warnings.push(format!(
                "The certificate of {} names no host (subject alternative name): clients will refuse it.",
                leaf.subject
            ));
        }
        self.warn_of_issuers(now, to, &mut warnings);
        warnings.extend(self.ocsp.iter().flat_map(|response| response.warnings(title, now)));
        warnings
    }
}

impl Identity {
    fn warn_of_issuers(&self, now: u64, to: ShownTo, warnings: &mut Vec<String>) {
        let title = self.leaf.title();
        for (i, issuer) in self.issuers.iter().enumerate() {
            let which = format!("Certificate {} of the chain for {title} ({})", i + 2, issuer.subject);
            if self.stranger == Some(i) {
                warnings.push(format!(
                    "{which} has not signed the one before it, though it bears its issuer's name: {to} may refuse the chain. Look for \
                     the issuer's present certificate."
                ));
            }
            if issuer.is_root() {
                continue;
            }
            match issuer.days_left(now) {
                left if left < 0 => warnings.push(format!(
                    "{which} expired on {}: {to} may refuse the chain. Replace it.",
                    day(issuer.not_after)
                )),
                left @ 0..=30 => {
                    warnings.push(format!("{which} expires on {} ({}).", day(issuer.not_after), days(left)));
                }
                _ => {}
            }
        }
    }
}

fn certified(
    chain: &[CertificateDer<'static>],
    read: &[Certificate],
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, ConfigError> {
    let key = provider.key_provider.load_private_key(key).map_err(|_| {
        ConfigError::new(
            Input::Key,
            "The private key is of no kind that can be used (RSA from 2048 bits, ECDSA, Ed25519).",
        )
    })?;
    if let Some(public) = key.public_key() {
        match read.iter().position(|c| c.public_key == public.as_ref()) {
            Some(0) => {}
            Some(at) => {
                return Err(ConfigError::new(
                    Input::Certificate,
                    format!(
                        "The private key belongs to certificate {} of the chain ({}), which must stand first.",
                        at + 1,
                        read[at].title()
                    ),
                ));
            }
            None => {
                let title = read.first().map_or("", |leaf| leaf.title());
                return Err(ConfigError::new(
                    Input::Key,
                    format!("The private key does not belong to the certificate for {title}."),
                ));
            }
        }
    }
    Ok(CertifiedKey::new(chain.to_vec(), key))
}

fn check_order(chain: &[Certificate]) -> Result<(), ConfigError> {
    for (i, pair) in chain.windows(2).enumerate() {
        if !pair[0].is_issued_by(&pair[1]) {
            return Err(ConfigError::new(
                Input::Certificate,
                format!(
                    "The chain is out of order: certificate {} ({}) was issued by {}, and certificate {} is {}.",
                    i + 1,
                    pair[0].title(),
                    pair[0].issuer,
                    i + 2,
                    pair[1].subject
                ),
            ));
        }
    }
    Ok(())
}
