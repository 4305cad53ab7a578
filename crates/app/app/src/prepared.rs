//! A plan with everything that can fail done already.

use std::fmt;
use std::sync::Arc;

use config::{Action, Listener, Plan, Statuses, Symlinks};
use router::Router;

use crate::access_log::AccessWriter;
use crate::site;
use crate::tls_back::Back;
use crate::tls_front::Front;
use crate::upstreams::healths;

/// A plan that is ready to be served: its router built, its roots opened. Shared by all workers.
pub struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) router: Router,
    /// By route: the root of a `files` action.
    pub(crate) roots: Vec<Option<Arc<fs::Root>>>,
    /// By route: its error pages.
    pub(crate) error_pages: Vec<Vec<PageRead>>,
    /// By listener: what it speaks TLS with.
    pub(crate) fronts: Vec<Option<Arc<Front>>>,
    /// By upstream: what TLS is spoken with to its servers.
    pub(crate) backs: Vec<Option<Arc<Back>>>,
    /// By upstream: what its checks come to.
    pub(crate) healths: Vec<Option<Arc<upstream::Health>>>,
    /// By upstream: what the workers know of each other's idle connections.
    pub(crate) hand_overs: Vec<Arc<upstream::HandOver>>,
    /// Who writes the access log, if there is one.
    pub(crate) access: Option<Arc<AccessWriter>>,
}

/// Why a plan cannot be served.
#[derive(Debug)]
pub struct PrepareError(String);

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PrepareError {}

impl PrepareError {
    pub(crate) fn new(sentence: impl Into<String>) -> PrepareError {
        PrepareError(sentence.into())
    }
}

impl Prepared {
    /// Prepares a plan.
    ///
    /// # Errors
    /// In a sentence: a root that cannot be opened, an error page that cannot be read, more different methods than a router
    /// holds, certificates that cannot be used.
    pub fn new(plan: Plan) -> Result<Prepared, PrepareError> {
        Prepared::after(plan, None)
    }

    /// The same in the place of `old`, whose access log's writer goes on where the target stays.
    pub(crate) fn after(plan: Plan, old: Option<&Prepared>) -> Result<Prepared, PrepareError> {
        let rules: Vec<_> = plan.routes.iter().map(|r| r.rule.clone()).collect();
        let router = Router::build(&rules).map_err(|e| PrepareError::new(e.to_string()))?;
        plan.routes.iter().try_for_each(site::check)?;
        let roots = plan.routes.iter().map(|r| open_root(&r.action)).collect::<Result<_, _>>()?;
        let error_pages = plan.routes.iter().map(read_error_pages).collect::<Result<_, _>>()?;
        let fronts = open_fronts(&plan)?;
        let backs = load_backs(&plan)?;
        let healths = healths(&plan, old.map(|old| (&old.plan, &*old.healths)));
        let hand_overs = new_hand_overs(&plan);
        // Last, since it may make a file.
        let access = open_access(&plan, old)?;
        Ok(Prepared { plan, router, roots, error_pages, fronts, backs, healths, hand_overs, access })
    }

    /// The same with what TLS is spoken to servers with read anew, and nothing else; none when that is the same. Listeners are not to
    /// be given what is in it for them: they may have other certificates by now.
    ///
    /// # Errors
    /// In a sentence, with the file.
    pub(crate) fn renewed(&self) -> Result<Option<Prepared>, PrepareError> {
        let plan = self.plan.clone();
        let backs = load_backs(&plan)?;
        let same = |(old, new): (&Option<Arc<Back>>, &Option<Arc<Back>>)| match (old, new) {
            (Some(old), Some(new)) => old.is_same(new),
            (old, new) => old.is_none() && new.is_none(),
        };
        if self.backs.iter().zip(&backs).all(same) {
            return Ok(None);
        }
        let hand_overs = new_hand_overs(&plan);
        Ok(Some(Prepared {
            plan,
            router: self.router.clone(),
            roots: self.roots.clone(),
            error_pages: self.error_pages.clone(),
            fronts: self.fronts.clone(),
            backs,
            healths: self.healths.clone(),
            hand_overs,
            access: self.access.clone(),
        }))
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What an operator should know about the roots: what will not work as they are, and what the kernel cannot do for them.
    /// Blocks.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        let roots = self.plan.routes.iter().zip(&self.roots);
        let files = roots.filter_map(|(route, root)| match (&route.action, root) {
            (Action::Files(files), Some(root)) => Some((files, &**root)),
            _ => None,
        });
        files
            .flat_map(|(files, root)| [of_links(root), of_permissions(files, root), of_fallback(files, root)])
            .flatten()
    }
}

/// The kernel cannot hold a path beneath the root by itself.
fn of_links(root: &fs::Root) -> Option<String> {
    let path = root.path().display();
    (root.mode() == fs::Mode::NoLinks)
        .then(|| format!("this kernel has no openat2: symbolic links beneath {path} are refused, all of them"))
}

/// The folder is closed to this process. One that is to become another user is not asked for that one.
fn of_permissions(files: &config::Files, root: &fs::Root) -> Option<String> {
    let path = root.path().display();
    let remedy = |mode| format!("let this user in (`chmod a+{mode} {path}`), or run as the folder's owner");
    if !root.may_be_searched() {
        return Some(format!(
            "the permissions of {path} keep this user out: every file of it is a 403; {}",
            remedy("rx")
        ));
    }
    (files.listing && !root.may_be_read())
        .then(|| format!("the permissions of {path} hide its names from this user: it is not listed; {}", remedy("r")))
}

/// The file that is to answer for all that is not there is not there itself.
fn of_fallback(files: &config::Files, root: &fs::Root) -> Option<String> {
    let fallback = files.fallback.as_ref().filter(|_| root.may_be_searched())?;
    let (why, status) = match root.stat(fallback.trim_start_matches('/').as_bytes(), fs::Reach::Disk) {
        Ok(meta) if meta.kind == fs::Kind::File => return None,
        Ok(_) => ("it is no file".to_owned(), 404),
        Err(e) => (e.to_string(), if matches!(e, fs::Error::Forbidden | fs::Error::Outside) { 403 } else { 404 }),
    };
    let path = root.path().join(fallback.trim_start_matches('/'));
    Some(format!(
        "{} cannot answer for paths that are not there, as `fallback` or --spa says: {why}; they are a {status} until it is put there",
        path.display()
    ))
}

/// A page that was read.
#[derive(Clone)]
pub(crate) struct PageRead {
    pub(crate) statuses: Statuses,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

/// The largest page; the configuration has checked it, but the file may have grown.
const ERROR_PAGE_BYTES: u64 = 1 << 20;

fn read_error_pages(route: &config::Route) -> Result<Vec<PageRead>, PrepareError> {
    let read = |page: &config::ErrorPage| {
        let body = config::read_regular_file(&page.file, ERROR_PAGE_BYTES);
        let body =
            body.map_err(|why| PrepareError::new(format!("the page {} cannot be read: {why}", page.file.display())))?;
        let kind = static_files::mime::content_type(page.file.as_os_str().as_encoded_bytes());
        let charset = if kind.utf8 { "; charset=utf-8" } else { "" };
        Ok(PageRead { statuses: page.statuses, content_type: format!("{}{charset}", kind.media_type), body })
    };
    route.error_pages.iter().map(read).collect()
}

/// Who writes the access log; a target that stays keeps its writer.
fn open_access(plan: &Plan, old: Option<&Prepared>) -> Result<Option<Arc<AccessWriter>>, PrepareError> {
    let Some(log) = &plan.access_log else { return Ok(None) };
    let kept = old.and_then(|old| old.access.as_ref()).filter(|writer| writer.writes_to(&log.target));
    match kept {
        Some(writer) => Ok(Some(Arc::clone(writer))),
        None => AccessWriter::open(&log.target).map(|writer| Some(Arc::new(writer))),
    }
}

/// What TLS is spoken with to the servers of each upstream. The system's authorities are read once, if at all.
fn load_backs(plan: &Plan) -> Result<Vec<Option<Arc<Back>>>, PrepareError> {
    let mut system = None;
    plan.upstreams.iter().map(|upstream| Ok(Back::load(upstream, &mut system)?.map(Arc::new))).collect()
}

/// The workers of this plan know nothing of each other's idle connections yet.
fn new_hand_overs(plan: &Plan) -> Vec<Arc<upstream::HandOver>> {
    plan.upstreams.iter().map(|_| Arc::new(upstream::HandOver::new())).collect()
}

/// What each listener speaks TLS with.
fn open_fronts(plan: &Plan) -> Result<Vec<Option<Arc<Front>>>, PrepareError> {
    let open = |listener: &Listener| {
        let Some(tls) = &listener.tls else { return Ok(None) };
        let front = Front::load(tls, plan.timeouts.tls_handshake);
        front.map(|front| Some(Arc::new(front))).map_err(PrepareError::new)
    };
    plan.listeners.iter().map(open).collect()
}

fn open_root(action: &Action) -> Result<Option<Arc<fs::Root>>, PrepareError> {
    let Action::Files(files) = action else { return Ok(None) };
    let links = match files.symlinks {
        Symlinks::Beneath => fs::Links::Beneath,
        Symlinks::Refuse => fs::Links::Refuse,
        Symlinks::Follow => fs::Links::Follow,
    };
    match fs::Root::open_with(&files.root, links) {
        Ok(root) => Ok(Some(Arc::new(root))),
        Err(e) => Err(PrepareError::new(format!("the root {} cannot be opened: {e}", files.root.display()))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The configuration has looked at the file, but what it reads now is something else.
    #[test]
    fn a_page_that_became_a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("404.html");
        std::fs::write(&page, "lost").unwrap();
        let text = "[[route]]\npath = \"/*\"\nrespond = { status = 404 }\nerror_pages = { \"404\" = \"404.html\" }\n";
        let plan = config::parse_with(text, "a test", folder.path(), &|_: &str| None).unwrap().plan;
        let (send, receive) = std::sync::mpsc::channel();
        std::fs::remove_file(&page).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&page).status().unwrap().success());
        std::thread::spawn(move || send.send(Prepared::new(plan).map(|_| ()).map_err(|e| e.to_string())));
        let prepared = receive.recv_timeout(std::time::Duration::from_secs(20)).expect("nothing waits for the pipe");
        assert!(prepared.is_err_and(|why| why.ends_with("404.html cannot be read: it is no regular file")));
    }

    /// What the configuration lets through can be prepared: every mistake is found there, with its line.
    #[test]
    fn what_config_accepts_is_accepted_here() {
        let folder = Path::new("../config/tests/golden");
        let mut prepared = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let environment = |_: &str| Some("4".to_owned());
            if let Ok(loaded) = config::parse_with(&text, "a golden file", folder, &environment) {
                Prepared::new(loaded.plan).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                prepared += 1;
            }
        }
        assert!(prepared >= 5, "only {prepared} golden files are right");
    }
}
