//! What a search for the knee found, and the sentence for it.

use serde::{Deserialize, Serialize};

use crate::rate::Rate;

/// What the search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The objective is kept up to one rate, and not at another just above.
    Knee {
        /// The highest rate that kept it.
        met: Rate,
        /// The lowest rate above that did not.
        missed: Rate,
        /// Why it did not.
        reason: String,
    },
    /// It was kept at the highest rate that was allowed.
    NeverMissed {
        /// That rate.
        limit: Rate,
    },
    /// It was not kept at any rate.
    NeverMet {
        /// The lowest that was tried.
        lowest: Rate,
        /// Why not.
        reason: String,
    },
    /// The generator gave out before the target did.
    GeneratorLimit {
        /// The highest rate at which the objective was kept, if any.
        met: Option<Rate>,
        /// The rate that the generator could not drive.
        limited: Rate,
        /// Why not.
        reason: String,
    },
    /// The steps ran out before the answer was as close as it was asked to be.
    OutOfSteps {
        /// The highest rate that kept it so far, if any.
        met: Option<Rate>,
        /// The lowest rate that did not so far, if any.
        missed: Option<Rate>,
    },
}

impl Answer {
    /// The answer to "how much can it take?".
    pub fn sentence(&self) -> String {
        match self {
            Answer::Knee { met, missed, reason } => {
                format!("The target keeps the objective up to {met}; at {missed} it does not: {reason}.")
            }
            Answer::NeverMissed { limit } => {
                format!(
                    "The target keeps the objective at {limit}, the highest rate that was to be tried; its knee lies above."
                )
            }
            Answer::NeverMet { lowest, reason } => {
                format!(
                    "The target does not keep the objective at any rate that was tried, down to {lowest}: {reason}."
                )
            }
            Answer::GeneratorLimit { met: Some(met), limited, reason } => format!(
                "The target keeps the objective up to {met}; what it does above is not known, since at {limited} the generator \
                 was the limit: {reason}."
            ),
            Answer::GeneratorLimit { met: None, limited, reason } => {
                format!(
                    "Nothing is known of the target, since already at {limited} the generator was the limit: {reason}."
                )
            }
            Answer::OutOfSteps { met: Some(met), missed: Some(missed) } => {
                format!("The knee lies between {met} and {missed}; the steps ran out before it was found more closely.")
            }
            Answer::OutOfSteps { met: Some(met), missed: None } => {
                format!("The knee lies above {met}; the steps ran out before it was found.")
            }
            Answer::OutOfSteps { met: None, missed: Some(missed) } => {
                format!("The knee lies below {missed}; the steps ran out before it was found.")
            }
            Answer::OutOfSteps { met: None, missed: None } => {
                "No step was allowed, so that nothing is known.".to_owned()
            }
        }
    }

    /// The highest rate that kept the objective.
    pub fn met(&self) -> Option<Rate> {
        match self {
            Answer::Knee { met, .. } => Some(*met),
            Answer::NeverMissed { limit } => Some(*limit),
            Answer::NeverMet { .. } => None,
            Answer::GeneratorLimit { met, .. } | Answer::OutOfSteps { met, .. } => *met,
        }
    }
}
