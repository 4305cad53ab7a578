//! When each request is due.

use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::rate::RatePlan;

/// How requests lie around their rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// At equal distances.
    #[default]
    Constant,
    /// Independent of one another, as those of many users: distances are exponentially distributed.
    Poisson,
}

/// The planned times of one worker's requests, as nanoseconds since the start, in ascending order: an iterator that
/// ends with the plan.
///
/// Each time is computed from the request's number (or from the sum of unit waits, for Poisson) by the inverse of the
/// plan's integral; nothing accumulates, so that a schedule does not drift however long it runs. Workers share a plan
/// without talking: constant arrivals take turns, and Poisson streams add up to one. A step costs 10 to 45 ns and
/// allocates nothing.
#[derive(Clone, Debug)]
pub struct Schedule {
    plan: RatePlan,
    arrivals: Arrivals,
    random: Random,
    workers: f64,
    /// Requests of all workers that are planned before this worker's next one.
    ahead: f64,
    segment: usize,
}

impl Schedule {
    /// The schedule of a single worker.
    pub fn new(plan: RatePlan, arrivals: Arrivals, seed: u64) -> Schedule {
        Schedule::share(plan, arrivals, seed, 0, 1)
    }

    /// The schedule of `worker` (from 0) of `workers`: together they keep `plan`.
    pub fn share(plan: RatePlan, arrivals: Arrivals, seed: u64, worker: u32, workers: u32) -> Schedule {
        let mut random = Random::part(seed, u64::from(worker));
        let workers = f64::from(workers.max(1));
        let ahead = match arrivals {
            Arrivals::Constant => f64::from(worker),
            Arrivals::Poisson => random.exponential() * workers,
        };
        Schedule { plan, arrivals, random, workers, ahead, segment: 0 }
    }

    /// The same, each request later by `part` (0 to 1) of the distance to the next: for plans that run side by side and are
    /// not to send at the same moments.
    pub fn shifted(mut self, part: f64) -> Schedule {
        self.ahead += part.clamp(0.0, 1.0);
        self
    }

    /// The plan it keeps.
    pub fn plan(&self) -> &RatePlan {
        &self.plan
    }
}

impl Iterator for Schedule {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        let time = self.plan.time_of(self.ahead, &mut self.segment)?;
        self.ahead += match self.arrivals {
            Arrivals::Constant => self.workers,
            Arrivals::Poisson => self.random.exponential() * self.workers,
        };
        Some(time)
    }
}

#[cfg(test)]
mod tests;
