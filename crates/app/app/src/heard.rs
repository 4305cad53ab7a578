//! What each worker finds out for itself, told once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, TryLockError};
use std::time::{Duration, Instant};

/// What one worker has said, others find out within this time.
const LATEST: Duration = Duration::from_secs(10);

/// How often a worker looks whether another is done, a fifth of a millisecond in all.
const TRIES: usize = 10_000;

/// So many sentences are remembered.
const MOST: usize = 256;

/// The latest sentences of the workers. One that repeats what another has just said is no news; one that says it again itself is: it
/// has happened again.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Vec<Said>>);

#[derive(Debug)]
struct Said {
    sentence: u64,
    at: Instant,
    by: Vec<u16>,
}

impl Heard {
    /// Whether `worker` is the first to say it.
    pub(crate) fn is_news(&self, worker: u16, sentence: &str, now: Instant) -> bool {
        let mut hasher = DefaultHasher::new();
        sentence.hash(&mut hasher);
        let hash = hasher.finish();
        // Workers find a thing out in the same moment. None sleeps for another: the other is done in a moment, and said twice is no harm.
        let mut tries = (0..TRIES).map_while(|_| match self.0.try_lock() {
            Err(TryLockError::WouldBlock) => {
                std::hint::spin_loop();
                Some(None)
            }
            Err(TryLockError::Poisoned(_)) => None,
            Ok(said) => Some(Some(said)),
        });
        let Some(mut said) = tries.find_map(|said| said) else { return true };
        said.retain(|said| now.saturating_duration_since(said.at) < LATEST);
        let has_room = said.len() < MOST;
        match said.iter_mut().find(|said| said.sentence == hash) {
            Some(said) if !said.by.contains(&worker) => {
                said.by.push(worker);
                return false;
            }
            Some(said) => *said = Said { sentence: hash, at: now, by: vec![worker] },
            None if has_room => said.push(Said { sentence: hash, at: now, by: vec![worker] }),
            None => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn of_workers_that_say_it_in_the_same_moment_one_does() {
        const WORKERS: u16 = 4;
        const ROUNDS: usize = 200;
        let (heard, barrier) = (Heard::default(), Barrier::new(usize::from(WORKERS)));
        let (heard, barrier) = (&heard, &barrier);
        let first = |worker: u16| {
            let says = move |round: usize| {
                barrier.wait();
                heard.is_news(worker, &round.to_string(), Instant::now())
            };
            (0..ROUNDS).filter(|round| says(*round)).count()
        };
        let firsts: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|worker| scope.spawn(move || first(worker))).collect();
            workers.into_iter().map(|worker| worker.join().expect("no panic")).sum()
        });
        // A worker whose CPU is taken from it in the middle keeps the others no longer than they look.
        assert!((ROUNDS..ROUNDS + ROUNDS / 10).contains(&firsts), "{firsts}");
    }

    #[test]
    fn what_another_worker_has_said_is_no_news_and_what_happens_again_is() {
        let heard = Heard::default();
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        assert!(heard.is_news(0, "a is ejected", at(0)));
        assert!(!heard.is_news(1, "a is ejected", at(3)));
        assert!(heard.is_news(1, "b is ejected", at(3)));
        assert!(heard.is_news(1, "a is ejected", at(5)), "for the second time");
        assert!(!heard.is_news(0, "a is ejected", at(14)));
        assert!(heard.is_news(2, "a is ejected", at(15)), "too late to be the same");
        for i in 0..2 * MOST {
            assert!(heard.is_news(0, &format!("{i} is ejected"), at(30)));
        }
    }
}
