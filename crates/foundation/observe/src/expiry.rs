//! Until when certificates are good.

use std::sync::{Mutex, PoisonError};

/// A certificate that is in use, and its end: a gauge for whoever publishes metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The first name that it is for.
    pub name: String,
    /// Its serial number, in hexadecimal digits.
    pub serial: String,
    /// Until when it is good, seconds since 1970.
    pub not_after: u64,
    /// Until when the OCSP response that is stapled to it is good, where there is one that says so.
    pub ocsp_until: Option<u64>,
}

/// The certificates of a process. Written when they change, read when somebody asks; no request looks at it.
#[derive(Debug, Default)]
pub struct Expiries(Mutex<Vec<Expiry>>);

impl Expiries {
    /// These are in use from now on; each is listed once, the one that ends first in front. Where one is used with several responses, or
    /// with and without, the response that ends first counts.
    pub fn replace(&self, mut expiries: Vec<Expiry>) {
        expiries.sort_by(|a, b| (a.not_after, &a.name, &a.serial).cmp(&(b.not_after, &b.name, &b.serial)));
        expiries.dedup_by(|next, kept| {
            let same = (next.not_after, &next.name, &next.serial) == (kept.not_after, &kept.name, &kept.serial);
            if same {
                kept.ocsp_until = [kept.ocsp_until, next.ocsp_until].into_iter().flatten().min();
            }
            same
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = expiries;
    }

    /// Those that are in use.
    pub fn list(&self) -> Vec<Expiry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_listed_once_the_nearest_end_first() {
        let expiry =
            |name: &str, not_after| Expiry { name: name.into(), serial: "1".into(), not_after, ocsp_until: None };
        let expiries = Expiries::default();
        expiries.replace(vec![expiry("late", 9), expiry("soon", 3), expiry("late", 9)]);
        assert_eq!(expiries.list(), [expiry("soon", 3), expiry("late", 9)]);
        expiries.replace(Vec::new());
        assert!(expiries.list().is_empty());
    }

    #[test]
    fn one_with_several_responses_is_listed_once_with_the_nearest_end() {
        let expiry = |ocsp_until| Expiry { name: "a".into(), serial: "1".into(), not_after: 9, ocsp_until };
        let expiries = Expiries::default();
        for (used, nearest) in [
            (vec![None, Some(5)], Some(5)),
            (vec![Some(5), None], Some(5)),
            (vec![Some(7), None, Some(5), Some(6)], Some(5)),
            (vec![None, None], None),
        ] {
            expiries.replace(used.into_iter().map(expiry).collect());
            assert_eq!(expiries.list(), [expiry(nearest)]);
        }
    }
}
