//! Rates, and how they change over a run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::words;

/// Requests per second; finite and above 0.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Rate(f64);

impl Rate {
    /// The least rate that is taken: one request in 1,000 s.
    pub const MIN: Rate = Rate(0.001);
    /// The highest rate that is taken: one request a nanosecond.
    pub const MAX: Rate = Rate(1e9);

    /// A rate, or `None` when it is not between [`Rate::MIN`] and [`Rate::MAX`].
    pub fn new(per_second: f64) -> Option<Rate> {
        (Rate::MIN.0..=Rate::MAX.0).contains(&per_second).then_some(Rate(per_second))
    }

    /// The nearest rate that is allowed.
    pub fn clamped(per_second: f64) -> Rate {
        // A comparison with NaN is false: it becomes the least.
        if per_second > Rate::MIN.0 { Rate(per_second.min(Rate::MAX.0)) } else { Rate::MIN }
    }

    /// As requests per second.
    pub fn per_second(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Rate {
    type Error = &'static str;

    fn try_from(per_second: f64) -> Result<Rate, &'static str> {
        Rate::new(per_second).ok_or("a rate lies between 0.001 and 1,000,000,000 a second")
    }
}

impl From<Rate> for f64 {
    fn from(rate: Rate) -> f64 {
        rate.0
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", words::figure(self.0))
    }
}

/// A stretch of a plan, along which the rate changes evenly.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Segment {
    start_ns: u64,
    span_ns: u64,
    from: f64,
    to: f64,
    /// Requests planned before it.
    before: f64,
}

impl Segment {
    fn seconds(&self) -> f64 {
        self.span_ns as f64 / 1e9
    }

    /// Requests planned in it.
    fn requests(&self) -> f64 {
        (self.from + self.to) / 2.0 * self.seconds()
    }

    /// When, from its start, the request stands that has `ahead` others of the segment before it.
    fn offset_ns(&self, ahead: f64) -> f64 {
        if self.from == self.to {
            return ahead / self.from * 1e9;
        }
        // The root of `from * t + slope * t^2 / 2 = ahead`, in the form that loses no digits when the slope is small.
        let slope = (self.to - self.from) / self.seconds();
        let root = (self.from * self.from + 2.0 * slope * ahead).max(0.0).sqrt();
        2.0 * ahead / (self.from + root) * 1e9
    }
}

/// The rate over time: constant, in steps, rising evenly, or any of these behind one another. It ends, or its last
/// rate goes on for ever.
#[derive(Clone, Debug, PartialEq)]
pub struct RatePlan {
    segments: Vec<Segment>,
    then: Option<f64>,
}

impl RatePlan {
    /// One rate without end.
    pub fn constant(rate: Rate) -> RatePlan {
        RatePlan { segments: Vec::new(), then: Some(rate.0) }
    }

    /// From one rate to another, evenly, over `span_ns`; it ends there.
    pub fn ramp(from: Rate, to: Rate, span_ns: u64) -> RatePlan {
        let mut plan = RatePlan { segments: Vec::new(), then: None };
        plan.push(from, to, span_ns);
        plan
    }

    /// Each rate for `span_ns`; it ends after the last.
    pub fn steps(rates: &[Rate], span_ns: u64) -> RatePlan {
        let mut plan = RatePlan { segments: Vec::new(), then: None };
        for rate in rates {
            plan.push(*rate, *rate, span_ns);
        }
        plan
    }

    /// The same plan, whose last rate goes on for ever.
    pub fn held(mut self) -> RatePlan {
        self.then = self.then.or(self.segments.last().map(|s| s.to));
        self
    }

    /// The part of this plan that `share` (above 0) of its requests make up, as evenly spread as the whole.
    pub fn scaled(mut self, share: f64) -> RatePlan {
        for segment in &mut self.segments {
            (segment.from, segment.to) = (segment.from * share, segment.to * share);
            segment.before *= share;
        }
        self.then = self.then.map(|rate| rate * share);
        self
    }

    /// This plan with a constant stretch at its first rate before it: the warm-up.
    pub fn after_warm_up(self, span_ns: u64) -> RatePlan {
        let first = self.rate_at(0);
        let mut plan = RatePlan { segments: Vec::new(), then: self.then };
        if let Some(first) = first {
            plan.push(first, first, span_ns);
        }
        for segment in &self.segments {
            plan.push(Rate(segment.from), Rate(segment.to), segment.span_ns);
        }
        plan
    }

    /// Where it ends; `None` when it goes on for ever.
    pub fn end_ns(&self) -> Option<u64> {
        if self.then.is_some() { None } else { Some(self.segments_end_ns()) }
    }

    /// Where the rate jumps or changes its slope, with the rate there: what to mark in a timeline.
    pub fn corners(&self) -> Vec<(u64, Rate)> {
        let mut corners: Vec<_> = self.segments.iter().map(|s| (s.start_ns, Rate(s.from))).collect();
        match self.then {
            Some(rate) => corners.push((self.segments_end_ns(), Rate(rate))),
            None => corners.extend(self.segments.last().map(|s| (s.start_ns + s.span_ns, Rate(s.to)))),
        }
        corners
    }

    /// The rate at a time; `None` behind the end.
    pub fn rate_at(&self, at_ns: u64) -> Option<Rate> {
        match self.segments.iter().find(|s| at_ns - s.start_ns < s.span_ns) {
            Some(s) => {
                let share = (at_ns - s.start_ns) as f64 / s.span_ns as f64;
                Some(Rate::clamped(s.from + (s.to - s.from) * share))
            }
            None => self.then.map(Rate),
        }
    }

    /// How many requests are planned before a time.
    pub fn requests_before(&self, at_ns: u64) -> f64 {
        let mut sum = 0.0;
        for s in self.segments.iter().take_while(|s| s.start_ns < at_ns) {
            let t = ((at_ns - s.start_ns).min(s.span_ns)) as f64 / 1e9;
            let end = s.from + (s.to - s.from) * t / s.seconds();
            sum += (s.from + end) / 2.0 * t;
        }
        let beyond = at_ns.saturating_sub(self.segments_end_ns()) as f64 / 1e9;
        sum + self.then.unwrap_or(0.0) * beyond
    }

    fn push(&mut self, from: Rate, to: Rate, span_ns: u64) {
        if span_ns == 0 {
            return;
        }
        let before = self.segments.last().map_or(0.0, |s| s.before + s.requests());
        self.segments.push(Segment { start_ns: self.segments_end_ns(), span_ns, from: from.0, to: to.0, before });
    }

    fn segments_end_ns(&self) -> u64 {
        self.segments.last().map_or(0, |s| s.start_ns + s.span_ns)
    }

    /// When the request stands that has `ahead` others before it, and in which segment; `segment` is where to start
    /// looking. `None` when the plan ends before.
    pub(crate) fn time_of(&self, ahead: f64, segment: &mut usize) -> Option<u64> {
        while let Some(s) = self.segments.get(*segment) {
            let inside = ahead - s.before;
            if inside < s.requests() {
                return Some(s.start_ns + s.offset_ns(inside.max(0.0)).round() as u64);
            }
            *segment += 1;
        }
        let before = self.segments.last().map_or(0.0, |s| s.before + s.requests());
        let rate = self.then?;
        Some(self.segments_end_ns() + ((ahead - before).max(0.0) / rate * 1e9).round() as u64)
    }
}
