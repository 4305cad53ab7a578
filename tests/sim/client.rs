//! The clients: they send what the plan says and judge every answer.
//!
//! What must hold here: an answer that looks complete is the right one for its request, byte by byte, or a page that tells
//! of a failure which the plan explains; answers come in order, one for each request; a connection ends early, or an answer
//! breaks off, only where the plan explains it.

use std::future::pending;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use event_loop::{now, race, sleep, within};
use net::memory::{self, Cutter};
use net::{Stream, Transport};

use crate::config::FRONT;
use crate::plan::{Connection, Misbehaviour, Request, Route};
use crate::signal::Signal;
use crate::verdict::{
    Answer, Verdict, is_too_large, judge_origins, may_be_refused_with_a_reset, may_close_silently, right_if,
};
use crate::wire::{Read, Source, Stop, chunked, hash, malformed, write_all};
use crate::world::World;

/// No connection of a plan lasts longer, whatever goes wrong in it.
const PATIENCE: Duration = Duration::from_secs(600);

/// Makes one connection after the other.
pub(crate) async fn client(world: Rc<World>, connections: Vec<Connection>) {
    for connection in connections {
        sleep(Duration::from_millis(connection.wait)).await;
        memory::set_weather(FRONT, connection.weather);
        let Ok(stream) = memory::connect(FRONT) else {
            if !world.draining.get() {
                world.violated(format!("no connection for {connection:?}"));
            }
            break;
        };
        let cutter = stream.cutter();
        let conversation = Conversation {
            world: &world,
            plan: &connection,
            stream: Rc::new(stream.into()),
            born: world.generation.get(),
            written: Signal::default(),
            answered: Signal::default(),
            continued: Signal::default(),
        };
        if within(now().after(PATIENCE), conversation.run(cutter)).await.is_none() {
            world.violated(format!(
                "a connection hangs after {} answers: {connection:?}",
                conversation.answered.value()
            ));
        }
    }
    world.done.raise(1);
}

/// One connection under way.
struct Conversation<'w> {
    world: &'w World,
    plan: &'w Connection,
    stream: Rc<Stream>,
    /// The generation that was served when it was made.
    born: u32,
    /// Bytes written, final answers read, and the last request (from 1) whose body was asked for.
    written: Signal,
    answered: Signal,
    continued: Signal,
}

impl Conversation<'_> {
    async fn run(&self, cutter: Cutter) {
        let talk = race(self.read(), async {
            let _ = self.write().await;
            pending().await
        });
        race(talk, async {
            match self.plan.misbehaviour {
                Some(Misbehaviour::Vanish(bytes, reset)) => {
                    self.written.reaches(bytes).await;
                    if reset {
                        self.stream.reset_on_close();
                    }
                }
                Some(Misbehaviour::Cut(ms)) => {
                    sleep(Duration::from_millis(ms)).await;
                    cutter.cut();
                    pending().await
                }
                _ => pending().await,
            }
        })
        .await;
    }

    async fn write(&self) -> io::Result<()> {
        let mut pauses = self.plan.write_pauses.clone();
        if let Some(Misbehaviour::StopWriting(after, ms)) = self.plan.misbehaviour {
            pauses.push((after, ms));
        }
        pauses.sort_unstable();
        for (i, request) in self.plan.requests.iter().enumerate() {
            if !self.plan.pipelined {
                self.answered.reaches(i).await;
            }
            self.send(head_of(self.plan, request).as_bytes(), &mut pauses).await?;
            if request.expect {
                let asked = race(self.continued.reaches(i + 1), self.answered.reaches(i + 1));
                within(now().after(Duration::from_secs(1)), asked).await;
                if self.answered.value() > i && self.continued.value() <= i {
                    // Answered without its body: whether it is still to be sent nobody knows.
                    return Ok(());
                }
            }
            let body = request.body_bytes();
            match request.body {
                Some((_, true)) => self.send(&chunked(&body, "X-Trailer: 1\r\n"), &mut pauses).await?,
                _ => self.send(&body, &mut pauses).await?,
            }
        }
        if let Some(Misbehaviour::Garbage(text)) = self.plan.misbehaviour {
            self.send(text.as_bytes(), &mut pauses).await?;
        }
        if self.plan.half_close {
            self.stream.shutdown_write()?;
        }
        Ok(())
    }

    async fn send(&self, mut bytes: &[u8], pauses: &mut Vec<(usize, u64)>) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut n = bytes.len();
            if let Some((at, ms)) = pauses.first().copied() {
                n = n.min(at.saturating_sub(self.written.value()));
                if n == 0 {
                    pauses.remove(0);
                    sleep(Duration::from_millis(ms)).await;
                    continue;
                }
            }
            write_all(&self.stream, &bytes[..n]).await?;
            self.written.raise(n);
            bytes = &bytes[n..];
        }
        Ok(())
    }

    async fn read(&self) {
        let mut pauses = self.plan.read_pauses.clone();
        if let Some(Misbehaviour::StopReading(after, ms)) = self.plan.misbehaviour {
            pauses.push((after, ms));
        }
        let mut source = Source::new(Rc::clone(&self.stream), pauses);
        let mut generation = self.born;
        for (i, request) in self.plan.requests.iter().enumerate() {
            self.world.tally(|t| t.answers_due += 1);
            let answer = match self.answer(&mut source, i, request).await {
                Ok(answer) => answer,
                Err(Stop::Malformed(what)) => return self.violated(request, &format!("a malformed answer: {what}")),
                Err(Stop::Ended { clean }) => {
                    self.world.trace(&[2, request.id as u64, u64::from(clean)]);
                    self.world.tally(|t| t.broken_off += 1);
                    if !self.may_end_at(i) {
                        self.violated(request, &format!("no answer, and the connection ended (cleanly: {clean})"));
                    }
                    return;
                }
            };
            self.world.trace(&[1, request.id as u64, u64::from(answer.status), hash(&answer.body)]);
            match self.judge(request, &answer, &mut generation) {
                Verdict::Right => self.world.tally(|t| t.right += 1),
                Verdict::Page => self.world.tally(|t| t.pages += 1),
                Verdict::Wrong(why) => return self.violated(request, &why),
            }
            self.answered.raise(1);
            if answer.ended || self.says_close(&answer) {
                if !self.may_close_after(request, &answer) {
                    self.violated(request, &format!("closed for no reason after {}", answer.status));
                }
                return self.nothing_follows(&mut source, request).await;
            }
        }
        self.finish(&mut source).await;
    }

    /// Behind the last answer: nothing, or the answer to garbage, and the end of what was half-closed.
    async fn finish(&self, source: &mut Source) {
        let Some(last) = self.plan.requests.last() else { return };
        if let Some(Misbehaviour::Garbage(text)) = self.plan.misbehaviour {
            match source.head().await {
                Ok((line, _)) if line.starts_with("HTTP/1.1 400 ") || line.starts_with("HTTP/1.1 502 ") => {
                    let _ = source.rest().await;
                }
                // A request before it may have ended the connection.
                Err(Stop::Ended { .. }) => {}
                other => self.violated(last, &format!("{text:?} was answered with {other:?}")),
            }
            return;
        }
        if self.plan.half_close {
            return self.nothing_follows(source, last).await;
        }
        if source.has_rest() {
            self.violated(last, "bytes behind the last answer");
        }
    }

    async fn nothing_follows(&self, source: &mut Source, request: &Request) {
        match source.rest().await {
            // A refusal of half a head has a body, even when the method would have been HEAD.
            Ok(rest) if !rest.is_empty() && self.plan.misbehaviour.is_none() => {
                self.violated(request, &format!("behind the end: {}", rest[..rest.len().min(200)].escape_ascii()));
            }
            _ => {}
        }
    }

    async fn answer(&self, source: &mut Source, i: usize, request: &Request) -> Read<Answer> {
        let old = self.plan.old.is_some();
        loop {
            let (line, fields) = source.head().await?;
            let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
            let Some(status) = status else { return malformed(line) };
            if (100..200).contains(&status) {
                if old || fields.length()?.is_some() {
                    return malformed(format!("{line:?} {fields:?}"));
                }
                if status == 100 {
                    self.continued.raise((i + 1).saturating_sub(self.continued.value()));
                } else if fields.one("x-id")? != Some(request.id.to_string().as_str()) {
                    return malformed(format!("an interim answer of another request: {fields:?}"));
                }
                continue;
            }
            let (chunked, length) = (fields.is_chunked()?, fields.length()?);
            let mut ended = false;
            let body = match (chunked, length) {
                (true, Some(_)) => return malformed("two lengths"),
                (true, None) if old => return malformed("chunks for HTTP/1.0"),
                _ if request.method == "HEAD" || matches!(status, 204 | 304) => Vec::new(),
                (true, None) => source.chunks().await?.0,
                (false, Some(length)) => source.exactly(length).await?,
                (false, None) if old => {
                    ended = true;
                    source.rest().await?
                }
                (false, None) => return malformed("no length for HTTP/1.1"),
            };
            return Ok(Answer { status, fields, body, ended });
        }
    }

    fn judge(&self, request: &Request, answer: &Answer, generation: &mut u32) -> Verdict {
        match answer.fields.one("x-id") {
            Err(_) => Verdict::Wrong("two ids".into()),
            Ok(Some(id)) if id != request.id.to_string() => Verdict::Wrong(format!("the answer of request {id}")),
            Ok(Some(_)) => judge_origins(request, answer),
            Ok(None) => match request.route {
                Route::File(length) if answer.status == 200 => {
                    let head = request.method == "HEAD";
                    let body = if head { Vec::new() } else { World::file(length) };
                    let length_said = answer.fields.length().ok().flatten();
                    right_if(answer.body == body && length_said == Some(length), "another file")
                }
                Route::Generation if answer.status == 200 && request.method == "HEAD" => Verdict::Right,
                Route::Generation if answer.status == 200 => {
                    let text = String::from_utf8_lossy(&answer.body);
                    let told =
                        text.strip_prefix("generation ").and_then(|n| n.trim_end().parse().ok()).unwrap_or(u32::MAX);
                    let known = *generation..=self.world.generation.get();
                    let right = known.contains(&told);
                    *generation = told;
                    right_if(right, "a generation of another time")
                }
                // Bytes behind an answer ([`Fault::Behind`]) that arrive when the next request is on its way already: in
                // HTTP/1.1 nobody can tell them from its answer. Those that can be told are `reverse-proxy`'s own test.
                Route::Wild if answer.status == 200 && (request.method == "HEAD" || answer.body == b"evil") => {
                    Verdict::Page
                }
                _ => self.judge_page(request, answer),
            },
        }
    }

    fn judge_page(&self, request: &Request, answer: &Answer) -> Verdict {
        let status = answer.status;
        let explained = match status {
            404 => request.route == Route::Nowhere,
            413 => is_too_large(request),
            400 | 408 => self.plan.misbehaviour.is_some(),
            502 => match request.route {
                Route::Dead | Route::Wild => true,
                // What was on its way when the connection closed is sent again only where that is safe.
                Route::Stale => request.body.is_some(),
                _ => false,
            },
            504 => request.route == Route::Wild,
            _ => false,
        };
        let text = String::from_utf8_lossy(&answer.body);
        let is_page = request.method == "HEAD" || text.starts_with(&format!("{status} "));
        if explained && is_page { Verdict::Page } else { Verdict::Wrong(format!("{status}: {text}")) }
    }

    fn says_close(&self, answer: &Answer) -> bool {
        match answer.fields.all("connection").next() {
            Some("close") => true,
            Some("keep-alive") => false,
            _ => self.plan.old.is_some(),
        }
    }

    fn may_close_after(&self, request: &Request, answer: &Answer) -> bool {
        self.plan.old.is_some()
            || self.plan.misbehaviour.is_some()
            || self.world.draining.get()
            || may_close_silently(request)
            || matches!(answer.status, 400 | 408 | 413)
    }

    /// Whether the connection may end where the answer to request `i` is due.
    fn may_end_at(&self, i: usize) -> bool {
        let requests = &self.plan.requests;
        // Closing with much of a body unread is a reset in the end, and that may overtake answers on their way.
        let reset_behind = self.plan.pipelined && requests[i..].iter().any(may_be_refused_with_a_reset);
        self.plan.misbehaviour.is_some()
            || self.world.draining.get()
            || requests[i].route == Route::Wild
            || may_be_refused_with_a_reset(&requests[i])
            || reset_behind
            || (i > 0 && may_close_silently(&requests[i - 1]))
    }

    fn violated(&self, request: &Request, what: &str) {
        self.world.violated(format!("{what}\n    {request:?}\n    {:?}", self.plan));
    }
}

fn head_of(plan: &Connection, request: &Request) -> String {
    let version = if plan.old.is_some() { "1.0" } else { "1.1" };
    let mut head =
        format!("{} {} HTTP/{version}\r\nHost: sim.test\r\nX-Id: {}\r\n", request.method, request.path(), request.id);
    if plan.old == Some(true) {
        head += "Connection: keep-alive\r\n";
    }
    match request.body {
        Some((_, true)) => head += "Transfer-Encoding: chunked\r\n",
        Some((length, false)) => head += &format!("Content-Length: {length}\r\n"),
        None => {}
    }
    if request.expect {
        head += "Expect: 100-continue\r\n";
    }
    head + "\r\n"
}
