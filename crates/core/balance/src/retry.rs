//! Whether a failed try is made again, and how.

use std::fmt;

use clock::Tick;

use crate::budget::RetryBudget;

/// When an upstream's failed tries are made again; from the configuration, the same for every request.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// How many tries a request gets, the first included; 1 turns retries off.
    pub attempts: u32,
    /// Which failures are worth another try.
    pub on: RetryOn,
    /// Retries for each request of the last 10 s: the share for [`RetryBudget::new`].
    pub budget: f64,
    /// Whether a request that is not idempotent is left alone once a byte of it was written.
    pub idempotent_only: bool,
}

impl Default for RetryPolicy {
    /// Two attempts on connect and reset, within a fifth of the requests, idempotent methods only.
    fn default() -> RetryPolicy {
        RetryPolicy { attempts: 2, on: RetryOn::default(), budget: 0.2, idempotent_only: true }
    }
}

/// Why a try failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No connection came about: refused, unreachable, or not in time.
    Connect,
    /// The connection ended before the answer's head was complete.
    Reset,
    /// The answer's head did not come in time.
    Timeout,
    /// The server answered with this status.
    Status(u16),
}

/// What is known of a try that failed.
#[derive(Clone, Copy, Debug)]
pub struct FailedTry {
    /// Why it failed.
    pub cause: Cause,
    /// Which attempt it was, from 1. A fresh connection in place of a dead reused one is no attempt of its own.
    pub attempt: u32,
    /// Whether the method is idempotent (RFC 9110 §9.2.2).
    pub idempotent: bool,
    /// Whether any byte of the request was written to the server.
    pub request_bytes_written: bool,
    /// Whether the whole request can be sent again: what was taken of its body is still held.
    pub replayable: bool,
    /// Whether the connection had carried an exchange before.
    pub reused: bool,
    /// Whether a dead reused connection was already replaced by a fresh one for this request.
    pub fresh_tried: bool,
    /// Whether any byte of the server's answer was read.
    pub answer_bytes_read: bool,
    /// Whether the answer to the client has begun.
    pub answer_begun: bool,
}

/// What follows a failed try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The same server once more on a new connection, outside the attempts: the server had closed an idle one.
    FreshConnection,
    /// The next attempt; another server is preferred.
    Retry,
    /// The failure, or the answer with that status, goes to the client.
    GiveUp(GiveUp),
}

/// Why a try is not made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// The client has seen part of an answer.
    AnswerBegun,
    /// Part of the request's body is gone.
    NotReplayable,
    /// The server may have acted on it, and acting twice would not be the same.
    NotIdempotent,
    /// The policy does not list such a failure.
    NotListed,
    /// All attempts are used up.
    AttemptsSpent,
    /// Too large a share of the requests are retries already.
    BudgetSpent,
}

impl GiveUp {
    /// For a log line: "not retried: ...".
    pub fn reason(self) -> &'static str {
        match self {
            GiveUp::AnswerBegun => "the answer had begun",
            GiveUp::NotReplayable => "the request body cannot be sent again",
            GiveUp::NotIdempotent => "the method is not idempotent and bytes of the request were written",
            GiveUp::NotListed => "the upstream's retry.on does not list this failure",
            GiveUp::AttemptsSpent => "all attempts are used up",
            GiveUp::BudgetSpent => "the retry budget is spent",
        }
    }
}

impl RetryPolicy {
    /// What follows `failed`. A [`Decision::Retry`] has been taken from `budget`.
    ///
    /// A dead reused connection is replaced outside the budget too: when a server restarts, all idle connections
    /// to it die at once, and each request meets at most one of them.
    pub fn decide(&self, failed: &FailedTry, budget: &mut RetryBudget, now: Tick) -> Decision {
        if failed.answer_begun {
            return Decision::GiveUp(GiveUp::AnswerBegun);
        }
        if !failed.replayable {
            return Decision::GiveUp(GiveUp::NotReplayable);
        }
        if self.idempotent_only && !failed.idempotent && failed.request_bytes_written {
            return Decision::GiveUp(GiveUp::NotIdempotent);
        }
        if failed.died_while_idle() {
            return Decision::FreshConnection;
        }
        if !self.on.covers(failed.cause) {
            return Decision::GiveUp(GiveUp::NotListed);
        }
        if failed.attempt >= self.attempts {
            return Decision::GiveUp(GiveUp::AttemptsSpent);
        }
        if !budget.take(now) {
            return Decision::GiveUp(GiveUp::BudgetSpent);
        }
        Decision::Retry
    }

    /// Whether an answer with `status` may be held back for another try. False for nearly every answer, so ask
    /// this before describing it as a [`FailedTry`].
    pub fn retries_status(&self, status: u16) -> bool {
        self.on.covers(Cause::Status(status))
    }
}

impl FailedTry {
    fn died_while_idle(&self) -> bool {
        self.cause == Cause::Reset && self.reused && !self.answer_bytes_read && !self.fresh_tried
    }
}

/// A set of failures, as `retry.on` lists them: `connect`, `reset`, `timeout`, and statuses like `502` or `5xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOn {
    connect: bool,
    reset: bool,
    timeout: bool,
    /// A bit for each status from [`STATUS_FIRST`].
    statuses: [u64; 5],
}

/// A status below this is no failure.
const STATUS_FIRST: u16 = 300;

/// A word that names no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCause;

impl fmt::Display for UnknownCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "expected \"connect\", \"reset\", \"timeout\", a status from 300 to 599, or \"3xx\", \"4xx\", \"5xx\"",
        )
    }
}

impl std::error::Error for UnknownCause {}

impl Default for RetryOn {
    fn default() -> RetryOn {
        RetryOn { connect: true, reset: true, ..RetryOn::nothing() }
    }
}

impl RetryOn {
    /// The empty set.
    pub const fn nothing() -> RetryOn {
        RetryOn { connect: false, reset: false, timeout: false, statuses: [0; 5] }
    }

    /// Adds what one word of the configuration names.
    pub fn add(&mut self, word: &str) -> Result<(), UnknownCause> {
        match word {
            "connect" => self.connect = true,
            "reset" => self.reset = true,
            "timeout" => self.timeout = true,
            "3xx" => self.add_statuses(300..400),
            "4xx" => self.add_statuses(400..500),
            "5xx" => self.add_statuses(500..600),
            _ => {
                let digits = word.len() == 3 && word.bytes().all(|b| b.is_ascii_digit());
                let status: u16 = word.parse().ok().filter(|_| digits).ok_or(UnknownCause)?;
                if !(STATUS_FIRST..600).contains(&status) {
                    return Err(UnknownCause);
                }
                self.add_statuses(status..status + 1);
            }
        }
        Ok(())
    }

    /// Whether such a failure is in the set.
    pub fn covers(&self, cause: Cause) -> bool {
        match cause {
            Cause::Connect => self.connect,
            Cause::Reset => self.reset,
            Cause::Timeout => self.timeout,
            Cause::Status(status) => {
                let (word, bit) = place_of(status);
                self.statuses.get(word).is_some_and(|bits| bits & bit != 0)
            }
        }
    }

    fn add_statuses(&mut self, range: std::ops::Range<u16>) {
        for status in range {
            let (word, bit) = place_of(status);
            self.statuses[word] |= bit;
        }
    }
}

/// Where the bit of `status` lies; beyond the set for one that is no failure.
fn place_of(status: u16) -> (usize, u64) {
    let n = usize::from(status).checked_sub(usize::from(STATUS_FIRST)).unwrap_or(usize::MAX);
    (n / 64, 1 << (n % 64))
}

#[cfg(test)]
mod tests;
