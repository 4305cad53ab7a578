//! A worker thread: builds its site, serves, takes the control thread's orders from its inbox.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam::channel::Sender;
use event_loop::{Remote, Worker, WorkerConfig, now, spawn, within};
use net::{Bound, Listener};
use observe::Counters;
use serve::{Context, Switch, accept_loop};

use crate::listeners::Key;
use crate::log::Log;
use crate::prepared::{PrepareError, Prepared};
use crate::site::{Resources, Site};

/// What a worker is started with.
pub(crate) struct Spec {
    pub(crate) number: usize,
    pub(crate) workers: usize,
    pub(crate) pin: bool,
    pub(crate) snapshot: Arc<ArcSwap<Prepared>>,
    pub(crate) listeners: Vec<(Key, Bound)>,
    pub(crate) max_connections: usize,
    pub(crate) counters: Arc<Counters>,
    pub(crate) log: Log,
}

/// How a worker ended.
pub(crate) struct Ended {
    pub(crate) number: usize,
    /// Connections that were cut because the drain took too long; or why the worker failed.
    pub(crate) result: Result<usize, String>,
}

/// Starts the thread. `ended` hears of its end, however it comes.
pub(crate) fn start(spec: Spec, ended: Sender<Ended>) -> io::Result<Remote> {
    let (send, receive) = crossbeam::channel::bounded(1);
    let number = spec.number;
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| serve(spec, &send)));
        let result = result.unwrap_or_else(|_| Err("it panicked; the message stands above".into()));
        let _ = ended.send(Ended { number, result });
    })?;
    receive.recv().map_err(|_| io::Error::other("a worker ended before it began"))?
}

fn serve(spec: Spec, started: &Sender<io::Result<Remote>>) -> Result<usize, String> {
    if spec.pin
        && let Err(e) = process::pin_to_cpu(spec.number)
    {
        spec.log.warn(format_args!("worker {} could not be pinned to a CPU: {e}", spec.number));
    }
    let (worker, remote) = match Worker::new(WorkerConfig { on_panic: log_panic, ..WorkerConfig::default() }) {
        Ok(made) => made,
        Err(e) => {
            let _ = started.send(Err(e));
            return Err("it could not be started".into());
        }
    };
    LOG.set(Some(spec.log.clone()));
    let root = async {
        let state = match State::new(spec) {
            Ok(state) => Rc::new(state),
            Err(e) => {
                let _ = started.send(Err(io::Error::other(e)));
                return Err("its site could not be built".into());
            }
        };
        STATE.set(Some(Rc::clone(&state)));
        let _ = started.send(Ok(remote));
        let left = state.until_stopped().await;
        STATE.set(None);
        Ok(left)
    };
    worker.block_on(root).map_err(|e| e.to_string())?
}

thread_local! {
    /// This thread's worker, for the orders in its inbox.
    static STATE: RefCell<Option<Rc<State>>> = const { RefCell::new(None) };
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

fn log_panic(task: &'static str) {
    LOG.with_borrow(|log| {
        if let Some(log) = log {
            log.error(format_args!("a task panicked and was ended, with its connection only: {task}"));
        }
    });
}

struct State {
    context: Rc<Context<Site>>,
    resources: Resources,
    snapshot: Arc<ArcSwap<Prepared>>,
    listeners: RefCell<HashMap<Key, Accepting>>,
    stop: Switch,
    log: Log,
}

/// One listener's accept loop.
struct Accepting {
    stop: Rc<Switch>,
    ended: Rc<Switch>,
}

impl State {
    fn new(spec: Spec) -> Result<State, PrepareError> {
        let resources = Resources::new(spec.number as u16, spec.workers, spec.log.clone());
        let site = Site::new(spec.snapshot.load_full(), &resources)?;
        let state = State {
            context: Context::new(Rc::new(site), spec.counters, spec.max_connections),
            resources,
            snapshot: spec.snapshot,
            listeners: RefCell::default(),
            stop: Switch::default(),
            log: spec.log,
        };
        for (key, bound) in spec.listeners {
            state.listen(key, bound)?;
        }
        Ok(state)
    }

    fn listen(&self, key: Key, bound: Bound) -> Result<(), PrepareError> {
        let listener = Listener::new(bound).map_err(|e| PrepareError::new(format!("cannot listen on {key}: {e}")))?;
        let (stop, ended) = (Rc::new(Switch::default()), Rc::new(Switch::default()));
        let accepting = Accepting { stop: Rc::clone(&stop), ended: Rc::clone(&ended) };
        let (context, log) = (Rc::clone(&self.context), self.log.clone());
        spawn(async move {
            accept_loop(listener, context, stop, |sentence| log.warn(sentence)).await;
            ended.raise();
        });
        self.listeners.borrow_mut().insert(key, accepting);
        Ok(())
    }

    /// Serves until told to stop; then drains and says how many connections had to be cut.
    async fn until_stopped(&self) -> usize {
        self.stop.raised().await;
        let patience = self.snapshot.load().plan.runtime.shutdown_timeout;
        self.drain(patience).await;
        self.context.open()
    }

    async fn drain(&self, patience: Duration) {
        let accepting: Vec<Accepting> = self.listeners.borrow_mut().drain().map(|(_, a)| a).collect();
        accepting.iter().for_each(|a| a.stop.raise());
        for loop_ in &accepting {
            loop_.ended.raised().await;
        }
        self.context.drain();
        let _ = within(now().after(patience), self.context.empty()).await;
    }

    /// Switches to the present snapshot: new connections and new requests get it, exchanges under way keep theirs.
    fn reload(&self, listeners: Vec<(Key, Bound)>, keep: &[Key]) -> Result<(), PrepareError> {
        let site = Site::new(self.snapshot.load_full(), &self.resources)?;
        self.context.replace_site(Rc::new(site));
        for (key, bound) in listeners {
            self.listen(key, bound)?;
        }
        self.listeners.borrow_mut().retain(|key, accepting| {
            let stays = keep.contains(key);
            if !stays {
                accepting.stop.raise();
            }
            stays
        });
        Ok(())
    }
}

/// Orders a worker to switch to the present snapshot; `done` hears how that went.
pub(crate) fn order_reload(
    remote: &Remote,
    listeners: Vec<(Key, Bound)>,
    keep: Vec<Key>,
    done: Sender<Result<(), String>>,
) {
    let order = move || {
        let state = STATE.with_borrow(Clone::clone);
        let result = state.map_or(Ok(()), |s| s.reload(listeners, &keep).map_err(|e| e.to_string()));
        let _ = done.send(result);
    };
    // A worker that has ended needs no new site; its sender is dropped with the order.
    let _ = remote.send(order);
}

/// Orders a worker to drain and stop.
pub(crate) fn order_stop(remote: &Remote) {
    let _ = remote.send(|| {
        if let Some(state) = STATE.with_borrow(Clone::clone) {
            state.stop.raise();
        }
    });
}
