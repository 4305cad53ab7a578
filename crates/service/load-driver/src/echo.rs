//! Echo: what is sent must come back the same, to the connection that sent it, in order.

use std::io::IoSlice;

use buf::ReadBuf;
use load::ErrorKind;

use crate::answer::Answer;

/// Bytes at the beginning of each message that no other message of the run has: its number, and whose it is. A shorter
/// message has as much of it as fits.
const STAMP: usize = 16;

/// What every message of `bytes` bytes has, its stamp apart.
pub(crate) fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i.wrapping_mul(167) >> 3) as u8 ^ i as u8).collect()
}

/// The messages of one connection.
#[derive(Debug)]
pub(crate) struct Echo {
    owner: u64,
    /// The number of the message that comes back next.
    number: u64,
    /// Bytes of it that have come.
    offset: usize,
}

impl Echo {
    pub(crate) fn new(worker: usize, connection: usize) -> Echo {
        Echo { owner: (worker as u64) << 32 | connection as u64, number: 0, offset: 0 }
    }

    fn stamp(&self, number: u64) -> [u8; STAMP] {
        let mut stamp = [0; STAMP];
        stamp[..8].copy_from_slice(&number.to_le_bytes());
        stamp[8..].copy_from_slice(&self.owner.to_le_bytes());
        stamp
    }

    /// Gives `write` the message that has `ahead` others under way before it, from byte `offset` on.
    pub(crate) fn with_message<T>(
        &self,
        ahead: usize,
        offset: usize,
        pattern: &[u8],
        write: impl FnOnce(&[IoSlice<'_>]) -> T,
    ) -> T {
        let stamp = self.stamp(self.number + ahead as u64);
        let stamped = pattern.len().min(STAMP);
        if offset >= stamped {
            return write(&[IoSlice::new(&pattern[offset..])]);
        }
        if pattern.len() <= STAMP {
            return write(&[IoSlice::new(&stamp[offset..stamped])]);
        }
        write(&[IoSlice::new(&stamp[offset..]), IoSlice::new(&pattern[STAMP..])])
    }

    /// Takes what came back; an answer when the message is whole.
    ///
    /// # Errors
    /// `Body` when a byte differs.
    pub(crate) fn read(&mut self, input: &mut ReadBuf, pattern: &[u8]) -> Result<Option<Answer>, ErrorKind> {
        let stamp = self.stamp(self.number);
        let stamped = pattern.len().min(STAMP);
        if self.offset < stamped {
            self.compare(input, &stamp[..stamped], 0)?;
        }
        if self.offset >= stamped {
            self.compare(input, &pattern[stamped..], stamped)?;
        }
        if self.offset < pattern.len() {
            return Ok(None);
        }
        self.offset = 0;
        self.number += 1;
        Ok(Some(Answer { status: 0, keep_alive: true, mismatch: None }))
    }

    /// Compares what has come with `expected`, which begins at byte `at` of the message.
    fn compare(&mut self, input: &mut ReadBuf, expected: &[u8], at: usize) -> Result<(), ErrorKind> {
        let expected = &expected[self.offset - at..];
        let n = expected.len().min(input.len());
        if input.filled()[..n] != expected[..n] {
            return Err(ErrorKind::Body);
        }
        input.consume(n);
        self.offset += n;
        Ok(())
    }

    /// Whether a part of a message has come and its end has not.
    pub(crate) fn is_inside(&self) -> bool {
        self.offset > 0
    }
}

#[cfg(test)]
mod tests {
    use buf::Class;

    use super::*;

    fn message(echo: &Echo, ahead: usize, offset: usize, pattern: &[u8]) -> Vec<u8> {
        echo.with_message(ahead, offset, pattern, |slices| slices.iter().flat_map(|s| s.to_vec()).collect())
    }

    #[test]
    fn messages_of_any_length_come_back_in_any_pieces() {
        for bytes in [1, 2, 15, 16, 17, 64, 1000] {
            let pattern = pattern(bytes);
            let mut echo = Echo::new(1, 7);
            let sent = [message(&echo, 0, 0, &pattern), message(&echo, 1, 0, &pattern)].concat();
            assert_eq!(sent.len(), 2 * bytes);
            for cut in 0..bytes {
                assert_eq!(message(&echo, 0, cut, &pattern), sent[cut..bytes]);
            }
            let mut input = ReadBuf::new(Class::K4);
            let mut whole = 0;
            for piece in sent.chunks(3) {
                input.fill_from(piece);
                while !input.is_empty() {
                    whole += usize::from(echo.read(&mut input, &pattern).unwrap().is_some());
                }
            }
            assert_eq!((whole, echo.is_inside()), (2, false), "{bytes} bytes");
        }
    }

    #[test]
    fn another_connections_message_and_a_changed_byte_are_noticed() {
        let pattern = pattern(64);
        let others = message(&Echo::new(1, 8), 0, 0, &pattern);
        let later = message(&Echo::new(1, 7), 1, 0, &pattern);
        let mut changed = message(&Echo::new(1, 7), 0, 0, &pattern);
        changed[63] ^= 1;
        for wrong in [others, later, changed] {
            let mut input = ReadBuf::new(Class::K4);
            input.fill_from(&wrong);
            assert_eq!(Echo::new(1, 7).read(&mut input, &pattern), Err(ErrorKind::Body));
        }
    }
}
