//! The queue before an upstream whose servers are full.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

use balance::ServerId;
use event_loop::Footprint;

use crate::lease::{Lease, Wanted};
use crate::upstream::Upstream;

/// Those who wait for a server with room, in the order they came; before them those who have one and have not come for it yet.
///
/// They stand in one table and are linked to each other: nothing is allocated for a place, who leaves from the middle leaves no gap, and
/// those who came one after the other lie side by side.
#[derive(Default)]
pub(crate) struct Queue {
    line: RefCell<Line>,
    /// How many of them wait.
    waiting: Cell<usize>,
}

/// Nobody's number.
const NOBODY: u32 = u32::MAX;

/// A table for so many is kept while nobody waits.
const KEPT: usize = 1024;

struct Line {
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// Who came last, and who is the first to wait.
    last: u32,
    next: u32,
}

struct Entry {
    before: u32,
    behind: u32,
    state: State,
    wanted: Wanted,
    waker: Option<Waker>,
    /// What he comes back to.
    footprint: Footprint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waits,
    Granted(ServerId),
}

impl Default for Line {
    fn default() -> Line {
        Line { entries: Vec::new(), free: Vec::new(), last: NOBODY, next: NOBODY }
    }
}

impl Line {
    fn get(&mut self, number: u32) -> Option<&mut Entry> {
        self.entries.get_mut(number as usize)
    }

    fn add(&mut self, wanted: Wanted, footprint: Footprint) -> u32 {
        let (before, behind) = (self.last, NOBODY);
        let entry = Entry { before, behind, state: State::Waits, wanted, waker: None, footprint };
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number as usize] = entry;
                number
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        if let Some(before) = self.get(before) {
            before.behind = number;
        }
        self.last = number;
        if self.next == NOBODY {
            self.next = number;
        }
        number
    }

    /// Takes one out of the line.
    fn remove(&mut self, number: u32) {
        let Some(entry) = self.get(number) else { return };
        let (before, behind) = (entry.before, entry.behind);
        entry.waker = None;
        if let Some(before) = self.get(before) {
            before.behind = behind;
        }
        match self.get(behind) {
            Some(behind) => behind.before = before,
            None => self.last = before,
        }
        if self.next == number {
            self.next = behind;
        }
        self.free.push(number);
        if self.last == NOBODY && self.entries.len() > KEPT {
            *self = Line::default();
        }
    }

    /// Has the CPU load what the second behind `number` comes back to, if he has a server: he runs next but one.
    fn fetch_behind(&mut self, number: u32) {
        let behind = self.get(number).map_or(NOBODY, |entry| entry.behind);
        let second = self.get(behind).map_or(NOBODY, |entry| entry.behind);
        if let Some(Entry { state: State::Granted(_), footprint, .. }) = self.get(second) {
            footprint.fetch();
        }
    }
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.get() == 0
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.get()
    }

    fn join(&self, wanted: Wanted, footprint: Footprint) -> u32 {
        self.waiting.set(self.waiting.get() + 1);
        self.line.borrow_mut().add(wanted, footprint)
    }

    /// What the next one wants.
    pub(crate) fn front(&self) -> Option<Wanted> {
        let line = &mut *self.line.borrow_mut();
        line.get(line.next).map(|entry| entry.wanted)
    }

    /// The next one has a server.
    pub(crate) fn call(&self, server: ServerId) {
        let mut line = self.line.borrow_mut();
        let next = line.next;
        let Some(entry) = line.get(next) else { return };
        entry.state = State::Granted(server);
        let (waker, behind) = (entry.waker.take(), entry.behind);
        line.next = behind;
        drop(line);
        self.waiting.set(self.waiting.get() - 1);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The server of that one, who leaves with it.
    fn take(&self, number: u32, cx: &mut Context<'_>) -> Option<(ServerId, Wanted)> {
        let line = &mut *self.line.borrow_mut();
        let entry = line.get(number)?;
        let State::Granted(server) = entry.state else {
            entry.waker = Some(cx.waker().clone());
            return None;
        };
        let wanted = entry.wanted;
        line.fetch_behind(number);
        line.remove(number);
        Some((server, wanted))
    }

    /// That one leaves; gives the server that he has not come for.
    fn leave(&self, number: u32) -> Option<ServerId> {
        let line = &mut *self.line.borrow_mut();
        let granted = match line.get(number)?.state {
            State::Granted(server) => Some(server),
            State::Waits => {
                self.waiting.set(self.waiting.get() - 1);
                None
            }
        };
        line.remove(number);
        granted
    }
}

/// A place in the queue; left on drop. What was granted meanwhile and not taken goes to the next.
pub struct Place<'u> {
    upstream: &'u Upstream,
    /// Nobody's once the server was taken.
    number: Cell<u32>,
}

impl<'u> Place<'u> {
    /// The last place.
    pub(crate) fn at_the_end(upstream: &'u Upstream, wanted: Wanted, footprint: Footprint) -> Place<'u> {
        let number = upstream.queue.join(wanted, footprint);
        Place { upstream, number: Cell::new(number) }
    }

    /// Ready when a server has room.
    pub fn poll_lease(&self, cx: &mut Context<'_>) -> Poll<Lease<'u>> {
        let Some((server, wanted)) = self.upstream.queue.take(self.number.get(), cx) else { return Poll::Pending };
        self.number.set(NOBODY);
        Poll::Ready(Lease::begun(self.upstream, server, wanted))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(server) = self.upstream.queue.leave(self.number.get()) {
            self.upstream.end(server, None, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn join(queue: &Queue) -> u32 {
        queue.join(Wanted::default(), Footprint::default())
    }

    fn take(queue: &Queue, number: u32) -> Option<ServerId> {
        queue.take(number, &mut Context::from_waker(Waker::noop())).map(|(server, _)| server)
    }

    #[test]
    fn who_has_left_is_passed_over_and_not_counted() {
        let queue = Queue::default();
        let places: Vec<u32> = (0..5).map(|_| join(&queue)).collect();
        assert_eq!((queue.leave(places[0]), queue.leave(places[2])), (None, None));
        assert_eq!(queue.len(), 3);
        for (server, place) in (7..).map(ServerId).zip([1, 3, 4]) {
            assert_eq!(take(&queue, places[place]), None);
            assert!(queue.front().is_some());
            queue.call(server);
            assert_eq!(take(&queue, places[place]), Some(server));
        }
        assert!(queue.front().is_none() && queue.is_empty());
    }

    #[test]
    fn a_server_that_nobody_came_for_is_given_back() {
        let queue = Queue::default();
        let places: Vec<u32> = (0..4).map(|_| join(&queue)).collect();
        queue.call(ServerId(1));
        queue.call(ServerId(2));
        assert_eq!(queue.len(), 2);
        // The first has his turn and leaves; the others keep their order, whoever comes first for his server.
        assert_eq!(queue.leave(places[0]), Some(ServerId(1)));
        queue.call(ServerId(3));
        assert_eq!(take(&queue, places[2]), Some(ServerId(3)));
        assert_eq!(take(&queue, places[1]), Some(ServerId(2)));
        let late = join(&queue);
        queue.call(ServerId(4));
        assert_eq!((take(&queue, late), take(&queue, places[3])), (None, Some(ServerId(4))));
        assert_eq!((queue.leave(late), queue.len()), (None, 0));
    }

    #[test]
    fn those_who_have_left_do_not_pile_up() {
        let queue = Queue::default();
        let first = join(&queue);
        for _ in 0..10_000 {
            let place = join(&queue);
            queue.leave(place);
            assert!(queue.line.borrow().entries.len() <= 2);
        }
        queue.call(ServerId(1));
        assert_eq!(take(&queue, first), Some(ServerId(1)));
    }

    #[test]
    fn the_table_of_a_burst_is_not_kept() {
        let queue = Queue::default();
        let places: Vec<u32> = (0..KEPT as u32 + 10).map(|_| join(&queue)).collect();
        places.iter().for_each(|place| assert_eq!(queue.leave(*place), None));
        assert_eq!(queue.line.borrow().entries.capacity(), 0);
        assert_eq!((join(&queue), queue.len()), (0, 1));
    }
}
