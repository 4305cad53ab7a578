//! What is known of a server goes over to the balancer of a new configuration.

use clock::Tick;

use super::{Balancer, Choice};
use crate::ServerId;

impl Balancer {
    /// `server` is `old` of another balancer: its requests under way, its times, and whether it failed are known. For a server of
    /// which nothing is known here yet.
    pub fn inherit(&mut self, server: ServerId, from: &Balancer, old: ServerId, now: Tick) {
        let (Some(load), Some(state)) = (from.loads.get(old.index()), from.servers.get(old.index())) else { return };
        if let Some(own) = self.loads.get_mut(server.index()) {
            own.inherit(load);
            (0..load.active).for_each(|_| self.begin(server, Choice::Turn));
        }
        if state.failures > 0 {
            self.connect_failed(server, now);
        }
    }
}
