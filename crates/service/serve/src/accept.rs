//! Taking connections from a listener.

use std::rc::Rc;
use std::time::Duration;

use event_loop::{race, sleep, spawn};
use net::{Listener, is_exhausted};

use crate::connection::connection;
use crate::context::{Context, Site};
use crate::switch::Switch;

/// How long a listener rests when the process has no descriptor left.
const REST: Duration = Duration::from_millis(50);

/// More than any queue of connections holds.
const QUEUE_MAX: usize = 1 << 16;

/// Takes connections until `stop` is raised and the queue is empty: what had queued by then is served. Bounded per turn
/// by the task's operation budget. `say` is told, in a sentence, what an operator should know; each thing once.
pub async fn accept_loop<S: Site>(listener: Listener, context: Rc<Context<S>>, stop: Rc<Switch>, say: impl Fn(&str)) {
    let local = Rc::new(listener.address().clone());
    let admit = |accepted| match connection(accepted, Rc::clone(&local), &context) {
        Ok(task) => {
            spawn(task);
        }
        Err(true) => say("max_connections are open; further connections are closed at once and counted"),
        Err(false) => {}
    };
    let mut said_exhausted = false;
    loop {
        let accept = async { Some(std::future::poll_fn(|cx| listener.poll_accept(cx)).await) };
        let stopped = async {
            stop.raised().await;
            None
        };
        match race(accept, stopped).await {
            None => break,
            Some(Ok(accepted)) => admit(accepted),
            Some(Err(e)) if is_exhausted(&e) => {
                let shed = listener.shed();
                context.counters().shed.add(shed as u64);
                if !std::mem::replace(&mut said_exhausted, true) {
                    say("no descriptor is left; new connections are closed until some are freed (raise `ulimit -n`)");
                }
                sleep(REST).await;
            }
            // The connection was gone before it was taken.
            Some(Err(_)) => {}
        }
    }
    // Closing a listener resets what has queued; the backlog bounds this loop.
    for _ in 0..QUEUE_MAX {
        match listener.accept_queued() {
            Ok(Some(accepted)) => admit(accepted),
            Ok(None) => return,
            Err(e) if is_exhausted(&e) => return,
            Err(_) => {}
        }
    }
}
