//! The two steps of a reload: every worker prepares, and then all change over, or none does.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError};
use event_loop::Remote;

use crate::listeners::Socket;
use crate::prepared::{PrepareError, Prepared};
use crate::worker::{self, Parcel};

/// How long the workers may take to answer, all together. A turn of their loop takes milliseconds; one that takes longer
/// is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long they may take to drop what they prepared. Those that answered before do it at once; the others are not waited
/// for twice.
const FORGETTING: Duration = Duration::from_secs(1);

/// Has all workers prepare themselves for `prepared`, each with its sockets in `by_worker`. Nothing has changed yet; what
/// follows is [`change_over`].
///
/// # Errors
/// The worker and its reason, in a sentence, when not all are ready. They have dropped what they prepared then, and the
/// new sockets are closed; a worker that does not answer drops it before it does anything else.
pub(crate) fn prepare(
    workers: &[Remote],
    prepared: &Arc<Prepared>,
    by_worker: Vec<Vec<Socket>>,
    patience: Duration,
) -> Result<(), PrepareError> {
    let parcels: Vec<Parcel> = by_worker.into_iter().map(|sockets| Arc::new(Mutex::new(Some(sockets)))).collect();
    let order =
        |(remote, parcel): (_, &Parcel)| worker::order_prepare(remote, Arc::clone(prepared), Arc::clone(parcel));
    let answers = answers(workers.iter().zip(&parcels).map(order), patience);
    let refusal = answers.into_iter().enumerate().find_map(|(number, answer)| match answer {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some(PrepareError::new(format!("worker {number} could not prepare it: {why}"))),
        Err(silence) => Some(PrepareError::new(format!("worker {number} {silence}"))),
    });
    let Some(refusal) = refusal else { return Ok(()) };
    for parcel in &parcels {
        drop(parcel.lock().unwrap_or_else(|e| e.into_inner()).take());
    }
    forget(workers, patience);
    Err(refusal)
}

/// Has all workers drop what they prepared.
pub(crate) fn forget(workers: &[Remote], patience: Duration) {
    // Waited for, so that the addresses are free for the next try.
    drop(answers(workers.iter().map(worker::order_forget), patience.min(FORGETTING)));
}

/// Has all workers change to what they prepared. Gives the numbers of those that have not said in time that they have; they
/// will as soon as they can.
pub(crate) fn change_over(workers: &[Remote], patience: Duration) -> Vec<usize> {
    let answers = answers(workers.iter().map(worker::order_change_over), patience);
    answers.iter().enumerate().filter(|(_, answer)| answer.is_err()).map(|(number, _)| number).collect()
}

/// Why a worker gave no answer.
pub(crate) enum Silence {
    Late(Duration),
    Ended,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Silence::Late(patience) => write!(f, "did not answer within {patience:?}"),
            Silence::Ended => f.write_str("has ended"),
        }
    }
}

/// Sends all orders, then waits for all answers, together for `patience`.
pub(crate) fn answers<T>(orders: impl Iterator<Item = Receiver<T>>, patience: Duration) -> Vec<Result<T, Silence>> {
    let orders: Vec<_> = orders.collect();
    let deadline = Instant::now() + patience;
    let answer = |order: Receiver<T>| {
        order.recv_deadline(deadline).map_err(|e| match e {
            RecvTimeoutError::Timeout => Silence::Late(patience),
            RecvTimeoutError::Disconnected => Silence::Ended,
        })
    };
    orders.into_iter().map(answer).collect()
}

#[cfg(test)]
mod tests;
