//! One worker's form of a plan: which handler answers which request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use config::{Action, Destination, HostField, UNLIMITED, UpstreamId};
use forward::{FieldRules, HostPolicy, PathRewrite, Side};
use http1::Limits;
use message::{Method, TargetForm};
use net::Peer;
use observe::{Counters, Failure, Kind, Level};
use reverse_proxy::{Proxy, Rewrite};
use router::{Asked, Found, Normalised, Router, Scheme, Scratch, normalise};
use serve::{ErrorPage, ErrorPages, Exchange, Handled, Record, Settings, Timeouts};
use static_files::{Files, OpenFiles};
use upstream::{News, Upstream};

use crate::access::Access;
use crate::access_log::AccessLog;
use crate::fields;
use crate::handlers::{self, Handler, Live, Path, Redirect, Respond};
use crate::live::LivePages;
use crate::log::Log;
use crate::prepared::{PageRead, PrepareError, Prepared};
use crate::split::Split;
use crate::upstreams::{Place, upstream_options};

/// What outlives a configuration on one worker: idle connections to servers that stay, open files.
pub struct Resources {
    /// This worker's number.
    worker: u16,
    /// Workers of this process, which share per-server figures.
    workers: usize,
    upstreams: RefCell<HashMap<String, Rc<Upstream>>>,
    open_files: Rc<OpenFiles>,
    /// Holds nothing: for files that are looked at each time.
    no_open_files: Rc<OpenFiles>,
    live_pages: Rc<LivePages>,
    /// Those of the sites that are in use: exchanges that began before a reload have that of their time.
    access_logs: RefCell<Vec<Weak<AccessLog>>>,
    log: Log,
    counters: Arc<Counters>,
}

impl Resources {
    /// The resources of worker `worker` of `workers`. Call it on the worker.
    pub fn new(worker: u16, workers: usize, log: Log) -> Resources {
        Resources::with_notices(worker, workers, log, None)
    }

    /// The same, on a worker that is told of changes of files as `notices` gives them.
    pub(crate) fn with_notices(worker: u16, workers: usize, log: Log, notices: Option<Arc<fs::Notices>>) -> Resources {
        let open_files = OpenFiles::with_notices(static_files::Limits::default(), notices.clone());
        let theirs = log.clone();
        open_files.tell_to(move |sentence| theirs.warn_rarely(sentence));
        event_loop::spawn(static_files::sweep(Rc::downgrade(&open_files)));
        let nothing = static_files::Limits { entries: 0, ..static_files::Limits::default() };
        let no_open_files = OpenFiles::with_notices(nothing, notices);
        let live_pages = LivePages::new(crate::notices::first_version());
        let counters = Arc::default();
        Resources {
            worker,
            workers,
            upstreams: RefCell::default(),
            open_files,
            no_open_files,
            live_pages,
            access_logs: RefCell::default(),
            log,
            counters,
        }
    }

    /// The same, with this worker's counters.
    #[must_use]
    pub(crate) fn counting(self, counters: Arc<Counters>) -> Resources {
        Resources { counters, ..self }
    }

    /// Files have changed; `version` counts such times.
    pub(crate) fn changed(&self, changes: &fs::Changes, version: u64) {
        self.open_files.changed(changes, event_loop::now());
        self.live_pages.changed(changes, version);
    }

    /// Gives the lines of all requests that have ended to who writes them.
    pub(crate) fn hand_over_lines(&self) {
        self.access_logs.borrow().iter().filter_map(Weak::upgrade).for_each(|access| access.hand_over_all());
    }

    /// Ends the connections on which live pages are told of changes.
    pub(crate) fn close_live_pages(&self) {
        self.live_pages.close();
    }

    /// The upstream of that definition: the present one if it is the same, else a new one, of which nobody knows yet.
    fn upstream(&self, options: upstream::Options) -> Rc<Upstream> {
        match self.upstreams.borrow().get(&options.name) {
            Some(present) if *present.options() == options => Rc::clone(present),
            _ => {
                let (log, worker, counters) = (self.log.clone(), self.worker, Arc::clone(&self.counters));
                let say = move |news: News<'_>| match news {
                    News::Change { topic, upstream, server, level, sentence } => {
                        log.say_once(worker, &(topic, upstream, server), level, sentence);
                    }
                    News::Ejected => counters.ejections.add(1),
                    News::Verdict { failure, unsaid } => {
                        counters.failed(failure.kind);
                        let Some(unsaid) = unsaid else { return };
                        log.say(failure.kind.level(), format_args!("{} ({})", failure.verdict(), others(unsaid)));
                    }
                };
                Upstream::start_telling(options, self.worker, Rc::new(say))
            }
        }
    }

    /// Keeps the upstreams of `site` from now on, and lets go of those that it does not use.
    pub(crate) fn adopt(&self, site: &Site) {
        self.access_logs.borrow_mut().retain(|access| access.strong_count() > 0);
        self.access_logs.borrow_mut().extend(site.access.as_ref().map(Rc::downgrade));
        let kept = site.upstreams.iter().map(|u| (u.options().name.clone(), Rc::clone(u))).collect();
        for (name, old) in self.upstreams.replace(kept) {
            let upstreams = self.upstreams.borrow();
            let now = upstreams.get(&name);
            if now.is_some_and(|now| Rc::ptr_eq(now, &old)) {
                continue;
            }
            if let Some(now) = now {
                now.follow_on(&old);
            }
            old.retire();
        }
    }
}

/// One worker's form of a prepared plan.
pub struct Site {
    settings: Settings,
    /// A copy of its own: regular expressions share scratch memory behind a lock otherwise.
    router: Router,
    routes: Vec<Route>,
    upstreams: Vec<Rc<Upstream>>,
    open_files: Rc<OpenFiles>,
    access: Option<Rc<AccessLog>>,
    log: Log,
}

struct Route {
    handler: Handler,
    /// For answers made here; a proxy applies its own.
    rules: FieldRules,
    body_bytes: u64,
    /// What few routes have.
    extras: Option<Box<Extras>>,
}

struct Extras {
    access: Option<Access>,
    timeout: Option<Duration>,
    error_pages: Option<Rc<ErrorPages>>,
    /// What is put to the end of pages that are loaded again when a file changes.
    live_suffix: Option<Rc<RefCell<Arc<str>>>>,
}

impl Extras {
    /// None where there are none: a request then asks once, not for each.
    fn of(route: &config::Route, pages: &[PageRead], live: &LivePages) -> Option<Box<Extras>> {
        let is_live = matches!(&route.action, Action::Files(files) if files.live);
        let extras = Extras {
            access: Access::of(route),
            timeout: route.timeout,
            error_pages: error_pages(route, pages),
            live_suffix: is_live.then(|| live.suffix()),
        };
        let any = extras.access.is_some() || extras.timeout.is_some() || extras.error_pages.is_some() || is_live;
        any.then(|| Box::new(extras))
    }

    #[cold]
    fn apply(&self, exchange: &mut Exchange<'_>) -> Result<(), Failure> {
        if let Some(suffix) = &self.live_suffix {
            // As it is before the file is looked for, so that the page of a failure hears of what comes to be after that.
            let pages = self.error_pages.as_deref().cloned().unwrap_or_default();
            exchange.response.error_pages(&Rc::new(pages.with_suffix(Arc::clone(&suffix.borrow()))));
        } else if let Some(pages) = &self.error_pages {
            exchange.response.error_pages(pages);
        }
        if let Some(timeout) = self.timeout {
            exchange.client.limit_exchange(timeout);
        }
        self.access.as_ref().map_or(Ok(()), |access| access.check(exchange.client.ip()))
    }
}

impl Site {
    /// Builds the handlers, on the worker that will use them, and has `resources` hold what this site uses, and no more.
    ///
    /// # Errors
    /// What the plan's own validation would have found: a sentence.
    pub fn new(prepared: Arc<Prepared>, resources: &Resources) -> Result<Site, PrepareError> {
        let site = Site::prepare(prepared, resources)?;
        resources.adopt(&site);
        Ok(site)
    }

    /// Builds the handlers and changes nothing: dropped, the site leaves no trace. Before it serves, [`Resources::adopt`] it.
    pub(crate) fn prepare(prepared: Arc<Prepared>, resources: &Resources) -> Result<Site, PrepareError> {
        let plan = &prepared.plan;
        let settings = settings(plan);
        let upstreams: Vec<Rc<Upstream>> = plan
            .upstreams
            .iter()
            .zip(&prepared.backs)
            .zip(&prepared.healths)
            .zip(&prepared.hand_overs)
            .map(|(((plan, back), health), hand_over)| {
                let place = Place { worker: resources.worker, workers: resources.workers };
                let options = upstream_options(plan, back.as_deref(), health.as_ref(), hand_over, place);
                options.map(|options| resources.upstream(options))
            })
            .collect::<Result<_, _>>()?;
        let told = fields::told_of_certificates(plan);
        let mut routes = Vec::with_capacity(plan.routes.len());
        for ((route, root), pages) in plan.routes.iter().zip(&prepared.roots).zip(&prepared.error_pages) {
            let problem = |e: &dyn std::fmt::Display| PrepareError::new(format!("route {}: {e}", route.name));
            let rules = fields::rules(&route.response_headers, Side::Response).map_err(|e| problem(&e))?;
            let handler = match &route.action {
                Action::Proxy(proxy) => {
                    let mut rewrite = rewrite(proxy, route, says_hsts(plan)).map_err(|e| problem(&e))?;
                    // Servers believe these, whatever route a request came by.
                    let kept_out = told.iter().try_for_each(|name| rewrite.request_fields.keep_out(name));
                    kept_out.map_err(|e| problem(&e))?;
                    let to = |upstream: UpstreamId| {
                        Proxy::new(Rc::clone(&upstreams[upstream.0]), rewrite.clone(), settings.limits)
                            .buffering(route.buffer_request)
                            .limited(route.timeout)
                    };
                    match &proxy.to {
                        Destination::One(upstream) => Handler::Proxy(Box::new(to(*upstream))),
                        Destination::Split { shares, by } => {
                            let shares = shares.iter().map(|share| (share.weight, to(share.upstream))).collect();
                            Handler::Split(Box::new(Split::new(shares, *by, resources.worker)))
                        }
                    }
                }
                Action::Files(files) => {
                    let root = root.as_ref().ok_or_else(|| PrepareError::new("a root was not opened"))?;
                    let mut options = static_options(files);
                    options.page_suffix = files.live.then(|| resources.live_pages.suffix());
                    let cache = if files.live { &resources.no_open_files } else { &resources.open_files };
                    let served = Files::new(options, Arc::clone(root), Rc::clone(cache)).map_err(|e| problem(&e))?;
                    match files.live {
                        false => Handler::Files(Box::new(served)),
                        true => Handler::Live(Box::new(Live {
                            files: served,
                            pages: Rc::clone(&resources.live_pages),
                            root: root.path().to_owned(),
                        })),
                    }
                }
                Action::Redirect(r) => Handler::Redirect(Redirect { to: r.to.clone(), status: r.status }),
                Action::Respond(respond) => Handler::Respond(Respond::new(respond)),
            };
            let extras = Extras::of(route, pages, &resources.live_pages);
            routes.push(Route { handler, rules, body_bytes: route.body_bytes, extras });
        }
        let access = prepared.access.as_ref().zip(plan.access_log.as_ref());
        let access = access.map(|(writer, log)| AccessLog::start(writer, log.format));
        let (router, log) = (prepared.router.clone(), resources.log.clone());
        let open_files = Rc::clone(&resources.open_files);
        Ok(Site { settings, router, routes, upstreams, open_files, access, log })
    }

    /// Everything before the handler: methods and forms that no route takes, the path, the route, its limits.
    fn route<'c>(&self, exchange: &mut Exchange<'c>) -> Result<Step<'_, 'c>, Failure> {
        let request = exchange.request;
        if request.form == TargetForm::Asterisk {
            return Ok(Step::Options);
        }
        if request.method == Method::Connect {
            return Err(Failure::method_not_allowed(handlers::ALLOW));
        }
        let sent = request.path_bytes();
        let mut scratch = Scratch::new();
        let path = normalise(sent, &mut scratch).map_err(|bad| Failure::because(Kind::BadPath, bad.to_string()))?;
        let found = match self.router.sole(&path) {
            Some(id) => Found::Route(id),
            None => self.router.find(&Asked {
                method: request.method_bytes(),
                authority: request.authority_bytes(),
                path: &path,
                query: request.query_bytes(),
                fields: &request.fields,
                client: exchange.client.ip(),
                scheme: if exchange.client.asked_over_tls() { Scheme::Https } else { Scheme::Http },
            }),
        };
        let route = match found {
            Found::Route(id) => &self.routes[id.index()],
            Found::NoRoute if request.method == Method::Trace => {
                return Err(Failure::method_not_allowed(handlers::ALLOW));
            }
            Found::NoRoute => return Err(Failure::new(Kind::NoRoute)),
            Found::MethodNotAllowed(allow) => return Err(Failure::method_not_allowed(allow.to_string())),
        };
        if request.method == Method::Trace {
            return Err(Failure::method_not_allowed(route.handler.allow()));
        }
        if matches!(route.handler, Handler::Proxy(_) | Handler::Split(_)) && forward::max_forwards(request) == Some(0) {
            return Ok(Step::Options);
        }
        let path = match path {
            Normalised::AsSent(_) => Path::AsSent(sent),
            Normalised::Rewritten(path) => Path::Rewritten(path.into()),
        };
        if let Some(extras) = &route.extras {
            extras.apply(exchange)?;
        }
        exchange.body.limit(if route.body_bytes == UNLIMITED { 0 } else { route.body_bytes })?;
        Ok(Step::Handle(route, path))
    }
}

/// What follows from a request's head.
enum Step<'s, 'c> {
    /// It is for this server itself: `OPTIONS *`, or Max-Forwards has run out.
    Options,
    /// The route, and the normalised path.
    Handle(&'s Route, Path<'c>),
}

impl serve::Site for Site {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn handle<'e>(&'e self, exchange: &'e mut Exchange<'_>) -> Handled<'e> {
        match self.route(exchange) {
            Ok(Step::Handle(route, path)) => route.handler.handle(exchange, path, &route.rules),
            Ok(Step::Options) => Handled::Done(handlers::options(exchange)),
            Err(failure) => Handled::Done(Err(failure)),
        }
    }

    fn free_descriptors(&self) -> usize {
        self.open_files.shed_descriptors()
    }

    fn failed(&self, failure: &Failure, client: &Peer) {
        if failure.kind.level() > Level::Debug {
            self.log.say(failure.kind.level(), format_args!("{failure} (client {client})"));
        }
    }

    fn handshake_failed(&self, failure: &Failure, client: &Peer, unsaid: u32) {
        self.log.info(format_args!("{failure} (client {client}; {})", others(unsaid)));
    }

    fn ended(&self, record: &Record<'_>) {
        if let Some(access) = &self.access {
            access.write(record);
        }
    }
}

/// Of a kind of which one is told in a minute: what there is to say of the others.
fn others(unsaid: u32) -> String {
    match unsaid {
        0 => "more of the kind within a minute are counted only".into(),
        n => format!("{n} more of the kind since the last that was told"),
    }
}

fn settings(plan: &config::Plan) -> Settings {
    let config::Limits { header_bytes, headers, uri_bytes, .. } = plan.limits;
    let timeouts = &plan.timeouts;
    Settings {
        limits: Limits { header_bytes, headers, uri_bytes },
        // The route decides; before it is known nothing is read.
        body_bytes: 0,
        timeouts: Timeouts {
            header: timeouts.header,
            body: timeouts.body,
            idle: timeouts.idle,
            write: timeouts.write,
            min_rate: timeouts.min_rate,
        },
        records: plan.access_log.is_some(),
    }
}

fn static_options(files: &config::Files) -> static_files::Options {
    static_files::Options {
        prefix: files.strip_prefix.clone(),
        index: files.index.clone(),
        cache_control: files.cache_control.clone(),
        page_cache_control: files.page_cache_control.clone(),
        hidden: files.hidden,
        listing: files.listing,
        fallback: files.fallback.clone(),
        precompressed: codings(&files.precompressed),
        compress: codings(&files.compress),
        ..static_files::Options::default()
    }
}

fn codings(tokens: &[&str]) -> Vec<static_files::Coding> {
    tokens.iter().filter_map(|token| static_files::Coding::of_token(token)).collect()
}

fn error_pages(route: &config::Route, pages: &[PageRead]) -> Option<Rc<ErrorPages>> {
    let page = |page: &PageRead| {
        let statuses = match page.statuses {
            config::Statuses::One(status) => serve::Statuses::One(status),
            config::Statuses::Class(class) => serve::Statuses::Class(class),
        };
        (statuses, ErrorPage { content_type: page.content_type.clone(), body: page.body.as_slice().into() })
    };
    let fields = fields::for_failures(&route.response_headers);
    let any = !pages.is_empty() || !fields.is_empty();
    any.then(|| Rc::new(ErrorPages::new(pages.iter().map(page).collect()).with_fields(fields)))
}

/// Whether the handler of a route can be built: all that could fail later, on the workers.
pub(crate) fn check(route: &config::Route) -> Result<(), PrepareError> {
    let problem = |e: String| PrepareError::new(format!("route {}: {e}", route.name));
    fields::rules(&route.response_headers, Side::Response).map_err(|e| problem(e.to_string()))?;
    match &route.action {
        Action::Proxy(proxy) => rewrite(proxy, route, false).map(drop).map_err(problem),
        Action::Files(files) => static_options(files).check().map_err(|e| problem(e.to_string())),
        Action::Redirect(_) | Action::Respond(_) => Ok(()),
    }
}

/// Whether a listener says Strict-Transport-Security itself: it may be said once only, and never without TLS.
fn says_hsts(plan: &config::Plan) -> bool {
    plan.listeners.iter().any(|listener| listener.tls.as_ref().is_some_and(|tls| tls.hsts.is_some()))
}

fn rewrite(proxy: &config::Proxy, route: &config::Route, says_hsts: bool) -> Result<Rewrite, String> {
    let mut response_fields = fields::rules(&route.response_headers, Side::Response).map_err(|e| e.to_string())?;
    if says_hsts {
        response_fields.remove(Side::Response, "strict-transport-security").map_err(|e| e.to_string())?;
    }
    Ok(Rewrite {
        path: PathRewrite::new(&proxy.strip_prefix, &proxy.add_prefix).map_err(|e| e.to_string())?,
        host: match &proxy.host {
            HostField::Client => HostPolicy::Client,
            HostField::Upstream => HostPolicy::Upstream,
            HostField::Fixed(name) => HostPolicy::Name(name.as_bytes().into()),
        },
        request_fields: fields::rules(&route.request_headers, Side::Request).map_err(|e| e.to_string())?,
        response_fields,
    })
}

#[cfg(test)]
mod tests;
