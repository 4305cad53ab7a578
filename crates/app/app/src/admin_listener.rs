//! The admin listener: a thread of its own, so that a scrape takes no time from a worker and is answered while workers are busy.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use admin::AdminSite;
use event_loop::{Remote, Worker, WorkerConfig, now, within};
use net::{Bound, Listener};
use observe::Counters;
use serve::{Context, Local, Switch, accept_loop_over};

use crate::facts::{Gauges, ProcessFacts};
use crate::listeners::Place;
use crate::log::Log;
use crate::prepared::PrepareError;

/// Who asks for metrics is one or two; more are refused, so that nobody takes the process's descriptors through this door.
const CONNECTIONS_MAX: usize = 64;

/// How long answers under way may take once it is to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// A running admin listener. Dropped, it ends.
pub(crate) struct AdminListener {
    place: Place,
    remote: Remote,
}

thread_local! {
    static STOP: RefCell<Option<Rc<Switch>>> = const { RefCell::new(None) };
}

impl AdminListener {
    /// Listens on what `place` is, and tells what `gauges` knows.
    ///
    /// # Errors
    /// In a sentence: its thread could not be started.
    pub(crate) fn start(
        (bound, place): (Bound, Place),
        gauges: Arc<Gauges>,
        log: Log,
    ) -> Result<AdminListener, PrepareError> {
        let (tell, told) = crossbeam::channel::bounded(1);
        let thread = move || {
            let began = |remote| {
                let _ = tell.send(Ok(remote));
            };
            let worker = Worker::new(WorkerConfig::default());
            let ended = worker
                .and_then(|(worker, remote)| worker.block_on(serve(bound, gauges, log.clone(), || began(remote)))?);
            // Who waits for its beginning is told; after that it is for the log.
            if let Err(e) = ended
                && let Err(untold) = tell.try_send(Err(e))
                && let Err(e) = untold.into_inner()
            {
                log.error(format_args!("the admin listener has ended: {e}"));
            }
        };
        let cannot = |e: io::Error| PrepareError::new(format!("the admin listener could not be started: {e}"));
        std::thread::Builder::new().name("admin".into()).spawn(thread).map_err(cannot)?;
        let remote = told.recv().map_err(|_| PrepareError::new("the admin listener ended before it began"))?;
        Ok(AdminListener { place, remote: remote.map_err(cannot)? })
    }

    /// Where it listens, as one can paste it into a browser.
    pub(crate) fn url(&self) -> String {
        self.place.url()
    }
}

impl Drop for AdminListener {
    fn drop(&mut self) {
        let _ = self.remote.send(|| {
            if let Some(stop) = STOP.with_borrow(Clone::clone) {
                stop.raise();
            }
        });
    }
}

/// Serves until it is told to stop; says that it has `begun` once it can be told.
async fn serve(bound: Bound, gauges: Arc<Gauges>, log: Log, begun: impl FnOnce()) -> io::Result<()> {
    let listener = Listener::new(bound)?;
    let stop = Rc::new(Switch::default());
    STOP.set(Some(Rc::clone(&stop)));
    begun();
    let site = AdminSite::new(Box::new(ProcessFacts(gauges)));
    let context = Context::new(Rc::new(site), Arc::new(Counters::default()), CONNECTIONS_MAX);
    // Operators are told the reasons.
    let local = Local::new(listener.address().clone(), true);
    let say = |sentence: &str| log.warn(format_args!("admin: {sentence}"));
    accept_loop_over(listener, local, || None, Rc::clone(&context), stop, say).await;
    context.drain();
    let _ = within(now().after(PATIENCE), context.empty()).await;
    Ok(())
}
