//! A session is not resumed for longer than the certificates are good that its peer has shown, since resuming shows none. Whoever
//! comes later shakes hands in full, and is judged by what it shows then.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, NamedGroup, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::Certificate;

/// The end of a session whose peer has shown no certificate: none, seconds since 1970.
pub(crate) const NO_END: u64 = u64::MAX;

thread_local! {
    /// Until when what the peer has shown is good. Verifiers, tickets and kept sessions are called from inside rustls' machine and are
    /// told of no connection; the session puts its own here before, and takes it back.
    static PEER: Cell<u64> = const { Cell::new(NO_END) };
}

pub(crate) fn peer_until() -> u64 {
    PEER.get()
}

pub(crate) fn set_peer_until(seconds: u64) {
    PEER.set(seconds);
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
        set_peer_until(earliest_end(end_entity, intermediates, now));
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

#[expect(
    clippy::disallowed_types,
    reason = "rustls asks for a store that threads could share, and its own has such a lock"
)]
type Locked<T> = std::sync::Mutex<T>;

/// Servers that sessions are kept with, and TLS 1.3 tickets of each.
const SERVERS: usize = 32;
const TICKETS: usize = 8;

/// The sessions with servers. Each is kept with the end of what its server had shown when it began, and is not resumed past that,
/// whatever the server has shown since: tickets come as long as a connection is open.
#[derive(Default)]
pub(crate) struct Kept(Locked<VecDeque<(ServerName<'static>, Sessions)>>);

#[derive(Default)]
struct Sessions {
    group: Option<NamedGroup>,
    tls12: Option<(Tls12ClientSessionValue, u64)>,
    /// The latest last.
    tls13: VecDeque<(Tls13ClientSessionValue, u64)>,
}

impl Kept {
    /// What `find` finds of those with a server; the default where there are none.
    fn with<T: Default>(&self, name: &ServerName<'_>, find: impl FnOnce(&mut Sessions) -> T) -> T {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        servers.iter_mut().find(|(other, _)| other == name).map_or_else(T::default, |(_, sessions)| find(sessions))
    }

    /// Has `keep` add to those with a server. The server that came first makes room for another one.
    fn edit(&self, name: ServerName<'static>, keep: impl FnOnce(&mut Sessions)) {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = servers.iter().position(|(other, _)| *other == name).unwrap_or_else(|| {
            if servers.len() == SERVERS {
                servers.pop_front();
            }
            servers.push_back((name, Sessions::default()));
            servers.len() - 1
        });
        keep(&mut servers[place].1);
    }
}

/// The session that is about to be resumed, unless what its server had shown has ended. What comes of it ends no later.
fn still_good<T>((session, until): (T, u64)) -> Option<T> {
    let good = UnixTime::now().as_secs() <= until;
    good.then(|| {
        set_peer_until(until);
        session
    })
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

impl ClientSessionStore for Kept {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.edit(server_name, |sessions| sessions.group = Some(group));
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.with(server_name, |sessions| sessions.group)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.edit(server_name, |sessions| sessions.tls12 = Some((value, peer_until())));
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.with(server_name, |sessions| {
            let good = sessions.tls12.clone().and_then(still_good);
            if good.is_none() {
                sessions.tls12 = None;
            }
            good
        })
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.with(server_name, |sessions| sessions.tls12 = None);
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.edit(server_name, |sessions| {
            if sessions.tls13.len() == TICKETS {
                sessions.tls13.pop_front();
            }
            sessions.tls13.push_back((value, peer_until()));
        });
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.with(server_name, |sessions| std::iter::from_fn(|| sessions.tls13.pop_back()).find_map(still_good))
    }
}

/// Judges servers as the one within does, and notes how long the verdict holds.
#[derive(Debug)]
pub(crate) struct ServerJudge(pub(crate) Arc<dyn ServerCertVerifier>);

impl ServerCertVerifier for ServerJudge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        set_peer_until(earliest_end(end_entity, intermediates, now));
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
