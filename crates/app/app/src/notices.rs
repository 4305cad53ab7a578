//! The thread that waits for notices of changed files, and tells the workers.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use event_loop::Remote;
use fs::{Changes, Notices};

use crate::log::Log;
use crate::worker;

/// The workers are told at most so often: each time they go through what they hold.
const PACE: Duration = Duration::from_millis(25);

/// A change is told so long after it came, with what has come by then: a file is emptied and written in two steps.
const SOON: Duration = Duration::from_millis(5);

/// Where pages are loaded again, a change is told when nothing has changed for so long: programs that build a site write many files.
const QUIET: Duration = Duration::from_millis(80);

/// But not later than after so many quiet times.
const QUIETS_MAX: u32 = 25;

/// Who tells of changes, where the system can. Where it cannot, `are_pages_live` makes that a warning: they would be so in vain.
pub(crate) fn open(are_pages_live: bool, log: &Log) -> Option<Arc<Notices>> {
    let no_notices = |e: &std::io::Error| match are_pages_live {
        true => log.warn(format_args!(
            "pages do not reload by themselves: the system does not tell of changed files ({e}; see \
             fs.inotify.max_user_instances)"
        )),
        false => {
            log.info(format_args!("no notices of changed files ({e}): open files are looked at once a second instead"));
        }
    };
    let theirs = log.clone();
    let no_watch = move |e: std::io::Error| match are_pages_live {
        true => theirs.warn(format_args!(
            "not every page reloads by itself: the system does not watch another folder ({e}; see \
             fs.inotify.max_user_watches)"
        )),
        false => theirs.info(format_args!(
            "no notices of what changes in some folders ({e}; see fs.inotify.max_user_watches): open files there are \
             looked at once a second instead"
        )),
    };
    Some(Arc::new(Notices::new().inspect_err(no_notices).ok()?.telling(no_watch)))
}

/// From where changes are counted: a number that no earlier run of the program has given, so that a page of one of those is known.
pub(crate) fn first_version() -> u64 {
    static FIRST: OnceLock<u64> = OnceLock::new();
    *FIRST.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64))
}

/// Tells `workers` of changes from now on, for as long as the process lives.
pub(crate) fn tell(notices: Arc<Notices>, workers: Vec<Remote>, are_pages_live: bool, log: Log) {
    let mut version = first_version();
    let mut last = None::<Instant>;
    let tell = move || loop {
        let mut changes = match notices.wait() {
            Ok(changes) => changes,
            Err(why) => {
                log.error(format_args!("notices of changed files have ended ({why}); changes show within ten seconds"));
                return;
            }
        };
        if changes.is_empty() {
            continue;
        }
        if !are_pages_live {
            let since = last.map_or(PACE, |last| last.elapsed());
            // Nobody wakes it: a sleep.
            std::thread::park_timeout(PACE.saturating_sub(since).max(SOON));
        }
        let (times, pause) = if are_pages_live { (QUIETS_MAX, QUIET) } else { (1, Duration::ZERO) };
        for _ in 0..times {
            if !notices.is_pending(pause) {
                break;
            }
            match notices.wait() {
                Ok(more) => changes.merge(more),
                Err(_) => break,
            }
        }
        version += 1;
        last = Some(Instant::now());
        let told = Arc::new(changes);
        workers.iter().for_each(|remote| worker::tell_changes(remote, Arc::<Changes>::clone(&told), version));
    };
    // Without the thread nothing is vouched for by it for longer than ten seconds.
    let _ = std::thread::Builder::new().name("notices".into()).spawn(tell);
}
