//! Seeds: chosen by the test, replaced from outside to run a failure again.

use crate::random::Rng;

/// The variable that replays one seed, decimal or `0x` hexadecimal.
const VARIABLE: &str = "TOLLGATE_SEED";

/// What decides a whole run.
///
/// ```
/// use testkit::Seed;
///
/// for seed in Seed::each(64) {
///     let _guard = seed.guard();
///     let mut rng = seed.rng();
///     assert!(rng.below(6) < 6);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed that `TOLLGATE_SEED` names, else `n`.
    ///
    /// # Panics
    /// When the variable holds no number: a replay that ran another seed would mislead.
    pub fn from_env_or(n: u64) -> Seed {
        from_environment().unwrap_or(Seed(n))
    }

    /// The seeds 0 to `count` - 1, or only the one that `TOLLGATE_SEED` names.
    ///
    /// # Panics
    /// When the variable holds no number.
    pub fn each(count: u64) -> impl Iterator<Item = Seed> {
        let (first, count) = from_environment().map_or((0, count), |only| (only.0, 1));
        (0..count).map(move |i| Seed(first.wrapping_add(i)))
    }

    /// The generator of this seed.
    pub fn rng(self) -> Rng {
        Rng::new(self.0)
    }

    /// Prints how to run this seed again when the test fails while the guard is held.
    pub fn guard(self) -> SeedGuard {
        SeedGuard(self)
    }
}

/// Held while a seed is tried ([`Seed::guard`]).
#[must_use = "the seed is printed only while the guard is held: `let _guard = ...`"]
#[derive(Debug)]
pub struct SeedGuard(Seed);

impl Drop for SeedGuard {
    #[expect(clippy::disallowed_macros, reason = "a failing test has nowhere else to say it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", replay_line(self.0));
        }
    }
}

fn replay_line(seed: Seed) -> String {
    format!("failed with seed {0}; run it again with {VARIABLE}={0}", seed.0)
}

#[expect(clippy::disallowed_methods, reason = "replaying from outside is what this is for")]
fn from_environment() -> Option<Seed> {
    let text = std::env::var(VARIABLE).ok()?;
    let seed = parse(&text);
    assert!(seed.is_some(), "{VARIABLE} must be a number, decimal or 0x hexadecimal: {text:?}");
    seed
}

fn parse(text: &str) -> Option<Seed> {
    let text = text.trim();
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.ok().map(Seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_read_in_both_notations() {
        assert_eq!(parse(" 42\n"), Some(Seed(42)));
        assert_eq!(parse("0xff"), Some(Seed(255)));
        for wrong in ["", "x", "-1", "0x", "1.5", "99999999999999999999"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_line_that_is_printed_replays_the_seed() {
        let line = replay_line(Seed(91));
        let (_, value) = line.split_once("TOLLGATE_SEED=").expect("names the variable");
        assert_eq!(parse(value), Some(Seed(91)));
    }
}
