//! Tests of both pairs of machines, from the outside.

mod bodies;
mod encoders;
mod limits;
mod observe;
mod requests;
mod responses;
mod round_trips;
mod splits;
mod targets;
