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

mod found;
mod turns;

use found::Found;
use turns::Failed;
pub(crate) use turns::place_of;

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
    /// Addresses that could not be connected to the last time; at most those that there are.
    failed: RefCell<Vec<Failed>>,
    /// Of several addresses: which could not be connected to of late, and why, or could again.
    pub(crate) untold: RefCell<Vec<(Address, Option<String>)>>,
    /// The state of its addresses that the pool was held against.
    era: Cell<u32>,
    /// [`Found::has_several`], where each request finds it without another place in memory.
    several: Cell<bool>,
    /// Told of it when a request to it is tried again.
    pub(crate) retried: Told,
    pub(crate) pool: Pool,
    /// Told of it when it sends more than its answers are to have.
    pub(crate) excess: Told,
    /// The same when idle connections turn out to lead nowhere.
    pub(crate) silence: Told,
}

/// How often a look-up under way is asked whether it has ended, and how long a failed one stands.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const FAILURE_STANDS: Duration = Duration::from_secs(1);

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
            found: Rc::new(Found::at(addresses)),
            next: Cell::new(0),
            failed: RefCell::default(),
            untold: RefCell::default(),
            era: Cell::new(0),
            several: Cell::new(false),
            retried: Told::default(),
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
        self.several.set(self.found.has_several());
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

    /// Takes up what look-ups have found: closes idle connections to addresses that its name has no more, once they count as gone.
    fn settle(&self) {
        self.several.set(self.found.has_several());
        let era = self.found.era.get();
        if self.era.replace(era) != era {
            self.pool.retain(|connection| self.is_current(connection));
        }
    }

    /// Keeps a connection for the next exchange, unless its address is no longer one of this server's.
    pub(crate) fn keep(&self, mut connection: Box<Connection>, keep: &Keep) {
        if connection.era == self.era.get() || self.is_current(&mut connection) {
            if self.takes_turns(keep) {
                self.pool.make_room_for(&mut connection, keep);
            }
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
