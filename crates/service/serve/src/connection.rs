//! The task of a connection: waiting, mostly. Its size is what an idle connection costs.

use std::rc::Rc;

use event_loop::now;
use net::{Accepted, Address, Transport};

use crate::active::{Connection, Next, active};
use crate::context::{Admission, Context, Site};
use crate::deadlines::Kind;

/// Serves one accepted connection until it closes; none when `max_connections` are open already (`Err(true)` the first time,
/// for the log).
///
/// # Errors
/// Over the limit; the stream is closed.
pub fn connection<S: Site>(
    accepted: Accepted,
    local: Rc<Address>,
    context: &Rc<Context<S>>,
) -> Result<impl Future<Output = ()> + 'static, bool> {
    let admission = context.admit()?;
    Ok(serve(accepted, local, admission))
}

async fn serve<S: Site>(accepted: Accepted, local: Rc<Address>, admission: Admission<S>) {
    let context = &admission.context;
    let Accepted { stream, peer } = accepted;
    let mut head_by = Some(now().after(context.site().settings().timeouts.header));
    if let Some(at) = head_by {
        stream.set_deadline(at, Kind::Idle as u8);
    }
    loop {
        if std::future::poll_fn(|cx| stream.poll_readable(cx)).await.is_err() {
            return;
        }
        // The active phase lives in a box of its own, freed between requests: an idle connection is only this loop.
        let connection = Connection { stream: &stream, peer: &peer, local: &local, head_by };
        if Box::pin(active(connection, context)).await == Next::Close {
            return;
        }
        head_by = None;
        let idle = if context.is_draining() {
            // It was told to close; a client that keeps the connection nevertheless is not waited for long.
            context.drain_grace()
        } else {
            context.site().settings().timeouts.idle
        };
        stream.set_deadline(now().after(idle), Kind::Idle as u8);
    }
}
