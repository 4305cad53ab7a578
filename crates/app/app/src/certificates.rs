//! The watch over the listeners' certificates: changed files are taken up by themselves, and who expires is named in time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use observe::{Expiries, Expiry};
use tls::Identity;

use crate::facts::unix_now;
use crate::heap::Heap;
use crate::log::Log;
use crate::tls_front::{Front, Slot, Stamp};

/// How often the files are looked at. A change is taken up when it has stood for one look, so that a certificate and its key
/// are not read between the writing of the one and of the other.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// All listeners that speak TLS. Dropped, the watch ends.
pub(crate) struct Certificates {
    watched: Arc<Mutex<Vec<Watched>>>,
    /// What is in use, for whoever publishes metrics.
    expiries: Arc<Expiries>,
    log: Log,
    _ends: Sender<()>,
}

impl Certificates {
    /// Begins to watch, nothing yet, on a thread of its own; what is in use is listed in `expiries`. Between its looks it has `heap`
    /// look too.
    pub(crate) fn new(expiries: Arc<Expiries>, mut heap: Heap, log: Log) -> Certificates {
        let watched = Arc::new(Mutex::new(Vec::<Watched>::new()));
        let theirs = Arc::clone(&watched);
        let (published, heard) = (Arc::clone(&expiries), log.clone());
        let (ends, ended) = bounded::<()>(0);
        let watch = move || {
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                heap.look();
                let mut all = locked(&theirs);
                let mut changed = false;
                for watched in all.iter_mut() {
                    changed |= watched.look(unix_now(), &log);
                }
                if changed {
                    publish(&all, &published);
                }
            }
        };
        // Without this thread certificates are read again by SIGHUP only.
        let _ = std::thread::Builder::new().name("certificates".into()).spawn(watch);
        Certificates { watched, expiries, log: heard, _ends: ends }
    }

    /// Has each listener speak TLS as its front says, or plain, and watches over those from now on.
    pub(crate) fn put(&self, listeners: Vec<(Slot, Option<Arc<Front>>)>) {
        // The lock keeps a look that is under way from storing what it has read before.
        let mut watched = locked(&self.watched);
        for (slot, front) in &listeners {
            slot.store(front.as_ref().map(|front| Arc::new(front.tls.clone())));
        }
        let secure = listeners.into_iter().filter_map(|(slot, front)| Some(Watched::new(slot, front?)));
        *watched = secure.collect();
        let before = self.expiries.list();
        publish(&watched, &self.expiries);
        for Expiry { name, serial, not_after } in self.expiries.list() {
            let is_new = !before.iter().any(|known| known.serial == serial && known.name == name);
            // Those near their end, or past it, have their warnings.
            let days = not_after.saturating_sub(unix_now()) / DAY_SECONDS;
            if is_new && days > 30 {
                self.log.info(format_args!("the certificate for {name} is good for {days} days, serial {serial}"));
            }
        }
    }
}

const DAY_SECONDS: u64 = 86_400;

fn publish(watched: &[Watched], expiries: &Expiries) {
    let all = watched.iter().flat_map(|watched| &watched.front.identities).map(|identity| {
        let certificate = identity.certificate();
        let name = certificate.title().to_owned();
        Expiry { name, serial: certificate.serial.clone(), not_after: certificate.not_after }
    });
    expiries.replace(all.collect());
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Watched {
    slot: Slot,
    front: Arc<Front>,
    /// The files as they were when they were read.
    taken: Vec<Stamp>,
    /// As they were at the last look.
    seen: Vec<Stamp>,
    /// By certificate: how near its end was said to be.
    said: Vec<Nearness>,
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
        match identity.certificate().days_left(now) {
            ..0 => Nearness::Over,
            0..=1 => Nearness::Days1,
            2..=7 => Nearness::Days7,
            8..=30 => Nearness::Days30,
            _ => Nearness::Far,
        }
    }
}

impl Watched {
    /// What stands there already was said when the configuration was read.
    fn new(slot: Slot, front: Arc<Front>) -> Watched {
        let said = front.identities.iter().map(|identity| Nearness::of(identity, unix_now())).collect();
        Watched { slot, taken: front.stamps.clone(), seen: front.stamps.clone(), front, said }
    }

    /// Whether other certificates were taken up.
    fn look(&mut self, now: u64, log: &Log) -> bool {
        let mut changed = false;
        let stamps = self.front.stamps_now();
        if stamps != self.taken && stamps == self.seen {
            self.taken.clone_from(&stamps);
            changed = self.take_up(log);
        }
        self.seen = stamps;
        for (identity, said) in self.front.identities.iter().zip(&mut self.said) {
            let nearness = Nearness::of(identity, now);
            if nearness > *said {
                *said = nearness;
                identity.warnings(now).iter().for_each(|sentence| log.warn(sentence));
            }
        }
        changed
    }

    fn take_up(&mut self, log: &Log) -> bool {
        match self.front.again() {
            Ok(front) => {
                self.slot.store(Some(Arc::new(front.tls.clone())));
                for identity in &front.identities {
                    let certificate = identity.certificate();
                    log.info(format_args!(
                        "took up the changed certificate files of {}: good for {} days, serial {}",
                        certificate.title(),
                        certificate.days_left(unix_now()),
                        certificate.serial
                    ));
                    identity.warnings(unix_now()).iter().for_each(|sentence| log.warn(sentence));
                }
                self.taken.clone_from(&front.stamps);
                self.said = front.identities.iter().map(|i| Nearness::of(i, unix_now())).collect();
                self.front = Arc::new(front);
                true
            }
            Err(why) => {
                log.error(format_args!("certificate files have changed, but the old ones go on: {why}"));
                false
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
        let end = identity.certificate().not_after;
        let before = |seconds: u64| Nearness::of(&identity, end - seconds);
        let day = 86_400;
        assert_eq!((before(365 * day), before(31 * day)), (Nearness::Far, Nearness::Far));
        assert_eq!((before(31 * day - 1), before(8 * day)), (Nearness::Days30, Nearness::Days30));
        assert_eq!((before(8 * day - 1), before(2 * day)), (Nearness::Days7, Nearness::Days7));
        assert_eq!((before(2 * day - 1), before(0)), (Nearness::Days1, Nearness::Days1));
        assert_eq!(Nearness::of(&identity, end + 1), Nearness::Over);
        // Each of them comes with a sentence.
        for seconds in [30 * day, 7 * day, day] {
            assert_eq!(identity.warnings(end - seconds).len(), 1);
        }
    }
}
