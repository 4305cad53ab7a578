//! A worker thread: builds its site, serves, takes the control thread's orders from its inbox.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam::channel::{Receiver, Sender};
use event_loop::{LongTurn, Panicked, Remote, Worker, WorkerConfig, now, spawn, within};
use net::Listener;
use observe::Counters;
use serve::{Context, Local, Switch, accept_loop_over};

use crate::listeners::{self, Key, Socket, Ways};
use crate::log::Log;
use crate::prepared::{PrepareError, Prepared};
use crate::site::{Resources, Site};
use crate::tls_front::Slot;

/// What a worker is started with.
pub(crate) struct Spec {
    pub(crate) number: usize,
    pub(crate) workers: usize,
    pub(crate) pin: bool,
    pub(crate) snapshot: Arc<ArcSwap<Prepared>>,
    pub(crate) listeners: Vec<Socket>,
    pub(crate) max_connections: usize,
    pub(crate) counters: Arc<Counters>,
    pub(crate) notices: Option<Arc<fs::Notices>>,
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
        let result = catch_unwind(AssertUnwindSafe(|| serve(spec, &send)));
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
    let config = WorkerConfig { on_panic: log_panic, on_long_turn: log_long_turn, ..WorkerConfig::default() };
    let (worker, remote) = match Worker::new(config) {
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

fn log_panic(panicked: &Panicked) {
    let Panicked { task, served } = panicked;
    LOG.with_borrow(|log| match log {
        Some(log) if served.is_empty() => log.error(format_args!("a task panicked and was ended: {task}")),
        Some(log) => {
            log.error(format_args!("a task panicked and was ended, with the connection of {served} only: {task}"))
        }
        None => {}
    });
}

/// Everybody else of that worker waited so long: worth a line, whoever was it.
fn log_long_turn(turn: LongTurn) {
    LOG.with_borrow(|log| {
        let Some(log) = log else { return };
        let took = turn.took.as_millis();
        match turn.slowest {
            Some((task, alone)) => log.warn(format_args!(
                "a worker's turn took {took} ms, in which nobody else was served; {} ms of it went to {task}",
                alone.as_millis()
            )),
            None => log.warn(format_args!(
                "a worker's turn took {took} ms, in which nobody else was served; its tasks are timed from now on, so that \
                 another one will be named"
            )),
        }
    });
}

struct State {
    context: Rc<Context<Site>>,
    resources: Resources,
    snapshot: Arc<ArcSwap<Prepared>>,
    listeners: RefCell<HashMap<Key, Accepting>>,
    /// What a reload has prepared, until it is decided.
    pending: RefCell<Option<Pending>>,
    stop: Switch,
    log: Log,
}

/// A configuration that this worker could serve at once. Dropped, it leaves no trace.
struct Pending {
    site: Rc<Site>,
    /// On the reactor; nobody can connect yet.
    listeners: Vec<Registered>,
    /// All that it listens on, and how clients are treated there.
    keep: Vec<(Key, Ways)>,
}

/// A listener on this worker's reactor.
struct Registered {
    key: Key,
    listener: Listener,
    local: Rc<Local>,
    tls: Slot,
}

/// One listener's accept loop.
struct Accepting {
    local: Rc<Local>,
    stop: Rc<Switch>,
    ended: Rc<Switch>,
}

impl State {
    fn new(spec: Spec) -> Result<State, PrepareError> {
        let notices = spec.notices.clone();
        let resources = Resources::with_notices(spec.number as u16, spec.workers, spec.log.clone(), notices)
            .counting(Arc::clone(&spec.counters));
        let site = Site::new(spec.snapshot.load_full(), &resources)?;
        let state = State {
            context: Context::new(Rc::new(site), spec.counters, spec.max_connections),
            resources,
            snapshot: spec.snapshot,
            listeners: RefCell::default(),
            pending: RefCell::default(),
            stop: Switch::default(),
            log: spec.log,
        };
        for registered in registered(spec.listeners)? {
            state.accept(registered);
        }
        Ok(state)
    }

    fn accept(&self, Registered { key, listener, local, tls }: Registered) {
        let (stop, ended) = (Rc::new(Switch::default()), Rc::new(Switch::default()));
        let accepting = Accepting { local: Rc::clone(&local), stop: Rc::clone(&stop), ended: Rc::clone(&ended) };
        let (context, log) = (Rc::clone(&self.context), self.log.clone());
        spawn(async move {
            let tls = move || tls.load().as_deref().cloned();
            accept_loop_over(listener, local, tls, context, stop, |sentence| log.warn(sentence)).await;
            ended.raise();
        });
        self.listeners.borrow_mut().insert(key, accepting);
    }

    /// Serves until told to stop; then drains and says how many connections had to be cut.
    async fn until_stopped(&self) -> usize {
        self.stop.raised().await;
        let patience = self.snapshot.load().plan.runtime.shutdown_timeout;
        self.drain(patience).await;
        self.context.open()
    }

    async fn drain(&self, patience: Duration) {
        drop(self.pending.take());
        let accepting: Vec<Accepting> = self.listeners.borrow_mut().drain().map(|(_, a)| a).collect();
        accepting.iter().for_each(|a| a.stop.raise());
        for loop_ in &accepting {
            loop_.ended.raised().await;
        }
        self.resources.close_live_pages();
        self.context.drain();
        let _ = within(now().after(patience), self.context.empty()).await;
    }

    /// Makes everything that could fail in a change to `prepared`, and changes nothing.
    fn prepare(&self, prepared: Arc<Prepared>, listeners: Vec<Socket>) -> Result<(), PrepareError> {
        let keep = listeners::ways_of(&prepared.plan);
        let site = Rc::new(Site::prepare(prepared, &self.resources)?);
        self.pending.replace(Some(Pending { site, listeners: registered(listeners)?, keep }));
        Ok(())
    }

    /// Changes to what was prepared: new connections and new requests get it, exchanges under way keep theirs. Listeners
    /// that it does not list serve what has queued, and end.
    fn change_over(&self) {
        let Some(Pending { site, listeners, keep }) = self.pending.take() else { return };
        if self.stop.is_raised() {
            return;
        }
        self.resources.adopt(&site);
        self.context.replace_site(site);
        for registered in listeners {
            self.accept(registered);
        }
        self.listeners.borrow_mut().retain(|key, accepting| {
            let kept = keep.iter().find(|(other, _)| other == key);
            match kept {
                Some((_, ways)) => ways.clone().hold(&accepting.local),
                None => accepting.stop.raise(),
            }
            kept.is_some()
        });
    }
}

/// Puts the sockets on this worker's reactor.
fn registered(listeners: Vec<Socket>) -> Result<Vec<Registered>, PrepareError> {
    let register = |Socket { key, bound, ways, tls }| match Listener::new(bound) {
        Ok(listener) => {
            let local = Local::new(listener.address().clone(), false);
            ways.hold(&local);
            Ok(Registered { key, listener, local, tls })
        }
        Err(e) => Err(PrepareError::new(format!("cannot listen on {key}: {}", listeners::reason(&e)))),
    };
    listeners.into_iter().map(register).collect()
}

/// The sockets of one worker on their way to it. Whoever comes first takes them: the worker, or the control thread when
/// it does not wait any longer, so that no address stays taken by an order that was never read.
pub(crate) type Parcel = Arc<Mutex<Option<Vec<Socket>>>>;

/// Orders a worker to prepare itself for a plan; the answer says whether it is ready, or why not.
pub(crate) fn order_prepare(
    remote: &Remote,
    prepared: Arc<Prepared>,
    parcel: Parcel,
) -> Receiver<Result<(), PrepareError>> {
    order(remote, move |state| {
        let taken = parcel.lock().unwrap_or_else(|e| e.into_inner()).take();
        let Some(listeners) = taken else { return Err(PrepareError::new("the reload was given up")) };
        // The message loop catches no panics; nothing but what is pending is written to, and that only at the end.
        catch_unwind(AssertUnwindSafe(|| state.prepare(prepared, listeners)))
            .unwrap_or_else(|_| Err(PrepareError::new("it panicked; the message stands above")))
    })
}

/// Orders a worker to change to what it has prepared, which cannot fail.
pub(crate) fn order_change_over(remote: &Remote) -> Receiver<()> {
    order(remote, State::change_over)
}

/// Orders a worker to drop what it has prepared, if anything.
pub(crate) fn order_forget(remote: &Remote) -> Receiver<()> {
    order(remote, |state| drop(state.pending.take()))
}

/// Orders a worker to hand over the lines of the access log that it has gathered.
pub(crate) fn order_hand_over_lines(remote: &Remote) -> Receiver<()> {
    order(remote, |state| state.resources.hand_over_lines())
}

/// Has the worker run `work` in its next turn; orders are carried out in the order they are given. The answer is cut off when
/// the worker has ended.
fn order<T: Send + 'static>(remote: &Remote, work: impl FnOnce(&State) -> T + Send + 'static) -> Receiver<T> {
    let (send, receive) = crossbeam::channel::bounded(1);
    let run = move || {
        if let Some(state) = STATE.with_borrow(Clone::clone) {
            let _ = send.send(work(&state));
        }
    };
    // An ended worker drops the order, and with it the sender.
    let _ = remote.send(run);
    receive
}

/// Tells a worker that files have changed.
pub(crate) fn tell_changes(remote: &Remote, changes: Arc<fs::Changes>, version: u64) {
    let _ = remote.send(move || {
        if let Some(state) = STATE.with_borrow(Clone::clone) {
            state.resources.changed(&changes, version);
        }
    });
}

/// Orders a worker to drain and stop.
pub(crate) fn order_stop(remote: &Remote) {
    let _ = remote.send(|| {
        if let Some(state) = STATE.with_borrow(Clone::clone) {
            state.stop.raise();
        }
    });
}
