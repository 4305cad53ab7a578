//! The watch over certificates: changed files are taken up by themselves, and who expires is named in time. Those of listeners are
//! changed here; those that servers are shown need the workers to change over, which is the control thread's to order.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use observe::{Expiries, Expiry};
use tls::{Identity, ShownTo};

use crate::facts::unix_now;
use crate::heap::Heap;
use crate::log::Log;
use crate::tls_back::Back;
use crate::tls_front::{Front, Slot, Stamp};

/// How often the files are looked at. A change is taken up when it has stood for one look, so that a certificate and its key
/// are not read between the writing of the one and of the other.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// So many certificates that are new at once are named one by one; of more only how many they are.
const NAMED: usize = 10;

/// All listeners that speak TLS, and the upstreams that are spoken to with it. Dropped, the watch ends.
pub(crate) struct Certificates {
    watched: Arc<Mutex<Vec<Watched>>>,
    /// What is in use, for whoever publishes metrics.
    expiries: Arc<Expiries>,
    log: Log,
    _ends: Sender<()>,
}

/// What certificates are watched for.
pub(crate) enum Use {
    /// A listener with its address, and where its workers find what it speaks TLS with.
    Listener { address: String, slot: Slot, front: Arc<Front> },
    /// An upstream.
    Upstream(Arc<Back>),
}

impl Certificates {
    /// Begins to watch, nothing yet, on a thread of its own; what is in use is listed in `expiries`. `renew` has what is spoken to
    /// servers made anew. Between its looks it has `heap` look too.
    pub(crate) fn new(
        expiries: Arc<Expiries>,
        mut heap: Heap,
        log: Log,
        renew: impl Fn() + Send + 'static,
    ) -> Certificates {
        let watched = Arc::new(Mutex::new(Vec::<Watched>::new()));
        let theirs = Arc::clone(&watched);
        let (published, heard) = (Arc::clone(&expiries), log.clone());
        let (ends, ended) = bounded::<()>(0);
        let watch = move || {
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                heap.look();
                let mut all = locked(&theirs);
                let news: Vec<News> = all.iter_mut().map(|watched| watched.look(unix_now(), &log)).collect();
                if news.contains(&News::TakenUp) {
                    publish(&all, &published);
                }
                drop(all);
                if news.contains(&News::Renew) {
                    renew();
                }
            }
        };
        // Without this thread certificates are read again by SIGHUP only.
        let _ = std::thread::Builder::new().name("certificates".into()).spawn(watch);
        Certificates { watched, expiries, log: heard, _ends: ends }
    }

    /// Has these listeners be plain and the others speak TLS as their fronts say, and watches over all of these files from now on.
    pub(crate) fn put(&self, plain: &[Slot], uses: Vec<Use>) {
        // The lock keeps a look that is under way from storing what it has read before.
        let mut watched = locked(&self.watched);
        plain.iter().for_each(|slot| slot.store(None));
        for one in &uses {
            if let Use::Listener { slot, front, .. } = one {
                slot.store(Some(Arc::new(front.tls.clone())));
            }
        }
        *watched = uses.into_iter().map(Watched::new).collect();
        let before = self.expiries.list();
        publish(&watched, &self.expiries);
        let mut new = self.expiries.list();
        new.retain(|one| !before.iter().any(|known| known.serial == one.serial && known.name == one.name));
        // Those near their end, or past it, have their warnings.
        new.retain(|one| days_left(one) > 30);
        if new.len() > NAMED {
            let (first, days) = (&new[0].name, days_left(&new[0]));
            let count = new.len();
            self.log.info(format_args!(
                "{count} certificates are good for {days} days or more, first of all that for {first}"
            ));
            return;
        }
        for one in &new {
            let (name, serial, days) = (&one.name, &one.serial, days_left(one));
            self.log.info(format_args!("the certificate for {name} is good for {days} days, serial {serial}"));
        }
    }
}

impl Certificates {
    /// Watches over these from now on in the place of the upstreams' before; listeners stay as they are.
    pub(crate) fn put_upstreams(&self, uses: impl Iterator<Item = Use>) {
        let mut watched = locked(&self.watched);
        watched.retain(|watched| matches!(watched.of, Use::Listener { .. }));
        watched.extend(uses.map(Watched::new));
        publish(&watched, &self.expiries);
    }
}

const DAY_SECONDS: u64 = 86_400;

fn days_left(expiry: &Expiry) -> u64 {
    expiry.not_after.saturating_sub(unix_now()) / DAY_SECONDS
}

fn publish(watched: &[Watched], expiries: &Expiries) {
    let all = watched.iter().flat_map(|watched| watched.of.identities()).map(|identity| {
        let certificate = identity.certificate();
        let name = certificate.title().to_owned();
        let (not_after, ocsp_until) = (identity.not_after(), identity.staple_until());
        Expiry { name, serial: certificate.serial.clone(), not_after, ocsp_until }
    });
    expiries.replace(all.collect());
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Watched {
    of: Use,
    /// The files as they were when they were read.
    taken: Vec<Stamp>,
    /// As they were at the last look.
    seen: Vec<Stamp>,
    /// By certificate: how near its end was said to be, and whether that its OCSP response is out of date.
    said: Vec<(Nearness, bool)>,
}

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Nothing,
    /// Other certificates of a listener were taken up.
    TakenUp,
    /// Files of an upstream have changed.
    Renew,
}

/// How near a certificate's end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Far,
    Days30,
    Days7,
    Days1,
    Over,
}

impl Nearness {
    fn of(identity: &Identity, now: u64) -> Nearness {
        match identity.days_left(now) {
            ..0 => Nearness::Over,
            0..=1 => Nearness::Days1,
            2..=7 => Nearness::Days7,
            8..=30 => Nearness::Days30,
            _ => Nearness::Far,
        }
    }
}

impl Use {
    fn identities(&self) -> &[Identity] {
        match self {
            Use::Listener { front, .. } => &front.identities,
            Use::Upstream(back) => back.identity().map(std::slice::from_ref).unwrap_or_default(),
        }
    }

    /// What an operator should know of one of them at `now`.
    fn warnings(&self, identity: &Identity, now: u64) -> Vec<String> {
        match self {
            Use::Listener { .. } => identity.warnings(now, ShownTo::Clients),
            Use::Upstream(back) => back.warnings(now),
        }
    }

    fn stamps(&self) -> &[Stamp] {
        match self {
            Use::Listener { front, .. } => &front.stamps,
            Use::Upstream(back) => &back.stamps,
        }
    }
}

impl Watched {
    /// What stands there already was said when the configuration was read.
    fn new(of: Use) -> Watched {
        let now = unix_now();
        let said = |identity: &Identity| (Nearness::of(identity, now), identity.stale_ocsp(now).is_some());
        let said = of.identities().iter().map(said).collect();
        Watched { taken: of.stamps().to_vec(), seen: of.stamps().to_vec(), of, said }
    }

    fn look(&mut self, now: u64, log: &Log) -> News {
        let stamps: Vec<Stamp> = self.of.stamps().iter().map(Stamp::again).collect();
        let mut news = News::Nothing;
        if stamps != self.taken && stamps == self.seen {
            self.taken.clone_from(&stamps);
            news = self.changed(log);
        }
        self.seen = stamps;
        for (identity, (said, said_stale)) in self.of.identities().iter().zip(&mut self.said) {
            let nearness = Nearness::of(identity, now);
            let stale = identity.stale_ocsp(now);
            if nearness > *said {
                *said = nearness;
                self.of.warnings(identity, now).iter().for_each(|sentence| log.warn(sentence));
            } else if let Some(sentence) = stale.as_ref().filter(|_| !*said_stale) {
                log.warn(sentence);
            }
            *said_stale = stale.is_some();
        }
        news
    }

    fn changed(&mut self, log: &Log) -> News {
        let Use::Listener { address, slot, front } = &mut self.of else { return News::Renew };
        match front.again() {
            Ok(read) => {
                slot.store(Some(Arc::new(read.tls.clone())));
                read.warnings.iter().for_each(|sentence| log.warn(sentence));
                let before: Vec<&str> = front.identities.iter().map(|i| &*i.certificate().serial).collect();
                let is_new = |i: &&Identity| !before.contains(&&*i.certificate().serial);
                say_taken_up(address, &read.identities.iter().filter(is_new).collect::<Vec<_>>(), log);
                // A certificate or response that was there before has had its warnings; of a new one they are said with this look.
                let is_old = |response: &[u8]| front.identities.iter().any(|known| known.ocsp() == Some(response));
                let said = |i: &Identity| match is_new(&i) {
                    true => (Nearness::Far, false),
                    false => (Nearness::of(i, unix_now()), i.ocsp().is_some_and(is_old)),
                };
                self.said = read.identities.iter().map(said).collect();
                self.taken.clone_from(&read.stamps);
                *front = Arc::new(read);
                News::TakenUp
            }
            Err(why) => {
                log.error(format_args!(
                    "the certificate files of the listener on {address} have changed, but the old ones go on: {why}"
                ));
                News::Nothing
            }
        }
    }
}

fn say_taken_up(address: &str, new: &[&Identity], log: &Log) {
    match new {
        [] => log.info(format_args!(
            "took up the changed files of the listener on {address}; its certificates are the same"
        )),
        many if many.len() > NAMED => {
            log.info(format_args!("took up {} changed certificates of the listener on {address}", many.len()))
        }
        few => {
            for certificate in few.iter().map(|identity| identity.certificate()) {
                let (title, days) = (certificate.title(), certificate.days_left(unix_now()));
                let serial = &certificate.serial;
                log.info(format_args!(
                    "took up the changed certificate of the listener on {address} for {title}: good for {days} days, serial {serial}"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_named_at_30_7_and_1_days_and_when_it_has_come() {
        let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let identity = Identity::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
        let end = identity.not_after();
        let before = |seconds: u64| Nearness::of(&identity, end - seconds);
        let day = 86_400;
        assert_eq!((before(365 * day), before(31 * day)), (Nearness::Far, Nearness::Far));
        assert_eq!((before(31 * day - 1), before(8 * day)), (Nearness::Days30, Nearness::Days30));
        assert_eq!((before(8 * day - 1), before(2 * day)), (Nearness::Days7, Nearness::Days7));
        assert_eq!((before(2 * day - 1), before(0)), (Nearness::Days1, Nearness::Days1));
        assert_eq!(Nearness::of(&identity, end + 1), Nearness::Over);
    }

    /// Whatever the time between two looks, each step is said once.
    #[test]
    fn the_watch_warns_at_each_of_them_once() {
        let folder = std::env::temp_dir().join(format!("tollgate-watch-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let (cert, key) = (folder.join("a.pem"), folder.join("a.key"));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let plan = config::ListenerTls {
            certificates: vec![config::CertificateFiles { cert, key, ocsp: None }],
            min_version: config::TlsVersion::V12,
            client_auth: config::ClientAuth::None,
            client_crl: None,
            hsts: None,
            ticket_secret: None,
        };
        let front = Front::load(&plan, Duration::from_secs(1)).unwrap();
        let end = front.identities[0].not_after();
        let (log, lines) = Log::kept();
        let slot = crate::tls_front::slot(Some(&front));
        let mut watched = Watched::new(Use::Listener { address: "here".to_owned(), slot, front: Arc::new(front) });
        let day = 86_400;
        let mut said_at = |days_before: u64| {
            assert_eq!(watched.look(end - days_before * day, &log), News::Nothing);
            lines.try_iter().collect::<Vec<_>>()
        };
        assert!(said_at(365).is_empty() && said_at(31).is_empty());
        for days in [30, 7, 1] {
            let said = said_at(days);
            let sentence = format!(
                " warn  The certificate for a.test expires on 4096-01-01 ({days} day{}).\n",
                if days == 1 { "" } else { "s" }
            );
            assert!(said.len() == 1 && said[0].ends_with(&sentence), "{said:?}");
            assert!(said_at(days).is_empty());
        }
        assert_eq!(watched.look(end + 1, &log), News::Nothing);
        let said: Vec<String> = lines.try_iter().collect();
        assert!(
            said.len() == 1 && said[0].contains(" warn  The certificate for a.test expired on 4096-01-01"),
            "{said:?}"
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
