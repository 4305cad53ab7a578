//! What happens to servers, as the log is told of it.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use balance::ServerId;
use clock::Tick;
use event_loop::now;
use observe::{Failure, Kind, Level};

use crate::server::Server;
use crate::upstream::{PASSED_OVER, Upstream};

/// Of what a server does again and again, one is told in so much time.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// How often the log says of a server that a request to it was tried again.
const RETRY_TOLD_EVERY: Duration = Duration::from_secs(1);

/// What happens to a server.
pub enum News<'a> {
    /// It goes down, is ejected or passed over (at level warn), or comes back. Each worker finds that out for itself.
    Change {
        /// What of it changes.
        topic: Topic,
        /// Whose server it is.
        upstream: &'a str,
        /// The server.
        server: &'a str,
        /// Worse or better.
        level: Level,
        /// What happened.
        sentence: &'a str,
    },
    /// It is ejected: to be counted. What is to be told of it comes as a change besides.
    Ejected,
    /// It did something wrong of which no client learns: to be counted, too.
    Verdict {
        /// What it did.
        failure: &'a Failure,
        /// Whether that is to be told, and how many of the kind were not since the last that was.
        unsaid: Option<u32>,
    },
}

/// What of a server changes, independently of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Whether it can be connected to.
    Connecting,
    /// Whether it is ejected.
    Ejection,
    /// What its checks come to.
    Checks,
    /// Whether its name can be looked up.
    Name,
    /// Whether one of its name's addresses can be connected to.
    Address,
    /// What became of single requests.
    Tries,
    /// Whether its idle connections still lead to it.
    Idling,
}

/// Who is told what happens to servers.
pub type Say = Rc<dyn Fn(News<'_>)>;

/// When something was told last, and how often it was not since.
#[derive(Debug, Default)]
pub(crate) struct Told {
    last: Cell<Option<Tick>>,
    unsaid: Cell<u32>,
}

impl Told {
    /// Whether it is to be told this time, which is once in `every`, and how many before it were not.
    pub(crate) fn is_due(&self, now: Tick, every: Duration) -> Option<u32> {
        if self.last.get().is_some_and(|last| now.since(last) < every) {
            self.unsaid.set(self.unsaid.get().saturating_add(1));
            return None;
        }
        self.last.set(Some(now));
        Some(self.unsaid.take())
    }
}

impl Upstream {
    pub(crate) fn say(&self, topic: Topic, server: &Server, level: Level, sentence: fmt::Arguments<'_>) {
        let (upstream, server) = (&*self.options().name, server.text());
        self.tell(News::Change { topic, upstream, server, level, sentence: &sentence.to_string() });
    }

    /// Counts that `server` sent bytes that nobody had asked for, and tells of it now and then: who does so does it with each answer. They
    /// go nowhere, and their connection is closed.
    #[cold]
    pub fn tell_excess(&self, server: ServerId, sentence: fmt::Arguments<'_>) {
        let Some(server) = self.server(server) else { return };
        let unsaid = server.excess.is_due(now(), TOLD_EVERY);
        let text = server.text();
        let sentence = format!("upstream {} {text} {sentence}", self.options().name);
        let failure = Failure::because(Kind::UpstreamExcess, sentence).with_server(text);
        self.tell(News::Verdict { failure: &failure, unsaid });
    }

    /// Tells of a try that `server` failed, and of which no client learns since another follows. Once a second: a server that dies
    /// may take thousands of requests with it.
    #[cold]
    pub fn tell_retried(&self, server: ServerId, level: Level, what: impl fmt::Display) {
        let Some(state) = self.server(server) else { return };
        if state.retried.is_due(now(), RETRY_TOLD_EVERY).is_some() {
            self.say(Topic::Tries, state, level, format_args!("{what}; the request was tried again"));
        }
    }

    /// An idle connection to `server` turned out to lead nowhere, which no closed one does: the others are let go of, since each would cost a
    /// request the same time.
    #[cold]
    pub fn distrust(&self, server: ServerId) {
        let Some(server) = self.server(server) else { return };
        server.pool.clear();
        if server.silence.is_due(now(), TOLD_EVERY).is_some() {
            let (name, text, connect) = (&self.options().name, server.text(), self.options().timeouts.connect);
            let sentence = format_args!(
                "upstream {name} {text} acknowledged nothing on an idle connection within {connect:?}: its machine is gone, or a firewall forgot \
                 the connection (keep_alive.idle_timeout should be shorter than its patience); its idle connections were closed, and requests that \
                 may be repeated go out on new ones (more of the kind within a minute are not told)"
            );
            self.say(Topic::Idling, server, Level::Warn, sentence);
        }
    }

    /// Says which of a server's addresses cannot be connected to, since requests go to the others, and which can again.
    pub(crate) fn tell_of_addresses(&self, server: &Server) {
        let (name, text) = (&self.options().name, server.text());
        for (address, why) in server.untold.take() {
            let (level, what) = match why {
                Some(why) => (Level::Warn, format!(": {why}; requests go to the name's other addresses first")),
                None => (Level::Info, " can be connected to again".into()),
            };
            let sentence = format!("upstream {name} {text} at {address}{what}");
            let address = address.to_string();
            self.tell(News::Change {
                topic: Topic::Address,
                upstream: name,
                server: &address,
                level,
                sentence: &sentence,
            });
        }
    }

    /// Says when a name cannot be looked up any more, and when it can again.
    pub(crate) fn tell_of_name(&self, server: &Server, was_unknown: &mut bool) {
        let (name, text) = (&self.options().name, server.text());
        let unknown = server.look_up_error();
        let is_unknown = unknown.is_some();
        match unknown {
            Some(why) if !*was_unknown => {
                let meanwhile = if server.has_addresses() { "its addresses stay in use" } else { PASSED_OVER };
                let every = self.options().resolve;
                let what = format_args!(
                    "the name could not be looked up: {why}; {meanwhile}, and looked up again every {every:?}"
                );
                self.say(Topic::Name, server, Level::Warn, format_args!("upstream {name} {text}: {what}"));
            }
            None if *was_unknown => {
                self.say(Topic::Name, server, Level::Info, format_args!("upstream {name} {text}: the name was found"));
            }
            _ => {}
        }
        *was_unknown = is_unknown;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_minute_is_told_and_how_many_were_not() {
        let told = Told::default();
        let at = |seconds: u32| Tick(seconds * 1000);
        assert_eq!(
            [0, 1, 59, 60, 61, 200].map(|seconds| told.is_due(at(seconds), TOLD_EVERY)),
            [Some(0), None, None, Some(2), None, Some(1)]
        );
    }
}
