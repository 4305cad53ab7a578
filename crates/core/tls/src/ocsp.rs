//! What an OCSP response says (RFC 6960), as far as stapling the right one takes. Its signature is the client's to verify.

use crate::certificate::{Certificate, day, hex};
use crate::der::{self, Reader};

/// What a response says of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    status: Status,
    /// Until when it is good, seconds since 1970; none: there may be a newer one at any time.
    pub(crate) next_update: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Good,
    Revoked,
    Unknown,
}

const ENUMERATED: u8 = 0x0a;
const OCTET_STRING: u8 = 0x04;
const INTEGER: u8 = 0x02;
/// The tags of `[0]` and `[1]` around other items.
const TAG_0: u8 = 0xa0;
const TAG_1: u8 = 0xa1;
const TAG_2: u8 = 0xa2;
/// id-pkix-ocsp-basic, 1.3.6.1.5.5.7.48.1.1.
const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];

impl Response {
    /// Reads the response for `certificate`.
    ///
    /// # Errors
    /// In a sentence: it is none, it says that there is no answer, or it is about other certificates.
    pub(crate) fn read(bytes: &[u8], certificate: &Certificate) -> Result<Response, String> {
        let none = || "It is no OCSP response in DER, such as openssl ocsp -respout writes it.".to_owned();
        let mut file = Reader(bytes);
        let mut response = file.inside(der::SEQUENCE).ok_or_else(none)?;
        if !file.is_empty() {
            return Err("There is something behind the OCSP response in it.".to_owned());
        }
        let &[status] = response.expect(ENUMERATED).ok_or_else(none)?.body else { return Err(none()) };
        if status != 0 {
            return Err(format!("The OCSP response is no answer but says \"{}\".", refusal(status)));
        }
        let mut others = Vec::new();
        let found = find(response, certificate, &mut others).ok_or_else(none)?;
        found.ok_or_else(|| {
            let (title, serial) = (certificate.title(), &certificate.serial);
            let others = others.join(", ");
            format!("The OCSP response is not about the certificate for {title}, serial {serial}, but about serial {others}.")
        })
    }

    /// What an operator should know of it at `now`, as sentences.
    pub(crate) fn warnings(&self, title: &str, now: u64) -> Vec<String> {
        let mut warnings = Vec::new();
        match self.status {
            Status::Good => {}
            Status::Revoked => warnings.push(format!(
                "The OCSP response says that the certificate for {title} was revoked: clients will refuse it. Replace both."
            )),
            Status::Unknown => warnings.push(format!(
                "The OCSP response says that its sender does not know the certificate for {title}: clients may refuse it."
            )),
        }
        warnings.extend(self.too_old(title, now));
        warnings
    }

    /// What is to be known where it is out of date.
    pub(crate) fn too_old(&self, title: &str, now: u64) -> Option<String> {
        let end = self.next_update.filter(|end| *end < now)?;
        let end = day(end);
        Some(format!(
            "The OCSP response for {title} was good until {end} and is not stapled any more. Fetch a new one."
        ))
    }
}

/// The response for `certificate` within a successful one; the serial numbers that it is about instead go to `others`. None: it
/// cannot be read.
fn find(mut response: Reader<'_>, certificate: &Certificate, others: &mut Vec<String>) -> Option<Option<Response>> {
    let mut bytes = response.inside(TAG_0)?.inside(der::SEQUENCE)?;
    if bytes.expect(der::OID)?.body != BASIC {
        return None;
    }
    let mut basic = Reader(bytes.expect(OCTET_STRING)?.body).inside(der::SEQUENCE)?;
    let mut data = basic.inside(der::SEQUENCE)?;
    // Its algorithm and the signature itself.
    basic.expect(der::SEQUENCE)?;
    basic.expect(der::BIT_STRING)?;
    data.optional(TAG_0);
    // Who responds, by name or by key.
    data.any().filter(|responder| matches!(responder.tag, TAG_1 | TAG_2))?;
    data.expect(der::GENERALIZED_TIME)?;
    let mut all = data.inside(der::SEQUENCE)?;
    while !all.is_empty() {
        let mut single = all.inside(der::SEQUENCE)?;
        let mut id = single.inside(der::SEQUENCE)?;
        id.expect(der::SEQUENCE)?;
        id.expect(OCTET_STRING)?;
        id.expect(OCTET_STRING)?;
        let serial = hex(id.expect(INTEGER)?.body);
        let status = match single.any()?.tag {
            0x80 => Status::Good,
            TAG_1 => Status::Revoked,
            0x82 => Status::Unknown,
            _ => return None,
        };
        single.expect(der::GENERALIZED_TIME)?;
        let next_update = match single.inside_optional(TAG_0) {
            Some(mut next) => Some(der::time(next.expect(der::GENERALIZED_TIME)?)?),
            None => None,
        };
        if serial == certificate.serial {
            return Some(Some(Response { status, next_update }));
        }
        others.push(serial);
    }
    Some(None)
}

/// The names that RFC 6960 §4.2.1 gives.
fn refusal(status: u8) -> &'static str {
    match status {
        1 => "malformedRequest",
        2 => "internalError",
        3 => "tryLater",
        5 => "sigRequired",
        6 => "unauthorized",
        _ => "an unknown error",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::identity::Identity;

    fn item(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &length[..], &body].concat()
    }

    fn certificate() -> Certificate {
        let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        Certificate::read(made.cert.der()).unwrap()
    }

    fn bytes(serial: &str) -> Vec<u8> {
        (0..serial.len()).step_by(2).map(|at| u8::from_str_radix(&serial[at..at + 2], 16).unwrap()).collect()
    }

    /// A response about these serial numbers, of one status each.
    fn response(about: &[(&str, &[u8])]) -> Vec<u8> {
        let time = item(der::GENERALIZED_TIME, &[b"20250102030405Z"]);
        let singles: Vec<Vec<u8>> = about
            .iter()
            .map(|(serial, status)| {
                let id =
                    [item(der::SEQUENCE, &[]), item(4, &[b"name"]), item(4, &[b"key"]), item(2, &[&bytes(serial)])];
                let id = item(der::SEQUENCE, &[&id.concat()]);
                item(der::SEQUENCE, &[&id, status, &time, &item(TAG_0, &[&time])])
            })
            .collect();
        let responder = item(TAG_2, &[&item(4, &[b"key"])]);
        let data = item(der::SEQUENCE, &[&responder, &time, &item(der::SEQUENCE, &[&singles.concat()])]);
        let basic = item(der::SEQUENCE, &[&data, &item(der::SEQUENCE, &[]), &item(3, &[b"\0signature"])]);
        let basic = item(der::SEQUENCE, &[&item(der::OID, &[BASIC]), &item(4, &[&basic])]);
        item(der::SEQUENCE, &[&[ENUMERATED, 1, 0], &item(TAG_0, &[&basic])])
    }

    const GOOD: &[u8] = &[0x80, 0];

    /// Its nextUpdate is 2025-01-02.
    #[test]
    fn a_response_is_stapled_until_it_ends() {
        const END: u64 = 1_735_787_045;
        let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        let identity =
            Identity::from_pem(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes()).unwrap();
        assert!(identity.shown().key_at(|| END).ocsp.is_none() && identity.staple_until().is_none());
        let good = response(&[(&identity.certificate().serial, GOOD)]);
        let identity = identity.with_ocsp(good.clone()).unwrap();
        let shown = identity.shown();
        assert_eq!(shown.key_at(|| END).ocsp.as_ref(), Some(&good));
        let without = shown.key_at(|| END + 1);
        assert!(without.ocsp.is_none() && without.cert == shown.key_at(|| END).cert);
        // Neither is copied for each name that the certificate is for.
        let again = identity.shown();
        assert!([END, END + 1].iter().all(|now| Arc::ptr_eq(shown.key_at(|| *now), again.key_at(|| *now))));
        assert_eq!((identity.stale_ocsp(END), identity.staple_until()), (None, Some(END)));
        assert!(identity.stale_ocsp(END + 1).is_some());
    }

    #[test]
    fn a_response_about_the_certificate_is_taken_and_its_end_is_named() {
        let certificate = certificate();
        let read = Response::read(&response(&[("2a", GOOD), (&certificate.serial, GOOD)]), &certificate).unwrap();
        assert!(read.warnings("a.example", 1_735_787_045).is_empty());
        let late = read.warnings("a.example", 1_735_787_046);
        assert_eq!(
            late,
            ["The OCSP response for a.example was good until 2025-01-02 and is not stapled any more. Fetch a new one."]
        );
        let revoked = response(&[(&certificate.serial, &item(TAG_1, &[]))]);
        let read = Response::read(&revoked, &certificate).unwrap();
        assert!(read.warnings("a.example", 0)[0].contains("was revoked"));
    }

    #[test]
    fn what_would_tell_a_client_nothing_is_refused_in_words() {
        let certificate = certificate();
        let refused = |bytes: &[u8]| Response::read(bytes, &certificate).unwrap_err();
        assert_eq!(refused(&[0x30, 3, 0x0a, 1, 1]), "The OCSP response is no answer but says \"malformedRequest\".");
        let other = refused(&response(&[("2a", GOOD), ("2b", GOOD)]));
        assert!(other.ends_with("but about serial 2a, 2b."), "{other}");
        let good = response(&[(&certificate.serial, GOOD)]);
        assert_eq!(refused(&[&good[..], b"\n"].concat()), "There is something behind the OCSP response in it.");
        for junk in [&b""[..], b"<!DOCTYPE html>", &[0x30, 0], &[0x30, 3, 0x0a, 1, 0], &[0x30, 0x82, 1, 0, 5, 0]] {
            assert!(refused(junk).starts_with("It is no OCSP response in DER"), "{junk:?}");
        }
        for cut in 0..good.len() {
            refused(&good[..cut]);
        }
    }
}
