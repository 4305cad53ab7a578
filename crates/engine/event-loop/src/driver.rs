//! The two things that can drive a worker: the system's poll, or a simulation.

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clock::Tick;
use mio::event::Event;
use mio::{Events, Poll, Token};

use crate::reactor::Reactor;
use crate::slots::{ERROR, READ, READ_CLOSED, WRITE};

pub(crate) const WAKE: Token = Token(usize::MAX);

/// The wall clock of a simulation when it begins: 2024-01-01, so that dates are real but the same in each run.
const SIMULATED_EPOCH: u64 = 1_704_067_200;

pub(crate) enum Engine {
    /// `woke`: when the last wait ended, as a time since `begun`.
    Mio {
        poll: Poll,
        events: Events,
        begun: Instant,
        woke: Duration,
    },
    Simulated {
        now: Tick,
        random: u64,
    },
}

impl Engine {
    /// Waits for events, or until `until` (`None`: for ever), and marks them. Zero wait when `busy`. False when a
    /// simulation has nothing left to wait for. `ended` is told how long it was since the last wait.
    pub(crate) fn wait(
        &mut self,
        reactor: &Reactor,
        busy: bool,
        until: Option<Tick>,
        ended: impl FnOnce(Duration),
    ) -> io::Result<bool> {
        match self {
            Engine::Mio { poll, events, begun, woke } => {
                let elapsed = begun.elapsed();
                ended(elapsed.saturating_sub(*woke));
                let now = tick_of(elapsed);
                let timeout = match until {
                    _ if busy => Some(Duration::ZERO),
                    Some(at) => Some(at.since(now)),
                    None => None,
                };
                match poll.poll(events, timeout) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    other => other?,
                }
                for event in events.iter().filter(|e| e.token() != WAKE) {
                    reactor.mark_token(event.token().0, bits_of(event));
                }
            }
            Engine::Simulated { now, .. } => {
                if !busy {
                    let Some(at) = until else { return Ok(false) };
                    if now.is_before(at) {
                        *now = at;
                    }
                }
            }
        }
        self.read_clock(reactor);
        Ok(true)
    }

    /// Reads the clock, once a turn.
    pub(crate) fn read_clock(&mut self, reactor: &Reactor) {
        let (tick, unix) = match self {
            Engine::Mio { begun, woke, .. } => {
                let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
                *woke = begun.elapsed();
                (tick_of(*woke), unix)
            }
            Engine::Simulated { now, .. } => (*now, SIMULATED_EPOCH + u64::from(now.0) / 1000),
        };
        reactor.now.set(tick);
        let mut date = reactor.date.get();
        if date.unix() != unix {
            date.refresh(unix);
            reactor.date.set(date);
        }
    }

    /// In a simulation the order of runnable tasks is the seed's.
    pub(crate) fn order(&mut self, reactor: &Reactor) {
        if let Engine::Simulated { random, .. } = self {
            reactor.tasks.shuffle(|n| {
                // xorshift64*: any well-spread generator will do here.
                *random ^= *random >> 12;
                *random ^= *random << 25;
                *random ^= *random >> 27;
                (random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
            });
        }
    }
}

/// When the worker of this engine began, in milliseconds since the first one of the process did.
pub(crate) fn born(engine: &Engine) -> Tick {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    match engine {
        Engine::Mio { begun, .. } => tick_of(begun.saturating_duration_since(*FIRST.get_or_init(|| *begun))),
        Engine::Simulated { .. } => Tick(0),
    }
}

fn tick_of(elapsed: Duration) -> Tick {
    Tick(elapsed.as_millis() as u32)
}

fn bits_of(event: &Event) -> u8 {
    let mut bits = 0;
    if event.is_readable() {
        bits |= READ;
    }
    if event.is_writable() {
        bits |= WRITE;
    }
    if event.is_read_closed() {
        bits |= READ | READ_CLOSED;
    }
    if event.is_write_closed() || event.is_error() {
        bits |= READ | WRITE | ERROR;
    }
    bits
}
