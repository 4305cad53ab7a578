//! A hash of a body that is read in pieces.

/// Bytes taken in one step: four words, so that the multiplications of a step do not wait for each other.
const STRIPE: usize = 32;

const PRIMES: [u64; 4] = [0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x85EB_CA77_C2B2_AE63];

/// 64 bits over a body, the same however it was cut into pieces, in every process. Tells different answers apart; it is no
/// defence against somebody who makes two bodies alike on purpose.
#[derive(Clone, Debug)]
pub struct Digest {
    lanes: [u64; 4],
    /// Bytes of a stripe that is not complete yet.
    rest: [u8; STRIPE],
    length: u64,
}

impl Default for Digest {
    fn default() -> Digest {
        Digest { lanes: PRIMES, rest: [0; STRIPE], length: 0 }
    }
}

impl Digest {
    /// Takes the next piece. Some 10 bytes a nanosecond.
    pub fn add(&mut self, mut piece: &[u8]) {
        let held = self.length as usize % STRIPE;
        self.length += piece.len() as u64;
        if held > 0 {
            let (now, later) = piece.split_at(piece.len().min(STRIPE - held));
            self.rest[held..held + now.len()].copy_from_slice(now);
            piece = later;
            if held + now.len() < STRIPE {
                return;
            }
            let stripe = self.rest;
            self.mix(&stripe);
        }
        let (stripes, rest) = piece.as_chunks::<STRIPE>();
        for stripe in stripes {
            self.mix(stripe);
        }
        self.rest[..rest.len()].copy_from_slice(rest);
    }

    fn mix(&mut self, stripe: &[u8; STRIPE]) {
        let (words, _) = stripe.as_chunks::<8>();
        for ((lane, word), prime) in self.lanes.iter_mut().zip(words).zip(PRIMES) {
            let word = u64::from_le_bytes(*word).wrapping_mul(PRIMES[1]);
            *lane = lane.wrapping_add(word).rotate_left(31).wrapping_mul(prime);
        }
    }

    /// The hash of what was taken so far.
    pub fn finish(&self) -> u64 {
        let mut last = self.clone();
        let held = self.length as usize % STRIPE;
        let mut stripe = [0; STRIPE];
        stripe[..held].copy_from_slice(&self.rest[..held]);
        last.mix(&stripe);
        // The length keeps a body apart from the same one with zeros behind it.
        let mut hash = self.length.wrapping_mul(PRIMES[0]);
        for lane in last.lanes {
            hash = (hash ^ lane).rotate_left(27).wrapping_mul(PRIMES[2]);
            hash ^= hash >> 32;
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> u64 {
        let mut digest = Digest::default();
        digest.add(bytes);
        digest.finish()
    }

    #[test]
    fn cuts_do_not_matter() {
        let body: Vec<u8> = (0..300u32).map(|i| (i * 7 % 251) as u8).collect();
        let whole = of(&body);
        for size in 1..100 {
            let mut digest = Digest::default();
            body.chunks(size).for_each(|piece| digest.add(piece));
            assert_eq!(digest.finish(), whole, "pieces of {size}");
        }
    }

    #[test]
    fn one_bit_and_one_byte_make_another_hash() {
        let mut body = vec![0u8; 100];
        let whole = of(&body);
        for at in 0..body.len() {
            body[at] ^= 1;
            assert_ne!(of(&body), whole, "bit at {at}");
            body[at] ^= 1;
        }
        for length in 0..100 {
            assert_ne!(of(&body[..length]), of(&body[..length + 1]), "length {length}");
        }
    }
}
