//! TLS 1.2 and 1.3 without sockets: rustls with aws-lc-rs, through its unbuffered interface, so that all buffers are the
//! worker's and an idle connection holds none.
//!
//! * [`Session`] is the machine of one connection, on either side: ciphertext in, plaintext out, and the reverse.
//! * [`ServerConfig`] and [`ClientConfig`] are built once from bytes and shared. [`Identity`] is a certificate with its key,
//!   checked; [`Roots`] is who is believed; [`Tickets`] resumes sessions.
//! * [`Error`] says in words why a connection failed, and [`Error::reason`] in one of a closed set.
//! * [`Certificate`] reads what a certificate says about itself.
//!
//! Knows no socket. The time of day, by which certificates are judged and ticket keys change, is rustls' own affair.

mod certificate;
mod client;
mod crl;
mod der;
mod distinguished_name;
mod error;
mod flight;
mod gather;
mod good_until;
mod identity;
mod ocsp;
mod pem;
mod schedule;
mod sentence;
mod server;
mod session;
mod sni;
mod step;
mod tickets;

pub use certificate::{Certificate, ClientCertificate, fingerprint};
pub use client::{ClientConfig, ClientOptions, Roots, server_name};
pub use error::{Error, Failed, Reason, Role};
pub use flight::Flight;
pub use identity::{ConfigError, Identity, Input, ShownTo};
pub use rustls_pki_types::{CertificateDer, ServerName};
pub use server::{ClientAuth, Group, KeyExchange, ServerConfig, ServerOptions, Versions};
pub use session::{IdleSession, Received, Session};
pub use sni::never_shown;
pub use tickets::{Secret, Tickets};
