//! The validators of a file (RFC 9110 §8.8): its entity tag and its date.

use clock::HttpDate;

/// What makes a tag a weak one.
const WEAK: &[u8] = b"W/";

/// The mark of a weak tag, two quotes, two 64-bit and one 32-bit number in hexadecimal, a dash, and what is behind them in the tag of a
/// sibling.
const ETAG_MAX: usize = WEAK.len() + 2 + 16 + 1 + 16 + 8 + SUFFIX_MAX;

/// The ending of a sibling's name.
const SUFFIX_MAX: usize = 4;

/// The last second that an HTTP date can say, at the end of the year 9999.
const DATE_MAX: u64 = 253_402_300_799;

/// By what a client can tell whether it has the current file.
#[derive(Clone, Copy, Debug)]
pub struct Validators {
    etag: [u8; ETAG_MAX],
    etag_len: u8,
    is_weak: bool,
    modified: Option<HttpDate>,
    size: u64,
}

impl Validators {
    /// The validators of a file, as `meta` describes it at `now` (seconds since 1970).
    ///
    /// A modification date that HTTP cannot say, or one that lies in the future, is left out: a Last-Modified must not be
    /// later than the Date it is sent with (§8.8.2.1). So is one that says nothing, as all files have it ([`says_nothing`]); the tag
    /// is made of the time of the last change of the inode then, which is this system's own and moves with each new file.
    pub fn of(meta: &fs::Meta, now: u64) -> Validators {
        Validators::of_sibling(meta, now, "")
    }

    /// The same of what is sent in the place of a file, from one beside it whose name ends with `suffix` besides: programs that compress
    /// give it the file's time, and it may be as long.
    pub fn of_sibling(meta: &fs::Meta, now: u64, suffix: &str) -> Validators {
        let mut text = EtagText { bytes: [0; ETAG_MAX], len: 0 };
        WEAK.iter().for_each(|b| text.push(*b));
        text.push(b'"');
        text.hex(meta.size, 1);
        text.push(b'-');
        let stamp = if says_nothing(meta.modified) { meta.changed } else { meta.modified };
        text.hex(stamp.secs as u64, 1);
        text.hex(u64::from(stamp.nanos), 8);
        suffix.bytes().take(SUFFIX_MAX).for_each(|byte| text.push(byte));
        text.push(b'"');
        let modified = u64::try_from(meta.modified.secs).ok();
        let modified = modified.filter(|secs| *secs <= now.min(DATE_MAX) && !says_nothing(meta.modified));
        let EtagText { bytes: etag, len } = text;
        let modified = modified.map(HttpDate::at);
        Validators { etag, etag_len: len as u8, is_weak: false, modified, size: meta.size }
    }

    /// Those of the same content in a form of `size` bytes that is made anew for each process: its bytes may differ from one
    /// time to the next, which a weak tag says (§8.8.1).
    pub fn weakened(self, size: u64) -> Validators {
        Validators { is_weak: true, size, ..self }
    }

    /// The entity tag, with its quotes: size, seconds and nanoseconds of the modification, in hexadecimal. Strong, unless
    /// [`Validators::weakened`].
    pub fn etag(&self) -> &[u8] {
        if self.is_weak { &self.etag[..usize::from(self.etag_len)] } else { self.opaque_tag() }
    }

    /// The entity tag without what says that it is weak.
    pub fn opaque_tag(&self) -> &[u8] {
        &self.etag[WEAK.len()..usize::from(self.etag_len)]
    }

    /// Whether the tag is weak.
    pub fn is_weak(&self) -> bool {
        self.is_weak
    }

    /// When the file was modified, if that can be said.
    pub fn modified(&self) -> Option<&HttpDate> {
        self.modified.as_ref()
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// Times of modification, in whole seconds, that stores and packers set on every file, so that what they hold does not depend on when it
/// was made.
const SET_ON_ALL: [i64; 5] = [
    // OSTree, and archives.
    0,
    // Nix and Guix.
    1,
    // The first that a ZIP archive can say.
    315_532_800,
    // npm: whatever it packs, and so what is installed in `node_modules`.
    499_162_500,
    // Bazel.
    946_684_800,
];

/// Whether a time of modification is one of [`SET_ON_ALL`]. With it, each new version of as many bytes would be the old one to whoever
/// has that: 304 instead of the new page, and a download that goes on in another file. And where nothing is said of how long a file may
/// be kept, clients take a tenth of its age (RFC 9111 §4.2.2): of npm's four years, without asking.
fn says_nothing(modified: fs::Stamp) -> bool {
    SET_ON_ALL.contains(&modified.secs) && modified.nanos == 0
}

struct EtagText {
    bytes: [u8; ETAG_MAX],
    len: usize,
}

impl EtagText {
    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn hex(&mut self, n: u64, digits_min: usize) {
        let digits = (16 - n.leading_zeros() as usize / 4).max(digits_min);
        for place in (0..digits).rev() {
            self.push(b"0123456789abcdef"[(n >> (4 * place)) as usize & 15]);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fs::{Kind, Meta, Stamp};
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn meta(size: u64, secs: i64, nanos: u32) -> Meta {
        let stamp = Stamp { secs, nanos };
        Meta { kind: Kind::File, size, modified: stamp, changed: stamp, device: 1, inode: 1 }
    }

    #[test]
    fn tags_and_dates() {
        let v = Validators::of(&meta(1024, 784_111_777, 255), 800_000_000);
        assert_eq!(v.etag(), b"\"400-2ebc98a1000000ff\"");
        assert_eq!(v.modified().unwrap().as_bytes(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(Validators::of(&meta(0, 2, 0), 2).etag(), b"\"0-200000000\"");
        let longest = Validators::of_sibling(&meta(u64::MAX, -1, 999_999_999), u64::MAX, ".zst");
        assert_eq!(longest.etag().len(), ETAG_MAX - 2);
        assert_eq!(longest.weakened(7).etag().len(), ETAG_MAX);
        let weak = v.weakened(7);
        assert_eq!((weak.etag(), weak.size()), (&b"W/\"400-2ebc98a1000000ff\""[..], 7));
        assert_eq!(weak.opaque_tag(), v.etag());
    }

    #[test]
    fn a_date_that_cannot_be_said_is_left_out() {
        assert!(Validators::of(&meta(1, 1001, 0), 1000).modified().is_none());
        assert!(Validators::of(&meta(1, 1000, 0), 1000).modified().is_some());
        assert!(Validators::of(&meta(1, -1, 0), 1000).modified().is_none());
        assert!(Validators::of(&meta(1, i64::MAX, 0), u64::MAX).modified().is_none());
    }

    #[test]
    fn a_date_that_all_files_have_says_nothing() {
        const NOW: u64 = 2_000_000_000;
        for secs in [0, 1, 315_532_800, 499_162_500, 946_684_800] {
            let version = |changed| Meta { changed: Stamp { secs: changed, nanos: 5 }, ..meta(7, secs, 0) };
            let (old, new) = (Validators::of(&version(1000), NOW), Validators::of(&version(1001), NOW));
            assert_eq!((old.etag(), new.etag()), (&b"\"7-3e800000005\""[..], &b"\"7-3e900000005\""[..]));
            assert!(old.modified().is_none() && new.modified().is_none());
        }
        for (secs, nanos) in [(0, 1), (1, 1), (2, 0), (499_162_500, 1), (499_162_501, 0)] {
            assert!(Validators::of(&meta(7, secs, nanos), NOW).modified().is_some(), "{secs}.{nanos}");
        }
    }

    proptest! {
        #[test]
        fn different_files_have_different_tags(
            a: (u64, i64), b: (u64, i64), an in 0u32..1_000_000_000, bn in 0u32..1_000_000_000,
        ) {
            let (va, vb) = (Validators::of(&meta(a.0, a.1, an), 0), Validators::of(&meta(b.0, b.1, bn), 0));
            prop_assert_eq!(va.etag() == vb.etag(), a == b && an == bn);
            prop_assume!(!says_nothing(Stamp { secs: a.1, nanos: an }) && !says_nothing(Stamp { secs: b.1, nanos: bn }));
            let expected = format!("\"{:x}-{:x}{an:08x}\"", a.0, a.1);
            prop_assert_eq!(va.etag(), expected.as_bytes());
        }
    }
}
