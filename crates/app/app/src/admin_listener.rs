//! The admin listener: a thread of its own, so that a scrape takes no time from a worker and is answered while workers are busy.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::admin::AdminSite;
use event_loop::{Remote, Worker, WorkerConfig, now, spawn, within};
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
        let thread = std::thread::Builder::new().name("admin".into());
        let started = thread.spawn(move || {
            let made = Worker::new(WorkerConfig::default());
            let worker = match made {
                Ok((worker, remote)) => {
                    let _ = tell.send(Ok(remote));
                    worker
                }
                Err(e) => {
                    let _ = tell.send(Err(e));
                    return;
                }
            };
            if let Err(e) = worker.block_on(serve(bound, gauges, log.clone())).and_then(|served| served) {
                log.error(format_args!("the admin listener has ended: {e}"));
            }
        });
        let cannot = |e: io::Error| PrepareError::new(format!("the admin listener could not be started: {e}"));
        started.map_err(cannot)?;
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

async fn serve(bound: Bound, gauges: Arc<Gauges>, log: Log) -> io::Result<()> {
    let stop = Rc::new(Switch::default());
    STOP.set(Some(Rc::clone(&stop)));
    let listener = Listener::new(bound)?;
    let site = AdminSite::new(Box::new(ProcessFacts(gauges)));
    let context = Context::new(Rc::new(site), Arc::new(Counters::default()), CONNECTIONS_MAX);
    // Operators are told the reasons.
    let local = Local::new(listener.address().clone(), true);
    let ended = Rc::new(Switch::default());
    let (theirs, stopped, over) = (Rc::clone(&context), Rc::clone(&stop), Rc::clone(&ended));
    spawn(async move {
        accept_loop_over(
            listener,
            local,
            || None,
            theirs,
            stopped,
            |sentence| log.warn(format_args!("admin: {sentence}")),
        )
        .await;
        over.raise();
    });
    ended.raised().await;
    context.drain();
    let _ = within(now().after(PATIENCE), context.empty()).await;
    Ok(())
}
