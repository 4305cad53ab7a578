//! What the connections of one worker share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use clock::Tick;
use event_loop::{Boxed, BoxedDyn};
use http1::Limits;
use net::Peer;
use observe::{Counters, Failure};

use crate::deadlines::Kind;
use crate::exchange::Exchange;
use crate::handshakes::Told;
use crate::linger::LINGER_OF_A_STOP;
use crate::record::Record;
use crate::switch::wait_in;

/// How long an idle connection is kept once a drain began: a request that is on its way to us already must not be
/// lost to a close.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// The waits of a client connection; see CONFIG `[timeouts]`.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From accept, or the first byte of a later request, to the end of its head.
    pub header: Duration,
    /// The longest silence inside a request body.
    pub body: Duration,
    /// Keep-alive, between requests.
    pub idle: Duration,
    /// The longest silence of a client that does not read.
    pub write: Duration,
    /// The slowest average in bytes a second, after a grace; 0: any.
    pub min_rate: u64,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            header: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            min_rate: 256,
        }
    }
}

/// What holds for every exchange of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Limits of a head.
    pub limits: Limits,
    /// The largest request body, where a route says nothing else; 0: any.
    pub body_bytes: u64,
    /// The waits.
    pub timeouts: Timeouts,
    /// Whether [`Site::ended`] is told of every exchange.
    pub records: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { limits: Limits::default(), body_bytes: 10 << 20, timeouts: Timeouts::default(), records: false }
    }
}

/// What became of handing an exchange to its handler.
pub enum Handled<'e> {
    /// It is answered (what was queued is still to be written), or failed.
    Done(Result<(), Failure>),
    /// It goes on in this future. The box is what keeps the state of the largest handler out of everybody's connection.
    Waits(BoxedDyn<'e, Result<(), Failure>>),
}

impl<'e> Handled<'e> {
    /// An exchange that has to wait for something, in the future that `make` makes (in its place: [`Boxed::with`]).
    #[inline(always)]
    pub fn waits<F: Future<Output = Result<(), Failure>> + 'e>(make: impl FnOnce() -> F) -> Handled<'e> {
        Handled::Waits(Boxed::with(make).of_any_type())
    }
}

/// What answers requests: the snapshot of one configuration, on one worker.
pub trait Site: 'static {
    /// What holds for every exchange.
    fn settings(&self) -> &Settings;

    /// Answers one exchange: at once, or by a future for what has to wait. A failure becomes an answer while none has
    /// begun, and an abort of the connection afterwards.
    fn handle<'e>(&'e self, exchange: &'e mut Exchange<'_>) -> Handled<'e>;

    /// Gives up descriptors that are held only because they may be of use again, and says how many: the process has run out of them, and
    /// a connection waits.
    fn free_descriptors(&self) -> usize {
        0
    }

    /// Told of every failure, for the log.
    fn failed(&self, failure: &Failure, client: &Peer);

    /// Told of a handshake that failed for a reason of which none was told of for a minute, and how many were not since.
    fn handshake_failed(&self, failure: &Failure, client: &Peer, unsaid: u32) {
        let _ = (failure, client, unsaid);
    }

    /// Told of the end of every exchange, for the access log, where [`Settings::records`] asks for it.
    fn ended(&self, record: &Record<'_>) {
        let _ = record;
    }
}

/// What the connections of one worker share: the present site, who is open, whether it drains.
pub struct Context<S> {
    site: RefCell<Rc<S>>,
    counters: Arc<Counters>,
    open: Cell<usize>,
    max_connections: Cell<usize>,
    draining: Cell<bool>,
    drain_begun: Cell<Option<Tick>>,
    emptied: RefCell<Vec<Waker>>,
    over_limit_said: Cell<bool>,
    pub(crate) handshakes_told: RefCell<Told>,
}

impl<S: Site> Context<S> {
    /// A context that serves `site` to at most `max_connections` at once.
    pub fn new(site: Rc<S>, counters: Arc<Counters>, max_connections: usize) -> Rc<Context<S>> {
        Rc::new(Context {
            site: RefCell::new(site),
            counters,
            open: Cell::new(0),
            max_connections: Cell::new(max_connections),
            draining: Cell::new(false),
            drain_begun: Cell::new(None),
            emptied: RefCell::default(),
            over_limit_said: Cell::new(false),
            handshakes_told: RefCell::default(),
        })
    }

    /// The present site. An exchange keeps the one it began with.
    pub fn site(&self) -> Rc<S> {
        Rc::clone(&self.site.borrow())
    }

    /// Makes `site` the present one, if it is not.
    #[inline]
    pub(crate) fn renew(&self, site: &mut Rc<S>) {
        let present = self.site.borrow();
        if !Rc::ptr_eq(site, &present) {
            *site = Rc::clone(&present);
        }
    }

    /// Serves another site from the next request of each connection on.
    pub fn replace_site(&self, site: Rc<S>) {
        let old = self.site.replace(site);
        drop(old);
    }

    /// The worker's counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.get()
    }

    /// Whether the worker is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub(crate) fn draining_flag(&self) -> &Cell<bool> {
        &self.draining
    }

    /// Changes how many connections may be open.
    pub fn set_max_connections(&self, max: usize) {
        self.max_connections.set(max);
    }

    /// Begins to stop: every answer says `Connection: close`, idle connections are kept for their next request for at
    /// most 5 s, and those that wait for their client to hear the last answer for 1 s. The accept loops have switches of their own.
    pub fn drain(&self) {
        let now = event_loop::now();
        self.draining.set(true);
        self.drain_begun.set(Some(now));
        event_loop::shorten_deadlines(Kind::Idle as u8, now.after(DRAIN_GRACE));
        event_loop::shorten_deadlines(Kind::Linger as u8, now.after(LINGER_OF_A_STOP));
    }

    /// When the wait of a connection ends that was idle as the drain began.
    pub(crate) fn drain_end(&self) -> Option<Tick> {
        self.drain_begun.get().map(|begun| begun.after(DRAIN_GRACE))
    }

    /// When a lingering close ends at the latest that began at `begun`, while the worker stops.
    pub(crate) fn linger_end(&self, begun: Tick) -> Option<Tick> {
        let stop = self.drain_begun.get()?;
        Some(if begun.is_before(stop) { stop } else { begun }.after(LINGER_OF_A_STOP))
    }

    /// How long a connection that was told to close may idle.
    pub(crate) fn drain_grace(&self) -> Duration {
        DRAIN_GRACE
    }

    /// Completes when no connection is open.
    pub async fn empty(&self) {
        std::future::poll_fn(|cx| {
            if self.open.get() == 0 {
                return Poll::Ready(());
            }
            wait_in(&self.emptied, cx);
            Poll::Pending
        })
        .await;
    }

    /// Counts a connection in, unless too many are open. The first time that happens it says so (`Err(true)`).
    pub(crate) fn admit(self: &Rc<Context<S>>, peer: Peer) -> Result<Admission<S>, bool> {
        if self.open.get() >= self.max_connections.get() {
            self.counters.over_limit.add(1);
            return Err(!self.over_limit_said.replace(true));
        }
        self.open.set(self.open.get() + 1);
        self.counters.accepted.add(1);
        self.counters.open.add(1);
        Ok(Admission { context: Rc::clone(self), peer })
    }
}

/// One open connection; counted out on drop.
pub(crate) struct Admission<S: Site> {
    pub(crate) context: Rc<Context<S>>,
    /// Who connected.
    pub(crate) peer: Peer,
}

impl<S: Site> Drop for Admission<S> {
    fn drop(&mut self) {
        event_loop::served_in_panic(|| format!("client {}", self.peer));
        let context = &self.context;
        context.open.set(context.open.get() - 1);
        context.counters.open.sub(1);
        if context.open.get() == 0 {
            context.emptied.take().into_iter().for_each(Waker::wake);
        }
    }
}
