//! The keys of session tickets, derived from one secret, so that whoever has the secret takes everybody's tickets.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::rand;
use hmac::digest::zeroize::Zeroizing;
use rustls::server::ProducesTickets;
use rustls_pki_types::UnixTime;
use sha2::{Digest, Sha256};

use crate::good_until::{peer_until, set_peer_until};
use crate::identity::{ConfigError, Input};

/// How long one key seals. A ticket is taken while its key is the present one or the one before.
const PERIOD_SECONDS: u64 = 6 * 3600;

const SECRET_BYTES: usize = 32;

/// What ticket keys are derived from. One for all processes that a client may come back to, and nobody else's, since it opens
/// every ticket of its lifetime.
#[derive(Clone)]
pub struct Secret(Bytes);

/// In one place, however they are handed on, and wiped with it.
type Bytes = Box<Zeroizing<[u8; SECRET_BYTES]>>;

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new() -> Result<Secret, ConfigError> {
        let mut bytes = Bytes::default();
        let failed = "No keys for session tickets could be made: the system gives no random numbers.";
        rand::fill(&mut bytes[..]).map_err(|_| ConfigError::new(Input::Options, failed))?;
        Ok(Secret(bytes))
    }

    /// The one that is made from a text which nobody can guess: the same text, the same secret.
    pub fn from_text(text: &str) -> Secret {
        let mut bytes = Bytes::default();
        Sha256::new_with_prefix(text).finalize_into((&mut **bytes).into());
        Secret(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The keys that session tickets are sealed with. They change by themselves every six hours, by the clock, and a ticket is taken
/// for twelve at most. Tickets of the same secret and purpose are the same keys, in whichever worker or process.
#[derive(Clone, Debug)]
pub struct Tickets(Arc<Sealer>);

impl Tickets {
    /// The keys of `secret` for one purpose. A resumed session shows no certificate again: whatever clients are judged by belongs
    /// into `purpose`, so that a ticket does not outlive it.
    pub fn new(secret: &Secret, purpose: &[u8]) -> Tickets {
        let prk = Salt::new(HKDF_SHA256, b"tollgate session tickets").extract(&secret.0[..]);
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Tickets(Arc::new(Sealer { number, prk, format: FORMAT, purpose: purpose.into() }))
    }

    pub(crate) fn inner(&self) -> Arc<dyn ProducesTickets> {
        Arc::clone(&self.0) as Arc<dyn ProducesTickets>
    }
}

/// The number of what [`Sealer::seal`] lays out. It is part of what keys are derived from, so that no release opens a ticket that it would
/// read as something else: to be raised with every change there.
const FORMAT: u8 = 2;

struct Sealer {
    /// Tells this one from all others of the process.
    number: u64,
    prk: Prk,
    format: u8,
    purpose: Box<[u8]>,
}

/// The length of the period's number in front of a ticket, and of the end of the client's certificates before the state.
const NUMBER_LEN: usize = 8;

/// Keys of one thread, each with its sealer's number and its period.
type Kept = Vec<(u64, u64, Rc<RandomizedNonceKey>)>;

/// Deriving a key takes as long as sealing twice, so each thread keeps those that it used last.
const KEPT: usize = 8;

thread_local! {
    static KEPT_KEYS: RefCell<Kept> = const { RefCell::new(Vec::new()) };
}

impl Sealer {
    fn key(&self, period: u64) -> Option<Rc<RandomizedNonceKey>> {
        KEPT_KEYS.with_borrow_mut(|kept| {
            let known = kept.iter().find(|(number, of, _)| *number == self.number && *of == period);
            if let Some((_, _, key)) = known {
                return Some(Rc::clone(key));
            }
            let key = Rc::new(self.derive(period)?);
            kept.truncate(KEPT - 1);
            kept.insert(0, (self.number, period, Rc::clone(&key)));
            Some(key)
        })
    }

    fn derive(&self, period: u64) -> Option<RandomizedNonceKey> {
        struct Key;
        impl KeyType for Key {
            fn len(&self) -> usize {
                AES_256_GCM.key_len()
            }
        }
        let mut key = Zeroizing::new([0; SECRET_BYTES]);
        let (format, period) = ([self.format], period.to_be_bytes());
        let info = [&format[..], &period, &self.purpose];
        self.prk.expand(&info, Key).ok()?.fill(&mut key[..]).ok()?;
        RandomizedNonceKey::new(&AES_256_GCM, &key[..]).ok()
    }

    /// Number of the period, nonce, and sealed: until when it is good, the state, and a tag ([`FORMAT`]).
    fn seal(&self, state: &[u8], until: u64, now: u64) -> Option<Vec<u8>> {
        let period = now / PERIOD_SECONDS;
        let number = period.to_be_bytes();
        let mut sealed = [&until.to_be_bytes()[..], state].concat();
        let nonce = self.key(period)?.seal_in_place_append_tag(Aad::from(&number), &mut sealed).ok()?;
        Some([&number[..], nonce.as_ref(), &sealed].concat())
    }

    /// The state and until when it is good. None past that, when the client has to show its certificate again.
    fn open(&self, ticket: &[u8], now: u64) -> Option<(Vec<u8>, u64)> {
        let (number, rest) = ticket.split_first_chunk::<NUMBER_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let period = u64::from_be_bytes(*number);
        // The next one too: clocks of processes are read at different moments.
        if period.abs_diff(now / PERIOD_SECONDS) > 1 {
            return None;
        }
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.key(period)?.open_in_place(nonce, Aad::from(number), &mut sealed).ok()?.len();
        let (until, state) = sealed[..length].split_first_chunk::<NUMBER_LEN>()?;
        let until = u64::from_be_bytes(*until);
        (now <= until).then(|| (state.to_vec(), until))
    }
}

impl ProducesTickets for Sealer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        PERIOD_SECONDS as u32 * 2
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, peer_until(), UnixTime::now().as_secs())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (state, until) = self.open(cipher, UnixTime::now().as_secs())?;
        set_peer_until(until);
        Some(state)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(secret: &Secret, purpose: &[u8]) -> Arc<Sealer> {
        Tickets::new(secret, purpose).0
    }

    const NOW: u64 = 100 * PERIOD_SECONDS;

    /// What is in a ticket of a session without a certificate, at `now`.
    fn opened(sealer: &Sealer, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        sealer.open(ticket, now).map(|(state, _)| state)
    }

    #[test]
    fn who_has_the_secret_takes_the_ticket_in_its_period_and_the_next() {
        let secret = Secret::new().unwrap();
        let handed_over = secret.clone();
        let ticket = sealer(&secret, b"").seal(b"state", u64::MAX, NOW).unwrap();
        let other = sealer(&handed_over, b"");
        assert_eq!(opened(&other, &ticket, NOW).as_deref(), Some(&b"state"[..]));
        assert_eq!(opened(&other, &ticket, NOW + 2 * PERIOD_SECONDS - 1).as_deref(), Some(&b"state"[..]));
        assert_eq!(opened(&other, &ticket, NOW + 2 * PERIOD_SECONDS), None);
        assert_eq!(opened(&sealer(&Secret::new().unwrap(), b""), &ticket, NOW), None);
        assert_eq!(opened(&sealer(&secret, b"other clients"), &ticket, NOW), None);
    }

    #[test]
    fn a_ticket_ends_with_the_certificate_of_its_client() {
        let sealer = sealer(&Secret::new().unwrap(), b"");
        let ticket = sealer.seal(b"state", NOW + 10, NOW).unwrap();
        assert_eq!(sealer.open(&ticket, NOW + 10), Some((b"state".to_vec(), NOW + 10)));
        assert_eq!(sealer.open(&ticket, NOW + 11), None);
    }

    #[test]
    fn a_ticket_of_another_format_is_no_ticket() {
        let secret = Secret::new().unwrap();
        let other = Tickets::new(&secret, b"").0;
        let before = Sealer { format: FORMAT - 1, number: u64::MAX, prk: other.prk.clone(), purpose: Box::default() };
        let ticket = before.seal(b"state", u64::MAX, NOW).unwrap();
        assert!(opened(&before, &ticket, NOW).is_some() && opened(&other, &ticket, NOW).is_none());
    }

    #[test]
    fn the_same_text_is_the_same_secret() {
        let ticket =
            sealer(&Secret::from_text("a text that nobody can guess"), b"").seal(b"state", u64::MAX, NOW).unwrap();
        let open = |text: &str| opened(&sealer(&Secret::from_text(text), b""), &ticket, NOW);
        assert_eq!(open("a text that nobody can guess").as_deref(), Some(&b"state"[..]));
        assert_eq!(open("a text that nobody can guesS"), None);
    }

    #[test]
    fn a_secret_is_wiped() {
        fn is_wiped<T: hmac::digest::zeroize::ZeroizeOnDrop>(_: &T) {}
        is_wiped(&*Secret::new().unwrap().0);
    }

    #[test]
    fn no_cut_or_changed_ticket_is_taken() {
        let sealer = sealer(&Secret::new().unwrap(), b"");
        let ticket = sealer.seal(b"state", u64::MAX, NOW).unwrap();
        for cut in 0..ticket.len() {
            assert_eq!(sealer.open(&ticket[..cut], NOW), None);
        }
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(sealer.open(&changed, NOW), None, "{at}");
        }
    }
}
