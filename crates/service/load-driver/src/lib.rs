//! Drives load: connections as tasks on an event loop of their own, one worker a thread.
//!
//! [`run`] takes a [`Work`] (a worker's share of the whole, with addresses looked up and requests rendered) and reports
//! [`Event`]s: how connecting went, each second, the end. Workers share nothing but the first answer to each request.
//!
//! What is measured, and from when:
//!
//! * A request's *service time* begins when its sending begins (with a connection per request: when connecting begins) and
//!   ends when its answer was read whole. The clock is read once for the answers that one read completed, directly after
//!   it; the requests that take their place are sent at that same time.
//! * In an open loop the *response time* begins at the planned time instead. What is due goes to the connection that has
//!   been free for longest; while none is free it waits, and that wait is in the response time.
//! * An answer is right when its framing is, and when status, length and content equal the first one's. The last right answer
//!   is kept as bytes; one that equals it, date apart, needs no further reading.
//! * Everything has a deadline: connecting, an answer (from when it is the oldest that is awaited), the end of the run.
//!
//! Knows nothing of arguments, terminals and reports.

mod answer;
mod connection;
mod dial;
mod digest;
mod echo;
mod gate;
mod hold;
mod pace;
mod session;
mod slow;
mod state;
mod template;
mod words;
mod work;
mod worker;

pub use digest::Digest;
pub use state::Dials;
pub use work::{Expected, Mode, Origin, Pace, Request, Slow, Timeouts, Verify, Work};
pub use worker::{Control, Ending, Event, Listener, run};
