//! Whether an answer is the right one for its request, and which requests may be refused unread.

use crate::config::BODY_BYTES_MAX;
use crate::plan::{Fault, Framing, Request, Route};
use crate::wire::{Fields, hash};

/// Of an unread body the server skips 64 KiB; beyond that it closes. A little less, for what was read already.
const SKIPPED_MAX: usize = 60_000;

/// A complete final answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
    /// Its end was the connection's.
    pub(crate) ended: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    /// A failure that the plan explains.
    Page,
    Wrong(String),
}

/// Whether the server may answer without having read the body, and then close.
pub(crate) fn may_close_silently(request: &Request) -> bool {
    request.expect || request.body.is_some_and(|(length, _)| length > SKIPPED_MAX)
}

pub(crate) fn may_be_refused_with_a_reset(request: &Request) -> bool {
    let refused = is_too_large(request) || matches!(request.route, Route::Dead | Route::Stale | Route::Wild);
    refused && may_close_silently(request)
}

pub(crate) fn is_too_large(request: &Request) -> bool {
    request.body.is_some_and(|(length, _)| length > BODY_BYTES_MAX)
}

pub(crate) fn right_if(right: bool, why: &str) -> Verdict {
    if right { Verdict::Right } else { Verdict::Wrong(why.into()) }
}

/// An answer that an origin made.
pub(crate) fn judge_origins(request: &Request, answer: &Answer) -> Verdict {
    let plan = &request.answer;
    let head = request.method == "HEAD";
    match (plan.fault, answer.status) {
        (Some(Fault::Early), 403) => return right_if(head || answer.body == b"early", "not the early answer"),
        (Some(Fault::Unavailable), 503) => return right_if(head || answer.body == b"no", "not the 503"),
        _ => {}
    }
    if is_too_large(request) {
        return Verdict::Wrong("its body is larger than may be".into());
    }
    let got = request.body_bytes();
    let echoed = format!("{}:{:x}", got.len(), hash(&got));
    let body = if head { Vec::new() } else { request.answer_bytes() };
    if answer.status != plan.status || answer.fields.all("x-got").ne([echoed.as_str()]) {
        return Verdict::Wrong(format!("{} {:?}", answer.status, answer.fields));
    }
    if head && plan.framing == Framing::Length && !matches!(plan.status, 204 | 304) {
        let length = answer.fields.length().ok().flatten();
        if length.is_some_and(|n| n != plan.length) {
            return Verdict::Wrong(format!("HEAD says {length:?}"));
        }
    }
    let differ = format!("a body of {} bytes instead of {}", answer.body.len(), body.len());
    right_if(answer.body == body, &differ)
}
