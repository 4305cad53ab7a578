//! What the control thread waits for: signals, and what other threads of ours ask of it.

use crossbeam::channel::{Receiver, Sender};
use event_loop::signals::{Closer, Signal, Signals};

/// What the control thread does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Signal(Signal),
    /// Files that TLS is spoken to servers with have changed.
    Renew,
    /// All workers have ended.
    End,
}

/// Where its orders come from.
pub(crate) struct Wakes {
    signals: Signals,
    wake: Sender<Order>,
    orders: Receiver<Order>,
}

impl Wakes {
    /// `orders` is what is sent to `wake`, here and elsewhere.
    pub(crate) fn new(signals: Signals, wake: Sender<Order>, orders: Receiver<Order>) -> Wakes {
        Wakes { signals, wake, orders }
    }

    /// Ends the orders.
    pub(crate) fn closer(&self) -> Closer {
        self.signals.closer()
    }

    /// The orders as they come. Signals are waited for on a thread of its own.
    ///
    /// What asks for the same while it waits is one order, and whoever wants the process to end is heard before all else.
    pub(crate) fn orders(self) -> impl Iterator<Item = Order> {
        let Wakes { mut signals, wake, orders } = self;
        let hear = move || {
            while let Some(signal) = signals.wait() {
                if wake.send(Order::Signal(signal)).is_err() {
                    return;
                }
            }
            let _ = wake.send(Order::End);
        };
        // Without this thread the process ends by SIGKILL only; as good as unreachable.
        let _ = std::thread::Builder::new().name("signals".into()).spawn(hear);
        Queue { orders, waiting: Waiting::default() }
    }
}

/// What waits to be done.
#[derive(Default)]
struct Waiting {
    stops: u32,
    end: bool,
    reload: bool,
    reopen: bool,
    renew: bool,
}

struct Queue {
    orders: Receiver<Order>,
    waiting: Waiting,
}

impl Waiting {
    fn note(&mut self, order: Order) {
        match order {
            Order::Signal(Signal::Stop) => self.stops += 1,
            Order::Signal(Signal::Reload) => self.reload = true,
            Order::Signal(Signal::Reopen) => self.reopen = true,
            Order::Renew => self.renew = true,
            Order::End => self.end = true,
        }
    }

    fn take(&mut self) -> Option<Order> {
        if self.stops > 0 {
            self.stops -= 1;
            return Some(Order::Signal(Signal::Stop));
        }
        if self.end {
            return Some(Order::End);
        }
        if std::mem::take(&mut self.reopen) {
            return Some(Order::Signal(Signal::Reopen));
        }
        if std::mem::take(&mut self.reload) {
            return Some(Order::Signal(Signal::Reload));
        }
        // Behind a reload too, which may have been refused.
        std::mem::take(&mut self.renew).then_some(Order::Renew)
    }
}

impl Iterator for Queue {
    type Item = Order;

    fn next(&mut self) -> Option<Order> {
        self.orders.try_iter().for_each(|order| self.waiting.note(order));
        if let Some(order) = self.waiting.take() {
            return Some(order);
        }
        let order = self.orders.recv().ok()?;
        self.waiting.note(order);
        self.orders.try_iter().for_each(|order| self.waiting.note(order));
        self.waiting.take()
    }
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::unbounded;

    use super::*;

    #[test]
    fn whoever_wants_it_to_end_is_heard_first_and_many_reloads_are_one() {
        let (send, orders) = unbounded();
        let reload = || Order::Signal(Signal::Reload);
        for order in [reload(), Order::Renew, reload(), Order::Signal(Signal::Reopen), reload()] {
            send.send(order).unwrap();
        }
        let mut queue = Queue { orders, waiting: Waiting::default() };
        assert_eq!(queue.next(), Some(Order::Signal(Signal::Reopen)));
        send.send(Order::Signal(Signal::Stop)).unwrap();
        send.send(Order::Signal(Signal::Stop)).unwrap();
        assert_eq!(queue.next(), Some(Order::Signal(Signal::Stop)));
        assert_eq!(queue.next(), Some(Order::Signal(Signal::Stop)), "each of them counts");
        assert_eq!(queue.next(), Some(reload()));
        send.send(Order::Renew).unwrap();
        drop(send);
        assert_eq!([queue.next(), queue.next()], [Some(Order::Renew), None]);
    }
}
