//! One server of an upstream.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use clock::Tick;
use event_loop::{now, sleep, spawn, within};
use net::{Address, Transport};
use observe::{Failure, Kind};

use crate::hand_over::Sign;
use crate::names;
use crate::news::Told;
use crate::pool::{Connection, Keep, Pool};
use crate::tls::Tls;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A fixed address.
    Fixed(Address),
    /// A name to be looked up, again and again.
    Name {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Fixed(address) => address.fmt(f),
            Target::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// One server, on one worker.
pub struct Server {
    target: Target,
    tls: Option<Tls>,
    /// As written in the configuration; for sentences, and for `host = "upstream"`.
    text: String,
    found: Rc<Found>,
    next: Cell<usize>,
    /// Addresses that could not be connected to, and when; at most those that there are.
    failed: RefCell<Vec<(Address, Tick)>>,
    /// The state of its addresses that the pool was held against.
    era: Cell<u32>,
    /// When it was told of last that a request to it was tried again.
    pub(crate) retry_told: Cell<Option<Tick>>,
    pub(crate) pool: Pool,
    /// Told of it when it sends more than its answers are to have.
    pub(crate) excess: Told,
    /// The same when idle connections turn out to lead nowhere.
    pub(crate) silence: Told,
}

/// What the look-ups of a name came to. Shared with the one that is under way, which outlives whoever asked for it.
#[derive(Default)]
struct Found {
    addresses: RefCell<Vec<Address>>,
    /// Those that the last look-ups found, and how many of the latest were without each.
    lately: RefCell<Vec<(Address, u32)>>,
    /// Whether its answers were seen to hold some of its addresses in turn.
    rotates: Cell<bool>,
    /// How many of the latest answers were the same as the one before.
    same: Cell<u32>,
    /// Look-ups that found something.
    answers: Cell<u32>,
    /// How often addresses have gone from among them; 0: there were none yet.
    era: Cell<u32>,
    error: RefCell<Option<String>>,
    looking: Cell<bool>,
    failed_at: Cell<Option<Tick>>,
}

/// How often a look-up under way is asked whether it has ended, and how long a failed one stands.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const FAILURE_STANDS: Duration = Duration::from_secs(1);

/// How long an address that failed is tried after the others.
const AVOIDED: Duration = Duration::from_secs(5);

/// Many names have more addresses than an answer holds, and each answer has others of them. An address of such a name has gone when so many
/// look-ups in a row were without it; those of other names have gone with the first.
const GONE_AFTER: u32 = 3;

/// A name is not taken for one whose addresses come in turn any more when so many answers in a row were the same: what looked like it was a failover
/// and back.
const SETTLED_AFTER: u32 = 30;

impl Found {
    /// Takes up what a look-up found.
    fn learn(&self, addresses: Vec<Address>) {
        let mut lately = self.lately.borrow_mut();
        let is_same = {
            let before = self.addresses.borrow();
            before.len() == addresses.len() && before.iter().all(|address| addresses.contains(address))
        };
        self.same.set(if is_same { self.same.get().saturating_add(1) } else { 0 });
        if self.same.get() >= SETTLED_AFTER {
            self.rotates.set(false);
        }
        let (mut returned, mut left_out) = (false, false);
        for (address, without) in &mut *lately {
            if addresses.contains(address) {
                returned |= std::mem::take(without) > 0;
            } else {
                left_out |= *without == 0;
                *without += 1;
            }
        }
        // One that comes back to the others is no sign of it: it was down, perhaps.
        if returned && left_out {
            self.rotates.set(true);
        }
        let gone_after = self.gone_after();
        if self.era.get() == 0 || lately.iter().any(|(_, without)| *without == gone_after) {
            self.next_era();
        }
        lately.retain(|(_, without)| *without < GONE_AFTER);
        for address in &addresses {
            if lately.iter().all(|(other, _)| other != address) {
                lately.push((address.clone(), 0));
            }
        }
        self.addresses.replace(addresses);
        self.answers.set(self.answers.get().saturating_add(1));
    }

    /// Adds what was known `before`. Look-ups since then may have come first.
    fn follow_on(&self, before: &Found) {
        self.rotates.set(self.rotates.get() || before.rotates.get());
        let mut lately = self.lately.borrow_mut();
        for (address, without) in &*before.lately.borrow() {
            let without = without.saturating_add(self.answers.get());
            if without < GONE_AFTER && lately.iter().all(|(other, _)| other != address) {
                lately.push((address.clone(), without));
            }
        }
        let mut addresses = self.addresses.borrow_mut();
        if addresses.is_empty() {
            addresses.clone_from(&before.addresses.borrow());
        }
        if self.era.get() == 0 && before.era.get() != 0 {
            self.next_era();
        }
    }

    /// How many look-ups in a row are without an address when connections to it are no longer kept.
    fn gone_after(&self) -> u32 {
        if self.rotates.get() { GONE_AFTER } else { 1 }
    }

    fn next_era(&self) {
        self.era.set(self.era.get().wrapping_add(1).max(1));
    }
}

impl Server {
    pub(crate) fn new(target: Target, tls: Option<Tls>, sign: Option<Sign>) -> Server {
        let addresses = match &target {
            Target::Fixed(address) => vec![address.clone()],
            Target::Name { .. } => Vec::new(),
        };
        Server {
            text: format!("{}{target}", if tls.is_some() { "https://" } else { "" }),
            target,
            tls,
            found: Rc::new(Found { addresses: RefCell::new(addresses), ..Found::default() }),
            next: Cell::new(0),
            failed: RefCell::default(),
            era: Cell::new(0),
            retry_told: Cell::default(),
            pool: Pool::new(sign),
            excess: Told::default(),
            silence: Told::default(),
        }
    }

    /// Where it is, as the configuration says.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The target as text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What Host says when the upstream's own is asked for: the text without the default port; `localhost` for a Unix
    /// socket, which has no name.
    pub fn authority(&self) -> &str {
        match &self.target {
            Target::Fixed(Address::Unix(_)) => "localhost",
            _ => {
                let (scheme, port) = if self.tls.is_some() { ("https://", ":443") } else { ("", ":80") };
                let text = self.text.strip_prefix(scheme).unwrap_or(&self.text);
                text.strip_suffix(port).unwrap_or(text)
            }
        }
    }

    /// Whether connections to the one serve for the other.
    pub(crate) fn is_same(&self, other: &Server) -> bool {
        self.target == other.target && self.tls == other.tls
    }

    /// Goes on with what is known of `before`, the same server of an earlier configuration: its idle connections, if `keeps`, and the
    /// addresses that its name had.
    pub(crate) fn inherit(&self, before: &Server, keeps: Option<&Keep>) {
        self.found.follow_on(&before.found);
        self.era.set(self.found.era.get());
        if let Some(keep) = keeps {
            self.pool.inherit(&before.pool, keep);
            self.pool.retain(|connection| self.is_current(connection));
        }
    }

    /// Idle connections to it on this worker.
    pub fn idle(&self) -> usize {
        self.pool.len()
    }

    /// Looks its name up again; an error keeps the addresses that are known. One look-up at a time, and none within a
    /// second of a failed one: they share their threads with the files.
    pub(crate) async fn refresh(&self) {
        let Target::Name { host, port } = &self.target else { return };
        let found = &self.found;
        let failed_just_now = found.failed_at.get().is_some_and(|at| now().since(at) < FAILURE_STANDS);
        if !found.looking.get() && !failed_just_now {
            found.looking.set(true);
            spawn(look_up(host.clone(), *port, Rc::clone(found)));
        }
        while found.looking.get() {
            sleep(LOOK_AGAIN).await;
        }
        self.settle();
    }

    /// Why its name could not be looked up the last time; none when it could, or has not been yet.
    pub(crate) fn look_up_error(&self) -> Option<String> {
        self.found.error.borrow().clone()
    }

    /// Whether it is known where it is.
    pub(crate) fn has_addresses(&self) -> bool {
        !self.found.addresses.borrow().is_empty()
    }

    /// Closes idle connections to addresses that its name has no more, once they count as gone.
    fn settle(&self) {
        let era = self.found.era.get();
        if self.era.replace(era) != era {
            self.pool.retain(|connection| self.is_current(connection));
        }
    }

    /// Keeps a connection for the next exchange, unless its address is no longer one of this server's.
    pub(crate) fn keep(&self, mut connection: Box<Connection>, keep: &Keep) {
        if connection.era == self.era.get() || self.is_current(&mut connection) {
            self.pool.give(connection, now(), keep);
        }
    }

    /// Whether a connection leads to one of its addresses. Where the name has not been looked up yet, nothing speaks against it.
    #[cold]
    fn is_current(&self, connection: &mut Connection) -> bool {
        connection.era = self.era.get();
        let place = |at: SocketAddr| (at.ip().to_canonical(), at.port());
        let Some(peer) = connection.stream.peer().and_then(|peer| peer.socket_addr()).map(place) else { return true };
        let (lately, gone_after) = (self.found.lately.borrow(), self.found.gone_after());
        let mut kept = lately.iter().filter(|(_, without)| *without < gone_after);
        lately.is_empty() || kept.any(|(a, _)| matches!(a, Address::Tcp(at) if place(*at) == peer))
    }

    /// Opens a connection, to its addresses in turn: all are tried, each for its share of the time.
    pub(crate) async fn connect(
        &self,
        upstream: &str,
        by: Tick,
        timeout_text: &str,
        header: Option<Box<[u8]>>,
    ) -> Result<Box<Connection>, Failure> {
        let mut era = 0;
        let attempt = within(by, async {
            if self.found.addresses.borrow().is_empty() {
                self.refresh().await;
            }
            era = self.era.get();
            let connected = self.connect_to_any(by).await;
            match (&connected, &header) {
                (Some(Ok(stream)), Some(header)) => {
                    send(stream, header).await.map_or_else(|e| Some(Err(e)), |()| connected)
                }
                _ => connected,
            }
        });
        let text = &self.text;
        let connected = match attempt.await.flatten() {
            Some(Ok(stream)) => {
                let stream = match &self.tls {
                    None => stream,
                    Some(tls) => tls
                        .connect(stream, by)
                        .await
                        .map_err(|failed| failed.of(format_args!("upstream {upstream} {text}"), timeout_text))
                        .map_err(|failure| failure.with_server(text))?,
                };
                let mut connection = Connection::new(stream, now(), header);
                connection.era = era;
                Ok(connection)
            }
            None => Err(Failure::because(
                Kind::ConnectTimeout,
                format!("upstream {upstream} {text} did not accept a connection within {timeout_text}"),
            )),
            Some(Err(error)) => Err(self.unreached(upstream, &error)),
        };
        connected.map_err(|failure| failure.with_server(text))
    }

    /// Why no connection came about.
    #[cold]
    fn unreached(&self, upstream: &str, error: &io::Error) -> Failure {
        let text = &self.text;
        match (self.found.addresses.borrow().is_empty(), &*self.found.error.borrow()) {
            (true, Some(why)) => Failure::because(
                Kind::NameUnknown,
                format!("upstream {upstream} {text}: the name could not be looked up: {why}"),
            ),
            _ => Failure::because(Kind::ConnectFailed, format!("upstream {upstream} {text}: {}", connect_error(error))),
        }
    }

    /// One address after the other, so that a try holds one descriptor at most. Each gets an equal part of the time that is
    /// left: an address that swallows everything (RFC 8305 §2 knows them) cannot starve those behind it. What the last one
    /// came to; `None` when it did not answer in its time.
    async fn connect_to_any(&self, by: Tick) -> Option<io::Result<net::Stream>> {
        let candidates = self.candidates();
        let mut last = Some(Err(io::ErrorKind::NotFound.into()));
        for (left, address) in (1..=candidates.len() as u32).rev().zip(candidates) {
            let share = by.since(now()) / left;
            last = within(now().after(share), net::connect(&address)).await;
            let mut failed = self.failed.borrow_mut();
            failed.retain(|(other, _)| *other != address);
            if let Some(Ok(_)) = last {
                break;
            }
            failed.push((address, now()));
        }
        last
    }

    /// Its addresses, beginning with another one each time. Those that failed a moment ago come last, so that one of them does
    /// not cost every connection its share of the time.
    fn candidates(&self) -> Vec<Address> {
        let addresses = self.found.addresses.borrow();
        let mut failed = self.failed.borrow_mut();
        failed.retain(|(address, at)| now().since(*at) < AVOIDED && addresses.contains(address));
        let first = self.next.get();
        self.next.set(first.wrapping_add(1));
        let (ahead, behind) = addresses.split_at(first % addresses.len().max(1));
        let in_turn = behind.iter().chain(ahead).cloned();
        let (last, mut candidates): (Vec<_>, Vec<_>) =
            in_turn.partition(|a| failed.iter().any(|(other, _)| other == a));
        candidates.extend(last);
        candidates
    }
}

/// Sends all of it. On a fresh connection it goes at once.
async fn send(stream: &net::Stream, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = std::future::poll_fn(|cx| stream.poll_write(cx, &[io::IoSlice::new(rest)], false)).await?;
        rest = rest.get(n..).unwrap_or_default();
    }
    Ok(())
}

async fn look_up(host: String, port: u16, found: Rc<Found>) {
    match names::lookup(host, port).await {
        Ok(addresses) => {
            found.learn(addresses);
            found.error.replace(None);
            found.failed_at.set(None);
        }
        Err(error) => {
            found.error.replace(Some(error));
            found.failed_at.set(Some(now()));
        }
    }
    found.looking.set(false);
}

fn connect_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "the connection was refused; nothing listens there".into(),
        io::ErrorKind::NotFound => "there is no such socket".into(),
        io::ErrorKind::PermissionDenied => "this server may not connect there".into(),
        _ => format!("no connection could be made: {error}"),
    }
}

#[cfg(test)]
mod tests;
