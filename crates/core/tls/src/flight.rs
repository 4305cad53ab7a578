//! Ciphertext on its way out.

use buf::{Buf, Class};

/// Ciphertext that waits to be written, in one piece: a flight of a handshake, or the records of one write. Holds no
/// buffer while it is empty, and at most 64 KiB.
#[derive(Debug, Default)]
pub struct Flight {
    buf: Buf,
    start: usize,
    end: usize,
}

impl Flight {
    /// What waits.
    pub fn bytes(&self) -> &[u8] {
        &self.buf.as_ref()[self.start..self.end]
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Forgets the first `n` bytes: they were written. Gives the buffer back when nothing is left.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.len());
        self.start += n;
        if self.is_empty() {
            *self = Flight::default();
        }
    }

    /// Room for `n` further bytes behind those that wait, in a buffer of the smallest class that holds both; `None` when
    /// no class does.
    pub(crate) fn room(&mut self, n: usize) -> Option<&mut [u8]> {
        if self.buf.capacity() - self.end < n {
            let need = self.len() + n;
            let class = Class::for_bytes(need);
            if class.bytes() < need {
                return None;
            }
            let mut larger = Buf::lease(class);
            larger.as_mut()[..self.len()].copy_from_slice(self.bytes());
            (self.start, self.end) = (0, self.len());
            self.buf = larger;
        }
        Some(&mut self.buf.as_mut()[self.end..])
    }

    /// Says that `n` bytes were put into [`Flight::room`].
    pub(crate) fn commit(&mut self, n: usize) {
        assert!(self.end + n <= self.buf.capacity());
        self.end += n;
        if self.is_empty() {
            *self = Flight::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_what_it_holds_and_gives_its_buffer_back() {
        let mut flight = Flight::default();
        flight.room(5).unwrap()[..5].copy_from_slice(b"hello");
        flight.commit(5);
        assert_eq!(buf::stats().leased_bytes, Class::K2.bytes());
        flight.advance(1);
        flight.room(10_000).unwrap()[..3].copy_from_slice(b"you");
        flight.commit(3);
        assert_eq!(flight.bytes(), b"elloyou");
        assert_eq!(buf::stats().leased_bytes, Class::K16.bytes());
        assert!(flight.room(Class::K68.bytes()).is_none());
        flight.advance(7);
        assert_eq!(buf::stats().leased, 0);
    }

    #[test]
    fn room_that_stays_unused_is_not_kept() {
        let mut flight = Flight::default();
        assert!(flight.room(100).is_some());
        flight.commit(0);
        assert_eq!(buf::stats().leased, 0);
    }
}
