//! What the control thread waits for: signals, and what other threads of ours ask of it.

use crossbeam::channel::{Receiver, Sender};
use event_loop::signals::{Closer, Signal, Signals};

/// What the control thread does next.
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
        orders.into_iter()
    }
}
