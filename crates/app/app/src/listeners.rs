//! Binding what a plan listens on. A listener that stays in a reload is never closed and bound again: connections in
//! its queue would be reset.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;

use client_address::Networks;
use config::{ListenAddress, Listener, Plan};
use net::{Address, Bound, Reserved, Share};
use serve::Local;

use crate::prepared::{PrepareError, Prepared};
use crate::report;
use crate::socket_file::SocketFile;
use crate::tls_front::{self, Front, Slot};

/// New listeners for one plan: by worker, the sockets it gets.
pub(crate) struct Binding {
    pub(crate) by_worker: Vec<Vec<Socket>>,
    /// Nobody listens yet.
    pub(crate) reserved: Vec<Reserved>,
    pub(crate) bound: Listening,
}

/// A listening socket on its way to its worker.
pub(crate) struct Socket {
    pub(crate) key: Key,
    pub(crate) bound: Bound,
    pub(crate) ways: Ways,
    pub(crate) tls: Slot,
}

/// A listener as configured; the same key in the next plan is the same listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    address: Address,
    /// Which one of those with this address: each port 0 is another port.
    nth: usize,
}

/// What is listened on, by how it is configured.
pub(crate) type Listening = HashMap<Key, Place>;

/// Where a listener is. Dropped, it takes its socket file with it; the sockets are the workers'.
pub(crate) struct Place {
    /// What the configured address became: a port 0 was chosen by the system.
    pub(crate) address: Address,
    /// What it speaks TLS with at present; its accept loops look here for each connection.
    pub(crate) tls: Slot,
    file: Option<SocketFile>,
}

/// How a listener treats its clients: what a reload may change while it listens on.
#[derive(Clone, Debug)]
pub(crate) struct Ways {
    /// Whether clients are told the reasons of failures.
    reason: bool,
    trusted: Networks,
    proxy_protocol: bool,
}

impl Ways {
    fn of(listener: &Listener) -> Ways {
        let trusted = Networks::new(&listener.trusted_proxies);
        Ways { reason: listener.reason, trusted, proxy_protocol: listener.proxy_protocol }
    }

    /// Has `local` do so from now on.
    pub(crate) fn hold(self, local: &Local) {
        local.tell_reasons(self.reason);
        local.trust(self.trusted, self.proxy_protocol);
    }
}

/// The listeners of `plan` and how they treat their clients, in its order.
pub(crate) fn ways_of(plan: &Plan) -> Vec<(Key, Ways)> {
    keys_of(plan).into_iter().zip(plan.listeners.iter().map(Ways::of)).collect()
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// The keys of all that `plan` listens on, in its order.
pub(crate) fn keys_of(plan: &Plan) -> Vec<Key> {
    let key = |(n, listener): (usize, &Listener)| {
        let address = address_of(&listener.address);
        Key { address, nth: plan.listeners[..n].iter().filter(|l| l.address == listener.address).count() }
    };
    plan.listeners.iter().enumerate().map(key).collect()
}

fn address_of(address: &ListenAddress) -> Address {
    match address {
        ListenAddress::Tcp(addr) => Address::Tcp(*addr),
        ListenAddress::Unix(path) => Address::Unix(path.clone()),
    }
}

/// Binds what `prepared` lists and `present` does not have yet, for `workers` workers. Nobody can connect before
/// [`Binding::listen`]: what is bound for a reload may still be given up, and with it whoever had connected.
///
/// # Errors
/// In a sentence, with what to do. Nothing stays bound then, and no socket file behind.
pub(crate) fn bind(prepared: &Prepared, present: &Listening, workers: usize) -> Result<Binding, PrepareError> {
    let by_worker = (0..workers).map(|_| Vec::new()).collect();
    let mut binding = Binding { by_worker, reserved: Vec::new(), bound: Listening::new() };
    let Prepared { plan, fronts, .. } = prepared;
    for ((listener, key), front) in plan.listeners.iter().zip(keys_of(plan)).zip(fronts) {
        if present.contains_key(&key) {
            continue;
        }
        // What we listen on already and is in the way goes in this reload: a plan's own listeners do not overlap.
        let makes_room =
            matches!(key.address, Address::Tcp(_)) && present.values().any(|place| place.takes(&key.address));
        let share = if makes_room { Share::WithOurs } else { Share::WithNobody };
        let sockets = net::reserve(&key.address, workers, listener.backlog, share);
        let ours = present.values().chain(binding.bound.values());
        let (sockets, reserved) = sockets.map_err(|e| refused(&key.address, &e, ours))?;
        binding.reserved.push(reserved);
        for (worker, socket) in binding.by_worker.iter_mut().zip(sockets) {
            let place = binding.bound.entry(key.clone());
            let place = place.or_insert_with(|| Place::of(socket.address(), front.as_deref()));
            worker.push(Socket {
                key: key.clone(),
                bound: socket,
                ways: Ways::of(listener),
                tls: Arc::clone(&place.tls),
            });
        }
    }
    Ok(binding)
}

/// Binds one address that no worker listens on, and listens there.
///
/// # Errors
/// As for [`bind`].
pub(crate) fn bind_one(address: &ListenAddress, present: &Listening) -> Result<(Bound, Place), PrepareError> {
    let address = address_of(address);
    let refuse = |e: io::Error| refused(&address, &e, present.values());
    let (mut sockets, reserved) = net::reserve(&address, 1, ADMIN_BACKLOG, Share::WithNobody).map_err(refuse)?;
    let bound = sockets.pop().ok_or_else(|| refuse(io::ErrorKind::AddrNotAvailable.into()))?;
    let place = Place::of(bound.address(), None);
    reserved.listen().map_err(refuse)?;
    Ok((bound, place))
}

/// Who asks for metrics does not come in crowds.
const ADMIN_BACKLOG: u32 = 64;

impl Binding {
    /// Lets clients connect to all of it.
    ///
    /// # Errors
    /// Another process was quicker.
    pub(crate) fn listen(reserved: Vec<Reserved>) -> Result<(), PrepareError> {
        reserved.into_iter().try_for_each(|reserved| {
            let address = reserved.address().clone();
            reserved.listen().map_err(|e| refused(&address, &e, std::iter::empty()))
        })
    }
}

impl Place {
    fn of(address: &Address, front: Option<&Front>) -> Place {
        let file = match address {
            Address::Unix(path) => SocketFile::just_bound(path),
            _ => None,
        };
        Place { address: address.clone(), tls: tls_front::slot(front), file }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The address as one can paste it into a browser.
    pub(crate) fn url(&self) -> String {
        let (scheme, port) = if self.tls.load().is_some() { ("https", 443) } else { ("http", 80) };
        match &self.address {
            Address::Tcp(addr) if addr.port() == port => {
                let text = addr.to_string();
                format!("{scheme}://{}/", text.strip_suffix(&format!(":{port}")).unwrap_or(&text))
            }
            Address::Tcp(addr) => format!("{scheme}://{addr}/"),
            other => other.to_string(),
        }
    }

    /// Where a listener on every address is reached: from this machine, and from the network it is on.
    pub(crate) fn reached_at(&self) -> Option<(String, Option<String>)> {
        let Address::Tcp(address) = &self.address else { return None };
        if !address.ip().is_unspecified() {
            return None;
        }
        let scheme = if self.tls.load().is_some() { "https" } else { "http" };
        let port = address.port();
        let elsewhere = report::address_on_the_network().map(|ip| format!("{scheme}://{}/", SocketAddr::new(ip, port)));
        Some((format!("{scheme}://localhost:{port}/"), elsewhere))
    }

    /// Whether listening here leaves no room for `address`.
    fn takes(&self, address: &Address) -> bool {
        match (&self.address, address) {
            (Address::Tcp(ours), Address::Tcp(other)) => {
                ListenAddress::Tcp(*ours).overlaps(&ListenAddress::Tcp(*other))
            }
            (Address::Unix(_), Address::Unix(path)) => self.file.as_ref().is_some_and(|file| file.is_at(path)),
            _ => false,
        }
    }
}

fn refused<'p>(address: &Address, error: &io::Error, mut ours: impl Iterator<Item = &'p Place>) -> PrepareError {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => match ours.find(|place| place.takes(address)) {
            Some(place) => format!(
                "this process listens on {} already, and the two overlap; restart it to change from one to the other",
                place.address
            ),
            None if is_other_file(address) => "a file that is no socket is in the way".to_owned(),
            None => "another program listens there already; stop it, or choose another address".to_owned(),
        },
        io::ErrorKind::PermissionDenied => {
            "this user may not; ports below 1024 and system folders need more rights".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::NotFound => "the folder of the socket does not exist".to_owned(),
        _ => reason(error),
    };
    PrepareError::new(format!("cannot listen on {address}: {why}"))
}

fn is_other_file(address: &Address) -> bool {
    let Address::Unix(path) = address else { return false };
    std::fs::symlink_metadata(path).is_ok_and(|file| !file.file_type().is_socket())
}

/// Why a socket could not be had, with what to do where that is known.
pub(crate) fn reason(error: &io::Error) -> String {
    if net::is_exhausted(error) {
        return format!("{error}; raise the descriptor limit (ulimit -n, LimitNOFILE) or lower max_connections");
    }
    error.to_string()
}
