//! Content codings (RFC 9110 §8.4): which one a client gets, what is worth compressing, and the compressors.
//!
//! * [`Accepted`] is what an Accept-Encoding field says; [`Accepted::best`] chooses among what there is to offer.
//! * [`quality`] reads a weight, as Accept has them too.
//! * [`is_compressible`] says of a media type whether compressing it gains anything.
//! * [`compress`] compresses what is in memory; [`Encoder`] what comes piece by piece, in bounded memory.
//!
//! Knows no file and no connection. Compressing takes milliseconds: whoever calls it decides on which thread.

mod accepted;
mod deflate;
mod encoder;
mod media;
mod whole;

pub use accepted::{Accepted, quality};
pub use encoder::Encoder;
pub use media::{SIZE_MIN, is_compressible};
pub use whole::compress;

/// A content coding that can be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coding {
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstd,
    /// `gzip` (RFC 1952).
    Gzip,
}

impl Coding {
    /// All of them.
    pub const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    /// Its name in Content-Encoding.
    pub fn token(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// The coding of that name, which is also how a configuration calls it.
    pub fn of_token(token: &str) -> Option<Coding> {
        Coding::ALL.into_iter().find(|c| c.token() == token)
    }

    /// What the name of a file that holds another one in this coding has behind that one's: `.br`, `.zst`, `.gz`.
    pub fn suffix(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Zstd => ".zst",
            Coding::Gzip => ".gz",
        }
    }

    /// Its place in [`Coding::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// A set of codings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codings(u8);

impl Codings {
    /// The empty set.
    pub const NONE: Codings = Codings(0);

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether `coding` is in it.
    pub fn has(self, coding: Coding) -> bool {
        self.0 & 1 << coding.index() != 0
    }

    /// Adds `coding`; whether it was new.
    pub fn insert(&mut self, coding: Coding) -> bool {
        let before = self.0;
        self.0 |= 1 << coding.index();
        self.0 != before
    }

    /// Whether all of `others` are in it.
    pub fn has_all(self, others: Codings) -> bool {
        others.0 & !self.0 == 0
    }

    /// Those that are in either.
    #[must_use]
    pub fn or(self, others: Codings) -> Codings {
        Codings(self.0 | others.0)
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(self, others: Codings) -> Codings {
        Codings(self.0 & others.0)
    }

    /// Those of it that are not among `others`.
    #[must_use]
    pub fn without(self, others: Codings) -> Codings {
        Codings(self.0 & !others.0)
    }

    /// Takes `coding` out.
    pub fn remove(&mut self, coding: Coding) {
        self.0 &= !(1 << coding.index());
    }
}

impl FromIterator<Coding> for Codings {
    fn from_iter<I: IntoIterator<Item = Coding>>(codings: I) -> Codings {
        let mut set = Codings::NONE;
        codings.into_iter().for_each(|c| {
            set.insert(c);
        });
        set
    }
}

#[cfg(test)]
mod tests;
