//! What a listener speaks TLS with, made from the files that the plan names.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use config::{ClientAuth, ListenerTls, TicketSecret, TlsVersion};
use http1::Hsts;
use tls::{ConfigError, Identity, Input, Secret, ServerConfig, ServerOptions, Tickets, Versions, fingerprint};

use crate::facts::unix_now;

/// Where the workers find a listener's present TLS; empty: it is a plain one. The control thread and the watch over the
/// files write to it.
pub(crate) type Slot = Arc<ArcSwapOption<serve::Tls>>;

/// A slot for a new listener.
pub(crate) fn slot(front: Option<&Front>) -> Slot {
    Arc::new(ArcSwapOption::from_pointee(front.map(|front| front.tls.clone())))
}

/// A listener's TLS, and what it was made from.
pub(crate) struct Front {
    pub(crate) tls: serve::Tls,
    pub(crate) identities: Vec<Identity>,
    /// Its files as they were before they were read.
    pub(crate) stamps: Vec<Stamp>,
    /// What was done without, and what is to be known of the files about clients, in sentences; empty when the configuration was just
    /// read, which has said so.
    pub(crate) warnings: Vec<String>,
    plan: ListenerTls,
}

/// What the keys of session tickets are derived from where the configuration says nothing, for as long as this process runs:
/// tickets outlive reloads.
///
/// # Errors
/// In a sentence: the system gives no random numbers.
fn secret() -> Result<&'static Secret, String> {
    static SECRET: OnceLock<Secret> = OnceLock::new();
    if let Some(secret) = SECRET.get() {
        return Ok(secret);
    }
    let made = Secret::new().map_err(|e| e.sentence)?;
    Ok(SECRET.get_or_init(|| made))
}

/// What tells one state of a file from another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stamp {
    path: PathBuf,
    /// When it was changed, its size and number; none while it is not there.
    state: Option<(Option<SystemTime>, u64, u64)>,
}

impl Stamp {
    /// The same file now.
    pub(crate) fn again(&self) -> Stamp {
        Stamp::of(self.path.clone())
    }

    pub(crate) fn of(path: PathBuf) -> Stamp {
        use std::os::unix::fs::MetadataExt;
        // A link that leads elsewhere leads to another file.
        let state = fs::metadata(&path).ok().map(|m| (m.modified().ok(), m.len(), m.ino()));
        Stamp { path, state }
    }
}

impl Front {
    /// Reads the files.
    ///
    /// # Errors
    /// In a sentence, with the file.
    pub(crate) fn load(plan: &ListenerTls, handshake: Duration) -> Result<Front, String> {
        Front::read(plan, handshake, None)
    }

    /// `before` is what these files held last.
    fn read(plan: &ListenerTls, handshake: Duration, before: Option<&Front>) -> Result<Front, String> {
        let stamps = stamps(plan);
        let mut warnings = Vec::new();
        let mut identities = Vec::new();
        for files in &plan.certificates {
            let identity = identity(&files.cert, &files.key)?;
            identities.push(match &files.ocsp {
                None => identity,
                Some(path) => stapled(identity, path, before, &mut warnings)?,
            });
        }
        let authorities = match &plan.client_auth {
            ClientAuth::None => Vec::new(),
            ClientAuth::Request(path) | ClientAuth::Require(path) => read(path)?,
        };
        let revoked = plan.client_crl.as_deref().map(read).transpose()?;
        let client_auth = match &plan.client_auth {
            ClientAuth::None => None,
            ClientAuth::Request(path) | ClientAuth::Require(path) => {
                let required = matches!(plan.client_auth, ClientAuth::Require(_));
                let auth = tls::ClientAuth::new(&authorities, required, revoked.as_deref());
                let file = |input| if input == Input::Revocations { plan.client_crl.as_ref() } else { None };
                let auth = auth.map_err(|e| in_file(file(e.input).unwrap_or(path), &e))?;
                if before.is_some() {
                    warnings.extend(auth.warnings(unix_now()).into_iter().map(|(_, sentence)| sentence));
                }
                Some(auth)
            }
        };
        let judged_by = judged_by(&plan.client_auth, &authorities, revoked.as_deref());
        let config = ServerConfig::new(ServerOptions {
            identities: identities.clone(),
            // An old client that names its version is served as one that names nothing.
            alpn: vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()],
            versions: match plan.min_version {
                TlsVersion::V12 => Versions::From12,
                TlsVersion::V13 => Versions::Only13,
            },
            tickets: Some(match &plan.ticket_secret {
                Some(TicketSecret(text)) => Tickets::new(&Secret::from_text(text), &judged_by),
                None => Tickets::new(secret()?, &judged_by),
            }),
            client_auth,
            ..ServerOptions::default()
        });
        let config = config.map_err(|e| e.sentence)?;
        let hsts = plan.hsts.map(|hsts| Hsts {
            max_age_seconds: hsts.max_age.as_secs().min(u32::MAX.into()) as u32,
            include_subdomains: hsts.include_subdomains,
            preload: hsts.preload,
        });
        let tls = serve::Tls { config, handshake_timeout: handshake, hsts };
        Ok(Front { tls, identities, stamps, warnings, plan: plan.clone() })
    }

    /// The same from the files as they are now. A wrong OCSP response does not keep a new certificate back: the old one goes on
    /// where it is for the same certificate, and otherwise none is stapled.
    ///
    /// # Errors
    /// As for [`Front::load`].
    pub(crate) fn again(&self) -> Result<Front, String> {
        Front::read(&self.plan, self.tls.handshake_timeout, Some(self))
    }
}

/// A resumed session shows no certificate again: a ticket must not outlive what its client was judged by. Where the files lie
/// is no part of that, since programs that share a secret keep them in different places.
fn judged_by(mode: &ClientAuth, authorities: &[u8], revoked: Option<&[u8]>) -> Vec<u8> {
    let mode = match mode {
        ClientAuth::None => "none",
        ClientAuth::Request(_) => "request",
        ClientAuth::Require(_) => "require",
    };
    let revoked = revoked.map(fingerprint).unwrap_or_default();
    format!("{mode} {} {revoked}", fingerprint(authorities)).into_bytes()
}

fn stamps(plan: &ListenerTls) -> Vec<Stamp> {
    let files = plan.certificates.iter().flat_map(|files| [Some(&files.cert), Some(&files.key), files.ocsp.as_ref()]);
    let authorities = match &plan.client_auth {
        ClientAuth::None => None,
        ClientAuth::Request(path) | ClientAuth::Require(path) => Some(path),
    };
    let clients = [authorities, plan.client_crl.as_ref()];
    files.chain(clients).flatten().map(|path| Stamp::of(path.clone())).collect()
}

/// With what is stapled to it; see [`Front::again`].
fn stapled(
    identity: Identity,
    path: &Path,
    before: Option<&Front>,
    warnings: &mut Vec<String>,
) -> Result<Identity, String> {
    let response = read(path).and_then(|bytes| identity.clone().with_ocsp(bytes).map_err(|e| in_file(path, &e)));
    let (why, before) = match (response, before) {
        (Ok(stapled), _) => return Ok(stapled),
        (Err(why), None) => return Err(why),
        (Err(why), Some(before)) => (why, before),
    };
    let same = |known: &&Identity| known.certificate() == identity.certificate();
    let old = before.identities.iter().find(same).and_then(|known| known.ocsp().map(<[u8]>::to_vec));
    let stapled = old.and_then(|old| identity.clone().with_ocsp(old).ok());
    let what = match &stapled {
        Some(old) if old.stale_ocsp(unix_now()).is_some() => "and the old response has ended, so that none is stapled",
        Some(_) => "the old response goes on",
        None => "none is stapled",
    };
    warnings.push(format!("the OCSP response cannot be used, {what}: {why}"));
    Ok(stapled.unwrap_or(identity))
}

/// A certificate with its key.
///
/// # Errors
/// In a sentence, with the file.
pub(crate) fn identity(cert: &Path, key: &Path) -> Result<Identity, String> {
    let (chain, private) = (read(cert)?, read(key)?);
    Identity::from_pem(&chain, &private).map_err(|e| in_file(if e.input == Input::Key { key } else { cert }, &e))
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    config::read_small_file(path).map_err(|why| format!("{} cannot be read: {why}", path.display()))
}

pub(crate) fn in_file(path: &Path, error: &ConfigError) -> String {
    format!("{}: {error}", path.display())
}
