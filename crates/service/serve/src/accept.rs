//! Taking connections from a listener.

use std::rc::Rc;
use std::time::Duration;

use event_loop::{race, sleep, spawn};
use net::{Listener, is_exhausted};

use crate::connection::connection;
use crate::context::{Context, Site};
use crate::local::Local;
use crate::proxied;
use crate::switch::Switch;
use crate::tls::{self, Tls};

/// How long a listener rests when the process has no descriptor left.
const REST: Duration = Duration::from_millis(50);

/// More than any queue of connections holds.
const QUEUE_MAX: usize = 1 << 16;

/// Takes connections until `stop` is raised and the queue is empty: what had queued by then is served. Bounded per turn
/// by the task's operation budget. `say` is told, in a sentence, what an operator should know; each thing once.
pub async fn accept_loop<S: Site>(listener: Listener, context: Rc<Context<S>>, stop: Rc<Switch>, say: impl Fn(&str)) {
    let local = Local::new(listener.address().clone(), false);
    accept_loop_over(listener, local, || None, context, stop, say).await;
}

/// The same over what `tls` says at each connection: TLS, or none. `local` is what connections know of the listener.
pub async fn accept_loop_over<S: Site>(
    listener: Listener,
    local: Rc<Local>,
    tls: impl Fn() -> Option<Tls>,
    context: Rc<Context<S>>,
    stop: Rc<Switch>,
    say: impl Fn(&str),
) {
    let begin = |accepted| {
        let local = Rc::clone(&local);
        match tls() {
            tls if local.requires_header() => drop(spawn(proxied::connection(accepted, tls, local, &context)?)),
            None => drop(spawn(connection(accepted, local, &context)?)),
            Some(tls) => drop(spawn(tls::connection(accepted, tls, local, &context)?)),
        }
        Ok(())
    };
    let admit = |accepted| match begin(accepted) {
        Ok(()) | Err(false) => {}
        Err(true) => say("max_connections are open; further connections are closed at once and counted"),
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
            Some(Err(e)) if is_exhausted(&e) && context.site().free_descriptors() > 0 => {}
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
            Err(e) if is_exhausted(&e) && context.site().free_descriptors() > 0 => {}
            Err(e) if is_exhausted(&e) => return,
            Err(_) => {}
        }
    }
}
