//! What connecting out over TLS needs.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::SingleCertAndKey;
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::good_until::{Kept, ServerJudge};
use crate::identity::{ConfigError, Identity, Input};
use crate::server::{KeyExchange, Versions, root_store};

/// The authorities whose certificates are believed. Clones are the same.
#[derive(Clone, Debug)]
pub struct Roots(Arc<RootCertStore>);

impl Roots {
    /// The system's: what `SSL_CERT_FILE` and `SSL_CERT_DIR` name, else where the distributions keep them. Reads files, in
    /// some milliseconds; call it once, not on a worker. Certificates that cannot be read are left out.
    ///
    /// # Errors
    /// None were found.
    pub fn system() -> Result<Roots, ConfigError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map_or(String::new(), |e| format!(" ({e})"));
            return Err(ConfigError::new(
                Input::Authorities,
                format!("This system has no trusted authorities{why}. Install ca-certificates, or name a file."),
            ));
        }
        Ok(Roots(Arc::new(roots)))
    }

    /// Those in PEM text, and no others.
    ///
    /// # Errors
    /// No certificate, or one that cannot be an authority.
    pub fn from_pem(pem: &[u8]) -> Result<Roots, ConfigError> {
        root_store(pem).map(|roots| Roots(Arc::new(roots)))
    }

    /// A digest of them, in whatever order they were found.
    pub fn fingerprint(&self) -> String {
        let mut keys: Vec<Vec<u8>> = self
            .0
            .roots
            .iter()
            .map(|root| {
                [&root.subject[..], &root.subject_public_key_info, root.name_constraints.as_deref().unwrap_or(&[])]
                    .concat()
            })
            .collect();
        keys.sort_unstable();
        crate::fingerprint(&keys.concat())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none; never, by construction.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Clone, Debug)]
enum Verification {
    Roots(Roots),
    Nothing,
}

/// What a client's configuration is made from.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    verification: Verification,
    /// The certificate to show to a server that asks for one.
    pub identity: Option<Identity>,
    /// The protocols offered, the preferred first (ALPN).
    pub alpn: Vec<Vec<u8>>,
    /// Whether the server is told the name (SNI). Without it a server of many names shows its default certificate.
    pub sni: bool,
    /// Whether sessions are resumed. They are kept in this configuration, of 32 servers at most, under a lock that every
    /// handshake takes: give each worker a configuration of its own.
    pub resumption: bool,
    /// The versions spoken.
    pub versions: Versions,
    /// The key exchange groups.
    pub key_exchange: KeyExchange,
}

impl ClientOptions {
    /// Servers must show a certificate for their name from one of `roots`.
    pub fn new(roots: Roots) -> ClientOptions {
        ClientOptions {
            verification: Verification::Roots(roots),
            identity: None,
            alpn: Vec::new(),
            sni: true,
            resumption: true,
            versions: Versions::default(),
            key_exchange: KeyExchange::default(),
        }
    }

    /// Any certificate of any name is taken from whoever answers: **anybody on the way can read and change everything**.
    /// For measuring a server with a certificate of its own making (`--insecure`), and nothing else.
    pub fn insecure_without_verification() -> ClientOptions {
        let nothing = Roots(Arc::new(RootCertStore::empty()));
        ClientOptions { verification: Verification::Nothing, ..ClientOptions::new(nothing) }
    }
}

/// A connecting side of TLS; clones are the same, with the same kept sessions.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    inner: Arc<rustls::ClientConfig>,
}

impl ClientConfig {
    /// Builds it.
    ///
    /// # Errors
    /// Roots that nothing can be verified with.
    pub fn new(options: ClientOptions) -> Result<ClientConfig, ConfigError> {
        let provider = options.key_exchange.provider();
        let failed =
            |e: &dyn std::fmt::Display| ConfigError::new(Input::Options, format!("TLS cannot be set up: {e}."));
        let verifier: Arc<dyn ServerCertVerifier> = match options.verification {
            Verification::Roots(roots) => {
                let builder = WebPkiServerVerifier::builder_with_provider(roots.0, Arc::clone(&provider));
                let within = builder.build().map_err(|e| failed(&e))?;
                Arc::new(ServerJudge(within))
            }
            Verification::Nothing => Arc::new(Anybody(Arc::clone(&provider))),
        };
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(options.versions.list())
            .map_err(|e| failed(&e))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match options.identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.key))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = options.alpn;
        config.enable_sni = options.sni;
        config.resumption =
            if options.resumption { Resumption::store(Arc::new(Kept::default())) } else { Resumption::disabled() };
        Ok(ClientConfig { inner: Arc::new(config) })
    }

    pub(crate) fn inner(&self) -> &Arc<rustls::ClientConfig> {
        &self.inner
    }
}

/// The name or address of a server, as its certificate must carry it: `a.example`, `192.0.2.1`, `2001:db8::1`.
///
/// # Errors
/// It is neither.
pub fn server_name(text: &str) -> Result<ServerName<'static>, ConfigError> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    ServerName::try_from(bare.to_owned())
        .map_err(|_| ConfigError::new(Input::Name, format!("\"{text}\" is no host name and no address.")))
}

/// Takes every certificate. The server must still hold the key of the one that it shows.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
