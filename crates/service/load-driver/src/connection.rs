//! The life of a connection that sends requests.

use std::rc::Rc;
use std::task::Poll;

use event_loop::precise;
use load::ErrorKind;
use net::{Stream, Transport};

use crate::dial::{DialError, dial};
use crate::pace::Leave;
use crate::session::{Read, Session};
use crate::state::{Open, State, pause_after};
use crate::work::Mode;

/// Failures in a row, without an answer between them, after which the next attempt is made to wait.
const PATIENT_FAILURES: u32 = 8;

/// Sends requests on connection `number` until the pace says that it is over. One task.
pub(crate) async fn run(state: Rc<State>, number: usize) {
    drive(&state, number).await;
    state.gone();
}

async fn drive(state: &State, number: usize) {
    // Connections that stay are made before the clock starts, and one of the others, to see whether anybody is there.
    let mut dialled = if state.work.keep_alive || number == 0 { Some(dial(state, number).await) } else { None };
    state.tried(dialled.as_ref());
    let mut open = matches!(dialled, Some(Ok(_))).then(|| Open::new(state));
    state.begun.raised().await;
    // While the others were being made, the server may have had enough of waiting for a first request.
    if matches!(&dialled, Some(Ok(stream)) if stream.maybe_readable()) {
        (dialled, open) = (None, None);
    }
    let mut kept = None;
    let mut failures = 0u32;
    loop {
        let first = if matches!(dialled, Some(Ok(_))) && state.work.keep_alive {
            None
        } else {
            let Some(leave) = next_leave(state, number, kept.take()).await else { return };
            Some((leave, precise::nanos()))
        };
        let made = match dialled.take() {
            Some(made) => made,
            None => dial(state, number).await,
        };
        let ended = match made {
            Ok(stream) => {
                let _open = open.take().unwrap_or_else(|| Open::new(state));
                match state.work.mode {
                    Mode::Handshake => greet(state, number, &stream, first).await,
                    _ => exchange(state, number, stream, first).await,
                }
            }
            Err(DialError { kind, text }) => {
                state.fail(number, kind, || text);
                failures += 1;
                pause_after(failures).await;
                continue;
            }
        };
        kept = ended.kept;
        failures = if ended.failed { failures + 1 } else { 0 };
        if let Some(many) = failures.checked_sub(PATIENT_FAILURES) {
            pause_after(many).await;
        }
        if kept.is_none() && state.pacer.is_over(number) {
            return;
        }
    }
}

/// Leave to send, for a connection that is still to be made; `None` when there will be none.
async fn next_leave(state: &State, number: usize, kept: Option<Leave>) -> Option<Leave> {
    if kept.is_some() {
        return kept;
    }
    loop {
        if let Some(leave) = state.pacer.take(number, precise::nanos()) {
            return Some(leave);
        }
        if state.pacer.is_over(number) {
            return None;
        }
        state.pacer.queue(number);
        match std::future::poll_fn(|cx| state.pacer.poll_granted(cx, number)).await {
            Some(leave) => return Some(leave.sent_at(precise::nanos())),
            None => state.pacer.leave_line(number),
        };
    }
}

/// Counts a connection that was made and is closed again: making it was the request.
async fn greet(state: &State, number: usize, stream: &Stream, first: Option<(Leave, u64)>) -> Ended {
    // Under TLS the last message of the handshake leaves with the first look at what there is to read.
    std::future::poll_fn(|cx| {
        let _ = stream.poll_readable(cx);
        Poll::Ready(())
    })
    .await;
    let ended = Ended { kept: None, failed: false };
    let Some((leave, at)) = first else { return ended };
    let now = precise::nanos();
    let mut tally = state.tally.borrow_mut();
    tally.sent(leave.lag);
    let (service, response) = (now.saturating_sub(at), now.saturating_sub(leave.planned));
    tally.answered(None, service, response);
    if let Some(request) = state.origin_of(number).requests.first() {
        tally.target_answered(request.target, service, response);
    }
    state.last_answer.set(now);
    state.alive.set(true);
    ended
}

/// How a connection ended.
struct Ended {
    /// Leave that was given to it and not used.
    kept: Option<Leave>,
    /// It broke before it had carried a single answer.
    failed: bool,
}

/// What a connection waited for.
enum Event {
    Granted(Option<Leave>),
    Came(Result<Read, ErrorKind>),
}

/// Sends requests on an open connection until it cannot carry more or there is nothing more to send.
///
/// The clock is read once per batch of answers that came in one read; that is also when the requests which take their place
/// are sent. Only leave that was waited for reads it once more.
async fn exchange(state: &State, number: usize, stream: Stream, first: Option<(Leave, u64)>) -> Ended {
    let mut session = Session::new(state, number, stream);
    let mut in_line = false;
    let mut carried = false;
    let mut now = 0;
    if let Some((leave, at)) = first {
        session.send(leave, at);
    }
    let broken = loop {
        in_line = fill(state, number, &mut session, in_line, now);
        if session.under_way() == 0 {
            if !session.is_reusable() || (!in_line && state.pacer.is_over(number)) {
                break None;
            }
            session.disarm();
        }
        now = 0;
        let event = std::future::poll_fn(|cx| {
            if in_line && let Poll::Ready(granted) = state.pacer.poll_granted(cx, number) {
                return Poll::Ready(Event::Granted(granted));
            }
            session.poll_exchange(cx).map(Event::Came)
        });
        let result = match event.await {
            Event::Granted(granted) => {
                in_line = false;
                if let Some(leave) = granted {
                    now = precise::nanos();
                    session.send(leave.sent_at(now), now);
                }
                continue;
            }
            Event::Came(Ok(Read::Bytes)) => session.answers(&mut now),
            Event::Came(Ok(Read::End)) => session.end(&mut now),
            Event::Came(Err(kind)) => Err(kind),
        };
        carried |= now != 0;
        if let Err(kind) = result {
            break Some(kind);
        }
    };
    let kept = if in_line { state.pacer.leave_line(number) } else { None };
    if let Some(kind) = broken {
        session.abandon(kind);
    }
    Ended { kept, failed: broken.is_some() && !carried }
}

/// Sends what may be sent now; then, if there is room left, waits in line for more. Says whether it is in line.
#[inline]
fn fill(state: &State, number: usize, session: &mut Session<'_>, in_line: bool, now: u64) -> bool {
    if in_line || !session.has_room() {
        return in_line;
    }
    let now = if now == 0 { precise::nanos() } else { now };
    while session.has_room() {
        let Some(leave) = state.pacer.take(number, now) else {
            let waits = state.pacer.is_open() && !state.pacer.is_over(number);
            if waits {
                state.pacer.queue(number);
            }
            return waits;
        };
        session.send(leave, now);
    }
    false
}
