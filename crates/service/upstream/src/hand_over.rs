//! Idle connections that go from one worker to another: the one has some that it does not use, the other needs one.
//!
//! Each worker has signs that all may read: for each server, since when its oldest idle connection has been idle. A pool hands
//! out the connection that was used last, so the oldest is one that its worker could do without for so long. A worker without
//! an idle connection reads the others' signs and asks the one whose sign is the oldest, through the inbox; the answer comes the
//! same way. Nobody locks anything, and a worker that has an idle connection looks at nobody's signs.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use balance::ServerId;
use clock::Tick;
use event_loop::{Ready, Remote, now, within};
use net::{Parcel, Transport};

use crate::checkout::Checkout;
use crate::pool::{Connection, is_quiet, millis};
use crate::upstream::Upstream;

/// A connection that was idle for less stays with its worker, who may need it in a moment: otherwise two of them would take
/// it from each other with every request. So none moves more than twenty times a second.
pub(crate) const SETTLED: Duration = Duration::from_millis(50);

/// How long an answer is waited for: many turns of a worker that is well. Without one a connection is made, as ever.
const PATIENCE: Duration = Duration::from_millis(10);

/// A worker that did not answer in time is not asked again for so long.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// Requests of one upstream that may wait for an answer.
const ASKS: usize = 64;

/// What the workers of a process know of each other's idle connections to one upstream.
#[derive(Debug)]
pub struct HandOver {
    /// Nobody else has it.
    id: u64,
    desks: OnceLock<Box<[OnceLock<Arc<Desk>>]>>,
}

impl HandOver {
    /// Of an upstream that no worker has begun to use.
    #[expect(clippy::new_without_default, reason = "each one is another")]
    pub fn new() -> HandOver {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        HandOver { id: NEXT.fetch_add(1, Relaxed), desks: OnceLock::new() }
    }
}

/// A worker's part in handing over connections.
#[derive(Clone, Debug)]
pub struct HandOverOptions {
    /// What all workers share.
    pub shared: Arc<HandOver>,
    /// This worker's number.
    pub worker: u16,
    /// How many workers there are.
    pub workers: u16,
}

/// Where an upstream is the same in all that was configured, it stays, and goes on sharing what it shared.
impl PartialEq for HandOverOptions {
    fn eq(&self, _: &HandOverOptions) -> bool {
        true
    }
}

/// How one worker is reached, and its signs.
#[derive(Debug)]
struct Desk {
    remote: Remote,
    /// When it began: its ticks count from there.
    begun: Tick,
    signs: Box<[Signs]>,
}

/// The signs of some servers. On lines of their own: their worker writes them now and then, and must not take a line from another.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Signs([AtomicU32; SIGNS]);

const SIGNS: usize = 32;

/// No connection is idle.
const NONE: u32 = 0;

impl Desk {
    fn sign(&self, server: usize) -> Option<&AtomicU32> {
        self.signs.get(server / SIGNS)?.0.get(server % SIGNS)
    }

    /// How long the oldest idle connection of this worker to `server` has been idle, if there is one. `now` in ticks of the process.
    fn idle_for(&self, server: ServerId, now: Tick) -> Option<Duration> {
        let since = self.sign(server.index())?.load(Relaxed);
        (since != NONE).then(|| now.since(Tick(since.wrapping_add(self.begun.0))))
    }
}

/// The sign of one pool.
#[derive(Debug)]
pub(crate) struct Sign {
    desk: Arc<Desk>,
    server: usize,
}

impl Sign {
    /// Since when the oldest connection is idle, if there is one.
    pub(crate) fn show(&self, since: Option<Tick>) {
        if let Some(sign) = self.desk.sign(self.server) {
            sign.store(since.map_or(NONE, |tick| tick.0 | 1), Relaxed);
        }
    }
}

impl Drop for Sign {
    /// Connections end with their pool: nobody is to ask a worker for them that has ended while others drain.
    fn drop(&mut self) {
        self.show(None);
    }
}

/// An upstream's dealings with the other workers.
pub(crate) struct Neighbours {
    shared: Arc<HandOver>,
    here: Arc<Desk>,
    worker: usize,
    asks: RefCell<Vec<Rc<Ask>>>,
    next: Cell<u64>,
    /// Who did not answer, and until when they are left alone.
    silent: RefCell<Vec<(usize, Tick)>>,
}

struct Ask {
    ticket: u64,
    answer: Cell<Option<Option<Box<Connection>>>>,
    waker: RefCell<Option<Waker>>,
}

impl Ask {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Box<Connection>>> {
        match self.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                self.waker.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

/// A place among those who wait; left on drop. What came meanwhile and was not taken is kept for others.
struct Place<'u> {
    upstream: &'u Upstream,
    neighbours: &'u Neighbours,
    server: ServerId,
    ask: Rc<Ask>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.neighbours.asks.borrow_mut().retain(|ask| !Rc::ptr_eq(ask, &self.ask));
        if let Some(connection) = self.ask.answer.take().flatten() {
            self.upstream.keep(self.server, connection);
        }
    }
}

/// A connection on its way, with its history.
struct Sent {
    parcel: Parcel,
    age: Duration,
    uses: u32,
}

thread_local! {
    /// The upstreams of this worker that hand over connections.
    static HERE: RefCell<Vec<(u64, Weak<Upstream>)>> = const { RefCell::new(Vec::new()) };
}

fn find(id: u64) -> Option<Rc<Upstream>> {
    HERE.with_borrow(|here| here.iter().find(|(other, _)| *other == id)?.1.upgrade())
}

impl Neighbours {
    /// None where there are no others.
    pub(crate) fn of(options: &HandOverOptions, servers: usize) -> Option<Neighbours> {
        let HandOverOptions { shared, worker, workers } = options;
        let desks = shared.desks.get_or_init(|| (0..*workers).map(|_| OnceLock::new()).collect());
        let own = desks.get(usize::from(*worker)).filter(|_| desks.len() > 1)?;
        let desk = || {
            let signs = (0..servers.div_ceil(SIGNS)).map(|_| Signs::default()).collect();
            Arc::new(Desk { remote: event_loop::remote(), begun: event_loop::begun(), signs })
        };
        let here = Arc::clone(own.get_or_init(desk));
        let (asks, silent) = (RefCell::default(), RefCell::default());
        let shared = Arc::clone(shared);
        Some(Neighbours { shared, here, worker: usize::from(*worker), asks, next: Cell::new(0), silent })
    }

    pub(crate) fn sign(&self, server: usize) -> Sign {
        Sign { desk: Arc::clone(&self.here), server }
    }

    /// From now on others may ask this worker for connections of `upstream`.
    pub(crate) fn introduce(&self, upstream: &Rc<Upstream>) {
        HERE.with_borrow_mut(|here| {
            here.retain(|(_, other)| other.strong_count() > 0);
            here.push((self.shared.id, Rc::downgrade(upstream)));
        });
    }

    /// The worker that has been without need of a connection to `server` for longest.
    fn richest(&self, server: ServerId) -> Option<(usize, &Desk)> {
        let now = now();
        let process_now = Tick(now.0.wrapping_add(self.here.begun.0));
        self.silent.borrow_mut().retain(|(_, until)| !until.is_due(now));
        let silent = self.silent.borrow();
        let others = self
            .shared
            .desks
            .get()?
            .iter()
            .enumerate()
            .filter(|(worker, _)| *worker != self.worker && !silent.iter().any(|(other, _)| other == worker));
        let desks = others.filter_map(|(worker, desk)| Some((worker, &**desk.get()?)));
        let idle = desks.filter_map(|(worker, desk)| Some((desk.idle_for(server, process_now)?, (worker, desk))));
        let (idle, richest) = idle.max_by_key(|(idle, _)| *idle)?;
        (idle >= SETTLED).then_some(richest)
    }
}

impl Upstream {
    /// A connection to `server` that another worker has and does not use, if there is one; after a wait of a few milliseconds at
    /// most. For when [`Upstream::reuse`] had none.
    pub async fn take_over(&self, server: ServerId) -> Option<Checkout<'_>> {
        let neighbours = self.neighbours.as_ref()?;
        if self.server(server)?.wants_another_address(&self.kept) {
            return None;
        }
        let (worker, desk) = neighbours.richest(server)?;
        if neighbours.asks.borrow().len() >= ASKS {
            return None;
        }
        let ticket = neighbours.next.get();
        neighbours.next.set(ticket + 1);
        let (id, back) = (neighbours.shared.id, neighbours.here.remote.clone());
        let ask = Rc::new(Ask { ticket, answer: Cell::new(None), waker: RefCell::default() });
        neighbours.asks.borrow_mut().push(Rc::clone(&ask));
        let place = Place { upstream: self, neighbours, server, ask };
        desk.remote.send(move || answer(id, server, ticket, &back)).ok()?;
        match within(now().after(PATIENCE), poll_fn(|cx| place.ask.poll(cx))).await {
            Some(connection) => Some(Checkout::new(self, server, connection?)),
            None => {
                neighbours.silent.borrow_mut().push((worker, now().after(LEFT_ALONE)));
                None
            }
        }
    }

    /// Parts with a connection to `server` that was not used for a while.
    fn part_with(&self, server: ServerId) -> Option<Sent> {
        let pool = &self.server(server).filter(|_| !self.is_retired())?.pool;
        let connection = pool.part(now(), &self.kept, millis(SETTLED))?;
        let (age, uses) = (now().since(connection.born), connection.uses);
        Some(Sent { parcel: connection.stream.pack().ok()?, age, uses })
    }

    /// What another worker answered. Where nobody waits for it any more, it is kept.
    fn answered(&self, server: ServerId, ticket: u64, sent: Option<Sent>) {
        let connection = sent.and_then(Sent::unpack);
        let ask = |neighbours: &Neighbours| neighbours.asks.borrow().iter().find(|ask| ask.ticket == ticket).cloned();
        match (self.neighbours.as_ref().and_then(ask), connection) {
            (Some(ask), connection) => {
                ask.answer.set(Some(connection));
                if let Some(waker) = ask.waker.take() {
                    waker.wake();
                }
            }
            (None, Some(connection)) => self.keep(server, connection),
            (None, None) => {}
        }
    }
}

impl Sent {
    fn unpack(self) -> Option<Box<Connection>> {
        let stream = self.parcel.unpack().ok()?;
        // Nobody was told of what arrived on its way: with the next answer it would be taken for that. So it is tried.
        stream.registration().assume(Ready::READ);
        if !is_quiet(&stream) {
            return None;
        }
        let born = Tick(now().0.wrapping_sub(self.age.as_millis() as u32));
        let mut connection = Connection::new(stream, born, None);
        connection.uses = self.uses;
        Some(connection)
    }
}

/// On the worker that is asked.
fn answer(id: u64, server: ServerId, ticket: u64, back: &Remote) {
    let sent = find(id).and_then(|upstream| upstream.part_with(server));
    // A worker that has ended needs none: the connection is closed with what is not sent.
    let _ = back.send(move || {
        if let Some(upstream) = find(id) {
            upstream.answered(server, ticket, sent);
        }
    });
}
