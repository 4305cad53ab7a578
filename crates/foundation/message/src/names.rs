//! Field names that the code asks for, recognised once while a head is read.

macro_rules! known {
    ($($variant:ident = $text:literal,)*) => {
        /// A field name the code knows. Recognised once, compared as a byte from then on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Known {
            /// Any name not listed here.
            Other,
            $($variant,)*
        }

        impl Known {
            /// The name in lower case; empty for [`Known::Other`].
            pub const fn as_str(self) -> &'static str {
                match self {
                    Known::Other => "",
                    $(Known::$variant => $text,)*
                }
            }

            const ALL: &'static [Known] = &[$(Known::$variant,)*];
        }
    };
}

known! {
    Accept = "accept",
    AcceptEncoding = "accept-encoding",
    AcceptRanges = "accept-ranges",
    Allow = "allow",
    Authorization = "authorization",
    CacheControl = "cache-control",
    Connection = "connection",
    ContentEncoding = "content-encoding",
    ContentLength = "content-length",
    ContentRange = "content-range",
    ContentType = "content-type",
    Cookie = "cookie",
    Date = "date",
    Etag = "etag",
    Expect = "expect",
    Forwarded = "forwarded",
    Host = "host",
    IfMatch = "if-match",
    IfModifiedSince = "if-modified-since",
    IfNoneMatch = "if-none-match",
    IfRange = "if-range",
    IfUnmodifiedSince = "if-unmodified-since",
    KeepAlive = "keep-alive",
    LastModified = "last-modified",
    Location = "location",
    MaxForwards = "max-forwards",
    Origin = "origin",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    ProxyConnection = "proxy-connection",
    Range = "range",
    Referer = "referer",
    RetryAfter = "retry-after",
    Server = "server",
    SetCookie = "set-cookie",
    Te = "te",
    Trailer = "trailer",
    TransferEncoding = "transfer-encoding",
    Upgrade = "upgrade",
    UserAgent = "user-agent",
    Vary = "vary",
    Via = "via",
    XForwardedFor = "x-forwarded-for",
    XForwardedHost = "x-forwarded-host",
    XForwardedProto = "x-forwarded-proto",
}

/// A set of known names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownSet(u64);

// One bit a name, and one for the names not known.
const _: () = assert!(Known::ALL.len() < 64);

impl KnownSet {
    /// The set of `names`.
    pub const fn of(names: &[Known]) -> KnownSet {
        let mut bits = 0;
        let mut i = 0;
        while i < names.len() {
            bits |= 1 << names[i] as u8;
            i += 1;
        }
        KnownSet(bits)
    }

    /// Adds a name.
    pub fn insert(&mut self, name: Known) {
        self.0 |= 1 << name as u8;
    }

    /// The names that are in either.
    pub const fn with(self, other: KnownSet) -> KnownSet {
        KnownSet(self.0 | other.0)
    }

    /// The names that are in this set and not in `other`.
    pub const fn without(self, other: KnownSet) -> KnownSet {
        KnownSet(self.0 & !other.0)
    }

    /// Whether `name` is in it.
    pub const fn contains(self, name: Known) -> bool {
        self.0 & (1 << name as u8) != 0
    }

    /// Whether any name is in both.
    pub const fn meets(self, other: KnownSet) -> bool {
        self.0 & other.0 != 0
    }
}

/// How a name is recognised: its length and its two ends pick the only candidate, and the candidate is compared word by
/// word. A name costs about thirty instructions whether it is known or not; a head has a dozen of them.
struct Table {
    /// Makes the slots of all known names different; found at compile time.
    multiplier: u32,
    /// Indices into `candidates`, one more than the index; 0 where there is none.
    slots: [u8; 256],
    candidates: [Candidate; Known::ALL.len()],
}

#[derive(Clone, Copy)]
struct Candidate {
    known: Known,
    len: u8,
    /// The bit that tells the cases apart, wherever a letter stands.
    case: Words,
    lower: Words,
}

/// The bytes of a name of up to 24 bytes, in words that may overlap.
type Words = [u64; 3];

const LONGEST: usize = 24;

static TABLE: Table = Table::new();

impl Table {
    const fn new() -> Table {
        let none = Candidate { known: Known::Other, len: 0, case: [0; 3], lower: [0; 3] };
        let mut candidates = [none; Known::ALL.len()];
        let mut i = 0;
        while i < Known::ALL.len() {
            candidates[i] = Candidate::new(Known::ALL[i]);
            i += 1;
        }
        let mut multiplier = 0x9e37_79b1;
        loop {
            if let Some(slots) = slots(multiplier) {
                return Table { multiplier, slots, candidates };
            }
            multiplier = multiplier.wrapping_add(0x6a09_e668);
        }
    }
}

impl Candidate {
    const fn new(known: Known) -> Candidate {
        let name = known.as_str().as_bytes();
        assert!(name.len() <= LONGEST, "a known name is longer than three words");
        let mut case = [0; LONGEST];
        let mut i = 0;
        while i < name.len() {
            assert!(!name[i].is_ascii_uppercase(), "known names are listed in lower case");
            case[i] = if name[i].is_ascii_lowercase() { 0x20 } else { 0 };
            i += 1;
        }
        Candidate { known, len: name.len() as u8, case: words(case.split_at(name.len()).0), lower: words(name) }
    }
}

/// The slots of all known names, unless two share one.
const fn slots(multiplier: u32) -> Option<[u8; 256]> {
    let mut slots = [0; 256];
    let mut i = 0;
    while i < Known::ALL.len() {
        let slot = slot(Known::ALL[i].as_str().as_bytes(), multiplier);
        if slots[slot] != 0 {
            return None;
        }
        slots[slot] = i as u8 + 1;
        i += 1;
    }
    Some(slots)
}

/// The slot of a name that is not empty.
const fn slot(name: &[u8], multiplier: u32) -> usize {
    let first = name[0] | 0x20;
    let last = name[name.len() - 1] | 0x20;
    let key = u32::from_le_bytes([name.len() as u8, first, last, 0]);
    (key.wrapping_mul(multiplier) >> 24) as usize
}

/// Every byte of a name of at most [`LONGEST`] bytes is in one word at least; where, depends on the length alone.
const fn words(name: &[u8]) -> Words {
    if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        let middle = match name.len() {
            0..=16 => 0,
            _ => match name.split_at(8).1.first_chunk() {
                Some(middle) => u64::from_le_bytes(*middle),
                None => 0,
            },
        };
        return [u64::from_le_bytes(*first), u64::from_le_bytes(*last), middle];
    }
    if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        return [u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64, 0];
    }
    match name {
        [a, b, c] => [*a as u64, *b as u64, *c as u64],
        [a, b] => [*a as u64, *b as u64, 0],
        [a] => [*a as u64, 0, 0],
        _ => [0; 3],
    }
}

impl Known {
    /// Recognises a field name, without regard to case.
    #[inline]
    pub fn of(name: &[u8]) -> Known {
        if name.is_empty() || name.len() > LONGEST {
            return Known::Other;
        }
        let slot = TABLE.slots[slot(name, TABLE.multiplier)];
        match TABLE.candidates.get(usize::from(slot).wrapping_sub(1)) {
            Some(candidate) if candidate.is(name) => candidate.known,
            _ => Known::Other,
        }
    }
}

impl Candidate {
    #[inline]
    fn is(&self, name: &[u8]) -> bool {
        if usize::from(self.len) != name.len() {
            return false;
        }
        let words = words(name);
        // A letter's other case is the same byte with this bit, and no byte else becomes the letter by setting it.
        words[0] | self.case[0] == self.lower[0]
            && words[1] | self.case[1] == self.lower[1]
            && words[2] | self.case[2] == self.lower[2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_sets() {
        let set = KnownSet::of(&[Known::Te, Known::Via, Known::Other]);
        assert!(set.contains(Known::Te) && set.contains(Known::Other) && !set.contains(Known::Host));
        let less = set.without(KnownSet::of(&[Known::Te, Known::Host]));
        assert_eq!(less, KnownSet::of(&[Known::Via, Known::Other]));
        assert_eq!(less.with(KnownSet::of(&[Known::Te])), set);
    }

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for k in Known::ALL {
            assert_eq!(Known::of(k.as_str().as_bytes()), *k);
            assert_eq!(Known::of(k.as_str().to_uppercase().as_bytes()), *k);
        }
        for other in [
            "",
            "x",
            "hosts",
            "te\0",
            "da\u{1}e",
            "content\rlength",
            "contentlength",
            "content-length ",
            "a-name-much-longer-than-any",
        ] {
            assert_eq!(Known::of(other.as_bytes()), Known::Other);
        }
    }
}
