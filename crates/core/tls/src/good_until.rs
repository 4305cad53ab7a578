//! A session is not resumed for longer than the certificates are good that its peer has shown, since resuming shows none. Whoever
//! comes later shakes hands in full, and is judged by what it shows then.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, NamedGroup, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::Certificate;

/// The end of a session whose peer has shown no certificate: none, seconds since 1970.
pub(crate) const NO_END: u64 = u64::MAX;

thread_local! {
    /// Until when what the client has shown is good. Verifier and tickets are called from inside rustls' machine and are told of no
    /// connection; the session puts its own here before, and takes it back.
    static CLIENT: Cell<u64> = const { Cell::new(NO_END) };
}

pub(crate) fn client_until() -> u64 {
    CLIENT.get()
}

pub(crate) fn set_client_until(seconds: u64) {
    CLIENT.set(seconds);
}

/// The earliest end in a chain that was just verified; what cannot be read has ended.
fn earliest_end(end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>], now: UnixTime) -> u64 {
    let end = |der: &CertificateDer<'_>| Certificate::read(der).map_or(0, |certificate| certificate.not_after);
    // A way was found without those that have ended: many servers go on sending one that was signed by another authority.
    let others = intermediates.iter().map(end).filter(|end| *end >= now.as_secs());
    others.chain([end(end_entity)]).min().unwrap_or_default()
}

/// Judges clients as the one within does, and notes how long the verdict holds.
#[derive(Debug)]
pub(crate) struct ClientJudge(pub(crate) Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for ClientJudge {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.0.verify_client_cert(end_entity, intermediates, now)?;
        set_client_until(earliest_end(end_entity, intermediates, now));
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// How many sessions with servers are kept, as rustls counts them.
const KEPT: usize = 256;

/// The sessions with a server, until the first of the certificates ends that it has shown: then all are forgotten.
pub(crate) struct Kept {
    cache: ClientSessionMemoryCache,
    until: AtomicU64,
}

impl Kept {
    pub(crate) fn new() -> Kept {
        Kept { cache: ClientSessionMemoryCache::new(KEPT), until: AtomicU64::new(NO_END) }
    }

    /// The sessions that may be resumed.
    fn good(&self, server_name: &ServerName<'_>) -> &ClientSessionMemoryCache {
        let until = self.until.load(Relaxed);
        if until != NO_END && UnixTime::now().as_secs() > until {
            let name = server_name.to_owned();
            self.cache.remove_tls12_session(&name);
            while self.cache.take_tls13_ticket(&name).is_some() {}
            self.until.store(NO_END, Relaxed);
        }
        &self.cache
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

impl ClientSessionStore for Kept {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.cache.set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.cache.kx_hint(server_name)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.cache.set_tls12_session(server_name, value);
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.good(server_name).tls12_session(server_name)
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.cache.remove_tls12_session(server_name);
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.cache.insert_tls13_ticket(server_name, value);
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.good(server_name).take_tls13_ticket(server_name)
    }
}

/// Judges servers as the one within does, and has `kept` know how long the verdict holds.
#[derive(Debug)]
pub(crate) struct ServerJudge {
    pub(crate) within: Arc<dyn ServerCertVerifier>,
    pub(crate) kept: Arc<Kept>,
}

impl ServerCertVerifier for ServerJudge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.within.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        let end = earliest_end(end_entity, intermediates, now);
        self.kept.until.fetch_min(end, Relaxed);
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.within.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.within.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.within.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn ending(at: SystemTime) -> (CertificateDer<'static>, u64) {
        let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.not_after = at.into();
        let der = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().clone();
        let end = Certificate::read(&der).unwrap().not_after;
        (der, end)
    }

    #[test]
    fn the_first_end_counts_of_those_that_have_not_ended() {
        let now = UnixTime::now();
        let since = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let [far, soon, past] = [9, 2, -1].map(|hours: i64| since(now.as_secs().saturating_add_signed(3600 * hours)));
        let ((leaf, leaf_end), (sooner, soon), (over, _)) = (ending(far), ending(soon), ending(past));
        assert_eq!(earliest_end(&leaf, &[], now), leaf_end);
        assert_eq!(earliest_end(&leaf, &[sooner], now), soon);
        assert_eq!(earliest_end(&leaf, std::slice::from_ref(&over), now), leaf_end);
        assert!(earliest_end(&over, &[], now) < now.as_secs());
    }
}
