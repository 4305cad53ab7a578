//! Ctrl-C ends a run, and what was measured is still shown.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam::channel::Sender;
use event_loop::signals::Signals;

use crate::crew::Heard;

/// Passes SIGINT, SIGTERM and SIGHUP to the run that is under way.
#[derive(Clone, Default)]
pub(crate) struct Interrupts {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    happened: AtomicBool,
    to: Mutex<Option<Sender<Heard>>>,
}

impl Interrupts {
    /// Begins to listen, on a thread of its own. Without signals a run cannot be ended early, and nothing else changes.
    pub(crate) fn listen() -> Interrupts {
        let interrupts = Interrupts::default();
        let shared = Arc::clone(&interrupts.shared);
        if let Ok(mut signals) = Signals::listen() {
            let wait = move || {
                while signals.wait().is_some() {
                    shared.happened.store(true, Ordering::SeqCst);
                    if let Some(to) = &*shared.to.lock().unwrap_or_else(|e| e.into_inner()) {
                        let _ = to.send(Heard::Interrupt);
                    }
                }
            };
            let _ = std::thread::Builder::new().name("signals".into()).spawn(wait);
        }
        interrupts
    }

    /// From now on that run is told; at once if it has happened already.
    pub(crate) fn send_to(&self, run: Sender<Heard>) {
        if self.happened() {
            let _ = run.send(Heard::Interrupt);
        }
        *self.shared.to.lock().unwrap_or_else(|e| e.into_inner()) = Some(run);
    }

    pub(crate) fn happened(&self) -> bool {
        self.shared.happened.load(Ordering::SeqCst)
    }
}
