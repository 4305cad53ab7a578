//! What a listener needs to speak TLS.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;

use crate::certificate::Certificate;
use crate::crl::List;
use crate::good_until::ClientJudge;
use crate::identity::{ConfigError, Identity, Input};
use crate::pem::{broken, certificates};
use crate::schedule;
use crate::sni::Names;
use crate::tickets::Tickets;

/// Which versions of TLS are spoken. Older ones than these do not exist here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// TLS 1.2 and 1.3.
    #[default]
    From12,
    /// TLS 1.3 only.
    Only13,
    /// TLS 1.2 only: for measuring and comparing.
    Only12,
}

impl Versions {
    pub(crate) fn list(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self {
            Versions::From12 => &BOTH,
            Versions::Only13 => &BOTH[..1],
            Versions::Only12 => &BOTH[1..],
        }
    }
}

/// Which key exchange groups are offered and taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyExchange {
    /// X25519MLKEM768 before X25519, P-256 and P-384: what is recorded today cannot be read by a quantum computer later.
    #[default]
    PostQuantumFirst,
    /// X25519, P-256 and P-384 only: cheaper, and what older peers are compared with.
    Classic,
    /// One group and no other: for measuring and comparing.
    Only(Group),
}

/// A key exchange group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// X25519MLKEM768.
    X25519MlKem768,
    /// X25519.
    X25519,
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
}

impl Group {
    /// By its name as OpenSSL and curl take it, in any case.
    pub fn of_name(name: &str) -> Option<Group> {
        let names = [
            ("X25519MLKEM768", Group::X25519MlKem768),
            ("X25519", Group::X25519),
            ("P-256", Group::P256),
            ("prime256v1", Group::P256),
            ("secp256r1", Group::P256),
            ("P-384", Group::P384),
            ("secp384r1", Group::P384),
        ];
        names.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, group)| *group)
    }
}

impl KeyExchange {
    pub(crate) fn provider(self) -> Arc<CryptoProvider> {
        let mut provider = default_provider();
        provider.cipher_suites.iter_mut().for_each(|suite| *suite = schedule::quicker(*suite));
        // A server lets the client's order count, so this is ours as a client: that of the browsers. AES-128 is no weaker in any way
        // that matters, a quarter quicker, and its SHA-256 has instructions of its own where SHA-384 has none.
        provider.cipher_suites.sort_by_key(|suite| match suite.suite() {
            CipherSuite::TLS13_AES_128_GCM_SHA256 => 0,
            CipherSuite::TLS13_AES_256_GCM_SHA384 => 1,
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => 2,
            _ => 3,
        });
        match self {
            KeyExchange::PostQuantumFirst => {}
            KeyExchange::Classic => {
                provider.kx_groups = vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
            }
            KeyExchange::Only(group) => {
                provider.kx_groups = vec![match group {
                    Group::X25519MlKem768 => kx_group::X25519MLKEM768,
                    Group::X25519 => kx_group::X25519,
                    Group::P256 => kx_group::SECP256R1,
                    Group::P384 => kx_group::SECP384R1,
                }];
            }
        }
        Arc::new(provider)
    }
}

/// The names of authorities are told to every client, so that it can choose a certificate. More than this would crowd the
/// handshake; then clients choose without.
const HINT_BYTES: usize = 8 << 10;

/// Whether clients must show who they are.
#[derive(Clone, Debug)]
pub struct ClientAuth {
    verifier: Arc<dyn ClientCertVerifier>,
    authorities: Vec<Certificate>,
    lists: Vec<List>,
}

impl ClientAuth {
    /// Clients' certificates must come from one of `authorities` (PEM). `required`: without one there is no connection;
    /// otherwise a client may leave it out. `revocations`: revocation lists (PEM), by which a client's certificate and those
    /// between it and the authority are then judged; one that no list covers is still good.
    ///
    /// # Errors
    /// What is wrong with either file.
    pub fn new(authorities: &[u8], required: bool, revocations: Option<&[u8]>) -> Result<ClientAuth, ConfigError> {
        let roots = root_store(authorities)?;
        let provider = KeyExchange::default().provider();
        let hints: usize = roots.subjects().iter().map(|name| name.as_ref().len()).sum();
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        if hints > HINT_BYTES {
            builder = builder.clear_root_hint_subjects();
        }
        if !required {
            builder = builder.allow_unauthenticated();
        }
        let mut lists = Vec::new();
        if let Some(pem) = revocations {
            let read: Vec<_> = CertificateRevocationListDer::pem_slice_iter(pem)
                .collect::<Result<_, _>>()
                .map_err(|e| broken(Input::Revocations, pem, &e))?;
            if read.is_empty() {
                return Err(ConfigError::new(
                    Input::Revocations,
                    "There is no revocation list in it (no \"-----BEGIN X509 CRL-----\").",
                ));
            }
            lists = read.iter().filter_map(|der| List::read(der)).collect();
            builder = builder.with_crls(read).allow_unknown_revocation_status();
        }
        let verifier = builder.build().map_err(|e| match e {
            VerifierBuilderError::InvalidCrl(e) => {
                ConfigError::new(Input::Revocations, format!("The revocation list cannot be used: {e:?}."))
            }
            other => ConfigError::new(Input::Authorities, format!("The authorities cannot be used: {other}.")),
        })?;
        let authorities = certificates(authorities, Input::Authorities)?;
        let authorities = authorities.iter().filter_map(|der| Certificate::read(der)).collect();
        Ok(ClientAuth { verifier: Arc::new(ClientJudge(verifier)), authorities, lists })
    }

    /// What an operator should know at `now` (seconds since 1970), as sentences about one of the files: an authority that is none or has
    /// expired, a revocation list that is out of date or of somebody else.
    pub fn warnings(&self, now: u64) -> Vec<(Input, String)> {
        let authorities = self.authorities.iter().flat_map(|authority| authority.warnings_as_authority(now));
        let lists = self.lists.iter().flat_map(|list| list.warnings(&self.authorities, now));
        authorities.map(|s| (Input::Authorities, s)).chain(lists.map(|s| (Input::Revocations, s))).collect()
    }
}

/// The trust anchors in PEM text.
pub(crate) fn root_store(pem: &[u8]) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    for (i, der) in certificates(pem, Input::Authorities)?.into_iter().enumerate() {
        roots.add(der).map_err(|e| {
            ConfigError::new(Input::Authorities, format!("Certificate {} of it cannot be an authority: {e}.", i + 1))
        })?;
    }
    Ok(roots)
}

/// What a server's configuration is made from.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// The certificates, chosen by the names they carry; the first is shown to clients that ask for none of them. Of those
    /// with the same name, a client gets the one whose signatures it can verify, ECDSA before RSA.
    pub identities: Vec<Identity>,
    /// The protocols spoken, the preferred first (ALPN). With none, whatever a client offers is left unanswered.
    pub alpn: Vec<Vec<u8>>,
    /// The versions spoken.
    pub versions: Versions,
    /// The key exchange groups.
    pub key_exchange: KeyExchange,
    /// The keys of session tickets; without them no session is resumed.
    pub tickets: Option<Tickets>,
    /// Whether clients must show certificates.
    pub client_auth: Option<ClientAuth>,
}

/// A listener's side of TLS, read-only; clones are the same. 0-RTT is off, since it can be replayed.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    inner: Arc<rustls::ServerConfig>,
}

impl ServerConfig {
    /// Builds it. Costs one pass over all certificates' names.
    ///
    /// # Errors
    /// No identity.
    pub fn new(options: ServerOptions) -> Result<ServerConfig, ConfigError> {
        if options.identities.is_empty() {
            return Err(ConfigError::new(Input::Options, "A TLS listener needs a certificate."));
        }
        let builder = rustls::ServerConfig::builder_with_provider(options.key_exchange.provider())
            .with_protocol_versions(options.versions.list())
            .map_err(|e| ConfigError::new(Input::Options, format!("TLS cannot be set up: {e}.")))?;
        let builder = match options.client_auth {
            Some(auth) => builder.with_client_cert_verifier(auth.verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Names::new(&options.identities)));
        config.alpn_protocols = options.alpn;
        // No session is kept here: that would be shared between workers, under a lock.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match options.tickets {
            Some(tickets) => config.ticketer = tickets.inner(),
            None => config.send_tls13_tickets = 0,
        }
        Ok(ServerConfig { inner: Arc::new(config) })
    }

    pub(crate) fn inner(&self) -> &Arc<rustls::ServerConfig> {
        &self.inner
    }
}
