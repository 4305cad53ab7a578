//! The client's reading side: any bytes, cut any way, as answers to several methods.
#![no_main]

use http1::Limits;
use http1_fuzz::{TIGHT, client, cut_every_way, seed_of};
use libfuzzer_sys::fuzz_target;
use message::Method;

fuzz_target!(|bytes: &[u8]| {
    cut_every_way(bytes, |pieces, class| client(pieces, Method::Get, class, &Limits::default()));
    cut_every_way(bytes, |pieces, class| client(pieces, Method::Get, class, &TIGHT));
    let other = if seed_of(bytes).is_multiple_of(2) { Method::Head } else { Method::Connect };
    cut_every_way(bytes, |pieces, class| client(pieces, other, class, &Limits::default()));
});
