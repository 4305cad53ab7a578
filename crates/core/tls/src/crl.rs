//! What a revocation list says about itself (RFC 5280 §5.1). It is verified where a certificate is judged by it.

use crate::certificate::{Certificate, day};
use crate::der::{self, Reader};
use crate::distinguished_name::name_text;

#[derive(Clone, Debug)]
pub(crate) struct List {
    issuer: String,
    issuer_der: Vec<u8>,
    /// When there was to be a newer one, seconds since 1970.
    next_update: Option<u64>,
}

impl List {
    /// Reads a list; `None` when it is none.
    pub(crate) fn read(der: &[u8]) -> Option<List> {
        let mut tbs = Reader(der).inside(der::SEQUENCE)?.inside(der::SEQUENCE)?;
        tbs.optional(0x02);
        tbs.expect(der::SEQUENCE)?;
        let issuer = tbs.expect(der::SEQUENCE)?;
        der::time(tbs.any()?)?;
        let next = tbs.optional(der::UTC_TIME).or_else(|| tbs.optional(der::GENERALIZED_TIME));
        let next_update = next.map(|next| der::time(next).ok_or(())).transpose().ok()?;
        Some(List { issuer: name_text(issuer.body)?, issuer_der: issuer.whole.to_vec(), next_update })
    }

    /// What an operator should know of it at `now`, where clients are judged by `authorities`.
    pub(crate) fn warnings(&self, authorities: &[Certificate], now: u64) -> Vec<String> {
        let mut warnings = Vec::new();
        let issuer = &self.issuer;
        if let Some(end) = self.next_update.filter(|end| *end < now) {
            warnings.push(format!(
                "The revocation list of {issuer} was to be renewed by {}: whoever was revoked since is let in. Fetch a new one.",
                day(end)
            ));
        }
        if !authorities.iter().any(|authority| authority.is_called(&self.issuer_der)) {
            warnings.push(format!(
                "The revocation list of {issuer} is of none of the authorities in client_ca: it counts only below an authority of \
                 that name which clients show themselves."
            ));
        }
        warnings
    }
}
