//! The hashes of a TLS 1.3 handshake: the transcript and the key schedule (RFC 8446 §4.4.1, §7.1; HKDF is RFC 5869).
//!
//! A handshake derives some twenty-five keys, most of them from three secrets. aws-lc-rs extracts a secret anew for each key that
//! is expanded from it, and allocates for each hash; here a secret is extracted once and kept as a keyed HMAC, by value. An
//! output that is a key stays in its [`CtOutput`], which wipes it when it is dropped.

use std::marker::PhantomData;
use std::sync::LazyLock;

use hmac::digest::{CtOutput, Digest};
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use rustls::crypto::CipherSuiteCommon;
use rustls::crypto::hash::{Context, Hash, HashAlgorithm, Output};
use rustls::crypto::hmac::Tag;
use rustls::crypto::tls13::{Hkdf, HkdfExpander, OkmBlock, OutputLengthError};
use rustls::{SupportedCipherSuite, Tls13CipherSuite};
use sha2::{Sha256, Sha384};

/// The same suite with these hashes where it is one of TLS 1.3.
pub(crate) fn quicker(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let ours = SUITES.iter().find(|(theirs, _)| *theirs == suite.suite());
    match (suite, ours) {
        (SupportedCipherSuite::Tls13(_), Some((_, ours))) => SupportedCipherSuite::Tls13(ours),
        _ => suite,
    }
}

static SUITES: LazyLock<Vec<(rustls::CipherSuite, Tls13CipherSuite)>> = LazyLock::new(|| {
    let all = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES.iter();
    all.filter_map(|suite| suite.tls13().map(|tls13| (suite.suite(), with_our_hashes(tls13)))).collect()
});

fn with_our_hashes(theirs: &Tls13CipherSuite) -> Tls13CipherSuite {
    let CipherSuiteCommon { suite, hash_provider, confidentiality_limit, .. } = theirs.common;
    let (hash_provider, hkdf_provider): (&'static dyn Hash, &'static dyn Hkdf) = match hash_provider.algorithm() {
        HashAlgorithm::SHA256 => (&SHA256, &SHA256),
        HashAlgorithm::SHA384 => (&SHA384, &SHA384),
        _ => (hash_provider, theirs.hkdf_provider),
    };
    let common = CipherSuiteCommon { suite, hash_provider, confidentiality_limit };
    Tls13CipherSuite { common, hkdf_provider, aead_alg: theirs.aead_alg, quic: None }
}

static SHA256: Hashes<Sha256> = Hashes(HashAlgorithm::SHA256, PhantomData);
static SHA384: Hashes<Sha384> = Hashes(HashAlgorithm::SHA384, PhantomData);

/// A hash, and HMAC and HKDF with it.
struct Hashes<D>(HashAlgorithm, PhantomData<fn() -> D>);

/// A hash that HMAC can be made of.
trait Hashing: Digest + EagerHash<Core: Send + Sync> + Clone + Send + Sync + 'static {}

impl<D: Digest + EagerHash<Core: Send + Sync> + Clone + Send + Sync + 'static> Hashing for D {}

impl<D: Hashing> Hash for Hashes<D> {
    fn start(&self) -> Box<dyn Context> {
        Box::new(Transcript(D::new()))
    }

    fn hash(&self, data: &[u8]) -> Output {
        Output::new(&D::digest(data))
    }

    fn output_len(&self) -> usize {
        <D as Digest>::output_size()
    }

    fn algorithm(&self) -> HashAlgorithm {
        self.0
    }
}

#[derive(Clone)]
struct Transcript<D>(D);

impl<D: Hashing> Context for Transcript<D> {
    fn fork_finish(&self) -> Output {
        Output::new(&self.0.clone().finalize())
    }

    fn fork(&self) -> Box<dyn Context> {
        Box::new(self.clone())
    }

    fn finish(self: Box<Self>) -> Output {
        Output::new(&self.0.finalize())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

/// As much as the longest hash gives.
const ZEROES: [u8; OkmBlock::MAX_LEN] = [0; OkmBlock::MAX_LEN];

impl<D: Hashing> Hkdf for Hashes<D> {
    fn extract_from_zero_ikm(&self, salt: Option<&[u8]>) -> Box<dyn HkdfExpander> {
        self.extract_from_secret(salt, &ZEROES[..self.output_len()])
    }

    fn extract_from_secret(&self, salt: Option<&[u8]>, secret: &[u8]) -> Box<dyn HkdfExpander> {
        // A key is filled up with zeros, so that none at all is one of zeros (RFC 5869 §2.2).
        let secret = keyed::<D>(salt.unwrap_or_default()).chain_update(secret).finalize();
        Box::new(Secret::<D>(keyed(secret.as_bytes())))
    }

    fn expander_for_okm(&self, okm: &OkmBlock) -> Box<dyn HkdfExpander> {
        Box::new(Secret::<D>(keyed(okm.as_ref())))
    }

    fn hmac_sign(&self, key: &OkmBlock, message: &[u8]) -> Tag {
        Tag::new(&keyed::<D>(key.as_ref()).chain_update(message).finalize().into_bytes())
    }
}

fn keyed<D: Hashing>(key: &[u8]) -> Hmac<D> {
    Hmac::<D>::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// A pseudorandom key, which keys are expanded from.
struct Secret<D: Hashing>(Hmac<D>);

impl<D: Hashing> Secret<D> {
    /// One block of what is expanded, from the one before it.
    fn block(&self, before: &[u8], info: &[&[u8]], number: u8) -> CtOutput<Hmac<D>> {
        let mut mac = self.0.clone();
        mac.update(before);
        info.iter().for_each(|piece| mac.update(piece));
        mac.update(&[number]);
        mac.finalize()
    }

    fn expand(&self, info: &[&[u8]], output: &mut [u8]) {
        let mut before: Option<CtOutput<Hmac<D>>> = None;
        for (part, number) in output.chunks_mut(<D as Digest>::output_size()).zip(1_u8..=255) {
            let block = self.block(before.as_ref().map_or(&[][..], |before| &before.as_bytes()[..]), info, number);
            part.copy_from_slice(&block.as_bytes()[..part.len()]);
            before = Some(block);
        }
    }
}

impl<D: Hashing> HkdfExpander for Secret<D> {
    fn expand_slice(&self, info: &[&[u8]], output: &mut [u8]) -> Result<(), OutputLengthError> {
        if output.len() > 255 * self.hash_len() {
            return Err(OutputLengthError);
        }
        self.expand(info, output);
        Ok(())
    }

    fn expand_block(&self, info: &[&[u8]]) -> OkmBlock {
        OkmBlock::new(self.block(&[], info, 1).as_bytes())
    }

    fn hash_len(&self) -> usize {
        <D as Digest>::output_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our suites beside those of the provider they are made of.
    fn pairs() -> Vec<(&'static Tls13CipherSuite, &'static Tls13CipherSuite)> {
        let all = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES.iter().filter(|suite| suite.tls13().is_some());
        let pairs: Vec<_> =
            all.map(|suite| (quicker(*suite).tls13().expect("still of 1.3"), suite.tls13().expect("is"))).collect();
        assert_eq!(pairs.len(), 3, "with AES-128, AES-256 and ChaCha20");
        pairs
    }

    #[test]
    fn all_that_is_derived_is_the_same() {
        for (ours, theirs) in pairs() {
            assert!(!std::ptr::eq(ours, theirs));
            let (ours, theirs) = (ours.hkdf_provider, theirs.hkdf_provider);
            let long = [7; 300];
            let salts: [Option<&[u8]>; 5] = [None, Some(&[]), Some(b"salt"), Some(&long[..128]), Some(&long)];
            for salt in salts {
                for (ours, theirs) in [
                    (ours.extract_from_zero_ikm(salt), theirs.extract_from_zero_ikm(salt)),
                    (ours.extract_from_secret(salt, b"secret"), theirs.extract_from_secret(salt, b"secret")),
                    (ours.extract_from_secret(salt, &long), theirs.extract_from_secret(salt, &long)),
                ] {
                    same(&*ours, &*theirs);
                }
            }
            let okm = OkmBlock::new(&long[..48]);
            same(&*ours.expander_for_okm(&okm), &*theirs.expander_for_okm(&okm));
            let tags = [ours, theirs].map(|hkdf| hkdf.hmac_sign(&okm, &long));
            assert_eq!(tags[0].as_ref(), tags[1].as_ref());
        }
    }

    fn same(ours: &dyn HkdfExpander, theirs: &dyn HkdfExpander) {
        assert_eq!(ours.hash_len(), theirs.hash_len());
        for info in [&[][..], &[b"one".as_slice()], &[&[1; 200], b"", b"two"]] {
            // 0 bytes to as much as there can be, whole blocks and not.
            for length in [0, 1, 12, 32, 48, 49, 96, 100, 255 * ours.hash_len()] {
                let (mut a, mut b) = (vec![0; length], vec![0; length]);
                ours.expand_slice(info, &mut a).unwrap_or_else(|_| panic!("{length} bytes"));
                theirs.expand_slice(info, &mut b).unwrap_or_else(|_| panic!("{length} bytes"));
                assert_eq!(a, b, "{length} bytes");
            }
            assert_eq!(ours.expand_block(info).as_ref(), theirs.expand_block(info).as_ref());
        }
        assert!(ours.expand_slice(&[], &mut vec![0; 255 * ours.hash_len() + 1]).is_err());
    }

    /// It depends on a feature of the hashes' crates.
    #[test]
    fn an_output_that_is_a_key_is_wiped() {
        fn is_wiped<T: hmac::digest::zeroize::ZeroizeOnDrop>(_: T) {}
        is_wiped(Secret::<Sha256>(keyed(b"key")).block(&[], &[], 1));
        is_wiped(Secret::<Sha384>(keyed(b"key")).block(&[], &[], 1));
    }

    #[test]
    fn transcripts_are_the_same() {
        for (ours, theirs) in pairs() {
            let [ours, theirs] = [ours, theirs].map(|suite| suite.common.hash_provider);
            assert_eq!((ours.output_len(), ours.algorithm()), (theirs.output_len(), theirs.algorithm()));
            assert_eq!(ours.hash(b"data").as_ref(), theirs.hash(b"data").as_ref());
            let [mut a, mut b] = [ours.start(), theirs.start()];
            for part in [&[1_u8; 10][..], &[2; 200], b""] {
                a.update(part);
                b.update(part);
                assert_eq!(a.fork_finish().as_ref(), b.fork_finish().as_ref());
            }
            let forks = [&a, &b].map(|context| {
                let mut fork = context.fork();
                fork.update(b"on its own");
                fork.finish()
            });
            assert_eq!(forks[0].as_ref(), forks[1].as_ref());
            assert_eq!(a.finish().as_ref(), b.finish().as_ref());
        }
    }

    #[test]
    fn suites_of_1_2_stay_as_they_are() {
        let all = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;
        let before = all.iter().filter(|suite| suite.tls13().is_none());
        assert!(before.clone().count() > 0);
        assert!(before.copied().all(|suite| quicker(suite) == suite));
    }
}
