//! How sure a comparison is.

use serde::Serialize;

/// A ratio of two peers over alternated rounds, and where it lies with 95 % certainty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The geometric mean of the rounds' ratios.
    pub ratio: f64,
    /// The lower end; the ratio itself when there is one round only.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Of the ratios of at least one round, all above zero: Student's interval of the mean of their logarithms, since a ratio and its
    /// inverse are equally far from one.
    pub fn of(ratios: &[f64]) -> Interval {
        let logs: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
        let count = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
        let half = match logs.len() {
            0 | 1 => 0.0,
            n => student(n - 1) * (squares / (count - 1.0) / count).sqrt(),
        };
        Interval { ratio: mean.exp(), low: (mean - half).exp(), high: (mean + half).exp() }
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} ({:.3} to {:.3})", self.ratio, self.low, self.high)
    }
}

/// The two-sided 95 % quantile of Student's distribution.
fn student(freedom: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    ];
    // Beyond the table it is above 1.96 still, and never above the last entry.
    TABLE.get(freedom - 1).or(TABLE.last()).copied().unwrap_or(2.042)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rounds_are_certain_and_one_round_says_nothing_of_it() {
        for ratios in [&[1.5][..], &[1.5; 15]] {
            let Interval { ratio, low, high } = Interval::of(ratios);
            assert!([ratio, low, high].iter().all(|one| (one - 1.5).abs() < 1e-9), "{ratio} {low} {high}");
        }
    }

    #[test]
    fn the_interval_of_known_figures() {
        // Logarithms -0.1, 0, 0.1: mean 0, deviation 0.1, half width 4.303 * 0.1 / sqrt(3) = 0.2484.
        let interval = Interval::of(&[(-0.1_f64).exp(), 1.0, 0.1_f64.exp()]);
        assert!((interval.ratio - 1.0).abs() < 1e-9);
        assert!((interval.high.ln() - 0.2484).abs() < 1e-3 && (interval.low.ln() + 0.2484).abs() < 1e-3);
        assert_eq!(interval.to_string(), "1.000 (0.780 to 1.282)");
    }
}
