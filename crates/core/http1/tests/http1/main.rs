//! Tests of both pairs of machines, from the outside.

mod bodies;
mod encoders;
mod heads_in_place;
mod limits;
#[allow(unreachable_pub, reason = "the fuzz targets make this module public")]
mod observe;
mod request_framing;
mod requests;
mod responses;
mod round_trips;
mod splits;
mod targets;
mod whole;
