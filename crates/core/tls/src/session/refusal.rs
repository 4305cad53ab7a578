//! How a session ends that has failed: with an alert that tells the peer why.

use buf::Shared;
use rustls::PeerIncompatible;

use super::{Session, Side};
use crate::error::Error;
use crate::step::{self, Sink};

/// The alert for who speaks only versions that are not spoken here, as a record (RFC 8446 §6): fatal, protocol_version.
const PROTOCOL_VERSION: [u8; 7] = [0x15, 3, 1, 0, 2, 2, 70];

impl Session {
    /// Keeps an error, and puts the alert that goes with it into the flight.
    pub(super) fn settle<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            self.failed = Some(error.clone());
            self.left = Shared::default();
            self.incoming.clear();
            if *error == too_old().blame(self.peer()) {
                self.refuse_version();
            } else {
                self.hand_over_alerts();
            }
        }
        result
    }

    /// While alerts wait rustls hands those out first, and looks at no input.
    fn hand_over_alerts(&mut self) {
        while self.common().wants_write() {
            let Session { side, flight, .. } = self;
            let (_, encoded) = match side {
                Side::Client(c) => step::take(c.process_tls_records(&mut []), flight, Sink::default()),
                Side::Server(s) => step::take(s.process_tls_records(&mut []), flight, Sink::default()),
            };
            if encoded.is_err() {
                break;
            }
        }
    }

    /// rustls has another alert for it.
    fn refuse_version(&mut self) {
        if let Some(room) = self.flight.room(PROTOCOL_VERSION.len()) {
            room[..PROTOCOL_VERSION.len()].copy_from_slice(&PROTOCOL_VERSION);
            self.flight.commit(PROTOCOL_VERSION.len());
        }
    }
}

/// Whether this begins a hello of a version before TLS 1.2 (RFC 5246 §7.4.1.2).
pub(super) fn is_old_hello(bytes: &[u8]) -> bool {
    const HANDSHAKE: u8 = 0x16;
    const CLIENT_HELLO: u8 = 1;
    const TLS12: u8 = 3;
    matches!(bytes, [HANDSHAKE, _, _, _, _, CLIENT_HELLO, _, _, _, 3, minor, ..] if *minor < TLS12)
}

/// What is wrong with such a hello is its version, though rustls first misses what came with TLS 1.2.
pub(super) fn for_its_version(error: Error) -> Error {
    let no_schemes = Error::unblamed(PeerIncompatible::SignatureAlgorithmsExtensionRequired.into());
    if error == no_schemes { too_old() } else { error }
}

fn too_old() -> Error {
    Error::unblamed(PeerIncompatible::Tls12NotOffered.into())
}
