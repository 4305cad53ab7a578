//! What a request's Accept (RFC 9110 §12.5.1) says of a media type.

use content_coding::quality;
use message::{Fields, Known};

/// How much a media type is wanted. Orders by the weight, then by whether the type is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    /// The weight (§12.4.2) in thousandths; 0: not acceptable.
    pub(crate) weight: u16,
    /// Whether the type is named, and not only meant by a wildcard.
    pub(crate) is_named: bool,
}

/// How much `media_type` is wanted: the most specific range that it is in says so. Without an Accept everything is wanted.
/// Parameters of a range are passed over, and so is a range with a weight that is none.
pub(crate) fn wanted(fields: &Fields, media_type: &str) -> Wanted {
    let any_of_kind = [media_type.split('/').next().unwrap_or_default(), "/*"].concat();
    let mut is_silent = true;
    // By how specific the range is.
    let mut weights = [None; 3];
    for range in fields.all(Known::Accept).flat_map(|value| value.split(|b| *b == b',')) {
        let mut pieces = range.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let name = pieces.next().unwrap_or_default();
        is_silent &= name.is_empty();
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        let specific = match () {
            () if is(media_type.as_bytes()) => 2,
            () if is(any_of_kind.as_bytes()) => 1,
            () if is(b"*/*") => 0,
            () => continue,
        };
        let weight = pieces.find_map(|piece| match piece {
            [b'q' | b'Q', b'=', value @ ..] => Some(quality(value)),
            _ => None,
        });
        if let Some(weight) = weight.unwrap_or(Some(1000)) {
            weights[specific] = weights[specific].max(Some(weight));
        }
    }
    let weight = weights.iter().rev().find_map(|weight| *weight);
    Wanted { weight: weight.unwrap_or(if is_silent { 1000 } else { 0 }), is_named: weights[2].is_some() }
}
