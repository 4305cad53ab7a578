//! What a client accepts (RFC 9110 §12.5.3).

use crate::{Coding, Codings};

/// What the Accept-Encoding of a request says: how much each coding is liked, in thousandths; 0: not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    codings: [u16; Coding::ALL.len()],
    /// `None`: it was not mentioned, and is acceptable when there is nothing better.
    identity: Option<u16>,
}

impl Accepted {
    /// Reads the values of all Accept-Encoding fields of a request. What is malformed in the list is passed over.
    ///
    /// A request without the field would take anything, yet never means to: no coding is accepted then.
    pub fn of<'v>(values: impl Iterator<Item = &'v [u8]>) -> Accepted {
        let mut codings: [Option<u16>; Coding::ALL.len()] = [None; Coding::ALL.len()];
        let mut identity = None;
        let mut others = None;
        for element in values.flat_map(|v| v.split(|b| *b == b',')) {
            let Some((name, quality)) = parse(element) else { continue };
            match coding(name) {
                Some(Named::Coding(coding)) => codings[coding.index()] = Some(quality),
                Some(Named::Identity) => identity = Some(quality),
                Some(Named::Others) => others = Some(quality),
                None => {}
            }
        }
        Accepted { codings: codings.map(|q| q.or(others).unwrap_or(0)), identity: identity.or(others) }
    }

    /// The coding that the client likes best, the first in `offered` of those it likes equally; `None`: none, which is as good as
    /// `identity`. That one is sent where nothing else is acceptable, even when the client refuses it: bytes that it might read
    /// are of more use than a refusal.
    pub fn best(&self, offered: impl Iterator<Item = Coding>) -> Option<Coding> {
        let mut best = None;
        let mut quality_min = self.identity.unwrap_or(0).max(1);
        for coding in offered {
            let quality = self.codings[coding.index()];
            if quality >= quality_min {
                best = Some(coding);
                // From now on only what is liked better.
                quality_min = quality + 1;
            }
        }
        best
    }

    /// Whether the client says that it does not take content as it is.
    pub fn refuses_identity(&self) -> bool {
        self.identity == Some(0)
    }

    /// All that the client takes, however little it likes them.
    pub fn codings(&self) -> Codings {
        Coding::ALL.into_iter().filter(|c| self.codings[c.index()] > 0).collect()
    }
}

enum Named {
    Coding(Coding),
    Identity,
    /// `*`: all that are not mentioned.
    Others,
}

fn coding(name: &[u8]) -> Option<Named> {
    let named = |token: &str| name.eq_ignore_ascii_case(token.as_bytes());
    match name {
        b"*" => Some(Named::Others),
        _ if named("identity") => Some(Named::Identity),
        // RFC 9110 §8.4.1.3.
        _ if named("x-gzip") => Some(Named::Coding(Coding::Gzip)),
        _ => Coding::ALL.into_iter().find(|c| named(c.token())).map(Named::Coding),
    }
}

/// The name and the quality of an element of the list.
fn parse(element: &[u8]) -> Option<(&[u8], u16)> {
    let mut pieces = element.splitn(2, |b| *b == b';');
    let name = pieces.next()?.trim_ascii();
    if name.is_empty() {
        return None;
    }
    let Some(weight) = pieces.next() else { return Some((name, 1000)) };
    let [b'q' | b'Q', b'=', value @ ..] = weight.trim_ascii() else { return None };
    Some((name, quality(value)?))
}

/// A quality (§12.4.2) in thousandths: `0` to `1` with at most three digits behind the point. `None` for anything else.
pub fn quality(value: &[u8]) -> Option<u16> {
    let (whole, rest) = value.split_first()?;
    let digits = match rest {
        [] => &[][..],
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut thousandths = 0;
    for place in 0..3 {
        let digit = digits.get(place).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        thousandths = thousandths * 10 + u16::from(digit - b'0');
    }
    match (whole, thousandths) {
        (b'0', n) => Some(n),
        (b'1', 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best(value: &str) -> Option<&'static str> {
        let ours = [Coding::Brotli, Coding::Zstd, Coding::Gzip];
        Accepted::of([value.as_bytes()].into_iter()).best(ours.into_iter()).map(Coding::token)
    }

    #[test]
    fn the_best_liked_wins_and_ours_among_equals() {
        for (value, want) in [
            ("gzip, deflate, br, zstd", Some("br")),
            ("gzip, deflate", Some("gzip")),
            ("gzip;q=1.0, br;q=0.5", Some("gzip")),
            ("br;q=0.5,gzip;q=0.5", Some("br")),
            ("zstd;q=0.501,br;q=0.5", Some("zstd")),
            ("GZIP ; Q=0.5", Some("gzip")),
            ("x-gzip", Some("gzip")),
            ("*", Some("br")),
            ("*;q=0.1", Some("br")),
            ("br;q=0, *", Some("zstd")),
            ("br;q=0, *;q=0", None),
            ("gzip;q=0.001", Some("gzip")),
            ("gzip;q=0.000", None),
            ("gzip;q=0", None),
            ("", None),
            (",,", None),
            ("identity", None),
            ("deflate", None),
            ("identity, gzip", Some("gzip")),
            ("identity;q=0.5, gzip;q=0.4", None),
            ("identity;q=0.5, gzip;q=0.6", Some("gzip")),
            ("identity;q=0, gzip;q=0", None),
            ("identity;q=0, gzip;q=0.1", Some("gzip")),
        ] {
            assert_eq!(best(value), want, "{value}");
        }
        assert_eq!(Accepted::of([].into_iter()).best(Coding::ALL.into_iter()), None);
    }

    #[test]
    fn what_is_malformed_is_passed_over() {
        for value in ["gzip;q=", "gzip;q=2", "gzip;q=1.5", "gzip;q=0.1234", "gzip;q=.5", "gzip;level=1", "gzip;q=0,5"] {
            assert_eq!(best(value), None, "{value}");
            assert_eq!(best(&format!("{value}, zstd")), Some("zstd"), "{value}");
        }
        assert_eq!(best("gzip;q=1."), Some("gzip"));
    }

    #[test]
    fn what_is_taken_at_all() {
        for (value, want) in [
            ("gzip, br;q=0.001, zstd;q=0", &[Coding::Brotli, Coding::Gzip][..]),
            ("*;q=0.1, br;q=0", &[Coding::Zstd, Coding::Gzip]),
            ("identity, gzip;q=0.1", &[Coding::Gzip]),
            ("", &[]),
        ] {
            let taken = Accepted::of([value.as_bytes()].into_iter()).codings();
            assert_eq!(taken, want.iter().copied().collect(), "{value}");
        }
    }

    #[test]
    fn identity_is_refused_by_name_or_with_all_others() {
        for (value, wanted) in [
            ("identity;q=0", true),
            ("gzip, *;q=0", true),
            ("*;q=0, identity;q=0.1", false),
            ("gzip", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(Accepted::of([value.as_bytes()].into_iter()).refuses_identity(), wanted, "{value}");
        }
    }

    #[test]
    fn several_fields_are_one_list() {
        let accepted = Accepted::of([&b"gzip"[..], b"br;q=0.9"].into_iter());
        assert_eq!(accepted.best(Coding::ALL.into_iter()), Some(Coding::Gzip));
        assert_eq!(accepted.best([Coding::Brotli].into_iter()), Some(Coding::Brotli));
        assert_eq!(accepted.best([Coding::Zstd].into_iter()), None);
    }

    proptest! {
        #[test]
        fn only_what_was_named_is_chosen(value in "(gzip|br|zstd|identity|\\*|x|;|q=|[01.]|,| ){0,24}|\\PC{0,30}") {
            if let Some(token) = best(&value) {
                prop_assert!(value.contains('*') || value.to_ascii_lowercase().contains(token));
            }
        }

        #[test]
        fn qualities_are_read_exactly(thousandths in 0u16..=1000) {
            let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            prop_assert_eq!(quality(text.as_bytes()), Some(thousandths));
        }
    }
}
