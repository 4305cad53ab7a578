//! What a process says of itself when it begins: where it listens, what it serves.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use config::{Action, Destination, Plan, Server, ServerAddress, Share, UpstreamId};
use net::Address;
use observe::{Counter, Counters, Kind};

use crate::facts::{failures_of, sum};
use crate::listeners::{Listening, keys_of};

/// Routes listed by name; of more, only how many.
const ROUTES_SHOWN: usize = 20;

/// What a program says of itself when it begins.
pub(crate) struct Banner<'a> {
    pub(crate) program: &'a str,
    pub(crate) plan: &'a Plan,
    pub(crate) bound: &'a Listening,
    /// Where the admin listener is.
    pub(crate) admin: Option<String>,
    /// Lines for its end.
    pub(crate) hints: &'a [String],
}

impl Banner<'_> {
    /// Prints it to standard output. The line `listening on ...` comes last of the addresses and is flushed: who starts this
    /// program can wait for it.
    pub(crate) fn print(&self, workers: usize, max_connections: usize) {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let text = self.text(workers, max_connections, &Paint(colours));
        let mut out = std::io::stdout().lock();
        // Whoever closed standard output does not want to hear.
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }

    /// The IP address of the listener that is named first.
    pub(crate) fn first_address(&self) -> Option<SocketAddr> {
        let first = keys_of(self.plan).iter().find_map(|key| self.bound.get(key))?;
        match first.address() {
            Address::Tcp(address) => Some(*address),
            _ => None,
        }
    }

    fn text(&self, workers: usize, max_connections: usize, paint: &Paint) -> String {
        let Banner { program, plan, bound, admin, hints } = self;
        let version = env!("CARGO_PKG_VERSION");
        let mut text = format!("{} {}\n", paint.bold(format_args!("tollgate {program}")), paint.dim(version));
        for route in plan.routes.iter().take(ROUTES_SHOWN) {
            text += &format!("  {:<24} -> {}\n", route.name, describe(plan, &route.action));
        }
        if plan.routes.len() > ROUTES_SHOWN {
            text += &format!("  ... and {} routes more\n", plan.routes.len() - ROUTES_SHOWN);
        }
        let plural = if workers == 1 { "" } else { "s" };
        text += &format!("  {workers} worker{plural}, at most {max_connections} connections\n");
        if let Some(admin) = admin {
            text += &format!("  health and metrics at {}\n", paint.link(admin));
        }
        for place in keys_of(plan).iter().filter_map(|key| bound.get(key)) {
            text += &format!("  listening on {}\n", paint.link(place.url()));
            if let Some((here, elsewhere)) = place.reached_at() {
                let elsewhere =
                    elsewhere.map_or(String::new(), |url| format!(", from the network at {}", paint.link(url)));
                text += &format!("    from this machine at {}{elsewhere}\n", paint.link(here));
            }
        }
        if paint.0 {
            text += &format!("  {}\n", paint.dim("Ctrl-C stops"));
        }
        hints.iter().for_each(|hint| text += &format!("{hint}\n"));
        text
    }
}

/// What the workers counted, when they have stopped.
pub(crate) fn totals(counters: &[Arc<Counters>]) -> String {
    let sum = |of: fn(&Counters) -> &Counter| sum(counters, of);
    let (connects, reused, moved) = (sum(|c| &c.connects), sum(|c| &c.reused), sum(|c| &c.handed_over));
    let mut text = format!("stopped after {}", counted(sum(|c| &c.requests), "request"));
    if connects + reused > 0 {
        let share = reused as f64 * 100.0 / (connects + reused) as f64;
        text +=
            &format!("; connections to servers: {connects} made, {} reused ({share:.1} %)", counted(reused, "time"));
        if moved > 0 {
            text += &format!(", {} by another worker", counted(moved, "time"));
        }
    }
    let failed = Kind::ALL.map(|kind| (kind, failures_of(counters, kind)));
    let failed: Vec<String> =
        failed.iter().filter(|(_, n)| *n > 0).map(|(kind, n)| format!("{n} {}", kind.code())).collect();
    if !failed.is_empty() {
        text += &format!("; failures: {}", failed.join(", "));
    }
    text
}

/// A number of things, `1 request` or `2 requests`.
fn counted(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Colours, where somebody sees them.
struct Paint(bool);

impl Paint {
    fn with(&self, code: u8, what: impl Display) -> String {
        if self.0 { format!("\x1b[{code}m{what}\x1b[0m") } else { what.to_string() }
    }

    fn bold(&self, what: impl Display) -> String {
        self.with(1, what)
    }

    fn dim(&self, what: impl Display) -> String {
        self.with(2, what)
    }

    fn link(&self, what: impl Display) -> String {
        self.with(36, what)
    }
}

/// The address by which others on the network reach this machine, if it is on one. Nothing is sent: the system only says which of its
/// addresses it would send from (to one that is reserved for examples, RFC 5737).
pub(crate) fn address_on_the_network() -> Option<IpAddr> {
    let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).ok()?;
    socket.connect(SocketAddr::from(([192, 0, 2, 1], 9))).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

fn server(server: &Server) -> String {
    ServerAddress { address: server.address.clone(), tls: server.tls }.to_string()
}

fn describe(plan: &Plan, action: &Action) -> String {
    match action {
        Action::Files(files) => {
            let fallback = files.fallback.as_ref().map(|file| format!("else {file}"));
            let listing = files.listing.then(|| "folders are listed".to_owned());
            let live = files.live.then(|| "pages reload when a file changes".to_owned());
            let more: Vec<String> = fallback.into_iter().chain(listing).chain(live).collect();
            let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
            format!("files in {}{more}", files.root.display())
        }
        Action::Proxy(proxy) => match &proxy.to {
            Destination::One(id) => described(plan, *id),
            Destination::Split { shares, .. } => {
                let total: u32 = shares.iter().map(|share| share.weight).sum();
                let share = |share: &Share| format!("{}/{total} {}", share.weight, described(plan, share.upstream));
                shares.iter().map(share).collect::<Vec<_>>().join(", ")
            }
        },
        Action::Redirect(redirect) => format!("redirect with {}", redirect.status),
        Action::Respond(respond) => {
            format!("answer {} with {}", respond.status, counted(respond.body.len() as u64, "byte"))
        }
    }
}

fn described(plan: &Plan, UpstreamId(place): UpstreamId) -> String {
    let upstream = &plan.upstreams[place];
    let servers: Vec<String> = upstream.servers.iter().take(4).map(server).collect();
    let more = upstream.servers.len().saturating_sub(4);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("upstream {} ({}{more})", upstream.name, servers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_counted_as_one() {
        let counters = Counters::default();
        for counter in [&counters.requests, &counters.connects, &counters.reused, &counters.handed_over] {
            counter.add(1);
        }
        let said = totals(&[Arc::new(counters)]);
        let connections = "connections to servers: 1 made, 1 time reused (50.0 %), 1 time by another worker";
        assert_eq!(said, format!("stopped after 1 request; {connections}"));
    }
}
