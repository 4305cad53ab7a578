//! What the tasks of one worker share.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use event_loop::sleep;
use load::{ErrorKind, Gauges, Tally};
use net::Stream;

use crate::dial::DialError;
use crate::echo;
use crate::gate::{Gate, Switch};
use crate::pace::Pacer;
use crate::template::Template;
use crate::work::{Mode, Origin, Pace, Work};

/// How the first attempts to connect went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dials {
    /// Connections that were made.
    pub made: usize,
    /// Attempts that failed.
    pub failed: usize,
    /// Why the first of those did, in words.
    pub example: Option<(ErrorKind, String)>,
}

/// Failed attempts, with none that succeeded, after which the others are not waited for.
const HOPELESS: usize = 64;

/// The state of one worker, on its own thread.
pub(crate) struct State {
    pub(crate) work: Work,
    pub(crate) tally: RefCell<Tally>,
    pub(crate) pacer: Pacer,
    pub(crate) gate: Gate,
    /// By origin and request: the answer that is expected next.
    pub(crate) templates: Vec<Vec<RefCell<Template>>>,
    /// By origin: which request is next.
    mixes: Vec<RefCell<load::Mix>>,
    /// When sending begins, in nanoseconds of the precise clock.
    pub(crate) begin: Cell<u64>,
    /// Raised when it is known.
    pub(crate) ordered: Switch,
    /// Raised when it has come.
    pub(crate) begun: Switch,
    /// Raised to end at once, whatever is under way.
    pub(crate) cut: Switch,
    /// What is sent in echo mode, behind the stamp of each message.
    pub(crate) pattern: Vec<u8>,
    /// Raised when all connections have ended by themselves.
    pub(crate) finished: Switch,
    /// Raised when every connection has been tried once.
    pub(crate) dialled: Switch,
    pub(crate) open: Cell<u64>,
    /// At most at once, since it was last asked.
    open_max: Cell<u64>,
    pub(crate) in_flight: Cell<u64>,
    /// Connection tasks that live.
    pub(crate) live: Cell<usize>,
    /// Connections that have not been tried yet.
    untried: Cell<usize>,
    /// How the first attempts went.
    pub(crate) dials: RefCell<Dials>,
    /// Whether anything has succeeded since it was last asked.
    pub(crate) alive: Cell<bool>,
    /// When the last answer came.
    pub(crate) last_answer: Cell<u64>,
}

impl State {
    pub(crate) fn new(work: Work) -> State {
        let connections = work.connections.len();
        State {
            tally: RefCell::new(Tally::new(matches!(work.pace, Pace::Open(_))).with_targets(work.targets)),
            pacer: Pacer::new(&work.pace, &work.connections),
            gate: Gate::new(work.connecting_max),
            templates: work.origins.iter().map(|o| o.requests.iter().map(|_| RefCell::default()).collect()).collect(),
            mixes: work.origins.iter().map(|o| RefCell::new(o.mix.clone())).collect(),
            begin: Cell::new(0),
            ordered: Switch::default(),
            begun: Switch::default(),
            cut: Switch::default(),
            pattern: if let Mode::Echo(bytes) = work.mode { echo::pattern(bytes) } else { Vec::new() },
            finished: Switch::default(),
            dialled: Switch::default(),
            open: Cell::new(0),
            open_max: Cell::new(0),
            in_flight: Cell::new(0),
            live: Cell::new(connections),
            untried: Cell::new(connections),
            dials: RefCell::default(),
            alive: Cell::new(false),
            last_answer: Cell::new(0),
            work,
        }
    }

    /// The origin that connection `number` goes to.
    pub(crate) fn origin_of(&self, number: usize) -> &Origin {
        &self.work.origins[self.origin_number(number)]
    }

    pub(crate) fn origin_number(&self, number: usize) -> usize {
        usize::from(self.work.connections[number])
    }

    /// Which request is next at an origin.
    #[inline]
    pub(crate) fn pick(&self, origin: usize) -> usize {
        // With a single request there is nothing to choose.
        if self.work.origins[origin].requests.len() < 2 { 0 } else { self.mixes[origin].borrow_mut().pick() }
    }

    /// Counts an error of connection `number`. Where its origin has several URLs, nobody knows which one it would have asked for.
    pub(crate) fn fail(&self, number: usize, kind: ErrorKind, text: impl FnOnce() -> String) {
        let mut tally = self.tally.borrow_mut();
        tally.failed(kind, None, text);
        if let [request] = self.origin_of(number).requests.as_slice() {
            tally.target_failed(request.target);
        }
    }

    /// A connection was tried for the first time, or will only be when it is needed.
    pub(crate) fn tried(&self, result: Option<&Result<Stream, DialError>>) {
        match result {
            Some(Ok(_)) => self.dials.borrow_mut().made += 1,
            Some(Err(error)) => {
                let mut dials = self.dials.borrow_mut();
                dials.failed += 1;
                dials.example.get_or_insert_with(|| (error.kind, error.text.clone()));
            }
            None => {}
        }
        let left = self.untried.get().saturating_sub(1);
        self.untried.set(left);
        // Where nothing answers, waiting for thousands of attempts tells no more than the first few did.
        let hopeless = {
            let dials = self.dials.borrow();
            dials.made == 0 && dials.failed >= HOPELESS
        };
        if left == 0 || hopeless {
            self.dialled.raise();
        }
    }

    /// A connection's task has ended.
    pub(crate) fn gone(&self) {
        let left = self.live.get() - 1;
        self.live.set(left);
        if left == 0 {
            self.finished.raise();
        }
    }

    /// What is so now; the most that was open at once is counted afresh from here.
    pub(crate) fn gauges(&self) -> Gauges {
        let open = self.open.get();
        let open_max = self.open_max.replace(open);
        Gauges { open, open_max, in_flight: self.in_flight.get(), backlog: self.pacer.backlog() }
    }
}

/// Counts a connection as open until it is dropped.
pub(crate) struct Open<'a>(&'a State);

impl<'a> Open<'a> {
    pub(crate) fn new(state: &'a State) -> Open<'a> {
        let open = state.open.get() + 1;
        state.open.set(open);
        state.open_max.set(state.open_max.get().max(open));
        Open(state)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

/// The pause before the next attempt after `failures` in a row: so that a target that is down is not hammered, nor its
/// return missed for long.
pub(crate) async fn pause_after(failures: u32) {
    /// 2^7: 128 ms.
    const DOUBLINGS_MAX: u32 = 7;
    sleep(Duration::from_millis(1 << failures.min(DOUBLINGS_MAX))).await;
}
