//! The origins: they check what the proxy sends them, and answer as the plan says, faults included.
//!
//! What must hold here: a request is whole and well-formed, or its connection breaks; its body is the one that its client
//! sent; what is not idempotent comes once at the most.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use event_loop::{cancel, race, sleep, spawn};
use net::memory::{MemoryListener, MemoryStream, set_weather};
use net::{Stream, Transport};
use testkit::Rng;

use crate::plan::{self, Fault, Framing, Request};
use crate::wire::{Fields, Read, Source, Stop, chunked, hash, malformed, write_all};
use crate::world::World;

/// What kind of origin it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temper {
    Calm,
    /// Closes idle connections without a word.
    Stale,
    /// Its connections may be cut at any moment.
    Wild,
}

/// Listens under `number` until the world ends.
pub(crate) async fn origin(world: Rc<World>, number: u32, temper: Temper, mut rng: Rng) {
    let listener = MemoryListener::new(number).expect("nobody else listens there");
    loop {
        set_weather(number, plan::weather(&mut rng));
        let accepted = race(async { Some(poll_fn(|cx| listener.poll_accept(cx)).await.0) }, async {
            world.ended.reaches(1).await;
            None
        });
        let Some(stream) = accepted.await else { return };
        spawn(serve(Rc::clone(&world), stream, temper, rng.fork()));
    }
}

async fn serve(world: Rc<World>, stream: MemoryStream, temper: Temper, mut rng: Rng) {
    let cutter = stream.cutter();
    let cut_after = (temper == Temper::Wild && rng.chance(1, 6)).then(|| rng.below(2000));
    let cut = cut_after.map(|ms| {
        spawn(async move {
            sleep(Duration::from_millis(ms)).await;
            cutter.cut();
        })
    });
    let stream: Rc<Stream> = Rc::new(stream.into());
    let mut source = Source::new(Rc::clone(&stream), Vec::new());
    loop {
        let patience = Duration::from_millis(if temper == Temper::Stale { 500 + rng.below(2500) } else { 10_000_000 });
        if !source.has_rest() {
            let idle = race(async { source.more().await.is_ok() }, async {
                sleep(patience).await;
                false
            });
            if !idle.await {
                break;
            }
        }
        match one(&world, &mut source, &stream).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(Stop::Ended { .. }) => break,
            Err(Stop::Malformed(what)) => {
                world.violated(format!("an origin got a broken request: {what}"));
                break;
            }
        }
    }
    if let Some(task) = cut {
        cancel(task);
    }
}

/// One exchange; whether the connection goes on.
async fn one(world: &World, source: &mut Source, stream: &Stream) -> Read<bool> {
    let (line, fields) = source.head().await?;
    let request = check_head(world, &line, &fields)?;
    let tries = world.arrived(request.id);
    if tries > 1 && !request.is_idempotent() {
        world.violated(format!("{} was sent twice: {request:?}", request.method));
    }
    if tries > 4 {
        world.violated(format!("tried {tries} times: {request:?}"));
    }
    let fault = request.answer.fault.filter(|_| tries == 1 || !request.answer.once);
    if fault == Some(Fault::Early) {
        let text = format!("HTTP/1.1 403 Forbidden\r\nX-Id: {}\r\nContent-Length: 5\r\n\r\nearly", request.id);
        let _ = write_all(stream, text.as_bytes()).await;
        let _ = stream.shutdown_write();
        // Reads on, so that no reset destroys the answer.
        while source.more().await.is_ok() {}
        return Ok(false);
    }
    let body = if fields.is_chunked()? {
        source.chunks().await?.0
    } else {
        source.exactly(fields.length()?.unwrap_or(0)).await?
    };
    if body != request.body_bytes() {
        world.violated(format!(
            "a body of {} bytes came as {} others: {request:?}",
            request.body_bytes().len(),
            body.len()
        ));
    }
    world.trace(&[3, request.id as u64, hash(&body)]);
    // A broken connection ends the exchange, whatever is still to be written.
    Ok(answer(source, stream, &request, fault, &body).await.unwrap_or(false))
}

fn check_head(world: &World, line: &str, fields: &Fields) -> Read<Request> {
    let id = fields.one("x-id")?.and_then(|id| id.parse().ok());
    let Some(request) = id.and_then(|id| world.request(id)) else { return malformed(format!("no id: {line}")) };
    if line != format!("{} {} HTTP/1.1", request.method, request.path()) {
        return malformed(format!("{line:?} for {request:?}"));
    }
    let once = |name: &str| fields.all(name).count() == 1;
    if !once("host") || !once("via") || !once("x-forwarded-for") || fields.all("connection").count() > 0 {
        return malformed(format!("fields {fields:?}"));
    }
    if fields.length()?.is_some() && fields.is_chunked()? {
        return malformed("two lengths");
    }
    Ok(request)
}

async fn answer(
    source: &mut Source,
    stream: &Stream,
    request: &Request,
    fault: Option<Fault>,
    got: &[u8],
) -> io::Result<bool> {
    let plan = &request.answer;
    sleep(Duration::from_millis(plan.pauses[0])).await;
    match fault {
        Some(Fault::Leave { reset }) => return Ok(leave(stream, reset)),
        Some(Fault::Silent) => return Ok(wait_for_the_end(source).await),
        Some(Fault::Unavailable) => {
            let text = format!("HTTP/1.1 503 No\r\nX-Id: {}\r\nContent-Length: 2\r\n\r\nno", request.id);
            let body = if request.method == "HEAD" { text.len() - 2 } else { text.len() };
            return write_all(stream, &text.as_bytes()[..body]).await.map(|()| true);
        }
        Some(Fault::Garbage) => {
            return write_all(stream, b"\x80\x01garbage\n\n").await.map(|()| false);
        }
        Some(Fault::TwoLengths) => {
            let text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd";
            return write_all(stream, text.as_bytes()).await.map(|()| false);
        }
        _ => {}
    }
    for i in 0..plan.interim {
        write_all(stream, format!("HTTP/1.1 {} Interim\r\nX-Id: {}\r\n\r\n", 102 + i % 2, request.id).as_bytes())
            .await?;
    }
    let (head, body) = render(request, fault, got);
    write_all(stream, head.as_bytes()).await?;
    let half = body.len() / 2;
    write_all(stream, &body[..half]).await?;
    sleep(Duration::from_millis(plan.pauses[1])).await;
    match fault {
        Some(Fault::Truncate { reset }) => return Ok(leave(stream, reset)),
        Some(Fault::SilentInBody) => return Ok(wait_for_the_end(source).await),
        Some(Fault::BadChunk) => return write_all(stream, b"\r\nxyz\r\n").await.map(|()| false),
        _ => {}
    }
    write_all(stream, &body[half..]).await?;
    if fault == Some(Fault::Behind) {
        write_all(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await?;
        // Were it to go on, each of its further answers would be the one before.
        return Ok(false);
    }
    Ok(!plan.close && plan.framing != Framing::Close)
}

/// Head and framed body of the right answer.
fn render(request: &Request, fault: Option<Fault>, got: &[u8]) -> (String, Vec<u8>) {
    let plan = &request.answer;
    let body = request.answer_bytes();
    let bodiless = request.method == "HEAD" || matches!(plan.status, 204 | 304);
    let mut head = format!("HTTP/1.1 {} Planned\r\nX-Id: {}\r\n", plan.status, request.id);
    head += &format!("X-Got: {}:{:x}\r\n", got.len(), hash(got));
    // Where a body has no other end, the end of the connection need not be announced.
    if plan.close || (bodiless && plan.framing == Framing::Close) {
        head += "Connection: close\r\n";
    }
    // A fault in the body needs one whose end is known.
    let framing = match (plan.framing, fault) {
        (_, Some(Fault::BadChunk)) => Framing::Chunked(false),
        (Framing::Close, Some(Fault::Truncate { reset: false } | Fault::Behind)) => Framing::Length,
        (framing, _) => framing,
    };
    let framed = match framing {
        Framing::Length => {
            if plan.status != 204 {
                head += &format!("Content-Length: {}\r\n", plan.length);
            }
            body
        }
        Framing::Chunked(trailers) => {
            if plan.status != 204 {
                head += "Transfer-Encoding: chunked\r\n";
            }
            chunked(&body, if trailers { "X-Trailer: 1\r\n" } else { "" })
        }
        Framing::Close => body,
    };
    head += "\r\n";
    (head, if bodiless { Vec::new() } else { framed })
}

fn leave(stream: &Stream, reset: bool) -> bool {
    if reset {
        stream.reset_on_close();
    }
    false
}

async fn wait_for_the_end(source: &mut Source) -> bool {
    while source.more().await.is_ok() {}
    false
}
