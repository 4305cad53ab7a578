//! Ctrl-C ends a run, and what was measured is still shown; a second one ends the program at once.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam::channel::Sender;
use event_loop::signals::Signals;

use crate::crew::Heard;

/// What shells give for a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

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
                    if shared.happened.swap(true, Ordering::SeqCst) {
                        at_once();
                    }
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

/// Ends the program without another word. Worker processes notice that their pipe has ended.
#[expect(clippy::disallowed_methods, reason = "the thread that waits for the workers is not to be waited for")]
fn at_once() -> ! {
    if io::stderr().is_terminal() {
        // The live view hides the cursor.
        let _ = io::stderr().write_all(b"\x1b[?25h");
    }
    std::process::exit(INTERRUPTED)
}
