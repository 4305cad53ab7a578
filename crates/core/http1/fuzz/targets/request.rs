//! The server's reading side: any bytes, cut any way, and sent on.
#![no_main]

use http1::Limits;
use http1_fuzz::{TIGHT, cut_every_way, relayed_the_same, server};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    cut_every_way(bytes, |pieces, class| server(pieces, class, &Limits::default()));
    cut_every_way(bytes, |pieces, class| server(pieces, class, &TIGHT));
    relayed_the_same(bytes);
});
