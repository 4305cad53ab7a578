//! The task of a connection: waiting, mostly. Its size is what an idle connection costs.

use std::cell::Cell;
use std::rc::Rc;

use buf::Class;
use clock::Tick;
use event_loop::{Boxed, now};
use http1::Hsts;
use net::{Accepted, Stream, Transport};

use crate::active::{HEAD, Next, active};
use crate::context::{Admission, Context, Site};
use crate::deadlines::Kind;
use crate::local::Local;

/// What a connection keeps while it is idle.
pub(crate) struct Connection<S: Site> {
    pub(crate) stream: Stream,
    pub(crate) local: Rc<Local>,
    pub(crate) next: Expected,
    pub(crate) admission: Admission<S>,
}

/// What is expected of the next request.
pub(crate) struct Expected {
    by: Cell<Tick>,
    is_first: Cell<bool>,
    /// What it is read into: what would have held the last one.
    pub(crate) class: Cell<Class>,
}

impl Expected {
    /// The first one.
    pub(crate) fn first(by: Tick) -> Expected {
        Expected { by: Cell::new(by), is_first: Cell::new(true), class: Cell::new(HEAD) }
    }

    /// For the first request: when its head must be complete. Later ones count from their first byte.
    pub(crate) fn head_by(&self) -> Option<Tick> {
        self.is_first.get().then(|| self.by.get())
    }

    /// The first one has come.
    pub(crate) fn come(&self) {
        self.is_first.set(false);
    }
}

impl<S: Site> Connection<S> {
    pub(crate) fn context(&self) -> &Rc<Context<S>> {
        &self.admission.context
    }
}

/// Serves one accepted connection until it closes; none when `max_connections` are open already (`Err(true)` the first time,
/// for the log).
///
/// # Errors
/// Over the limit; the stream is closed.
pub fn connection<S: Site>(
    accepted: Accepted,
    local: Rc<Local>,
    context: &Rc<Context<S>>,
) -> Result<impl Future<Output = ()> + 'static, bool> {
    let Accepted { stream, peer } = accepted;
    let head_by = now().after(context.site().settings().timeouts.header);
    Ok(admitted(stream, local, context.admit(peer)?, head_by))
}

/// The same for a connection that was counted in already; its first head must be complete at `head_by`.
pub(crate) fn admitted<S: Site>(
    stream: Stream,
    local: Rc<Local>,
    admission: Admission<S>,
    head_by: Tick,
) -> impl Future<Output = ()> + 'static {
    let context = &admission.context;
    let head_by = context.drain_end().map_or(head_by, |end| head_by.min(end));
    stream.set_deadline(head_by, Kind::Idle as u8);
    serve(Connection { stream, local, next: Expected::first(head_by), admission }, Plain)
}

/// What a connection is served over. A type of its own for each, so that plain connections pay for nothing that concerns TLS.
pub(crate) trait Over: Copy + 'static {
    /// Whether requests for `authority` may come this way.
    fn covers(self, stream: &Stream, authority: &[u8]) -> bool;

    /// What answers say of Strict-Transport-Security.
    fn hsts(self) -> Option<Hsts>;
}

/// No TLS.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl Over for Plain {
    #[inline(always)]
    fn covers(self, _: &Stream, _: &[u8]) -> bool {
        true
    }

    #[inline(always)]
    fn hsts(self) -> Option<Hsts> {
        None
    }
}

#[allow(clippy::manual_async_fn, reason = "an async fn would hold its argument twice")]
pub(crate) fn serve<S: Site, O: Over>(connection: Connection<S>, over: O) -> impl Future<Output = ()> + 'static {
    async move {
        loop {
            if std::future::poll_fn(|cx| connection.stream.poll_readable(cx)).await.is_err() {
                return;
            }
            // The active phase lives in a box of its own, freed between requests: an idle connection is only this loop.
            if Boxed::with(|| active(&connection, over)).await == Next::Close {
                return;
            }
            // Woken for nothing before the first request: its time from accept goes on, unless a drain shortened it.
            if let Some(by) = connection.next.head_by() {
                let by = connection.context().drain_end().map_or(by, |end| by.min(end));
                connection.stream.set_deadline(by, Kind::Idle as u8);
                continue;
            }
            let context = connection.context();
            let idle = if context.is_draining() {
                // It was told to close; a client that keeps the connection nevertheless is not waited for long.
                context.drain_grace()
            } else {
                context.site().settings().timeouts.idle
            };
            connection.stream.set_deadline(now().after(idle), Kind::Idle as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::active::tests::Nothing;

    #[test]
    fn an_idle_connection_is_small() {
        fn size_of_future<F: Future>(_: impl FnOnce(Connection<Nothing>, Plain) -> F) -> usize {
            size_of::<F>()
        }
        let size = size_of_future(serve::<Nothing, Plain>);
        // The stream is 16 bytes without debug assertions, the future 72, and the allocator makes that 80. With its places in the
        // reactor's tables (24 + 32 + 12 bytes) an idle connection comes to 148.
        assert!(size <= size_of::<Stream>() + 56, "{size}");
    }
}
