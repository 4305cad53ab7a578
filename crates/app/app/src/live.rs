//! Live reload, for `server --dev`: pages get a script that listens for changes and loads the page again, or only its style sheets.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buf::Shared;
use event_loop::{now, race, within};
use fs::Changes;
use message::{BodyLength, FieldsBuilder, Known, Method, ResponseHead};
use observe::{Failure, Kind};
use serve::{Chunk, Exchange};

/// Where the script is. Names that begin with a dot are not served otherwise.
const SCRIPT_PATH: &str = "/.tollgate/live.js";
/// Where changes are told.
const EVENTS_PATH: &str = "/.tollgate/changes";

const SCRIPT: &str = include_str!("live/live.js");

/// Pages that may listen at a time, on each worker.
const LISTENERS_MAX: usize = 64;

/// So many changes are kept. A page that has missed more is loaded again.
const RECENT: usize = 16;

/// A line now and then, so that a browser that is gone without a word is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What the live pages of a worker share.
pub(crate) struct LivePages {
    /// Counts the changes, over all workers alike.
    version: Cell<u64>,
    /// The changes last told of, in order: a page may come to listen behind some, and several may come while it is told of one.
    recent: RefCell<VecDeque<Change>>,
    /// What is put to the end of each page.
    suffix: Rc<RefCell<Arc<str>>>,
    listeners: Cell<usize>,
    waiting: RefCell<Vec<Waker>>,
    closed: Cell<bool>,
}

struct Change {
    /// The version before it.
    before: u64,
    /// What changed; none when too much did.
    names: Option<Vec<PathBuf>>,
}

impl LivePages {
    /// `version`: from where changes are counted.
    pub(crate) fn new(version: u64) -> Rc<LivePages> {
        Rc::new(LivePages {
            version: Cell::new(version),
            recent: RefCell::default(),
            suffix: Rc::new(RefCell::new(suffix(version))),
            listeners: Cell::new(0),
            waiting: RefCell::default(),
            closed: Cell::new(false),
        })
    }

    /// What is put to the end of each page; it says which changes the page has seen.
    pub(crate) fn suffix(&self) -> Rc<RefCell<Arc<str>>> {
        Rc::clone(&self.suffix)
    }

    /// Tells all pages of a change, if it is one of what they may have loaded.
    pub(crate) fn changed(&self, changes: &Changes, version: u64) {
        let names = changes.lasting_names().map(|names| names.filter(|name| is_seen(name)).cloned());
        let names: Option<Vec<PathBuf>> = names.map(Iterator::collect);
        if names.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        let before = self.version.replace(version);
        let mut recent = self.recent.borrow_mut();
        if recent.len() >= RECENT {
            recent.pop_front();
        }
        recent.push_back(Change { before, names });
        drop(recent);
        self.suffix.replace(suffix(version));
        self.wake();
    }

    /// Ends what listens: the worker is to stop.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.wake();
    }

    fn wake(&self) {
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// Ready when there is something that a page that has seen `seen` does not know.
    fn poll_news(&self, seen: u64, cx: &Context<'_>) -> Poll<Result<(), Failure>> {
        if self.closed.get() || self.version.get() != seen {
            return Poll::Ready(Ok(()));
        }
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// What is told of the state after `seen`: without names where not all that changed can be named.
    fn event(&self, seen: Option<u64>, root: &Path) -> String {
        let recent = self.recent.borrow();
        let first = recent.iter().position(|change| Some(change.before) == seen).unwrap_or(recent.len());
        let names: Option<Vec<&[PathBuf]>> = recent.range(first..).map(|change| change.names.as_deref()).collect();
        let names = names.unwrap_or_default().concat();
        let names = names.iter().filter_map(|name| name.strip_prefix(root).ok());
        let names: Vec<String> = names.map(|name| json_text(&format!("/{}", name.to_string_lossy()))).collect();
        format!("data: {{\"version\":{},\"changed\":[{}]}}\n\n", self.version.get(), names.join(","))
    }
}

/// Whether a page can have to do with that name: not with those that are never served, nor with those that editors give to what they keep
/// beside a file (`style.css~`, `#style.css#`).
fn is_seen(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let is_backup = name.ends_with(b"~") || name.starts_with(b"#") && name.ends_with(b"#");
    !name.starts_with(b".") && !is_backup
}

fn suffix(version: u64) -> Arc<str> {
    format!("\n<script src=\"{SCRIPT_PATH}?{version}\"></script>\n").into()
}

fn json_text(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c.is_control() => json += &format!("\\u{:04x}", c as u32),
            c => json.push(c),
        }
    }
    json + "\""
}

/// What a request is for, if it is for this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Script,
    Changes,
}

impl Asked {
    pub(crate) fn of(path: &[u8]) -> Option<Asked> {
        match path {
            _ if path == SCRIPT_PATH.as_bytes() => Some(Asked::Script),
            _ if path == EVENTS_PATH.as_bytes() => Some(Asked::Changes),
            _ => None,
        }
    }
}

/// One page's listening; counted out on drop.
struct Listening<'p>(&'p LivePages);

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.listeners.set(self.0.listeners.get() - 1);
    }
}

fn head(content_type: &[u8], body: BodyLength) -> ResponseHead {
    let mut fields = FieldsBuilder::new();
    fields.push_known(Known::CacheControl, b"Cache-Control", b"no-store");
    fields.push_known(Known::ContentType, b"Content-Type", content_type);
    fields.push(b"X-Content-Type-Options", b"nosniff");
    ResponseHead::new(200, fields.finish(), body)
}

/// Answers a request for the script.
pub(crate) fn send_script(exchange: &mut Exchange<'_>) -> Result<(), Failure> {
    let length = BodyLength::Known(SCRIPT.len() as u64);
    exchange.response.start(&head(b"text/javascript; charset=utf-8", length));
    exchange.response.push(Chunk::Static(SCRIPT.as_bytes()))?;
    exchange.response.finish(None)
}

/// Which changes a page has seen that comes to listen: its script puts that behind the question mark.
fn seen_by(query: Option<&[u8]>) -> Option<u64> {
    std::str::from_utf8(query?).ok()?.parse().ok()
}

/// Tells a page of changes as server-sent events, for as long as it listens.
pub(crate) async fn send_changes(pages: &LivePages, root: &Path, exchange: &mut Exchange<'_>) -> Result<(), Failure> {
    if exchange.request.method == Method::Head {
        exchange.response.start(&head(b"text/event-stream", BodyLength::Streamed));
        return exchange.response.finish(None);
    }
    if pages.listeners.get() >= LISTENERS_MAX {
        return Err(Failure::because(Kind::Overload, "So many pages listen for changes already that this one cannot."));
    }
    pages.listeners.set(pages.listeners.get() + 1);
    let _listening = Listening(pages);
    let (client, seen) = (exchange.client, seen_by(exchange.request.query_bytes()));
    let response = &mut exchange.response;
    response.start(&head(b"text/event-stream", BodyLength::Streamed));
    let mut text = pages.event(seen, root);
    while !pages.closed.get() {
        let known = pages.version.get();
        response.push(Chunk::Shared(Shared::copy_of(text.as_bytes())))?;
        std::future::poll_fn(|cx| response.poll_flush(cx)).await?;
        let news = std::future::poll_fn(|cx| pages.poll_news(known, cx));
        let gone = async { Err(std::future::poll_fn(|cx| client.poll_closed(cx)).await) };
        within(now().after(HEARTBEAT), race(news, gone)).await.unwrap_or(Ok(()))?;
        text = if pages.version.get() == known { String::from(":\n\n") } else { pages.event(Some(known), root) };
    }
    response.close_after();
    response.finish(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(names: &[&str]) -> Changes {
        let mut changes = Changes::default();
        changes.names.extend(names.iter().map(PathBuf::from));
        changes
    }

    #[test]
    fn a_page_is_told_what_changed_if_it_missed_nothing() {
        let pages = LivePages::new(0);
        pages.changed(&changes(&["/srv/page"]), 6);
        pages.changed(&changes(&["/srv/a/x.css", "/srv/\"\n"]), 7);
        let root = Path::new("/srv");
        let told = pages.event(Some(6), root);
        assert_eq!(told, "data: {\"version\":7,\"changed\":[\"/a/x.css\",\"/\\\"\\u000a\"]}\n\n");
        let told = pages.event(Some(0), root);
        assert_eq!(
            told, "data: {\"version\":7,\"changed\":[\"/page\",\"/a/x.css\",\"/\\\"\\u000a\"]}\n\n",
            "two at once"
        );
        for seen in [None, Some(5), Some(7)] {
            assert_eq!(pages.event(seen, root), "data: {\"version\":7,\"changed\":[]}\n\n");
        }
        assert!(pages.suffix().borrow().contains("live.js?7\""));
        let (mut too_much, mut folder) = (changes(&["/srv/x.css"]), changes(&["/srv/a"]));
        (too_much.all, folder.folder_moved) = (true, true);
        for (version, told) in [(8, too_much), (9, folder)] {
            pages.changed(&told, version);
            for seen in [version - 1, 6] {
                let event = pages.event(Some(seen), root);
                assert_eq!(event, format!("data: {{\"version\":{version},\"changed\":[]}}\n\n"));
            }
        }
        for version in 10..40 {
            pages.changed(&changes(&["/srv/x.css"]), version);
        }
        let names = |seen| pages.event(Some(seen), root).matches("/x.css").count();
        assert_eq!((names(38), names(23), names(22)), (1, RECENT, 0), "who missed more cannot be told");
    }

    #[test]
    fn a_page_says_what_it_has_seen() {
        assert_eq!(seen_by(Some(b"17")), Some(17));
        for query in [None, Some(&b""[..]), Some(b"NaN"), Some(b"-1"), Some(b"1&2"), Some(b"99999999999999999999")] {
            assert_eq!(seen_by(query), None);
        }
    }

    #[test]
    fn what_no_page_sees_is_no_news() {
        let pages = LivePages::new(0);
        pages.changed(&changes(&["/srv/.page.swp", "/srv/page~", "/srv/#page#", "/srv/.#page"]), 6);
        assert!(pages.suffix().borrow().contains("live.js?0\""));
        pages.changed(&changes(&["/srv/.x.swp", "/srv/x.css", "/srv/x.css~"]), 7);
        let told = pages.event(Some(0), Path::new("/srv"));
        assert_eq!(told, "data: {\"version\":7,\"changed\":[\"/x.css\"]}\n\n");
    }
}
