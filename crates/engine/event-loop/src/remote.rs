//! Reaching a worker from another thread.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use crossbeam::queue::SegQueue;

use crate::task::TaskId;

/// The worker has ended; what was sent will never run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the worker has ended")
    }
}

impl std::error::Error for Closed {}

pub(crate) enum Message {
    Run(Box<dyn FnOnce() + Send>),
    Wake(TaskId),
}

struct Inbox {
    messages: SegQueue<Message>,
    /// Set while a wake-up is on its way, so that a burst costs one system call.
    signalled: AtomicBool,
    closed: AtomicBool,
    waker: Option<mio::Waker>,
}

/// A handle of a worker that any thread may hold. Cloning it is a counter.
#[derive(Clone)]
pub struct Remote {
    inbox: Arc<Inbox>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}

impl Remote {
    pub(crate) fn new(waker: Option<mio::Waker>) -> Remote {
        Remote {
            inbox: Arc::new(Inbox {
                messages: SegQueue::new(),
                signalled: AtomicBool::new(false),
                closed: AtomicBool::new(false),
                waker,
            }),
        }
    }

    /// Runs `work` on the worker's thread in its next turn.
    ///
    /// # Errors
    /// [`Closed`] when the worker has ended. Work sent in the moment it ends may be dropped unrun.
    pub fn send(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Closed> {
        if self.inbox.closed.load(Ordering::Acquire) {
            return Err(Closed);
        }
        self.push(Message::Run(Box::new(work)));
        Ok(())
    }

    fn push(&self, message: Message) {
        self.inbox.messages.push(message);
        if !self.inbox.signalled.swap(true, Ordering::AcqRel)
            && let Some(waker) = &self.inbox.waker
        {
            // An eventfd write fails only when its counter is full, and then the worker is awake already.
            let _ = waker.wake();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inbox.messages.is_empty()
    }

    /// What has arrived. The flag is lowered first, so that whoever sends meanwhile signals again.
    pub(crate) fn take(&self, mut each: impl FnMut(Message)) {
        // An empty queue is not enough: its last message may have been taken between its sender's push and that sender's
        // signal. Left up, the flag would keep every later sender from signalling.
        if self.inbox.messages.is_empty() && !self.inbox.signalled.load(Ordering::Acquire) {
            return;
        }
        // A swap, so that no look at the queue can come before it: a producer that still saw the flag up is in time.
        self.inbox.signalled.swap(false, Ordering::AcqRel);
        // Bounded by what is there now: work that sends more work waits for the next turn.
        for _ in 0..self.inbox.messages.len() {
            if let Some(message) = self.inbox.messages.pop() {
                each(message);
            }
        }
        if !self.inbox.messages.is_empty()
            && !self.inbox.signalled.swap(true, Ordering::AcqRel)
            && let Some(waker) = &self.inbox.waker
        {
            let _ = waker.wake();
        }
    }

    pub(crate) fn close(&self) {
        self.inbox.closed.store(true, Ordering::Release);
        while self.inbox.messages.pop().is_some() {}
    }
}

/// The workers of this process, by the number in their tasks' wakers.
static WORKERS: RwLock<[Option<Remote>; 256]> = RwLock::new([const { None }; 256]);

/// Takes a free number for a worker; none when 256 workers live.
pub(crate) fn enlist(remote: &Remote) -> Option<u8> {
    let mut workers = WORKERS.write().unwrap_or_else(|e| e.into_inner());
    let free = workers.iter().position(Option::is_none)?;
    workers[free] = Some(remote.clone());
    Some(free as u8)
}

pub(crate) fn discharge(worker: u8) {
    WORKERS.write().unwrap_or_else(|e| e.into_inner())[usize::from(worker)] = None;
}

/// Wakes a task of another thread's worker. When that number was given to a new worker meanwhile, the wake is
/// spurious at worst.
pub(crate) fn wake_elsewhere(task: TaskId) {
    let workers = WORKERS.read().unwrap_or_else(|e| e.into_inner());
    if let Some(remote) = &workers[usize::from(task.worker())] {
        remote.push(Message::Wake(task));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll, Token, Waker};

    use super::*;

    fn remote() -> (Poll, Remote) {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(0)).unwrap();
        (poll, Remote::new(Some(waker)))
    }

    fn signalled(poll: &mut Poll, patience: Duration) -> bool {
        let mut events = Events::with_capacity(1);
        poll.poll(&mut events, Some(patience)).unwrap();
        !events.is_empty()
    }

    #[test]
    fn what_comes_while_the_inbox_is_emptied_signals_again() {
        let (mut poll, remote) = remote();
        let mut taken = 0;
        remote.send(|| ()).unwrap();
        remote.send(|| ()).unwrap();
        for expected in [2, 3] {
            assert!(signalled(&mut poll, Duration::from_secs(10)));
            assert!(!signalled(&mut poll, Duration::ZERO), "a burst is one signal");
            remote.take(|_| {
                if taken == 0 {
                    remote.send(|| ()).unwrap();
                }
                taken += 1;
            });
            assert_eq!(taken, expected, "what is sent meanwhile waits for the next turn");
        }
        assert!(!signalled(&mut poll, Duration::ZERO) && remote.is_empty());
    }

    /// A worker that sleeps whenever it has looked: a message whose signal is lost would wait for ever.
    #[test]
    fn no_signal_is_lost_and_senders_keep_their_order() {
        const EACH: u32 = 20_000;
        let (mut poll, remote) = remote();
        let (send, receive) = crossbeam::channel::bounded(2 * EACH as usize);
        let mut next = [0; 2];
        std::thread::scope(|scope| {
            for sender in 0..next.len() {
                let (remote, send) = (remote.clone(), send.clone());
                scope.spawn(move || {
                    for number in 0..EACH {
                        let send = send.clone();
                        remote.send(move || send.send((sender, number)).unwrap()).unwrap();
                        if number % 7 == 0 {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            while next.iter().sum::<u32>() < 2 * EACH {
                let woken = signalled(&mut poll, Duration::from_secs(10));
                assert!(woken, "{} messages came, and no signal for the next", next.iter().sum::<u32>());
                remote.take(|message| {
                    if let Message::Run(work) = message {
                        work();
                    }
                });
                for (sender, number) in receive.try_iter() {
                    assert_eq!(number, next[sender]);
                    next[sender] += 1;
                }
            }
        });
    }
}
