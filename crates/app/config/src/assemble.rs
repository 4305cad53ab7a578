//! From drafts to a plan: parts held against each other, errors sorted, nothing half-valid let through.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use router::{Router, Rule};

use crate::Loaded;
use crate::address::{ListenAddress, ServerAddress};
use crate::diagnostic::{Diagnostic, Report, Severity};
use crate::files::{Document, Files};
use crate::options::{self, nearest};
use crate::plan::{
    Action, CertificateFiles, ClientAuth, Destination, HeaderEdits, HostField, Listener, ListenerTls, Plan, Proxy,
    Route, Share, TlsVersion, UNLIMITED, UpstreamId,
};
use crate::read::{self, Draft, Notes, RouteDraft, UpstreamDraft};
use crate::source::Place;

/// Reads all documents, and returns the plan, or everything that is wrong.
pub(crate) fn assemble(files: Files) -> Result<Loaded, Report> {
    let Files { documents, diagnostics } = files;
    if documents.is_empty() {
        return Err(Report { diagnostics });
    }
    let notes = Notes::default();
    let mut draft = Draft::default();
    documents.iter().for_each(|document| draft.add(document, &notes));
    check_listeners(&draft.listeners, &notes);
    check_admin(&draft, &notes);
    check_order(&draft.routes, &notes);
    check_cookies(&draft.upstreams, &notes);
    let plan = plan(draft, &notes);
    let diagnostics = sorted(diagnostics, notes.into_inner(), &documents);
    match plan {
        Some(plan) if diagnostics.iter().all(|d| d.severity == Severity::Warning) => {
            Ok(Loaded { plan, warnings: diagnostics })
        }
        _ => Err(Report { diagnostics }),
    }
}

/// Two upstreams that name servers in the same cookie take each other's from the client.
fn check_cookies(upstreams: &[UpstreamDraft], notes: &Notes) {
    let mut first_by_cookie = HashMap::new();
    for draft in upstreams {
        let Some(sticky) = draft.upstream.as_ref().and_then(|upstream| upstream.sticky.as_ref()) else { continue };
        match first_by_cookie.entry(&sticky.cookie) {
            Entry::Vacant(free) => drop(free.insert(&draft.name)),
            Entry::Occupied(first) => {
                let same = Diagnostic::warning(format!(
                    "the upstreams `{}` and `{}` keep clients by the same cookie, `{}`",
                    first.get(),
                    draft.name,
                    sticky.cookie
                ));
                let expected = "a client that goes to both is kept by neither";
                let hint = "leave `sticky.cookie` out, or give each a name of its own";
                notes.push(same.at(draft.place.clone()).expected(expected).hint(hint));
            }
        }
    }
}

/// None when a part had errors; they are noted.
fn plan(draft: Draft, notes: &Notes) -> Option<Plan> {
    let defaults = Plan::default();
    let limits = draft.limits.unwrap_or(defaults.limits);
    let mut listeners: Vec<_> = draft.listeners.into_iter().filter_map(|(_, listener)| listener).collect();
    if listeners.is_empty() {
        listeners = defaults.listeners;
    }
    let mut used = vec![false; draft.upstreams.len()];
    let mut routes = Vec::new();
    let count = draft.routes.len();
    if count == 0 {
        let none = Diagnostic::warning("there is no route: every request will be answered with 404");
        notes.push(none.hint("add a `[[route]]`").absence());
    }
    for route in draft.routes {
        routes.extend(resolve(route, &draft.upstreams, &mut used, limits.body_bytes, notes));
    }
    for (upstream, _) in draft.upstreams.iter().zip(&used).filter(|(_, used)| !**used) {
        let unused = Diagnostic::warning(format!("no route uses the upstream `{}`", upstream.name));
        notes.push(unused.at(upstream.place.clone()).expected("never asked").absence());
    }
    if let Err(error) = Router::build(&routes.iter().map(|r: &Route| r.rule.clone()).collect::<Vec<Rule>>()) {
        notes.push(Diagnostic::error(error.to_string()));
    }
    let upstreams: Option<Vec<_>> = draft.upstreams.into_iter().map(|u| u.upstream).collect();
    Some(Plan {
        runtime: draft.runtime.unwrap_or(defaults.runtime),
        limits,
        timeouts: draft.timeouts.unwrap_or(defaults.timeouts),
        admin: draft.admin.map(|(_, address)| address),
        access_log: draft.access_log,
        listeners,
        routes: (routes.len() == count).then_some(routes)?,
        upstreams: upstreams?,
    })
}

/// Finds the route's upstream and fills in what comes from elsewhere.
fn resolve(
    route: RouteDraft,
    upstreams: &[UpstreamDraft],
    used: &mut [bool],
    body_bytes: u64,
    notes: &Notes,
) -> Option<Route> {
    let mut ids = Vec::with_capacity(route.upstreams.len());
    for (name, place) in &route.upstreams {
        let found = upstreams.iter().position(|u| u.name == *name);
        match found {
            Some(found) => used[found] = true,
            None => notes.push(unknown_upstream(name, place, upstreams)),
        }
        ids.push(found.map(UpstreamId));
    }
    let action = match route.action? {
        Action::Proxy(proxy) => Action::Proxy(Proxy { to: resolved(proxy.to, &ids)?, ..proxy }),
        other => other,
    };
    let body_bytes = route.body_bytes.unwrap_or(body_bytes);
    if route.buffer_request && !matches!(action, Action::Proxy(_)) {
        let wrong = Diagnostic::error("`route.buffer_request` is for routes that proxy");
        notes.push(wrong.at(route.place.clone()).expected("nothing here reads a request's body"));
    } else if route.buffer_request && body_bytes == UNLIMITED {
        let wrong = Diagnostic::error("`route.buffer_request` needs a limit: the body is held in memory");
        notes.push(wrong.at(route.place.clone()).hint("set `body_bytes` of the route, `\"50MiB\"` for example"));
    }
    Some(Route {
        name: route.name,
        rule: route.rule?,
        action,
        request_headers: route.request_headers,
        response_headers: route.response_headers,
        allow: route.allow,
        deny: route.deny,
        body_bytes,
        timeout: route.timeout,
        buffer_request: route.buffer_request,
        error_pages: route.error_pages,
    })
}

/// The destination with its places in the list of names replaced by what was found for them.
fn resolved(to: Destination, ids: &[Option<UpstreamId>]) -> Option<Destination> {
    let id = |UpstreamId(place): UpstreamId| ids.get(place).copied().flatten();
    Some(match to {
        Destination::One(upstream) => Destination::One(id(upstream)?),
        Destination::Split { shares, by } => {
            let shares = shares.into_iter().map(|share| Some(Share { upstream: id(share.upstream)?, ..share }));
            Destination::Split { shares: shares.collect::<Option<_>>()?, by }
        }
    })
}

fn unknown_upstream(name: &str, place: &Place, upstreams: &[UpstreamDraft]) -> Diagnostic {
    let hint = match nearest(name, upstreams.iter().map(|u| u.name.as_str())) {
        Some(near) => format!("did you mean `{near}`?"),
        None if upstreams.is_empty() => format!("add `[upstream.{name}]` with its `servers`"),
        None => {
            let names: Vec<_> = upstreams.iter().map(|u| format!("`{}`", u.name)).collect();
            format!("there are {}", names.join(", "))
        }
    };
    let unknown = Diagnostic::error(format!("there is no upstream `{}`", name.escape_debug()));
    unknown.at(place.clone()).expected("expected the name of an upstream").hint(hint).absence()
}

fn check_listeners(listeners: &[(Place, Option<Listener>)], notes: &Notes) {
    for (n, (place, listener)) in listeners.iter().enumerate() {
        let Some(Listener { address, .. }) = listener else { continue };
        let others = listeners[..n].iter().filter_map(|(place, other)| Some((place, other.as_ref()?)));
        match others.into_iter().find(|(_, other)| other.address.overlaps(address)) {
            Some((first, other)) if other.address == *address => {
                let twice = Diagnostic::error(format!("two listeners have the address `{address}`"));
                notes.push(twice.at(place.clone()).expected("a second time here").related(first, "first here"));
            }
            Some((first, other)) => {
                let message = format!("the listeners `{address}` and `{}` overlap", other.address);
                let overlap = Diagnostic::error(message).at(place.clone()).expected("one takes in the other");
                let hint = "`0.0.0.0` and `[::]` take in every address of their kind: keep one of the two";
                notes.push(overlap.related(first, "the other one").hint(hint));
            }
            None => {}
        }
    }
}

/// The admin listener answers for itself: no other may take what is meant for it.
fn check_admin(draft: &Draft, notes: &Notes) {
    let Some((place, address)) = &draft.admin else { return };
    let taken = draft.listeners.iter().find(|(_, l)| l.as_ref().is_some_and(|l| l.address.overlaps(address)));
    if let Some((first, _)) = taken {
        let overlap = Diagnostic::error(format!("`admin.listen` is `{address}`, where a listener is already"));
        notes.push(overlap.at(place.clone()).expected("needs an address of its own").related(first, "the listener"));
    }
}

/// Comparing every route with all before it is for files that people write; a generated one of this size is trusted.
const ROUTES_COMPARED_MAX: usize = 1000;

/// Warns of routes that are never reached because an earlier one takes all their requests.
fn check_order(routes: &[RouteDraft], notes: &Notes) {
    let rules: Vec<_> = routes.iter().take(ROUTES_COMPARED_MAX).filter_map(|r| Some((r.rule.as_ref()?, r))).collect();
    for (n, (rule, route)) in rules.iter().enumerate() {
        if let Some((_, first)) = rules[..n].iter().find(|(earlier, _)| earlier.covers(rule)) {
            let never = Diagnostic::warning(format!("the route `{}` is never reached", route.name));
            notes.push(
                never
                    .at(route.place.clone())
                    .expected("never reached")
                    .related(&first.place, "takes all its requests")
                    .hint("the first match from top to bottom wins: put the narrower route first")
                    .absence(),
            );
        }
    }
}

/// File by file and top to bottom; what has no place comes first. `read` is what was found in the values: of that, only
/// what does not merely follow from another error is kept.
fn sorted(files: Vec<Diagnostic>, read: Vec<Diagnostic>, documents: &[Document]) -> Vec<Diagnostic> {
    let number = |place: &Place| documents.iter().position(|d| Arc::ptr_eq(&d.source, &place.source));
    let incomplete = |place: &Place| {
        let spans = number(place).map_or(&[][..], |n| &documents[n].incomplete);
        spans.iter().any(|span| span.start <= place.span.start && place.span.end <= span.end)
    };
    let partial = documents.iter().any(|d| d.partial);
    let mut diagnostics = files;
    diagnostics.extend(read.into_iter().filter(|d| !d.place.as_ref().is_some_and(incomplete)));
    // What seems to be missing may be in what could not be read, and advice can wait until the errors are gone.
    let failed = diagnostics.iter().any(|d| d.severity == Severity::Error);
    diagnostics.retain(|d| !d.of_absence || !(partial || failed && d.severity == Severity::Warning));
    diagnostics.sort_by_cached_key(|d| d.place.as_ref().map(|place| (number(place), place.span.start)));
    diagnostics
}

impl Default for Plan {
    /// What an empty file means: a listener on 127.0.0.1:8080, every default, no route.
    fn default() -> Plan {
        Plan {
            runtime: read::with_defaults(&options::RUNTIME, read::runtime),
            limits: read::with_defaults(&options::LIMITS, read::limits),
            timeouts: read::with_defaults(&options::TIMEOUTS, read::timeouts),
            admin: None,
            access_log: None,
            listeners: vec![read::default_listener(ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080))))],
            routes: Vec::new(),
            upstreams: Vec::new(),
        }
    }
}

impl Plan {
    /// The plan of `server DIR`: `folder` served on `listen`. An error when it is no folder.
    pub fn for_server(folder: &Path, listen: ListenAddress) -> Result<Plan, Report> {
        let root = read::check_folder(folder)
            .map_err(|problem| Diagnostic::error(format!("the folder `{}` {problem}", folder.display())))?;
        let mut plan = Plan { listeners: vec![read::default_listener(listen)], ..Plan::default() };
        plan.routes = vec![catch_all(&plan, Action::Files(read::default_files(root)))];
        Ok(plan)
    }

    /// The same with TLS on every listener, and what an operator should know of the certificate. An error when the files
    /// cannot be read or do not fit each other.
    pub fn with_tls(mut self, certificate: CertificateFiles) -> Result<Loaded, Report> {
        let warnings = read::check_files(&certificate).map_err(Diagnostic::error)?;
        for listener in &mut self.listeners {
            listener.tls = Some(ListenerTls {
                certificates: vec![certificate.clone()],
                min_version: TlsVersion::V12,
                client_auth: ClientAuth::None,
                client_crl: None,
                ticket_secret: None,
                hsts: None,
            });
        }
        Ok(Loaded { plan: self, warnings: warnings.into_iter().map(Diagnostic::warning).collect() })
    }

    /// The plan of `proxy --listen A --to B...`: everything on `listen` goes to the servers `to`, in turn. An error when
    /// there is none.
    pub fn for_proxy(listen: ListenAddress, to: &[ServerAddress]) -> Result<Plan, Report> {
        if to.is_empty() {
            return Err(Diagnostic::error("there is no server to proxy to")
                .hint("name one with `--to`, or a file with `--config`")
                .into());
        }
        let servers = to.iter().cloned().map(read::plain_server).collect();
        // On loopback it is a developer who asks.
        let reason = matches!(&listen, ListenAddress::Tcp(address) if address.ip().is_loopback());
        let listener = Listener { reason, ..read::default_listener(listen) };
        let mut plan = Plan { listeners: vec![listener], ..Plan::default() };
        plan.upstreams = vec![read::upstream_defaults("origin", servers)];
        plan.routes = vec![catch_all(
            &plan,
            Action::Proxy(Proxy {
                to: Destination::One(UpstreamId(0)),
                strip_prefix: String::new(),
                add_prefix: String::new(),
                host: HostField::Client,
            }),
        )];
        Ok(plan)
    }
}

fn catch_all(plan: &Plan, action: Action) -> Route {
    let rule = Rule::any();
    Route {
        name: rule.path.to_string(),
        rule,
        action,
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        allow: Vec::new(),
        deny: Vec::new(),
        body_bytes: plan.limits.body_bytes,
        timeout: None,
        buffer_request: false,
        error_pages: Vec::new(),
    }
}
