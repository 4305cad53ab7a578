//! Live reload, for `server --dev`: pages get a script that listens for changes and loads the page again, or only its style sheets.

use std::cell::{Cell, RefCell};
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

/// A line now and then, so that a browser that is gone without a word is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What the live pages of a worker share.
pub(crate) struct LivePages {
    /// Counts the changes, over all workers alike.
    version: Cell<u64>,
    /// The version before that.
    previous: Cell<u64>,
    /// What changed last; empty when too much did.
    names: RefCell<Rc<[PathBuf]>>,
    /// What is put to the end of each page.
    suffix: Rc<RefCell<Arc<str>>>,
    listeners: Cell<usize>,
    waiting: RefCell<Vec<Waker>>,
    closed: Cell<bool>,
}

impl LivePages {
    pub(crate) fn new() -> Rc<LivePages> {
        Rc::new(LivePages {
            version: Cell::new(0),
            previous: Cell::new(0),
            names: RefCell::new([].into()),
            suffix: Rc::new(RefCell::new(suffix(0))),
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
        self.previous.set(self.version.replace(version));
        self.names.replace(names.unwrap_or_default().into());
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

    /// What is told of the state after `seen`.
    fn event(&self, seen: Option<u64>, root: &Path) -> String {
        let version = self.version.get();
        let is_next = seen.is_some_and(|seen| seen == self.previous.get() && seen != version);
        let names = self.names.borrow();
        let names = names.iter().filter(|_| is_next).filter_map(|name| name.strip_prefix(root).ok());
        let names: Vec<String> = names.map(|name| json_text(&format!("/{}", name.to_string_lossy()))).collect();
        format!("data: {{\"version\":{version},\"changed\":[{}]}}\n\n", names.join(","))
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
    let client = exchange.client;
    let response = &mut exchange.response;
    response.start(&head(b"text/event-stream", BodyLength::Streamed));
    let mut seen = None;
    while !pages.closed.get() {
        let text = match seen {
            Some(seen) if seen == pages.version.get() => String::from(":\n\n"),
            seen => pages.event(seen, root),
        };
        seen = Some(pages.version.get());
        response.push(Chunk::Shared(Shared::copy_of(text.as_bytes())))?;
        std::future::poll_fn(|cx| response.poll_flush(cx)).await?;
        let known = seen.unwrap_or_default();
        let news = std::future::poll_fn(|cx| pages.poll_news(known, cx));
        let gone = async { Err(std::future::poll_fn(|cx| client.poll_closed(cx)).await) };
        within(now().after(HEARTBEAT), race(news, gone)).await.unwrap_or(Ok(()))?;
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
        let pages = LivePages::new();
        pages.changed(&changes(&["/srv/page"]), 6);
        pages.changed(&changes(&["/srv/a/x.css", "/srv/\"\n"]), 7);
        let root = Path::new("/srv");
        let told = pages.event(Some(6), root);
        assert_eq!(told, "data: {\"version\":7,\"changed\":[\"/a/x.css\",\"/\\\"\\u000a\"]}\n\n");
        for seen in [None, Some(5), Some(7)] {
            assert_eq!(pages.event(seen, root), "data: {\"version\":7,\"changed\":[]}\n\n");
        }
        assert!(pages.suffix().borrow().contains("live.js?7\""));
        let (mut too_much, mut folder) = (changes(&["/srv/x.css"]), changes(&["/srv/a"]));
        (too_much.all, folder.folder_moved) = (true, true);
        for (version, told) in [(8, too_much), (9, folder)] {
            pages.changed(&told, version);
            let event = pages.event(Some(version - 1), root);
            assert_eq!(event, format!("data: {{\"version\":{version},\"changed\":[]}}\n\n"));
        }
    }

    #[test]
    fn what_no_page_sees_is_no_news() {
        let pages = LivePages::new();
        pages.changed(&changes(&["/srv/.page.swp", "/srv/page~", "/srv/#page#", "/srv/.#page"]), 6);
        assert!(pages.suffix().borrow().contains("live.js?0\""));
        pages.changed(&changes(&["/srv/.x.swp", "/srv/x.css", "/srv/x.css~"]), 7);
        let told = pages.event(Some(0), Path::new("/srv"));
        assert_eq!(told, "data: {\"version\":7,\"changed\":[\"/x.css\"]}\n\n");
    }
}
