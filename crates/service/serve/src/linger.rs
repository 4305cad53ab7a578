//! Closing a connection that may still be sending (RFC 9112 §9.6).

use std::io;
use std::time::Duration;

use buf::ReadBuf;
use event_loop::now;
use net::{Stream, Transport};

use crate::context::{Context, Site};
use crate::deadlines::Kind;
use crate::wire::Wire;

/// How long is waited for more, and how long it goes on in all, before the close.
const SILENCE: Duration = Duration::from_secs(2);
const LINGER: Duration = Duration::from_secs(10);

/// How long it goes on once the worker stops: some round trips, in which the answer arrives. A client that sends on and on holds up no stop.
pub(crate) const LINGER_OF_A_STOP: Duration = Duration::from_secs(1);

/// Writes what is queued, says that nothing follows, then reads and drops what the client still sends: closing with unread input would
/// send a reset, and that destroys what of the answer the client has not read. An upload that is faster than its sender reads answers
/// may bring any number of bytes, so time alone is the bound.
pub(crate) async fn close<S: Site>(wire: &Wire<'_>, input: &mut ReadBuf, context: &Context<S>) {
    end(wire, input, context, Transport::shutdown_write).await;
}

/// The same behind an answer that is incomplete: what is queued may end with complete ones to earlier requests, and so is written.
pub(crate) async fn break_off<S: Site>(wire: &Wire<'_>, input: &mut ReadBuf, context: &Context<S>) {
    end(wire, input, context, Transport::break_off_write).await;
}

async fn end<S: Site>(
    wire: &Wire<'_>,
    input: &mut ReadBuf,
    context: &Context<S>,
    end_write: fn(&Stream) -> io::Result<()>,
) {
    wire.deadlines.clear_all();
    if wire.flush_last().await.is_err() {
        // Bytes are lost. Where the close is the end of the body, only a reset shows that.
        wire.stream.reset_on_close();
        return;
    }
    if end_write(wire.stream).is_err() {
        return;
    }
    wire.deadlines.clear_all();
    input.clear();
    let begun = now();
    loop {
        let by = begun.after(LINGER).min(now().after(SILENCE));
        wire.deadlines.set(Kind::Linger, context.linger_end(begun).map_or(by, |end| end.min(by)));
        match std::future::poll_fn(|cx| wire.stream.poll_read(cx, input)).await {
            Ok(0) | Err(_) => return,
            Ok(_) => input.clear(),
        }
    }
}
