//! What each worker finds out for itself, told once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, TryLockError};
use std::time::{Duration, Instant};

/// What one worker has said, others find out within this time.
const LATEST: Duration = Duration::from_secs(10);

/// How often a worker looks whether another is done, a fifth of a millisecond in all.
const TRIES: usize = 10_000;

/// So many subjects are remembered.
const MOST: usize = 256;

/// What the workers have said of late, by what it was about. One that repeats what another has just said is no news; one that says it again
/// itself is: it has happened again.
///
/// Subjects get worse, on one worker after the other, and better again. Once one has said that it is better, whatever makes it worse is
/// news, though the same was said a moment before; and that a worker finds it better is no news if it had found it worse before that.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Vec<About>>);

/// What was said of one subject.
#[derive(Debug)]
struct About {
    subject: u64,
    said: Vec<Said>,
    /// Who has found it worse since it was last said to be better, and has not found it better yet.
    worse: Vec<u16>,
    /// Who had found it worse before that, and has not found it better yet.
    late: Vec<u16>,
    at: Instant,
}

#[derive(Debug)]
struct Said {
    sentence: u64,
    worse: bool,
    at: Instant,
    by: Vec<u16>,
}

impl Heard {
    /// Whether `worker` is the first to say it. `worse`: of two kinds of sentences about that subject the one that the other takes back.
    pub(crate) fn is_news(&self, worker: u16, subject: &impl Hash, worse: bool, sentence: &str, now: Instant) -> bool {
        let (subject, sentence) = (hash(subject), hash(sentence));
        // Workers find a thing out in the same moment. None sleeps for another: the other is done in a moment, and said twice is no harm.
        let mut tries = (0..TRIES).map_while(|_| match self.0.try_lock() {
            Err(TryLockError::WouldBlock) => {
                std::hint::spin_loop();
                Some(None)
            }
            Err(TryLockError::Poisoned(_)) => None,
            Ok(said) => Some(Some(said)),
        });
        let Some(mut subjects) = tries.find_map(|subjects| subjects) else { return true };
        let place = subjects.iter().position(|about| about.subject == subject);
        let about = match place {
            Some(place) => &mut subjects[place],
            None => {
                if subjects.len() >= MOST {
                    subjects.retain(|about| now.saturating_duration_since(about.at) < LATEST);
                }
                if subjects.len() >= MOST {
                    return true;
                }
                subjects.push(About { subject, said: Vec::new(), worse: Vec::new(), late: Vec::new(), at: now });
                subjects.last_mut().expect("just pushed")
            }
        };
        about.at = now;
        if worse { about.is_worse(worker, sentence, now) } else { about.is_better(worker, sentence, now) }
    }
}

impl About {
    fn is_worse(&mut self, worker: u16, sentence: u64, now: Instant) -> bool {
        self.late.retain(|other| *other != worker);
        if !self.worse.contains(&worker) {
            self.worse.push(worker);
        }
        self.is_said_first(worker, sentence, true, now)
    }

    fn is_better(&mut self, worker: u16, sentence: u64, now: Instant) -> bool {
        let place = self.late.iter().position(|other| *other == worker);
        if let Some(place) = place {
            self.late.swap_remove(place);
            return false;
        }
        let was_worse = self.worse.contains(&worker);
        if was_worse {
            // What others said of an earlier time is another matter.
            self.said.retain(|said| said.worse);
        }
        if !self.is_said_first(worker, sentence, false, now) {
            return false;
        }
        self.worse.retain(|other| *other != worker);
        self.late.append(&mut self.worse);
        self.said.retain(|said| !said.worse);
        true
    }

    fn is_said_first(&mut self, worker: u16, sentence: u64, worse: bool, now: Instant) -> bool {
        self.said.retain(|said| now.saturating_duration_since(said.at) < LATEST);
        match self.said.iter_mut().find(|said| said.sentence == sentence) {
            Some(said) if !said.by.contains(&worker) => {
                said.by.push(worker);
                return false;
            }
            Some(said) => *said = Said { sentence, worse, at: now, by: vec![worker] },
            None => self.said.push(Said { sentence, worse, at: now, by: vec![worker] }),
        }
        true
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
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
                heard.is_news(worker, &"a", true, &round.to_string(), Instant::now())
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
        let is_news = |worker, subject: &str, seconds| {
            heard.is_news(worker, &subject, true, "is ejected", began + Duration::from_secs(seconds))
        };
        assert!(is_news(0, "a", 0));
        assert!(!is_news(1, "a", 3));
        assert!(is_news(1, "b", 3));
        assert!(is_news(1, "a", 5), "for the second time");
        assert!(!is_news(0, "a", 14));
        assert!(is_news(2, "a", 15), "too late to be the same");
        for i in 0..2 * MOST {
            assert!(is_news(0, &i.to_string(), 30));
        }
    }

    /// Of two workers; each step: who, better or worse, at which second, and whether it is news.
    #[test]
    fn a_return_makes_news_of_what_was_said_before_it() {
        let (worse, better) = (true, false);
        for steps in [
            // The second ejects it only after the first has taken it back.
            &[(0, worse, 0, true), (0, better, 5, true), (1, worse, 7, true), (1, better, 12, true)][..],
            // What the second had found out before that ends without a word, however late.
            &[(0, worse, 0, true), (1, worse, 3, false), (0, better, 5, true), (1, better, 60, false)],
            &[(0, worse, 0, true), (1, worse, 3, false), (1, better, 4, true), (0, better, 5, false)],
            // Also while the first has it out again.
            &[
                (0, worse, 0, true),
                (1, worse, 3, false),
                (0, better, 10, true),
                (0, worse, 11, true),
                (1, better, 13, false),
                (0, better, 21, true),
            ],
            // Out of the second once more, before the first is back.
            &[
                (0, worse, 0, true),
                (1, worse, 1, false),
                (1, better, 2, true),
                (1, worse, 3, true),
                (0, better, 4, false),
                (1, better, 5, true),
            ],
        ] {
            let (heard, began) = (Heard::default(), Instant::now());
            for (worker, is_worse, seconds, news) in steps {
                let sentence = if *is_worse { "is ejected" } else { "is back" };
                let now = began + Duration::from_secs(*seconds);
                assert_eq!(
                    heard.is_news(*worker, &"a", *is_worse, sentence, now),
                    *news,
                    "{worker} at {seconds}: {steps:?}"
                );
            }
        }
    }
}
