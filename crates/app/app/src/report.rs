//! What a process says of itself when it begins: where it listens, what it serves.

use std::io::Write;

use config::{Action, Plan, Server, ServerAddress};

use crate::listeners::{Listening, keys_of};

/// Routes listed by name; of more, only how many.
const ROUTES_SHOWN: usize = 20;

/// Prints the banner to standard output. The line `listening on ...` comes last of the addresses and is flushed: who
/// starts this program can wait for it.
pub(crate) fn banner(
    program: &str,
    plan: &Plan,
    bound: &Listening,
    workers: usize,
    max_connections: usize,
    hints: &[String],
) {
    let mut text = format!("tollgate {program} {}\n", env!("CARGO_PKG_VERSION"));
    for route in plan.routes.iter().take(ROUTES_SHOWN) {
        text += &format!("  {:<24} -> {}\n", route.name, describe(plan, &route.action));
    }
    if plan.routes.len() > ROUTES_SHOWN {
        text += &format!("  ... and {} routes more\n", plan.routes.len() - ROUTES_SHOWN);
    }
    let plural = if workers == 1 { "" } else { "s" };
    text += &format!("  {workers} worker{plural}, at most {max_connections} connections\n");
    for place in keys_of(plan).iter().filter_map(|key| bound.get(key)) {
        text += &format!("  listening on {}\n", place.url());
    }
    for hint in hints {
        text += &format!("{hint}\n");
    }
    let mut out = std::io::stdout().lock();
    // Whoever closed standard output does not want to hear.
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

fn server(server: &Server) -> String {
    ServerAddress { address: server.address.clone(), tls: server.tls }.to_string()
}

fn describe(plan: &Plan, action: &Action) -> String {
    match action {
        Action::Files(files) => format!("files in {}", files.root.display()),
        Action::Proxy(proxy) => {
            let upstream = &plan.upstreams[proxy.upstream.0];
            let servers: Vec<String> = upstream.servers.iter().take(4).map(server).collect();
            let more = upstream.servers.len().saturating_sub(4);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("upstream {} ({}{more})", upstream.name, servers.join(", "))
        }
        Action::Redirect(redirect) => format!("redirect with {}", redirect.status),
        Action::Respond(respond) => format!("answer {} with {} bytes", respond.status, respond.body.len()),
    }
}
