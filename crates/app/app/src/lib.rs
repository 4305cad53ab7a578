//! Composition: from a [`config::Plan`] to workers that serve it, and the life of the process around them.
//!
//! * [`Prepared`] is a plan with everything that can fail done: routers built, roots opened. Shared by all workers.
//! * [`Site`] is one worker's form of it: handlers, pools, caches.
//! * [`run`] binds, starts the workers, and listens to signals: SIGHUP reloads, SIGUSR1 opens
//!   the access log again, SIGTERM and SIGINT drain and stop.
//!
//! The only place that knows all crates; no algorithm lives here.

mod access;
mod access_log;
mod admin_listener;
mod certificates;
mod control;
mod demo;
mod dev_certificate;
mod facts;
mod fields;
mod handlers;
mod heap;
mod heard;
mod listeners;
mod live;
mod log;
mod notices;
mod orders;
mod prepared;
mod program;
mod reload;
mod report;
mod site;
mod socket_file;
mod split;
pub mod stray;
mod tls_back;
mod tls_front;
mod upstreams;
mod worker;

pub use control::{OnListening, Source, Start, run};
pub use demo::{DEMO_ADDRESS, run as run_demo};
pub use dev_certificate::{
    check_for_localhost as check_localhost_certificate, for_localhost as localhost_certificate,
    make as make_dev_certificate,
};
pub use log::{Log, stderr as log_to_stderr};
pub use prepared::{PrepareError, Prepared};
pub use program::{main, parse_workers};
pub use site::{Resources, Site};
