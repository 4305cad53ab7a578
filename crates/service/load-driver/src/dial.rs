//! Making connections.

use std::io;

use event_loop::{precise, within};
use load::ErrorKind;
use net::{ConnectOptions, Stream, connect_tls, connect_with};
use tls::{ClientConfig, ServerName};

use crate::state::State;
use crate::work::{Mode, Slow};

/// Bytes that a slow reader lets the system hold for it; the kernel makes at least some 2 KiB of it.
const SLOW_READER_BUFFER: usize = 4 << 10;

/// What became of an attempt.
#[derive(Debug)]
pub(crate) struct DialError {
    pub(crate) kind: ErrorKind,
    pub(crate) text: String,
}

/// Connects the connection `number` of this worker, with its TLS handshake if there is one; counted and timed.
pub(crate) async fn dial(state: &State, number: usize) -> Result<Stream, DialError> {
    let _pass = state.gate.enter().await;
    let origin = state.origin_of(number);
    let address = &origin.addresses[number % origin.addresses.len()];
    let options = options(state, number);
    let begun = precise::nanos();
    let by = event_loop::now().after(state.work.timeouts.connect);
    let connect = async {
        let stream = connect_with(address, &options).await.map_err(|e| (kind_of(&e), e.to_string()))?;
        match (&state.work.tls, &origin.server_name) {
            (Some(config), Some(name)) => secure(stream, config, name).await,
            _ => Ok(stream),
        }
    };
    match within(by, connect).await {
        Some(Ok(stream)) => {
            let mut tally = state.tally.borrow_mut();
            tally.connected(precise::nanos() - begun);
            if let Some(session) = stream.tls() {
                tally.shook_hands(session.is_resumed());
            }
            drop(tally);
            Ok(stream)
        }
        Some(Err((kind, why))) => Err(DialError { kind, text: format!("{}: {why}", origin.name) }),
        None => {
            let text = format!("{}: no connection within {:?}", origin.name, state.work.timeouts.connect);
            Err(DialError { kind: ErrorKind::ConnectTimeout, text })
        }
    }
}

/// Makes the handshake. What ends the connection in the middle of it is told apart from what is wrong with TLS.
async fn secure(
    stream: Stream,
    config: &ClientConfig,
    name: &ServerName<'static>,
) -> Result<Stream, (ErrorKind, String)> {
    connect_tls(stream, config, name.clone()).await.map_err(|failure| match failure.tls() {
        Some(error) => (ErrorKind::Tls, error.to_string()),
        None => (kind_of(&failure.error), format!("in the TLS handshake: {}", failure.error)),
    })
}

fn options(state: &State, number: usize) -> ConnectOptions {
    let sources = &state.work.sources;
    // Workers begin at different sources, so that a few connections each still spread over all of them.
    let source = (!sources.is_empty()).then(|| sources[(number + state.work.number) % sources.len()]);
    let slow = matches!(state.work.mode, Mode::Slow(Slow::Read, _));
    ConnectOptions { source, receive_buffer: slow.then_some(SLOW_READER_BUFFER), ..ConnectOptions::default() }
}

fn kind_of(error: &io::Error) -> ErrorKind {
    // EMFILE and ENFILE have no kind of their own.
    const NO_DESCRIPTORS: [i32; 2] = [24, 23];
    match error.kind() {
        _ if error.raw_os_error().is_some_and(|code| NO_DESCRIPTORS.contains(&code)) => ErrorKind::LocalDescriptors,
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => ErrorKind::ConnectRefused,
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => ErrorKind::LocalPorts,
        io::ErrorKind::TimedOut => ErrorKind::ConnectTimeout,
        io::ErrorKind::OutOfMemory | io::ErrorKind::InvalidInput => ErrorKind::LocalOther,
        _ => ErrorKind::ConnectOther,
    }
}
