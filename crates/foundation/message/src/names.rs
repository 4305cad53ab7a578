//! Field names that the code asks for, recognised once while a head is read.

macro_rules! known {
    ($($variant:ident = $text:literal,)*) => {
        /// A field name the code knows. Recognised once, compared as a byte from then on.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Known {
            /// Any name not listed here.
            #[default]
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
    #[inline]
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

/// How a name is recognised: its length and its first four bytes pick the only candidate, and the candidate is compared
/// word by word. A name costs about twenty instructions whether it is known or not; a head has a dozen of them.
struct Table {
    /// Makes the slots of all known names different; found at compile time.
    multiplier: u32,
    slots: [Candidate; 256],
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Candidate {
    known: Known,
    len: u8,
    /// What of a name's bytes is compared: all bits but the one that tells a letter's cases apart, none behind its end.
    keep: Words,
    /// What they have to be.
    want: Words,
}

/// The bytes of a name of up to 24 bytes.
type Words = [u64; 3];

const LONGEST: usize = 24;

static TABLE: Table = Table::new();

impl Table {
    const fn new() -> Table {
        let mut multiplier = 0x9e37_79b1;
        loop {
            if let Some(slots) = slots(multiplier) {
                return Table { multiplier, slots };
            }
            multiplier = multiplier.wrapping_add(0x6a09_e668);
        }
    }

    /// The only candidate for a name of that length and with those first bytes; they are zeros where it has none.
    #[inline(always)]
    fn candidate(&self, first: u32, len: usize) -> &Candidate {
        &self.slots[slot(first, len, self.multiplier)]
    }
}

impl Candidate {
    const NONE: Candidate = Candidate { known: Known::Other, len: 0, keep: [0; 3], want: [0; 3] };

    const fn new(known: Known) -> Candidate {
        let name = known.as_str().as_bytes();
        assert!(name.len() <= LONGEST, "a known name is longer than three words");
        let mut keep = [0; LONGEST];
        let mut i = 0;
        while i < name.len() {
            assert!(!name[i].is_ascii_uppercase(), "known names are listed in lower case");
            keep[i] = if name[i].is_ascii_lowercase() { !0x20 } else { !0 };
            i += 1;
        }
        let (keep, bytes) = (words(&keep), words(name));
        let want = [keep[0] & bytes[0], keep[1] & bytes[1], keep[2] & bytes[2]];
        Candidate { known, len: name.len() as u8, keep, want }
    }
}

/// The slots of all known names, unless two share one.
const fn slots(multiplier: u32) -> Option<[Candidate; 256]> {
    // Marks first: whole tables cost the compiler time.
    let mut taken = [false; 256];
    let mut i = 0;
    while i < Known::ALL.len() {
        let slot = Known::ALL[i].slot(multiplier);
        if taken[slot] {
            return None;
        }
        taken[slot] = true;
        i += 1;
    }
    let mut slots = [Candidate::NONE; 256];
    while i > 0 {
        i -= 1;
        slots[Known::ALL[i].slot(multiplier)] = Candidate::new(Known::ALL[i]);
    }
    Some(slots)
}

#[inline(always)]
const fn slot(first: u32, len: usize, multiplier: u32) -> usize {
    // Without the bit that tells a letter's cases apart.
    let key = (first & !0x2020_2020).wrapping_add(8 * len as u32);
    (key.wrapping_mul(multiplier) >> 24) as usize
}

/// The bytes of a name of at most [`LONGEST`] bytes; behind its end there are zeros.
const fn words(name: &[u8]) -> Words {
    if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        // The last eight bytes overlap those before them, which are shifted out.
        let empty = 64 - (name.len() as u32 * 8 - 1) % 64 - 1;
        return match name.split_at(8).1.first_chunk() {
            _ if name.len() == 8 => [first, 0, 0],
            Some(middle) if name.len() > 16 => [first, u64::from_le_bytes(*middle), last >> empty],
            _ => [first, last >> empty, 0],
        };
    }
    if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        let last = (u32::from_le_bytes(*last) as u64) << (name.len() * 8 - 32);
        return [u32::from_le_bytes(*first) as u64 | last, 0, 0];
    }
    match name {
        [a, b, c] => [u64::from_le_bytes([*a, *b, *c, 0, 0, 0, 0, 0]), 0, 0],
        [a, b] => [u64::from_le_bytes([*a, *b, 0, 0, 0, 0, 0, 0]), 0, 0],
        [a] => [*a as u64, 0, 0],
        _ => [0; 3],
    }
}

impl Known {
    /// Recognises a field name, without regard to case.
    #[inline]
    pub fn of(name: &[u8]) -> Known {
        if name.len() > LONGEST {
            return Known::Other;
        }
        let words = words(name);
        let Candidate { known, len, keep, want } = TABLE.candidate(words[0] as u32, name.len());
        let same = usize::from(*len) == name.len()
            && words[0] & keep[0] == want[0]
            && words[1] & keep[1] == want[1]
            && words[2] & keep[2] == want[2];
        if same { *known } else { Known::Other }
    }

    /// Recognises the field name that is the first `len` bytes of `block`, without regard to case: cheaper than
    /// [`Known::of`]. A name longer than the block is not recognised.
    #[inline(always)]
    pub fn at_front(block: &[u8; 16], len: usize) -> Known {
        if len < 4 {
            return Known::of(&block[..len]);
        }
        let word = u128::from_le_bytes(*block);
        let words = [word as u64, (word >> 64) as u64];
        let Candidate { known, len: length, keep, want } = TABLE.candidate(word as u32, len);
        let differs = (words[0] & keep[0] ^ want[0]) | (words[1] & keep[1] ^ want[1]);
        if usize::from(*length) == len && len <= 16 && differs == 0 { *known } else { Known::Other }
    }

    const fn slot(self, multiplier: u32) -> usize {
        let name = self.as_str().as_bytes();
        slot(words(name)[0] as u32, name.len(), multiplier)
    }
}

/// Whether a name that is not known becomes Content-Length or Transfer-Encoding in a reader that makes variables of fields
/// (CGI and its kin, RFC 3875 §4.1.18): it takes `Content_Length` for the same name, some take `Content.Length`.
#[inline]
pub fn passes_for_framing(name: &[u8]) -> bool {
    let hyphen = match name.len() {
        14 => 7,
        17 => 8,
        _ => return false,
    };
    !name[hyphen].is_ascii_alphanumeric() && frames_but_for(name, hyphen)
}

#[cold]
fn frames_but_for(name: &[u8], hyphen: usize) -> bool {
    let framing = [Known::ContentLength, Known::TransferEncoding].map(|known| known.as_str().as_bytes());
    let same = |(at, (a, b)): (usize, (&u8, &u8))| at == hyphen || a.eq_ignore_ascii_case(b);
    framing.iter().any(|other| other.len() == name.len() && name.iter().zip(*other).enumerate().all(same))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_for_framing_is_told_from_what_does_not() {
        for name in ["Content_Length", "content.length", "CONTENT~LENGTH", "Transfer_Encoding", "transfer!encoding"] {
            assert!(passes_for_framing(name.as_bytes()), "{name}");
        }
        for name in [
            "ContentXLength",
            "Content_Lengths",
            "Content_Lengt",
            "Content_Langth",
            "Transfer_Encodinh",
            "content_type",
        ] {
            assert!(!passes_for_framing(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn sets_are_sets() {
        let set = KnownSet::of(&[Known::Te, Known::Via, Known::Other]);
        assert!(set.contains(Known::Te) && set.contains(Known::Other) && !set.contains(Known::Host));
        let less = set.without(KnownSet::of(&[Known::Te, Known::Host]));
        assert_eq!(less, KnownSet::of(&[Known::Via, Known::Other]));
        assert_eq!(less.with(KnownSet::of(&[Known::Te])), set);
    }

    /// Every byte counts, and only a letter has two cases.
    #[test]
    fn a_name_with_one_byte_changed_is_another() {
        for k in Known::ALL {
            for at in 0..k.as_str().len() {
                for byte in 0..=255 {
                    let mut name = k.as_str().as_bytes().to_vec();
                    name[at] = byte;
                    let same = |other: &&Known| name.eq_ignore_ascii_case(other.as_str().as_bytes());
                    let want = Known::ALL.iter().find(same).copied().unwrap_or(Known::Other);
                    assert_eq!(Known::of(&name), want, "{}", name.escape_ascii());
                    let len = name.len();
                    name.resize(24, b' ');
                    let block = name.first_chunk().expect("sixteen bytes");
                    let want = if len <= 16 { want } else { Known::Other };
                    assert_eq!(Known::at_front(block, len), want, "{}", name.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for k in Known::ALL {
            assert_eq!(Known::of(k.as_str().as_bytes()), *k);
            assert_eq!(Known::of(k.as_str().to_uppercase().as_bytes()), *k);
            for behind in [": a value of any kind", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "xxxxxxxxxxxxxxxx"] {
                for name in [k.as_str().to_owned(), k.as_str().to_uppercase()] {
                    let line = name.clone() + behind;
                    let block = line.as_bytes().first_chunk().expect("sixteen bytes");
                    let want = if name.len() <= 16 { *k } else { Known::Other };
                    assert_eq!(Known::at_front(block, name.len()), want, "{line:?}");
                    for other in (0..30).filter(|n| *n != name.len()) {
                        let known = line.get(..other).map_or(Known::Other, |n| Known::of(n.as_bytes()));
                        let known = if other <= 16 { known } else { Known::Other };
                        assert_eq!(Known::at_front(block, other), known, "{other} of {line:?}");
                    }
                }
            }
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
