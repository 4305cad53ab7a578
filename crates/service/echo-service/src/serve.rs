//! Taking connections, and ending them.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use clock::Tick;
use event_loop::{now, sleep, spawn, within};
use net::{Listener, is_exhausted};

use crate::connection::{IDLE, connection};
use crate::latency::{Clock, Sampler};
use crate::tally::Tally;

/// How long a listener rests when the process has no descriptor left.
const REST: Duration = Duration::from_millis(50);

/// More than any queue of connections holds.
const QUEUE_MAX: usize = 1 << 16;

/// What the connections of one worker share.
pub struct Echo {
    pub(crate) tally: Arc<Tally>,
    pub(crate) idle: Duration,
    pub(crate) sampler: Option<Sampler>,
    /// When the stop began, and by when every byte must be taken.
    pub(crate) stop: Cell<Option<Stop>>,
    /// The waker of [`serve`].
    waiting: Cell<Option<Waker>>,
}

#[derive(Clone, Copy)]
pub(crate) struct Stop {
    pub(crate) began: Tick,
    pub(crate) by: Tick,
}

impl Echo {
    /// `idle` is how long a connection may wait without a byte moving. With a clock the time from readable to written is
    /// taken of a share of the reads.
    pub fn new(tally: Arc<Tally>, idle: Duration, clock: Option<Clock>) -> Rc<Echo> {
        let sampler = clock.map(Sampler::new);
        Rc::new(Echo { tally, idle, sampler, stop: Cell::new(None), waiting: Cell::new(None) })
    }

    /// Begins to stop: no connection is taken any more, what was sent by now is echoed, and clients have `patience` to take it.
    pub fn stop(&self, patience: Duration) {
        let began = now();
        self.stop.set(Some(Stop { began, by: began.after(patience) }));
        self.wake();
    }

    pub(crate) fn left(&self) {
        self.tally.open.sub(1);
        if self.stop.get().is_some() {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    fn poll_stop(&self, cx: &mut Context<'_>) -> Poll<Stop> {
        self.waiting.set(Some(cx.waker().clone()));
        self.stop.get().map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.waiting.set(Some(cx.waker().clone()));
        if self.tally.open.value() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Echoes on every connection of `listener` until [`Echo::stop`], then ends them: what they have sent is echoed, and who does
/// not take it in time is reset. `say` is told, in a sentence, what an operator should know; each thing once.
pub async fn serve(listener: Listener, echo: Rc<Echo>, say: impl Fn(&str)) {
    let stop = accept(&listener, &echo, say).await;
    // Closing a listener resets what has queued; the backlog bounds this loop.
    for _ in 0..QUEUE_MAX {
        match listener.accept_queued() {
            Ok(Some(accepted)) => drop(spawn(connection(accepted.stream, Rc::clone(&echo)))),
            Ok(None) => break,
            Err(e) if is_exhausted(&e) => break,
            Err(_) => {}
        }
    }
    drop(listener);
    // All of them wait under this deadline, whatever they wait for: it wakes them to see that they are to end.
    event_loop::shorten_deadlines(IDLE, now());
    // Connections end by themselves; should one not, the others are not kept waiting.
    let last = stop.by.after(REST);
    within(last, std::future::poll_fn(|cx| echo.poll_empty(cx))).await;
}

async fn accept(listener: &Listener, echo: &Rc<Echo>, say: impl Fn(&str)) -> Stop {
    let mut said_exhausted = false;
    loop {
        let accepted = std::future::poll_fn(|cx| match echo.poll_stop(cx) {
            Poll::Ready(stop) => Poll::Ready(Err(stop)),
            Poll::Pending => listener.poll_accept(cx).map(Ok),
        });
        match accepted.await {
            Err(stop) => return stop,
            Ok(Ok(accepted)) => drop(spawn(connection(accepted.stream, Rc::clone(echo)))),
            Ok(Err(e)) if is_exhausted(&e) => {
                echo.tally.shed.add(listener.shed() as u64);
                if !std::mem::replace(&mut said_exhausted, true) {
                    say("no descriptor is left; new connections are closed until some are freed (raise `ulimit -n`)");
                }
                sleep(REST).await;
            }
            // The connection was gone before it was taken.
            Ok(Err(_)) => {}
        }
    }
}
