//! The machine against itself, in memory.

mod clients;
mod common;
mod fragments;
mod handshakes;
mod hostile;
mod identities;
mod names;
mod resumption;
mod transfers;
