//! A worker: one thread, its connections, and an account of every second.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use event_loop::precise::{self, Timer};
use event_loop::{Remote, Worker, WorkerConfig, now, race, spawn, within};
use load::{Counts, Health, Second};
use process::{ThreadClock, ThreadTimes};

use crate::state::{Dials, State};
use crate::work::{Mode, Pace, Work};
use crate::{connection, hold, slow};

const SECOND: u64 = 1_000_000_000;

/// What a worker has to say. They come in this order: `Started`, `Ready`, any number of `WarmUp`s, of
/// `Second`s, `Ended`.
#[derive(Debug)]
pub enum Event {
    /// It runs, and can be told to stop.
    Started(usize, Control),
    /// Every connection that is made beforehand was tried once. It waits for [`Control::begin`].
    Ready(usize, Dials),
    /// A second of the warm-up has passed; it counts for nothing.
    WarmUp(usize, Box<Second>),
    /// A second has passed.
    Second(usize, Box<Second>),
    /// It has ended.
    Ended(usize, Ending),
}

/// Why a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All that was to be done is done, or its time was up.
    Done,
    /// It was told to stop.
    Stopped,
    /// Nothing had succeeded for so long that the rest was given up.
    GaveUp(Duration),
    /// It could not go on, and why.
    Failed(String),
}

/// Commands a worker from another thread.
#[derive(Clone, Debug)]
pub struct Control(Remote);

impl Control {
    /// Begins at that time of [`precise::nanos`], the same for all workers; the warm-up first, if there is one.
    pub fn begin(&self, at: u64) {
        self.order(move |state| {
            state.begin.set(at);
            state.ordered.raise();
        });
    }

    /// Ends now, without waiting for what is under way. What was counted is still handed over.
    pub fn stop(&self) {
        self.order(|state| state.cut.raise());
    }

    fn order(&self, order: impl FnOnce(&State) + Send + 'static) {
        // A worker that has ended needs no order.
        let _ = self.0.send(move || {
            let state = STATE.with_borrow(Clone::clone);
            if let Some(state) = state {
                order(&state);
            }
        });
    }
}

thread_local! {
    /// This thread's worker, for the orders in its inbox.
    static STATE: RefCell<Option<Rc<State>>> = const { RefCell::new(None) };
}

/// Who hears of a worker's events, on its thread: it must not wait.
pub type Listener<'a> = &'a dyn Fn(Event);

/// Runs a worker on the calling thread until its work is done; `tell` hears of it all.
pub fn run(work: Work, tell: Listener<'_>) {
    let number = work.number;
    let ending = try_run(work, tell).unwrap_or_else(|error| Ending::Failed(error.to_string()));
    STATE.set(None);
    tell(Event::Ended(number, ending));
}

fn try_run(work: Work, tell: Listener<'_>) -> io::Result<Ending> {
    let number = work.number;
    let (worker, remote) = Worker::new(WorkerConfig::default())?;
    let state = Rc::new(State::new(work));
    STATE.set(Some(Rc::clone(&state)));
    tell(Event::Started(number, Control(remote)));
    worker.block_on(conduct(state, tell))?
}

/// The worker from its first connection to its last second.
async fn conduct(state: Rc<State>, tell: Listener<'_>) -> io::Result<Ending> {
    start_connections(&state);
    let ready = race(
        async {
            // What is not connected by then goes on trying while others work already.
            let by = now().after(state.work.timeouts.connect * 4);
            let _ = within(by, state.dialled.raised()).await;
            tell(Event::Ready(state.work.number, state.dials.borrow().clone()));
            state.ordered.raised().await;
            true
        },
        async {
            state.cut.raised().await;
            false
        },
    );
    if !ready.await {
        return Ok(Ending::Stopped);
    }
    let mut account = Account::new(&state, tell)?;
    let begin = state.begin.get();
    state.pacer.begin(begin);
    account.timer.sleep_until(begin).await?;
    state.begun.raise();
    for plan in 0..state.pacer.plans() {
        let pacing = Rc::clone(&state);
        spawn(async move {
            // The timer fails only when the system has no descriptor left, and the account's own timer came first.
            if pacing.pacer.dispatch(plan).await.is_err() {
                pacing.cut.raise();
            }
        });
    }
    account.skip_until(begin + nanos_of(state.work.warm_up)).await?;
    let ending = account.until_the_end().await?;
    if ending == Ending::Done {
        drain(&state).await;
    }
    account.last();
    Ok(ending)
}

fn start_connections(state: &Rc<State>) {
    for number in 0..state.work.connections.len() {
        let state = Rc::clone(state);
        match state.work.mode {
            Mode::Http | Mode::Echo(_) | Mode::Handshake => spawn(connection::run(state, number)),
            Mode::Hold => spawn(hold::run(state, number)),
            Mode::Slow(how, every) => spawn(slow::run(state, number, how, every)),
        };
    }
}

/// Waits for what is under way, within bounds. Held and slow connections have no end of their own.
async fn drain(state: &State) {
    state.pacer.stop();
    if matches!(state.work.mode, Mode::Http | Mode::Echo(_) | Mode::Handshake) {
        let by = now().after(state.work.timeouts.drain);
        let _ = within(by, race(state.finished.raised(), state.cut.raised())).await;
    }
}

fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

/// Hands over the seconds.
struct Account<'a> {
    state: &'a State,
    tell: Listener<'a>,
    timer: Timer,
    clock: ThreadClock,
    times: ThreadTimes,
    /// When the measuring began, and when the present second did.
    origin: u64,
    since: u64,
    /// When the measuring ends.
    end: u64,
    /// Connections that were open when the time was up, before the drain.
    open_at_end: Option<u64>,
    /// What the warm-up counted: how connecting went is told with the first second.
    connects: Option<Counts>,
}

impl<'a> Account<'a> {
    fn new(state: &'a State, tell: Listener<'a>) -> io::Result<Account<'a>> {
        let clock = ThreadClock::of_this_thread();
        let times = clock.read();
        Ok(Account {
            state,
            tell,
            timer: Timer::new()?,
            clock,
            times,
            origin: 0,
            since: 0,
            end: u64::MAX,
            open_at_end: None,
            connects: None,
        })
    }

    /// Lets the warm-up pass; nothing of it counts but what the connections took to be made.
    async fn skip_until(&mut self, at: u64) -> io::Result<()> {
        if !self.state.work.warm_up.is_zero() {
            self.warm_up_until(at).await?;
        }
        self.times = self.clock.read();
        (self.origin, self.since) = (at, at);
        self.end = self.state.work.duration.map_or(u64::MAX, |d| at.saturating_add(nanos_of(d)));
        Ok(())
    }

    /// Shows the warm-up second by second.
    async fn warm_up_until(&mut self, at: u64) -> io::Result<()> {
        let mut connects = Counts::default();
        self.times = self.clock.read();
        self.origin = self.state.begin.get();
        self.since = self.origin;
        while self.since < at && !self.state.cut.is_raised() {
            let until = (self.since + SECOND).min(at);
            race(async { self.timer.sleep_until(until).await }, async {
                self.state.cut.raised().await;
                Ok(())
            })
            .await?;
            let second = self.account_for(until);
            connects.connected += second.counts.connected;
            connects.connect.merge(&second.counts.connect);
            connects.handshakes += second.counts.handshakes;
            connects.resumed += second.counts.resumed;
            (self.tell)(Event::WarmUp(self.state.work.number, Box::new(second)));
        }
        self.connects = Some(connects);
        Ok(())
    }

    /// Hands over second by second until the work or the time is at its end.
    async fn until_the_end(&mut self) -> io::Result<Ending> {
        let mut quiet = Duration::ZERO;
        let timeouts = self.state.work.timeouts;
        let patience = timeouts.connect + timeouts.answer + Duration::from_secs(1);
        loop {
            let next = (self.since + SECOND).min(self.end);
            if let Some(ending) = self.wait_until(next).await? {
                return Ok(ending);
            }
            if next == self.end {
                self.open_at_end = Some(self.state.open.get());
                return Ok(Ending::Done);
            }
            self.hand_over(next);
            quiet = if self.state.alive.take() { Duration::ZERO } else { quiet + Duration::from_secs(1) };
            // A count that makes no progress would never end.
            if quiet > patience && matches!(self.state.work.pace, Pace::Closed(Some(_))) {
                return Ok(Ending::GaveUp(quiet));
            }
        }
    }

    async fn wait_until(&self, at: u64) -> io::Result<Option<Ending>> {
        let time = async { self.timer.sleep_until(at).await.map(|()| None) };
        let finished = async {
            self.state.finished.raised().await;
            // A plan lasts as long as it was made for, though its last request may be answered long before.
            if matches!(self.state.work.pace, Pace::Open(_)) && self.end < u64::MAX {
                std::future::pending::<()>().await;
            }
            Ok(Some(Ending::Done))
        };
        let cut = async {
            self.state.cut.raised().await;
            Ok(Some(Ending::Stopped))
        };
        race(race(cut, finished), time).await
    }

    /// The last second, which may be a part of one, with what was answered after the end.
    fn last(&mut self) {
        let (answered, now) = (self.state.last_answer.get(), precise::nanos().min(self.end));
        let until = match self.state.work.pace {
            // With a plan, time is the plan's; without one the last answers belong to the time it took to get them.
            Pace::Open(_) => now,
            Pace::Closed(Some(_)) if self.state.finished.is_raised() && answered > self.since => answered,
            Pace::Closed(_) => now.max(answered),
        };
        let mut second = self.account(until.max(self.since + 1));
        // Connections that have done their work are closed by now: what was open tells more than that nothing is.
        if self.state.finished.is_raised() {
            second.open = self.open_at_end.unwrap_or(0).max(second.open_max);
        }
        (self.tell)(Event::Second(self.state.work.number, Box::new(second)));
    }

    fn hand_over(&mut self, until: u64) {
        let second = self.account(until);
        (self.tell)(Event::Second(self.state.work.number, Box::new(second)));
    }

    /// What has happened since the last call; with the first, what connecting took in the warm-up.
    fn account(&mut self, until: u64) -> Second {
        let mut second = self.account_for(until);
        if let Some(before) = self.connects.take() {
            second.counts.connected += before.connected;
            second.counts.connect.merge(&before.connect);
            second.counts.handshakes += before.handshakes;
            second.counts.resumed += before.resumed;
        }
        second
    }

    /// What has happened since the last call.
    fn account_for(&mut self, until: u64) -> Second {
        let times = self.clock.read();
        let width = until - self.since;
        let planned = self.state.pacer.planned_until(until);
        let mut tally = self.state.tally.borrow_mut();
        if self.state.pacer.is_open() {
            tally.planned(planned);
        }
        let health = health_between(&self.times, &times, width);
        let second = tally.take(self.since - self.origin, width, self.state.gauges(), health);
        (self.since, self.times) = (until, times);
        second
    }
}

fn health_between(before: &ThreadTimes, after: &ThreadTimes, width: u64) -> Health {
    let cpu_ns = (after.cpu - before.cpu).as_nanos() as u64;
    Health {
        cpu_share: (cpu_ns as f64 / width as f64).min(1.0),
        cpu_ns,
        run_queue_delay_ns: after.run_queue.saturating_sub(before.run_queue).as_nanos() as u64,
        run_queue_turns: after.turns.saturating_sub(before.turns),
    }
}
