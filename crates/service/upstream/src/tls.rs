//! TLS to a server.

use std::fmt;
use std::io;

use clock::Tick;
use event_loop::within;
use net::{HandshakeFailure, Stream, connect_tls};
use observe::{Failure, Kind};
use tls::{ClientConfig, ServerName};

/// What TLS is spoken with to one server, on one worker. Two are the same when they were made from the same: then the
/// connections and sessions of the one serve for the other.
#[derive(Clone, Debug)]
pub struct Tls {
    config: ClientConfig,
    name: ServerName<'static>,
    made_from: String,
}

impl Tls {
    /// A server that must be `name`. `made_from` stands for all that went into `config`, a digest of the files for example.
    /// Sessions are kept in the configuration: give each server one of its own.
    pub fn new(config: ClientConfig, name: ServerName<'static>, made_from: String) -> Tls {
        Tls { config, name, made_from }
    }

    /// The handshake, until `by`.
    pub(crate) async fn connect(&self, stream: Stream, by: Tick) -> Result<Stream, Failed> {
        match within(by, connect_tls(stream, &self.config, self.name.clone())).await {
            Some(Ok(stream)) => Ok(stream),
            Some(Err(failure)) => Err(Failed::Handshake(failure)),
            None => Err(Failed::TooLate),
        }
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Tls) -> bool {
        self.name == other.name && self.made_from == other.made_from
    }
}

/// Why there is no TLS.
pub(crate) enum Failed {
    Handshake(HandshakeFailure),
    TooLate,
}

impl Failed {
    /// As a failure of `server`, in a sentence.
    pub(crate) fn of(&self, server: fmt::Arguments<'_>, timeout_text: &str) -> Failure {
        let failure = match self {
            Failed::Handshake(failure) => failure,
            Failed::TooLate => {
                let sentence = format!("{server} did not complete the TLS handshake within {timeout_text}");
                return Failure::because(Kind::ConnectTimeout, sentence);
            }
        };
        let why = match failure.tls() {
            Some(error) => error.to_string(),
            None => broken(&failure.error),
        };
        Failure::because(Kind::UpstreamTls, format!("{server}: no TLS connection could be made: {why}"))
    }
}

fn broken(error: &io::Error) -> String {
    format!("The connection broke during the handshake ({error}).")
}
