//! Which server takes a request, and whether a failed try is made again.
//!
//! * [`Balancer`] picks a server by a [`Policy`], keeps away from servers that are down, ejected or full and,
//!   for a short time, from those that could not be connected to.
//! * [`Checks`] and [`Ejector`] say which servers those are.
//! * [`RetryPolicy`] decides what follows a failed try, within a [`RetryBudget`].
//!
//! Pure machines of one worker: they know neither how a server is reached nor what time it is. Whoever drives
//! them passes `now` in and reports what came of each pick.

mod balancer;
mod budget;
mod chooser;
mod ejection;
mod heap;
mod members;
mod retry;
mod ring;
mod rotation;
mod tried;

pub use balancer::{Balancer, Choice, ServerSetup};
pub use budget::{RETRIES_PER_SECOND_MIN, RetryBudget};
pub use chooser::Policy;
pub use ejection::{Checks, EjectionPolicy, Ejector};
pub use retry::{Cause, Decision, FailedTry, GiveUp, RetryOn, RetryPolicy, UnknownCause};
pub use ring::hash_of;
pub use tried::Tried;

/// A server of one upstream: its place in the configuration's list, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u32);

impl ServerId {
    /// The place as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
