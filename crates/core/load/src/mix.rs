//! Which of several targets a request goes to.

use crate::random::Random;

/// Weighted choice among targets, in constant time (Walker and Vose's alias table).
///
/// With equal weights it takes turns, so that each target gets exactly its share; else it draws, so that the order
/// has no pattern.
#[derive(Clone, Debug)]
pub struct Mix {
    /// For each place, the chance (of 2^32) to stay there, and where to go otherwise.
    table: Vec<(u64, u32)>,
    random: Random,
    turn: Option<usize>,
}

impl Mix {
    /// A choice among `weights.len()` targets; `None` when there is none, all weights are 0, or there are more than
    /// 2^32. `seed` should be the run's seed and the worker's number mixed ([`Random::part`] does).
    pub fn new(weights: &[u32], random: Random) -> Option<Mix> {
        let sum: u64 = weights.iter().map(|w| u64::from(*w)).sum();
        if sum == 0 || u32::try_from(weights.len()).is_err() {
            return None;
        }
        let equal = weights.iter().all(|w| *w == weights[0]);
        let mut random = random;
        let turn = equal.then(|| random.below(weights.len() as u64) as usize);
        Some(Mix { table: alias_table(weights, sum), random, turn })
    }

    /// The place of the next target in the list of weights.
    #[inline]
    pub fn pick(&mut self) -> usize {
        if let Some(turn) = &mut self.turn {
            let place = *turn;
            *turn = if place + 1 == self.table.len() { 0 } else { place + 1 };
            return place;
        }
        let place = self.random.below(self.table.len() as u64) as usize;
        let (stay, other) = self.table[place];
        if self.random.next_u64() >> 32 < stay { place } else { other as usize }
    }
}

fn alias_table(weights: &[u32], sum: u64) -> Vec<(u64, u32)> {
    let scale = weights.len() as f64 / sum as f64;
    let mut left: Vec<f64> = weights.iter().map(|w| f64::from(*w) * scale).collect();
    let mut table = vec![(1 << 32, 0); weights.len()];
    let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..left.len()).partition(|i| left[*i] < 1.0);
    while let (Some(&poor), Some(&rich)) = (small.last(), large.last()) {
        small.pop();
        table[poor] = ((left[poor] * (1u64 << 32) as f64) as u64, rich as u32);
        left[rich] -= 1.0 - left[poor];
        if left[rich] < 1.0 {
            large.pop();
            small.push(rich);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(weights: &[u32], draws: usize) -> Vec<usize> {
        let mut mix = Mix::new(weights, Random::new(5)).unwrap();
        let mut counts = vec![0; weights.len()];
        (0..draws).for_each(|_| counts[mix.pick()] += 1);
        counts
    }

    #[test]
    fn equal_weights_take_turns() {
        assert_eq!(counts(&[3, 3, 3, 3], 4_000), [1_000; 4]);
        assert_eq!(counts(&[1], 10), [10]);
    }

    #[test]
    fn unequal_weights_get_their_shares_and_a_weight_of_nothing_gets_none() {
        let weights = [70, 0, 20, 9, 1];
        let draws = 1_000_000;
        let counts = counts(&weights, draws);
        assert_eq!(counts[1], 0);
        for (weight, count) in weights.iter().zip(&counts) {
            let expected = draws as f64 * f64::from(*weight) / 100.0;
            // Five deviations of a binomial.
            assert!((*count as f64 - expected).abs() <= 5.0 * expected.sqrt(), "{weight} {count}");
        }
    }

    #[test]
    fn no_target_and_no_weight_is_no_mix() {
        assert!(Mix::new(&[], Random::new(1)).is_none());
        assert!(Mix::new(&[0, 0], Random::new(1)).is_none());
    }
}
