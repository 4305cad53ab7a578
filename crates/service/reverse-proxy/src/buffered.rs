//! A request's body that is read whole before a server is asked.

use std::rc::Rc;

use forward::FieldRules;
use message::{BodyLength, Fields};
use observe::Failure;
use serve::{BodyChunk, Exchange};

use crate::heads::passed_trailers;

/// The whole body, which can be sent as often as is needed.
pub(crate) struct Buffered {
    pub(crate) bytes: Rc<[u8]>,
    pub(crate) trailers: Option<Fields>,
}

impl Buffered {
    /// Reads the body of `exchange` to its end, and of its trailers what `rules` let pass. The route's limit is what bounds it.
    ///
    /// # Errors
    /// What became of the client, or of its body.
    pub(crate) async fn read(exchange: &mut Exchange<'_>, rules: &FieldRules) -> Result<Buffered, Failure> {
        let mut bytes = Vec::new();
        let mut trailers = None;
        loop {
            match exchange.body.chunk().await? {
                BodyChunk::Data(piece) => bytes.extend_from_slice(&piece),
                BodyChunk::Trailers(fields) => trailers = Some(passed_trailers(&fields, rules)),
                BodyChunk::End => return Ok(Buffered { bytes: bytes.into(), trailers }),
            }
        }
    }

    /// How it is sent: with its length, which is known by now, unless trailers follow it.
    pub(crate) fn length(&self, received: BodyLength) -> BodyLength {
        match (received, &self.trailers) {
            (BodyLength::Streamed, None) => BodyLength::Known(self.bytes.len() as u64),
            _ => received,
        }
    }
}
