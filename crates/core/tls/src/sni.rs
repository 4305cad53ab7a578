//! Which certificate a client is shown.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::UnixTime;

use crate::certificate::Certificate;
use crate::identity::Identity;

thread_local! {
    /// What the last hello on this thread asked for. rustls' unbuffered connection does not tell it, and calls the resolver
    /// from inside the machine's own call.
    static ASKED: RefCell<Option<Asked>> = const { RefCell::new(None) };
}

/// What a hello asked for, and got.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The name, in lower case.
    pub(crate) name: Option<Box<str>>,
    /// The certificate that was chosen.
    pub(crate) shown: Option<Arc<Certificate>>,
}

/// What the hello just processed on this thread asked for.
pub(crate) fn take_asked() -> Option<Asked> {
    ASKED.take()
}

/// A certificate with its key, for signing, and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    key: Arc<CertifiedKey>,
    leaf: Arc<Certificate>,
    /// Where the response that is stapled ends: until when it is good, and the same without it.
    staple: Option<(u64, Arc<CertifiedKey>)>,
}

impl Shown {
    /// What a client is shown at `now`: clients refuse a response that is out of date, and take none.
    pub(crate) fn key_at(&self, now: impl FnOnce() -> u64) -> &Arc<CertifiedKey> {
        match &self.staple {
            Some((until, without)) if *until < now() => without,
            _ => &self.key,
        }
    }
}

/// The certificates of one name, at most one for each kind of key; RSA last, since it is the dearest to sign with.
type Kinds = Vec<Shown>;

/// Certificates by name: the exact one, else the wildcard one, else the first of all. Two look-ups at most, however many
/// there are. Keys come from the operator, so that their hash needs no secret.
#[derive(Debug, Default)]
pub(crate) struct Names {
    exact: HashMap<Box<str>, Kinds, FixedState>,
    /// By what stands behind `*.`.
    wildcard: HashMap<Box<str>, Kinds, FixedState>,
    default: Kinds,
}

impl Names {
    /// Where two certificates of one kind name the same host, the first stands.
    pub(crate) fn new(identities: &[Identity]) -> Names {
        let mut names = Names::default();
        for identity in identities {
            for name in &identity.certificate().names {
                let (table, key) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut names.wildcard, parent),
                    None => (&mut names.exact, name.as_str()),
                };
                add(table.entry(key.into()).or_default(), &identity.shown());
            }
        }
        if let Some(first) = identities.first() {
            // With its siblings of other kinds, if there are.
            let siblings = first.certificate().names.first().and_then(|name| names.find(name));
            let siblings = siblings.cloned().unwrap_or_default();
            add(&mut names.default, &first.shown());
            siblings.iter().for_each(|sibling| add(&mut names.default, sibling));
        }
        names
    }

    fn find(&self, name: &str) -> Option<&Kinds> {
        let name_or_parent = name.strip_prefix("*.");
        if let Some(parent) = name_or_parent {
            return self.wildcard.get(parent);
        }
        let wildcard = || name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        self.exact.get(name).or_else(wildcard)
    }

    /// The certificate for `name` (in lower case) that a client of these signature schemes can verify.
    pub(crate) fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Shown> {
        let kinds = name.and_then(|name| self.find(name)).unwrap_or(&self.default);
        let fits = |shown: &&Shown| shown.key.key.choose_scheme(schemes).is_some();
        kinds.iter().find(fits).or(kinds.first())
    }
}

/// Which of `identities` are not shown for all of their names, since one before has the name and a key of the same kind; each by its
/// place, with a sentence.
pub fn never_shown(identities: &[Identity]) -> Vec<(usize, String)> {
    let mut owners: HashMap<&str, Vec<(SignatureAlgorithm, usize)>, FixedState> = HashMap::default();
    let mut never = Vec::new();
    for (place, identity) in identities.iter().enumerate() {
        let kind = identity.key.key.algorithm();
        let mut taken = Vec::new();
        for name in &identity.certificate().names {
            let owners = owners.entry(name).or_default();
            match owners.iter().find(|(of, owner)| *of == kind && *owner != place) {
                Some((_, owner)) => taken.push((name, *owner)),
                None => owners.push((kind, place)),
            }
        }
        let Some((name, owner)) = taken.first() else { continue };
        let more = match taken.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more of its names"),
        };
        never.push((place, format!(
            "The certificate is never shown for {name}{more}: certificate {} has the name and a key of the same kind. Take one of them out.",
            owner + 1
        )));
    }
    never
}

impl Identity {
    pub(crate) fn shown(&self) -> Shown {
        let staple = self.staple_until().map(|until| (until, Arc::clone(&self.unstapled)));
        Shown { key: Arc::clone(&self.key), leaf: Arc::clone(&self.leaf), staple }
    }
}

fn add(kinds: &mut Kinds, shown: &Shown) {
    let kind = |shown: &Shown| shown.key.key.algorithm();
    if kinds.iter().all(|k| kind(k) != kind(shown)) {
        kinds.push(shown.clone());
        kinds.sort_by_key(|k| kind(k) == SignatureAlgorithm::RSA);
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(|name| name.to_ascii_lowercase().into_boxed_str());
        let chosen = self.choose(name.as_deref(), hello.signature_schemes());
        let key = chosen.map(|shown| Arc::clone(shown.key_at(|| UnixTime::now().as_secs())));
        ASKED.set(Some(Asked { name, shown: chosen.map(|shown| Arc::clone(&shown.leaf)) }));
        key
    }
}
