//! The connections to one origin, and the plan by which they send.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, Waker};

use event_loop::precise::{self, Timer};
use load::Schedule;

use super::Leave;

/// A plan and those who wait for it.
///
/// A connection that is free takes the oldest planned send that is due ([`Line::take`]), and when none is, it stands in line
/// ([`Line::queue`]); [`Line::dispatch`] hands out what becomes due, from the front. What is due while all connections are
/// busy waits here, at no cost: the plan is a calculation, not a list.
pub(super) struct Line {
    /// When offset 0 of the plan is; 0 until that is known.
    begin: Cell<u64>,
    plan: RefCell<Schedule>,
    /// The next send of the plan that nobody has taken.
    next: Cell<Option<u64>>,
    /// The plan once more, to count what is planned as time passes.
    counting: RefCell<Schedule>,
    counted: Cell<Option<u64>>,
    taken: Cell<u64>,
    planned: Cell<u64>,
    /// Connections that wait, in the order in which they came free.
    waiting: RefCell<VecDeque<u32>>,
    waiting_count: Cell<usize>,
    /// What was due before this moment, when we came late, is late by our fault up to then, whoever takes it.
    late_until: Cell<u64>,
    places: RefCell<Vec<Place>>,
    dispatcher: RefCell<Option<Waker>>,
    stopped: Cell<bool>,
}

/// A connection, as the line sees it.
#[derive(Default)]
struct Place {
    in_line: bool,
    granted: Option<Leave>,
    waker: Option<Waker>,
}

impl Line {
    pub(super) fn new(schedule: &Schedule, connections: usize) -> Line {
        Line {
            begin: Cell::new(0),
            plan: RefCell::new(schedule.clone()),
            next: Cell::new(None),
            counting: RefCell::new(schedule.clone()),
            counted: Cell::new(None),
            taken: Cell::new(0),
            planned: Cell::new(0),
            waiting: RefCell::default(),
            waiting_count: Cell::new(0),
            late_until: Cell::new(0),
            places: RefCell::new((0..connections).map(|_| Place::default()).collect()),
            dispatcher: RefCell::default(),
            stopped: Cell::new(false),
        }
    }

    /// Says when offset 0 of the plan is. Before that nothing is due.
    pub(super) fn begin(&self, at: u64) {
        // A plan to whose origin this worker has no connection is another worker's.
        if self.places.borrow().is_empty() {
            return;
        }
        self.begin.set(at);
        let first = |plan: &RefCell<Schedule>| plan.borrow_mut().next().map(|offset| at + offset);
        self.next.set(first(&self.plan));
        self.counted.set(first(&self.counting));
    }

    /// No more leave is given; who waits is told.
    pub(super) fn stop(&self) {
        self.stopped.set(true);
        self.wake_all();
        self.wake_dispatcher();
    }

    /// Whether no leave will be given any more.
    pub(super) fn is_over(&self) -> bool {
        self.stopped.get() || (self.next.get().is_none() && self.begin.get() > 0)
    }

    /// The oldest send that is due at `now`.
    pub(super) fn take(&self, now: u64) -> Option<Leave> {
        let planned = self.next.get().filter(|at| *at <= now && !self.stopped.get())?;
        self.advance();
        // If another connection was free all the while, the send is late by our fault; else it waited for an answer, or for us
        // before that.
        if self.waiting_count.get() > 0 {
            self.late_until.set(now);
        }
        Some(Leave { planned, lag: self.late_until.get().saturating_sub(planned) })
    }

    /// Puts a connection at the end of the line, unless it is in it.
    pub(super) fn queue(&self, number: usize) {
        let mut places = self.places.borrow_mut();
        let place = &mut places[number];
        if !place.in_line && place.granted.is_none() {
            place.in_line = true;
            self.waiting.borrow_mut().push_back(number as u32);
            self.waiting_count.set(self.waiting_count.get() + 1);
            drop(places);
            self.wake_dispatcher();
        }
    }

    /// What the connection was given while it stood in line; `Ready(None)` when there will be nothing.
    pub(super) fn poll_granted(&self, cx: &mut Context<'_>, number: usize) -> Poll<Option<Leave>> {
        let place = &mut self.places.borrow_mut()[number];
        if let Some(leave) = place.granted.take() {
            return Poll::Ready(Some(leave));
        }
        if self.is_over() {
            return Poll::Ready(None);
        }
        place.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Takes the connection out of the line; leave that it was given meanwhile comes back.
    pub(super) fn leave(&self, number: usize) -> Option<Leave> {
        let mut places = self.places.borrow_mut();
        let place = &mut places[number];
        if std::mem::take(&mut place.in_line) {
            self.waiting_count.set(self.waiting_count.get() - 1);
            let mut waiting = self.waiting.borrow_mut();
            if let Some(at) = waiting.iter().position(|n| *n == number as u32) {
                waiting.remove(at);
            }
        }
        place.granted.take()
    }

    /// Hands out planned sends until the plan ends. A task of its own.
    pub(super) async fn dispatch(&self) -> io::Result<()> {
        let timer = Timer::new()?;
        while let (Some(next), false) = (self.next.get(), self.stopped.get()) {
            if self.waiting_count.get() == 0 {
                self.until_somebody_waits().await;
                continue;
            }
            timer.sleep_until(next).await?;
            self.hand_out(precise::nanos());
        }
        // The plan is at its end: who is in line waits for nothing.
        self.wake_all();
        Ok(())
    }

    /// Gives what is due at `now` to those in line.
    pub(super) fn hand_out(&self, now: u64) {
        if self.waiting_count.get() > 0 && self.next.get().is_some_and(|at| at <= now) {
            self.late_until.set(now);
        }
        while let Some(planned) = self.next.get().filter(|at| *at <= now) {
            let Some(number) = self.waiting.borrow_mut().pop_front() else { return };
            self.waiting_count.set(self.waiting_count.get() - 1);
            self.advance();
            let waker = {
                let place = &mut self.places.borrow_mut()[number as usize];
                place.in_line = false;
                place.granted = Some(Leave { planned, lag: now - planned });
                place.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// How many sends the plan had between the last call and `now`.
    pub(super) fn planned_until(&self, now: u64) -> u64 {
        let mut counted = 0;
        while self.counted.get().is_some_and(|at| at <= now) {
            counted += 1;
            self.counted.set(self.counting.borrow_mut().next().map(|offset| self.begin.get() + offset));
        }
        self.planned.set(self.planned.get() + counted);
        counted
    }

    /// Sends that were due at the last count and that nobody has taken.
    pub(super) fn backlog(&self) -> u64 {
        self.planned.get().saturating_sub(self.taken.get())
    }

    fn advance(&self) {
        self.taken.set(self.taken.get() + 1);
        self.next.set(self.plan.borrow_mut().next().map(|offset| self.begin.get() + offset));
    }

    async fn until_somebody_waits(&self) {
        std::future::poll_fn(|cx| {
            if self.waiting_count.get() > 0 || self.next.get().is_none() || self.stopped.get() {
                return Poll::Ready(());
            }
            *self.dispatcher.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn wake_dispatcher(&self) {
        let waker = self.dispatcher.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn wake_all(&self) {
        let wakers: Vec<Waker> = self.places.borrow_mut().iter_mut().filter_map(|p| p.waker.take()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}
