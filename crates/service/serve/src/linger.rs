//! Closing a connection that may still be sending (RFC 9112 §9.6).

use std::time::Duration;

use buf::ReadBuf;
use event_loop::now;
use net::Transport;

use crate::deadlines::Kind;
use crate::wire::Wire;

/// How long, and how much, is read and dropped before the close.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 << 10;

/// Writes what is queued, says that nothing follows, then reads and drops what the client still sends for a moment: closing
/// with unread input would send a reset, and that could destroy the answer before the client has read it.
pub(crate) async fn close(wire: &Wire<'_>, input: &mut ReadBuf) {
    wire.deadlines.clear_all();
    if wire.flush().await.is_err() {
        // Bytes are lost. Where the close is the end of the body, only a reset shows that.
        wire.stream.reset_on_close();
        return;
    }
    if wire.stream.shutdown_write().is_err() {
        return;
    }
    wire.deadlines.clear_all();
    wire.deadlines.set(Kind::Linger, now().after(LINGER));
    let mut dropped = input.len();
    input.clear();
    while dropped < LINGER_BYTES {
        match std::future::poll_fn(|cx| wire.stream.poll_read(cx, input)).await {
            Ok(0) | Err(_) => return,
            Ok(n) => {
                dropped += n;
                input.clear();
            }
        }
    }
}
