//! When the next request may go out.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, Waker};

use event_loop::precise::{self, Timer};
use load::Schedule;

use crate::work::Pace;

/// Leave to send one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leave {
    /// When it was planned; in a closed loop, now.
    pub(crate) planned: u64,
    /// How much later than it could have been it is sent, by our own fault.
    pub(crate) lag: u64,
}

impl Leave {
    /// The same, given to a connection that had waited for it, and used at `now`: all the lateness is ours.
    pub(crate) fn sent_at(self, now: u64) -> Leave {
        Leave { lag: now.saturating_sub(self.planned), ..self }
    }
}

/// Gives connections leave to send.
///
/// In a closed loop whoever asks may send, as long as the count lasts. In an open loop the plan decides: a connection takes
/// the oldest planned send that is due, and when none is, it waits in line; the [`dispatcher`](Pacer::dispatch) hands
/// out what becomes due, from the front of the line. What is due while all connections are busy waits here, at no
/// cost: the plan is a calculation, not a list.
pub(crate) struct Pacer {
    kind: Kind,
    stopped: Cell<bool>,
}

enum Kind {
    Closed { left: Cell<u64> },
    Open(Box<Open>),
}

struct Open {
    /// When offset 0 of the plan is.
    begin: Cell<u64>,
    plan: RefCell<Schedule>,
    /// The next send of the plan that nobody has taken.
    next: Cell<Option<u64>>,
    /// The plan once more, to count what is planned as time passes.
    counting: RefCell<Schedule>,
    counted: Cell<Option<u64>>,
    /// Planned sends whose time has passed and that nobody has taken, as of the last count.
    taken: Cell<u64>,
    planned: Cell<u64>,
    /// Connections that wait, in the order in which they came free.
    line: RefCell<VecDeque<u32>>,
    places: RefCell<Vec<Place>>,
    waiting: Cell<usize>,
    dispatcher: RefCell<Option<Waker>>,
}

/// A connection, as the line sees it.
#[derive(Default)]
struct Place {
    in_line: bool,
    granted: Option<Leave>,
    waker: Option<Waker>,
}

impl Pacer {
    pub(crate) fn new(pace: &Pace, connections: usize) -> Pacer {
        let kind = match pace {
            Pace::Closed(count) => Kind::Closed { left: Cell::new(count.unwrap_or(u64::MAX)) },
            Pace::Open(schedule) => Kind::Open(Box::new(Open::new(schedule, connections))),
        };
        Pacer { kind, stopped: Cell::new(false) }
    }

    /// Says when offset 0 of the plan is. Before that nothing is due.
    pub(crate) fn begin(&self, at: u64) {
        if let Kind::Open(open) = &self.kind {
            open.begin.set(at);
            let first = |plan: &RefCell<Schedule>| plan.borrow_mut().next().map(|offset| at + offset);
            open.next.set(first(&open.plan));
            open.counted.set(first(&open.counting));
        }
    }

    /// No more leave is given; who waits is told.
    pub(crate) fn stop(&self) {
        self.stopped.set(true);
        if let Kind::Open(open) = &self.kind {
            let wakers: Vec<Waker> = open.places.borrow_mut().iter_mut().filter_map(|p| p.waker.take()).collect();
            wakers.into_iter().for_each(Waker::wake);
            open.wake_dispatcher();
        }
    }

    /// Whether requests follow a plan.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.kind, Kind::Open(_))
    }

    /// Leave for a connection that is free at `now`; `None` when nothing is due, or nothing ever will be.
    #[inline]
    pub(crate) fn take(&self, now: u64) -> Option<Leave> {
        if self.stopped.get() {
            return None;
        }
        match &self.kind {
            Kind::Closed { left } => {
                let count = left.get().checked_sub(1)?;
                left.set(count);
                Some(Leave { planned: now, lag: 0 })
            }
            Kind::Open(open) => open.take(now),
        }
    }

    /// Whether no leave will be given any more.
    pub(crate) fn is_over(&self) -> bool {
        self.stopped.get()
            || match &self.kind {
                Kind::Closed { left } => left.get() == 0,
                Kind::Open(open) => open.next.get().is_none() && open.begin.get() > 0,
            }
    }

    /// Puts connection `number` in line. Then [`Pacer::poll_granted`] is to be asked.
    pub(crate) fn queue(&self, number: usize) {
        if let Kind::Open(open) = &self.kind {
            open.queue(number);
        }
    }

    /// Leave that connection `number` was given while it waited in line. `Ready(None)` when there will be none.
    pub(crate) fn poll_granted(&self, cx: &mut Context<'_>, number: usize) -> Poll<Option<Leave>> {
        let Kind::Open(open) = &self.kind else { return Poll::Ready(None) };
        let place = &mut open.places.borrow_mut()[number];
        if let Some(leave) = place.granted.take() {
            return Poll::Ready(Some(leave));
        }
        if self.is_over() {
            return Poll::Ready(None);
        }
        place.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Takes connection `number` out of the line; leave that it was given meanwhile comes back.
    pub(crate) fn leave_line(&self, number: usize) -> Option<Leave> {
        let Kind::Open(open) = &self.kind else { return None };
        open.leave_line(number)
    }

    /// Hands out planned sends until the plan ends. A task of its own.
    ///
    /// # Errors
    /// The timer's.
    pub(crate) async fn dispatch(&self) -> io::Result<()> {
        let Kind::Open(open) = &self.kind else { return Ok(()) };
        let timer = Timer::new()?;
        while let (Some(next), false) = (open.next.get(), self.stopped.get()) {
            if open.waiting.get() == 0 {
                open.until_somebody_waits(&self.stopped).await;
                continue;
            }
            timer.sleep_until(next).await?;
            open.hand_out(precise::nanos());
        }
        self.stop_waiting();
        Ok(())
    }

    /// The plan is at its end: who waits in line waits for nothing.
    fn stop_waiting(&self) {
        if let Kind::Open(open) = &self.kind {
            let wakers: Vec<Waker> = open.places.borrow_mut().iter_mut().filter_map(|p| p.waker.take()).collect();
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// How many sends the plan had between the last call and `now`.
    pub(crate) fn planned_until(&self, now: u64) -> u64 {
        let Kind::Open(open) = &self.kind else { return 0 };
        let mut counted = 0;
        while open.counted.get().is_some_and(|at| at <= now) {
            counted += 1;
            open.counted.set(open.counting.borrow_mut().next().map(|offset| open.begin.get() + offset));
        }
        open.planned.set(open.planned.get() + counted);
        counted
    }

    /// Sends that were due at the last count and had no free connection.
    pub(crate) fn backlog(&self) -> u64 {
        match &self.kind {
            Kind::Closed { .. } => 0,
            Kind::Open(open) => open.planned.get().saturating_sub(open.taken.get()),
        }
    }
}

impl Open {
    fn new(schedule: &Schedule, connections: usize) -> Open {
        Open {
            begin: Cell::new(0),
            plan: RefCell::new(schedule.clone()),
            next: Cell::new(None),
            counting: RefCell::new(schedule.clone()),
            counted: Cell::new(None),
            taken: Cell::new(0),
            planned: Cell::new(0),
            line: RefCell::default(),
            places: RefCell::new((0..connections).map(|_| Place::default()).collect()),
            waiting: Cell::new(0),
            dispatcher: RefCell::default(),
        }
    }

    fn take(&self, now: u64) -> Option<Leave> {
        let planned = self.next.get().filter(|at| *at <= now)?;
        self.advance();
        // If another connection was free all the while, the send is late by our fault; else it waited for an answer.
        let lag = if self.waiting.get() > 0 { now - planned } else { 0 };
        Some(Leave { planned, lag })
    }

    fn advance(&self) {
        self.taken.set(self.taken.get() + 1);
        self.next.set(self.plan.borrow_mut().next().map(|offset| self.begin.get() + offset));
    }

    fn queue(&self, number: usize) {
        let mut places = self.places.borrow_mut();
        let place = &mut places[number];
        if !place.in_line && place.granted.is_none() {
            place.in_line = true;
            self.line.borrow_mut().push_back(number as u32);
            self.waiting.set(self.waiting.get() + 1);
            drop(places);
            self.wake_dispatcher();
        }
    }

    fn leave_line(&self, number: usize) -> Option<Leave> {
        let mut places = self.places.borrow_mut();
        let place = &mut places[number];
        if std::mem::take(&mut place.in_line) {
            self.waiting.set(self.waiting.get() - 1);
            let mut line = self.line.borrow_mut();
            if let Some(at) = line.iter().position(|n| *n == number as u32) {
                line.remove(at);
            }
        }
        place.granted.take()
    }

    /// Gives what is due at `now` to those in line.
    fn hand_out(&self, now: u64) {
        while let Some(planned) = self.next.get().filter(|at| *at <= now) {
            let Some(number) = self.line.borrow_mut().pop_front() else { return };
            self.waiting.set(self.waiting.get() - 1);
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

    async fn until_somebody_waits(&self, stopped: &Cell<bool>) {
        std::future::poll_fn(|cx| {
            if self.waiting.get() > 0 || self.next.get().is_none() || stopped.get() {
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
}
