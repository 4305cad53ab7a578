//! One run: a worker, its site, clients and origins around it, and what must hold when all is over.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use app::{Log, Resources, Site};
use event_loop::{Driver, Worker, WorkerConfig, now, race, sleep, spawn, within};
use net::memory::{set_refusing, set_silent};
use net::{Bound, Listener};
use observe::{Counters, Kind};
use serve::{Context, Switch, accept_loop};
use testkit::{Rng, Seed};

use crate::client::client;
use crate::config::{self, CALM, FRONT, STALE, WILD};
use crate::origin::{Temper, origin};
use crate::plan::{self, Connection, FILES, Request};
use crate::signal::Signal;

/// Virtual time in which every run must end.
const TIME_MAX: Duration = Duration::from_secs(7200);
/// Turns of the loop that no run needs: more would be spinning.
const TURNS_MAX: u64 = 3_000_000;
/// Real time after which a run counts as hanging where virtual time stands still.
const REAL_TIME_MAX: Duration = Duration::from_secs(120);
/// Buffers that one client's connection and its upstream connection may hold: two queues of 64 KiB, each of them at the worst
/// in pieces of 2 KiB (smaller ones are copied together) that hold a window of 16 KiB, with a chunk line in another
/// buffer between them.
const LEASED_PER_CLIENT: usize = 2 * (64 / 2) * (32 << 10);

/// What came of a run, or of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) answers_due: usize,
    pub(crate) right: usize,
    pub(crate) pages: usize,
    pub(crate) broken_off: usize,
    pub(crate) reloads: usize,
    pub(crate) leased_bytes_max: usize,
    pub(crate) virtual_seconds: u64,
    /// A digest of all that happened, in its order, with its times.
    pub(crate) trace: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Tally) {
        self.answers_due += other.answers_due;
        self.right += other.right;
        self.pages += other.pages;
        self.broken_off += other.broken_off;
        self.reloads += other.reloads;
        self.leased_bytes_max = self.leased_bytes_max.max(other.leased_bytes_max);
        self.virtual_seconds += other.virtual_seconds;
        self.trace ^= other.trace;
    }
}

/// What clients, origins and the checks share.
#[derive(Default)]
pub(crate) struct World {
    requests: HashMap<usize, Request>,
    arrivals: RefCell<HashMap<usize, u32>>,
    violations: RefCell<Vec<String>>,
    tally: RefCell<Tally>,
    /// The worker's own.
    counters: Arc<Counters>,
    pub(crate) generation: Cell<u32>,
    pub(crate) draining: Cell<bool>,
    /// Clients that are done.
    pub(crate) done: Signal,
    /// Raised when the origins shall go.
    pub(crate) ended: Signal,
}

impl World {
    pub(crate) fn request(&self, id: usize) -> Option<Request> {
        self.requests.get(&id).cloned()
    }

    /// Notes that a request came to an origin; how often it has.
    pub(crate) fn arrived(&self, id: usize) -> u32 {
        let mut arrivals = self.arrivals.borrow_mut();
        let count = arrivals.entry(id).or_default();
        *count += 1;
        *count
    }

    pub(crate) fn violated(&self, what: String) {
        self.violations.borrow_mut().push(format!("at {:?}: {what}", now()));
    }

    /// The failures that the worker counted, by kind.
    fn failures(&self) -> String {
        let failed = Kind::ALL.iter().map(|kind| (kind, self.counters.failures(*kind))).filter(|(_, n)| *n > 0);
        format!("the worker counted {:?}", failed.collect::<Vec<_>>())
    }

    pub(crate) fn tally(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.borrow_mut());
    }

    pub(crate) fn trace(&self, what: &[u64]) {
        self.tally(|t| {
            for word in [u64::from(now().0)].iter().chain(what) {
                t.trace = (t.trace ^ word).wrapping_mul(0x100_0000_01B3).rotate_left(17);
            }
        });
    }

    /// The content of the file of that length.
    pub(crate) fn file(length: usize) -> Vec<u8> {
        Rng::new(length as u64).bytes(length)
    }
}

/// Runs one seed.
///
/// # Panics
/// When anything that must hold did not.
pub(crate) fn run(seed: Seed) -> Tally {
    let _watched = Watchdog::start(seed);
    let mut rng = seed.rng();
    let folder = tempfile::tempdir().expect("a folder for the files");
    std::fs::create_dir(folder.path().join("files")).expect("a folder in it");
    for length in FILES {
        std::fs::write(folder.path().join(format!("files/{length}")), World::file(length)).expect("a file");
    }
    let mut ids = 0;
    let mut clients: Vec<Vec<Connection>> = Vec::new();
    for _ in 0..2 + rng.index(7) {
        let mut connections = Vec::new();
        for _ in 0..1 + rng.index(4) {
            connections.push(plan::connection(&mut rng, ids));
            ids += 10;
        }
        clients.push(connections);
    }
    let requests = clients.iter().flatten().flat_map(|c| &c.requests).map(|r| (r.id, r.clone())).collect();
    let world = Rc::new(World { requests, ..World::default() });
    let driver = Driver::Simulated { seed: seed.0 };
    let (worker, _) = Worker::new(WorkerConfig { driver, ..WorkerConfig::default() }).expect("a worker");
    let life = live(Rc::clone(&world), clients, rng, folder.path());
    worker.block_on(life).expect("the simulation goes on to its end");
    let leased = buf::stats().leased;
    if leased > 0 {
        world.violations.borrow_mut().push(format!("{leased} buffers were left behind"));
    }
    let violations = world.violations.take();
    assert!(
        violations.is_empty(),
        "{} violations, first:\n{}\n{}",
        violations.len(),
        violations[..violations.len().min(4)].join("\n"),
        world.failures()
    );
    world.tally.take()
}

async fn live(world: Rc<World>, clients: Vec<Vec<Connection>>, mut rng: Rng, folder: &std::path::Path) {
    let panics_before = event_loop::stats().panics;
    let count = clients.len();
    for (numbers, temper) in [(&CALM[..], Temper::Calm), (&STALE, Temper::Stale), (&WILD, Temper::Wild)] {
        for number in numbers {
            set_refusing(*number, false);
            set_silent(*number, false);
            spawn(origin(Rc::clone(&world), *number, temper, rng.fork()));
        }
    }
    let resources = Resources::new(0, 1, Log::silent());
    let context = Context::new(config::site(0, folder, &resources), Arc::clone(&world.counters), 1000);
    let stop = Rc::new(Switch::default());
    let listener = Listener::new(Bound::memory(FRONT)).expect("nobody else listens there");
    spawn(accept_loop(listener, Rc::clone(&context), Rc::clone(&stop), |_| ()));
    spawn(trouble(Rc::clone(&world), rng.fork()));
    spawn(watch_memory(Rc::clone(&world), count));
    for connections in clients {
        spawn(client(Rc::clone(&world), connections));
    }
    let drain_after = rng.chance(1, 4).then(|| Duration::from_millis(rng.below(20_000)));
    let talk = async {
        race(world.done.reaches(count), reload(&world, &context, &resources, folder, &mut rng)).await;
    };
    let talked = match drain_after {
        Some(time) => within(now().after(time), talk).await,
        None => within(now().after(TIME_MAX), talk).await,
    };
    if talked.is_none() && drain_after.is_none() {
        world.violated(format!("{} of {count} clients are done after {TIME_MAX:?}", world.done.value()));
    }
    world.draining.set(true);
    stop.raise();
    context.drain();
    let drained = within(now().after(TIME_MAX), async {
        context.empty().await;
        world.done.reaches(count).await;
    });
    if drained.await.is_none() {
        world.violated(format!("{} connections are open after {TIME_MAX:?} of draining", context.open()));
    }
    world.tally(|t| t.virtual_seconds = u64::from(now().0) / 1000);
    world.ended.raise(1);
    drop((context, resources));
    // Longer than any task that looks after something sleeps.
    sleep(Duration::from_secs(60)).await;
    let stats = event_loop::stats();
    if (stats.tasks, stats.registrations) != (1, 0) || stats.panics > panics_before || stats.turns > TURNS_MAX {
        world.violated(format!("left behind: {stats:?}"));
    }
}

/// Another configuration from time to time, until nobody is left.
async fn reload(
    world: &World,
    context: &Context<Site>,
    resources: &Resources,
    folder: &std::path::Path,
    rng: &mut Rng,
) {
    loop {
        sleep(Duration::from_millis(rng.below(6000))).await;
        let generation = world.generation.get() + 1;
        world.generation.set(generation);
        context.replace_site(config::site(generation, folder, resources));
        world.tally(|t| t.reloads += 1);
        if generation == 12 {
            std::future::pending::<()>().await;
        }
    }
}

/// Wild origins that refuse, or do not answer, for a while.
async fn trouble(world: Rc<World>, mut rng: Rng) {
    let trouble = async {
        loop {
            sleep(Duration::from_millis(rng.below(4000))).await;
            let number = WILD[rng.index(WILD.len())];
            let (refusing, silent) = (rng.chance(1, 3), rng.chance(1, 6));
            set_refusing(number, refusing);
            set_silent(number, silent);
        }
    };
    race(trouble, world.ended.reaches(1)).await;
}

async fn watch_memory(world: Rc<World>, clients: usize) {
    let watch = async {
        loop {
            sleep(Duration::from_millis(5)).await;
            let leased = buf::stats().leased_bytes;
            world.tally(|t| t.leased_bytes_max = t.leased_bytes_max.max(leased));
            if leased > clients * LEASED_PER_CLIENT {
                return world.violated(format!("{leased} bytes of buffers for {clients} clients"));
            }
        }
    };
    race(watch, world.ended.reaches(1)).await;
}

/// Ends the process when a run spins without an end: virtual time says nothing then.
struct Watchdog {
    _alive: mpsc::Sender<()>,
}

impl Watchdog {
    fn start(seed: Seed) -> Watchdog {
        let (alive, watched) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            if watched.recv_timeout(REAL_TIME_MAX) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("hangs in real time with seed {0}; run it again with TOLLGATE_SEED={0}", seed.0);
                std::process::abort();
            }
        });
        Watchdog { _alive: alive }
    }
}
