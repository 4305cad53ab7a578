//! Connections that are opened and left alone.

use std::rc::Rc;

use buf::{Class, ReadBuf};
use load::ErrorKind;
use net::{Stream, Transport};

use crate::dial::dial;
use crate::session::kind_of;
use crate::state::{Open, State};

/// Opens connection `number` and keeps it, idle, until the other side ends it or the worker does. One task.
pub(crate) async fn run(state: Rc<State>, number: usize) {
    let dialled = dial(&state, number).await;
    state.tried(Some(&dialled));
    match dialled {
        Ok(stream) => {
            let kind = {
                let _open = Open::new(&state);
                until_it_ends(&state, &stream).await
            };
            state.fail(number, kind, || format!("{}: a held connection ended", state.origin_of(number).name));
        }
        Err(error) => state.fail(number, error.kind, || error.text),
    }
    state.gone();
}

async fn until_it_ends(state: &State, stream: &Stream) -> ErrorKind {
    let mut input = ReadBuf::new(Class::K4);
    loop {
        match std::future::poll_fn(|cx| stream.poll_read(cx, &mut input)).await {
            Ok(0) => return ErrorKind::Closed,
            // Some protocols greet; an answer to no request is counted as bytes and otherwise nothing.
            Ok(n) => state.tally.borrow_mut().received(n as u64),
            Err(error) => return kind_of(&error),
        }
        input.clear();
    }
}
