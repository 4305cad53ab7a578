//! When the next request may go out.

mod line;

use std::cell::Cell;
use std::io;
use std::task::{Context, Poll};

use self::line::Line;
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
/// In a closed loop whoever asks may send, as long as the count lasts. In an open loop a plan decides, one for each origin, so
/// that an origin that is slow does not get fewer requests than its weight says: those that are due wait for its own
/// connections ([`Line`]).
///
/// A connection calls [`Pacer::take`]; if it gets nothing, [`Pacer::queue`] and then [`Pacer::poll_granted`], and
/// [`Pacer::leave_line`] before it goes away.
pub(crate) struct Pacer {
    kind: Kind,
    stopped: Cell<bool>,
}

enum Kind {
    Closed {
        left: Cell<u64>,
    },
    Open {
        /// By origin.
        lines: Vec<Line>,
        /// By connection: its origin, and its number among the connections that go there.
        places: Vec<(u16, u32)>,
    },
}

impl Pacer {
    /// For connections to these origins.
    pub(crate) fn new(pace: &Pace, connections: &[u16]) -> Pacer {
        let kind = match pace {
            Pace::Closed(count) => Kind::Closed { left: Cell::new(count.unwrap_or(u64::MAX)) },
            Pace::Open(schedules) => {
                let mut of = vec![0; schedules.len()];
                let place = |origin: &u16| {
                    let number = &mut of[usize::from(*origin)];
                    *number += 1;
                    (*origin, *number - 1)
                };
                let places = connections.iter().map(place).collect();
                let lines = schedules.iter().zip(&of).map(|(schedule, of)| Line::new(schedule, *of as usize));
                Kind::Open { lines: lines.collect(), places }
            }
        };
        Pacer { kind, stopped: Cell::new(false) }
    }

    /// Says when offset 0 of the plan is. Before that nothing is due.
    pub(crate) fn begin(&self, at: u64) {
        self.lines().iter().for_each(|line| line.begin(at));
    }

    /// No more leave is given; who waits is told.
    pub(crate) fn stop(&self) {
        self.stopped.set(true);
        self.lines().iter().for_each(Line::stop);
    }

    /// Whether requests follow a plan.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.kind, Kind::Open { .. })
    }

    /// Leave for connection `number`, which is free at `now`; `None` when nothing is due, or nothing ever will be.
    #[inline]
    pub(crate) fn take(&self, number: usize, now: u64) -> Option<Leave> {
        match &self.kind {
            Kind::Closed { .. } if self.stopped.get() => None,
            Kind::Closed { left } => {
                let count = left.get().checked_sub(1)?;
                left.set(count);
                Some(Leave { planned: now, lag: 0 })
            }
            Kind::Open { .. } => self.line(number)?.0.take(now),
        }
    }

    /// Whether connection `number` will get no leave any more.
    pub(crate) fn is_over(&self, number: usize) -> bool {
        self.stopped.get()
            || match &self.kind {
                Kind::Closed { left } => left.get() == 0,
                Kind::Open { .. } => self.line(number).is_none_or(|(line, _)| line.is_over()),
            }
    }

    /// Puts connection `number` in line. Then [`Pacer::poll_granted`] is to be asked.
    pub(crate) fn queue(&self, number: usize) {
        if let Some((line, place)) = self.line(number) {
            line.queue(place);
        }
    }

    /// Leave that connection `number` was given while it waited in line. `Ready(None)` when there will be none.
    pub(crate) fn poll_granted(&self, cx: &mut Context<'_>, number: usize) -> Poll<Option<Leave>> {
        match self.line(number) {
            Some((line, place)) => line.poll_granted(cx, place),
            None => Poll::Ready(None),
        }
    }

    /// Takes connection `number` out of the line; leave that it was given meanwhile comes back.
    pub(crate) fn leave_line(&self, number: usize) -> Option<Leave> {
        let (line, place) = self.line(number)?;
        line.leave(place)
    }

    /// How many plans there are to be handed out.
    pub(crate) fn plans(&self) -> usize {
        self.lines().len()
    }

    /// Hands out the sends of one plan until it ends. A task of its own for each.
    ///
    /// # Errors
    /// The timer's.
    pub(crate) async fn dispatch(&self, plan: usize) -> io::Result<()> {
        match self.lines().get(plan) {
            Some(line) => line.dispatch().await,
            None => Ok(()),
        }
    }

    /// How many sends the plans had between the last call and `now`.
    pub(crate) fn planned_until(&self, now: u64) -> u64 {
        self.lines().iter().map(|line| line.planned_until(now)).sum()
    }

    /// Sends that were due at the last count and had no free connection.
    pub(crate) fn backlog(&self) -> u64 {
        self.lines().iter().map(Line::backlog).sum()
    }

    fn lines(&self) -> &[Line] {
        match &self.kind {
            Kind::Closed { .. } => &[],
            Kind::Open { lines, .. } => lines,
        }
    }

    #[inline]
    fn line(&self, number: usize) -> Option<(&Line, usize)> {
        match &self.kind {
            Kind::Closed { .. } => None,
            Kind::Open { lines, places } => {
                let (origin, place) = places[number];
                Some((&lines[usize::from(origin)], place as usize))
            }
        }
    }
}

#[cfg(test)]
mod tests;
