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
    /// These are in use from now on; each is listed once, the one that ends first in front.
    pub fn replace(&self, mut expiries: Vec<Expiry>) {
        expiries.sort_by(|a, b| (a.not_after, &a.name, &a.serial).cmp(&(b.not_after, &b.name, &b.serial)));
        expiries.dedup();
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
}
