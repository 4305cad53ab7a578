//! What a run was asked to do, in words.

use load::words::{bytes, count};
use load::{Arrivals, Settings};

use crate::arguments::Load;
use crate::plan::{ModePlan, PacePlan, Plan, nanos};
use crate::prepare::time;

/// URLs that are listed when there are too many to be told apart; of more, only how many.
const TARGETS_SHOWN: usize = 5;

pub(crate) fn settings(plan: &Plan, load: &Load) -> Settings {
    let urls: Vec<String> = plan.origins.iter().flat_map(|o| o.requests.iter().map(|r| r.url.clone())).collect();
    let shown = plan.targets().max(TARGETS_SHOWN);
    let mut targets: Vec<String> = urls.iter().take(shown).cloned().collect();
    if urls.len() > shown {
        targets.push(format!("and {} more", count((urls.len() - shown) as u64)));
    }
    Settings {
        targets,
        open_loop: matches!(plan.pace, PacePlan::Open(..)),
        slow: matches!(plan.mode, ModePlan::SlowHeader(_) | ModePlan::SlowBody(_) | ModePlan::SlowRead(_)),
        connections: plan.connections,
        concurrency: plan.connections * plan.pipeline as u64,
        workers: plan.workers as u32,
        words: words(plan, load),
    }
}

fn words(plan: &Plan, load: &Load) -> Vec<(String, String)> {
    let mut words: Vec<(&str, String)> = Vec::new();
    words.push(("mode", mode(plan)));
    match &plan.pace {
        PacePlan::Closed(Some(n)) => words.push(("requests", count(*n))),
        PacePlan::Closed(None) => {}
        PacePlan::Open(rates, arrivals) => {
            let how = match arrivals {
                Arrivals::Constant => "at equal distances",
                Arrivals::Poisson => "Poisson",
            };
            words.push(("rate", format!("{}, {how}", rates.text().over(plan.duration.map(nanos)))));
        }
    }
    if let Some(duration) = plan.duration {
        words.push(("duration", time(duration)));
    }
    if !plan.warm_up.is_zero() {
        words.push(("warm-up", time(plan.warm_up)));
    }
    if plan.pipeline > 1 {
        words.push(("pipelining", count(plan.pipeline as u64)));
    }
    let request = plan.origins.first().and_then(|o| o.requests.first());
    if let (Some(request), ModePlan::Http) = (request, plan.mode) {
        words.push(("method", request.method.clone()));
        let body = request.bytes.len() - request.head_len;
        if body > 0 {
            words.push(("body", bytes(body as u64)));
        }
    }
    if plan.origins.len() > 1 {
        let shares = match plan.pace {
            PacePlan::Open(..) => "each at its share of the rate",
            PacePlan::Closed(_) => "connections by weight, requests as fast as each answers",
        };
        words.push(("servers", format!("{}, {shares}", plan.origins.len())));
    }
    if !plan.sources.is_empty() {
        words.push(("source addresses", count(plan.sources.len() as u64)));
    }
    if plan.processes > 1 {
        words.push(("processes", count(plan.processes as u64)));
    }
    if plan.origins.iter().any(|origin| origin.server_name.is_some()) {
        let verified = if plan.tls.insecure { "certificates not verified" } else { "certificates verified" };
        let resumed = match plan.mode {
            _ if !plan.tls.resumption => "resumption off",
            // Connections that stay, or are closed before a ticket comes, resume nothing in the usual course.
            ModePlan::Handshake => "closed before a ticket comes",
            _ => "resumption on",
        };
        words.push(("TLS", format!("{verified}, {resumed}")));
    }
    words.push(("seed", load.seed.to_string()));
    words.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

fn mode(plan: &Plan) -> String {
    match plan.mode {
        ModePlan::Http if plan.keep_alive => "HTTP, connections kept".into(),
        ModePlan::Http => "HTTP, a connection per request".into(),
        ModePlan::Echo(n) if plan.keep_alive => format!("echo of {}", bytes(n as u64)),
        ModePlan::Echo(n) => format!("echo of {}, a connection each", bytes(n as u64)),
        ModePlan::Handshake => "connections made and closed".into(),
        ModePlan::Hold => "idle connections".into(),
        ModePlan::SlowHeader(every) => format!("slow heads, a line every {}", time(every)),
        ModePlan::SlowBody(every) => format!("slow bodies, a byte every {}", time(every)),
        ModePlan::SlowRead(every) => format!("slow readers, a look every {}", time(every)),
    }
}
