//! Making the checks: a task for each server, on one worker.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use balance::{ServerId, hash_of};
use buf::{Class, ReadBuf};
use client_address::proxy_protocol;
use event_loop::{now, sleep, spawn, within};
use http1::{BodyEvent, Garbage, Limits, ResponseDecoder};
use message::Method;
use net::{Stream, Transport};
use observe::Level;

use crate::health::{Health, Probe};
use crate::news::Topic;
use crate::upstream::Upstream;

/// The first checks of all servers are spread over this time, or the interval where that is shorter.
const SPREAD: Duration = Duration::from_secs(1);

/// A task that waits is asked this often whether it is still wanted.
const NAP: Duration = Duration::from_secs(5);

/// So much of a body is searched.
const BODY_BYTES: usize = 64 << 10;

/// Begins to check all servers of `upstream`, until it retires or is dropped.
pub(crate) fn start(upstream: &Rc<Upstream>, health: &Arc<Health>) {
    let count = upstream.servers().len() as u32;
    let spread = SPREAD.min(health.policy().interval);
    for number in 0..count {
        let begin = spread * number / count;
        spawn(check(Rc::downgrade(upstream), Arc::clone(health), ServerId(number), begin));
    }
}

async fn check(upstream: Weak<Upstream>, health: Arc<Health>, server: ServerId, begin: Duration) {
    let policy = health.policy();
    let mut checks = health.checks(server);
    let mut random = hash_of(&[&server.0.to_le_bytes()[..], &now().0.to_le_bytes()].concat());
    let mut wait = begin;
    while let Some(upstream) = wanted_after(&upstream, wait).await {
        let result = upstream.check_once(server, &health).await;
        if upstream.is_retired() {
            return;
        }
        let changed = checks.result(result.is_ok());
        let why = result.err().unwrap_or_default();
        health.note(server, checks.is_up(), &why);
        if let Some(count) = changed {
            upstream.tell_change(server, checks.is_up(), &why, count);
        }
        upstream.follow_health();
        random = hash_of(&random.to_le_bytes());
        wait = jittered(policy.interval, policy.jitter, random);
    }
}

/// The upstream after a wait, if it is still in use.
async fn wanted_after(upstream: &Weak<Upstream>, mut wait: Duration) -> Option<Rc<Upstream>> {
    loop {
        let nap = wait.min(NAP);
        if !nap.is_zero() {
            sleep(nap).await;
        }
        wait -= nap;
        let upstream = upstream.upgrade().filter(|upstream| !upstream.is_retired())?;
        if wait.is_zero() {
            return Some(upstream);
        }
    }
}

/// `interval`, shorter or longer by up to the share `jitter`.
fn jittered(interval: Duration, jitter: f64, random: u64) -> Duration {
    let part = (random >> 11) as f64 / (1u64 << 53) as f64;
    interval.mul_f64(1.0 + jitter * (2.0 * part - 1.0)).max(Duration::from_millis(1))
}

impl Upstream {
    /// One check. The error is what was wrong, behind the server's name.
    async fn check_once(&self, server: ServerId, health: &Health) -> Result<(), String> {
        let Some(state) = self.server(server) else { return Ok(()) };
        let timeout = health.policy().timeout;
        let (by, timeout_text) = (now().after(timeout), format!("{timeout:?}"));
        let name = &self.options().name;
        // A server that expects a header gets one that speaks for nobody.
        let header = self.options().proxy_protocol.map(|version| proxy_protocol::write(version, None));
        let connection = state.connect(name, by, &timeout_text, header).await.map_err(|failure| {
            let who = format!("upstream {name} {}", state.text());
            let sentence = failure.sentence.strip_prefix(&*who).unwrap_or(&failure.sentence);
            sentence.trim_start_matches([':', ' ']).to_owned()
        })?;
        let Some(probe) = &health.policy().probe else { return Ok(()) };
        let host = probe.host.as_deref().unwrap_or(state.authority());
        let asked = within(by, ask(&connection.stream, probe, host)).await;
        asked.unwrap_or_else(|| Err(format!("no complete answer came within {timeout_text}")))
    }

    #[cold]
    fn tell_change(&self, server: ServerId, up: bool, why: &str, count: u32) {
        let Some(state) = self.server(server) else { return };
        let (name, text) = (&self.options().name, state.text());
        let who = format_args!("health check of upstream {name} {text}");
        let (level, what) = match up {
            true => (Level::Info, format!("up after {}", counted(count, "good check"))),
            false => (Level::Warn, format!("{why}; down after {}", counted(count, "failure"))),
        };
        self.say(Topic::Checks, state, level, format_args!("{who}: {what}"));
    }
}

fn counted(count: u32, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Sends the request and judges the answer.
async fn ask(stream: &Stream, probe: &Probe, host: &str) -> Result<(), String> {
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Tollgate-health-check\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        probe.path
    );
    write_all(stream, request.as_bytes()).await.map_err(|e| broke(&e))?;
    let limits = Limits { header_bytes: 16 << 10, ..Limits::default() };
    let mut input = ReadBuf::new(Class::for_bytes(limits.header_bytes));
    let mut decoder = ResponseDecoder::new(Method::Get);
    let head = loop {
        match decoder.head(&mut input, &limits).map_err(|e| broken(&e))? {
            Some(head) if !head.is_interim() => break head,
            Some(_) => {}
            None if read(stream, &mut input).await? => {}
            None => decoder.end_of_input().map_err(|e| broken(&e))?,
        }
    };
    if !probe.accepts(head.status) {
        return Err(format!("status {} is none of {}", head.status, probe.expected()));
    }
    let Some(wanted) = &probe.body else { return Ok(()) };
    let mut body = Vec::new();
    while body.len() < BODY_BYTES {
        match decoder.body(&mut input, &limits).map_err(|e| broken(&e))? {
            BodyEvent::Data(piece) => body.extend_from_slice(&piece[..piece.len().min(BODY_BYTES - body.len())]),
            BodyEvent::Trailers(_) => {}
            BodyEvent::End => break,
            BodyEvent::More if read(stream, &mut input).await? => {}
            BodyEvent::More => decoder.end_of_input().map_err(|e| broken(&e))?,
        }
    }
    let found = body.windows(wanted.len()).any(|window| window == wanted.as_bytes());
    if found { Ok(()) } else { Err(format!("the body of its answer does not hold {wanted:?}")) }
}

async fn write_all(stream: &Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(bytes)], false)).await?;
        bytes = &bytes[n..];
    }
    Ok(())
}

/// False at the end of the stream.
async fn read(stream: &Stream, input: &mut ReadBuf) -> Result<bool, String> {
    poll_fn(|cx| stream.poll_read(cx, input)).await.map(|n| n > 0).map_err(|e| broke(&e))
}

fn broken(garbage: &Garbage) -> String {
    let why = match garbage {
        Garbage::Closed | Garbage::Truncated => {
            return "the connection was closed before the whole answer had come".into();
        }
        other => other.sentence(),
    };
    format!("its answer is broken: {why}")
}

fn broke(error: &io::Error) -> String {
    format!("the connection broke: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_share_and_reaches_for_both_ends() {
        let second = Duration::from_secs(1);
        let waits: Vec<Duration> = (0..1000u64).map(|i| jittered(second, 0.1, hash_of(&i.to_le_bytes()))).collect();
        assert!(waits.iter().all(|w| (900..=1100).contains(&w.as_millis())));
        assert!(waits.iter().any(|w| w.as_millis() < 920) && waits.iter().any(|w| w.as_millis() > 1080));
        assert_eq!(jittered(second, 0.0, u64::MAX), second);
    }
}
