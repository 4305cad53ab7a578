//! Binding what a plan listens on. A listener that stays in a reload is never closed and bound again: connections in
//! its queue would be reset.

use std::collections::HashMap;
use std::io;

use config::{ListenAddress, Plan};
use net::{Address, Bound};

use crate::prepared::PrepareError;

/// New listeners for one plan: by worker, the sockets it gets.
pub(crate) struct Binding {
    pub(crate) by_worker: Vec<Vec<(Key, Bound)>>,
    /// What each configured address became (a port 0 was chosen by the system).
    pub(crate) bound: HashMap<Key, Address>,
}

/// A listener as configured; the same key in the next plan is the same listener.
pub(crate) type Key = Address;

pub(crate) fn key_of(address: &ListenAddress) -> Key {
    match address {
        ListenAddress::Tcp(addr) => Address::Tcp(*addr),
        ListenAddress::Unix(path) => Address::Unix(path.clone()),
    }
}

/// Binds what `plan` lists and `present` does not have yet, for `workers` workers.
///
/// # Errors
/// In a sentence, with what to do. Nothing stays bound then.
pub(crate) fn bind(plan: &Plan, present: &HashMap<Key, Address>, workers: usize) -> Result<Binding, PrepareError> {
    let mut binding = Binding { by_worker: (0..workers).map(|_| Vec::new()).collect(), bound: HashMap::new() };
    for listener in &plan.listeners {
        let key = key_of(&listener.address);
        if present.contains_key(&key) || binding.bound.contains_key(&key) {
            continue;
        }
        let sockets = net::bind(&key, workers, listener.backlog).map_err(|e| refused(&key, &e))?;
        for (worker, socket) in binding.by_worker.iter_mut().zip(sockets) {
            binding.bound.insert(key.clone(), socket.address().clone());
            worker.push((key.clone(), socket));
        }
    }
    Ok(binding)
}

fn refused(address: &Address, error: &io::Error) -> PrepareError {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there already; stop it, or choose another address".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "this user may not; ports below 1024 and system folders need more rights".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::NotFound => "the folder of the socket does not exist".to_owned(),
        _ => error.to_string(),
    };
    PrepareError::new(format!("cannot listen on {address}: {why}"))
}
