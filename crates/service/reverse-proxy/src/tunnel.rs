//! Behind a switch of protocols: bytes both ways, unread, each way with its own end.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::Duration;

use buf::{Front, OutQueue, ReadBuf};
use event_loop::{Direction, Registration, now};
use net::{Stream, Transport};
use observe::{Counters, Failure, Kind};
use serve::Exchange;

use crate::failure::Who;
use crate::proxy::Proxy;
use crate::relay::{GONE, Relay};

/// Above this many bytes waiting for one side, the other is not read.
const HIGH_MARK: u64 = 64 << 10;

/// The kind of a tunnel's deadline: none that client connections have, whose idle ones a stop shortens.
const SILENCE: u8 = 0x80;

/// Passes the server's 101 on, then bytes both ways until both sides have ended. What had come behind either head goes
/// first.
pub(crate) async fn run(proxy: &Proxy, relay: &mut Relay<'_>, exchange: &mut Exchange<'_>) -> Result<(), Failure> {
    let who = relay.who();
    let Some(switched) = relay.switched.take() else { return Err(Failure::new(Kind::Internal)) };
    let counters = exchange.client.counters();
    let mut tunnel = proxy.switch(&switched.0, switched.1, exchange).map_err(|unfit| unfit.of_server(who).failure)?;
    drop(switched);
    tunnel.begin().await?;
    let timeouts = &who.upstream.options().timeouts;
    let server = relay.checkout.stream();
    server.clear_deadline();
    let _open = Open::count(counters);
    let (client, from_client) = tunnel.parts();
    // Both may be silent for long, and one that has vanished is silent for ever.
    client.probe_peer();
    server.probe_peer();
    let mut ways = Ways {
        client: (client, from_client),
        server: (server, &mut relay.input),
        // The end of the request may still wait to be sent.
        up: Way::new(std::mem::take(&mut relay.out)),
        down: Way::new(OutQueue::new()),
        idle: (timeouts.tunnel, timeouts.body.min(timeouts.tunnel)),
        timer: Registration::detached(),
    };
    ways.arm();
    let relayed = std::future::poll_fn(|cx| ways.poll(cx, who)).await;
    let sent = ways.down.sent;
    drop(ways);
    tunnel.sent(sent);
    relayed
}

/// Both directions of a tunnel.
struct Ways<'t> {
    client: (&'t Stream, &'t mut ReadBuf),
    server: (&'t Stream, &'t mut ReadBuf),
    up: Way,
    down: Way,
    /// How long nothing may pass: while both ways are open, and when one has ended.
    idle: (Duration, Duration),
    timer: Registration,
}

/// Cut before both ways have ended, whatever cuts it: a broken side, silence, the worker's end. Neither side may take that for an end in
/// order.
impl Drop for Ways<'_> {
    fn drop(&mut self) {
        if self.up.state != State::Ended || self.down.state != State::Ended {
            self.client.0.reset_on_close();
            self.server.0.reset_on_close();
        }
    }
}

/// One direction.
struct Way {
    out: OutQueue,
    state: State,
    /// Bytes that went out.
    sent: u64,
}

/// ```text
/// Open ── end of input ──▶ Ending ── all written ──▶ Ended (the other side was told)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Ending,
    Ended,
}

/// Whose connection broke.
enum Broken {
    From(io::Error),
    To(io::Error),
}

impl Ways<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, who: Who<'_>) -> Poll<Result<(), Failure>> {
        let Ways { client: (client, from_client), server: (server, from_server), up, down, .. } = self;
        let server_broke = |e: io::Error| match e.kind() {
            // The system's patience: the streams have no deadline of ours.
            io::ErrorKind::TimedOut => {
                let sentence = format_args!("acknowledged nothing until the system gave the tunnel up: {GONE}");
                who.failed(Kind::TunnelBroken, sentence)
            }
            _ => who.failed(Kind::TunnelBroken, format_args!("broke the tunnel: {e}")),
        };
        let client_gone = |_| Failure::new(Kind::ClientGone);
        let open = up.state == State::Open && down.state == State::Open;
        let sent = up.pump(cx, client, from_client, server).map_err(|broken| match broken {
            Broken::From(e) => client_gone(e),
            Broken::To(e) => server_broke(e),
        })?;
        let received = down.pump(cx, server, from_server, client).map_err(|broken| match broken {
            Broken::From(e) => server_broke(e),
            Broken::To(e) => client_gone(e),
        })?;
        if up.state == State::Ended && down.state == State::Ended {
            return Poll::Ready(Ok(()));
        }
        // A stream that is not read at present is watched, as long as we send to it: its break is known at once.
        if !up.reads()
            && down.state != State::Ended
            && let Poll::Ready(e) = client.poll_broken(cx)
        {
            return Poll::Ready(Err(client_gone(e)));
        }
        if !down.reads()
            && up.state != State::Ended
            && let Poll::Ready(e) = server.poll_broken(cx)
        {
            return Poll::Ready(Err(server_broke(e)));
        }
        let half_closed = open && (up.state != State::Open || down.state != State::Open);
        if sent || received || half_closed {
            self.arm();
        }
        match self.timer.poll_ready(cx, Direction::Read) {
            Poll::Ready(_) => Poll::Ready(Err(self.fell_silent(who))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Something has passed: the silence begins anew.
    fn arm(&mut self) {
        self.timer.set_deadline(now().after(self.patience()), SILENCE);
    }

    fn patience(&self) -> Duration {
        let (open, half) = self.idle;
        if self.up.state == State::Open && self.down.state == State::Open { open } else { half }
    }

    #[cold]
    fn fell_silent(&self, who: Who<'_>) -> Failure {
        let patience = self.patience();
        let why = match (self.up.state, self.down.state) {
            (State::Open, State::Open) => "",
            (_, State::Open) => ", the client having ended its side",
            _ => ", the server having ended its side",
        };
        Failure::because(Kind::TunnelIdle, format!("nothing passed the tunnel to {who} for {patience:?}{why}"))
    }
}

impl Way {
    fn new(out: OutQueue) -> Way {
        Way { out, state: State::Open, sent: 0 }
    }

    /// Whether the last [`Way::pump`] waits for its source.
    fn reads(&self) -> bool {
        self.state == State::Open && self.out.len() < HIGH_MARK
    }

    /// Moves on what can be moved now. True when something was.
    fn pump(&mut self, cx: &mut Context<'_>, from: &Stream, input: &mut ReadBuf, to: &Stream) -> Result<bool, Broken> {
        let mut moved = false;
        loop {
            while !self.out.is_empty() {
                match write_some(cx, to, &self.out) {
                    Poll::Ready(Ok(n)) => {
                        self.out.advance(n as u64);
                        self.sent += n as u64;
                    }
                    Poll::Ready(Err(e)) => return Err(Broken::To(e)),
                    Poll::Pending => break,
                }
                moved = true;
            }
            if self.state == State::Ending && self.out.is_empty() {
                to.shutdown_write().map_err(Broken::To)?;
                self.state = State::Ended;
            }
            if !self.reads() {
                return Ok(moved);
            }
            if !input.is_empty() {
                self.out.push_shared(input.split_to(input.len()));
                continue;
            }
            match from.poll_read(cx, input) {
                Poll::Ready(Ok(0)) => self.state = State::Ending,
                Poll::Ready(Ok(_)) => moved = true,
                Poll::Ready(Err(e)) => return Err(Broken::From(e)),
                Poll::Pending => {
                    // A tunnel that waits holds no buffer.
                    input.release();
                    return Ok(moved);
                }
            }
        }
    }
}

fn write_some(cx: &mut Context<'_>, to: &Stream, out: &OutQueue) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); 16];
    match out.front(&mut slices) {
        Front::Bytes(n) => to.poll_write(cx, &slices[..n], false),
        // A tunnel's bytes never are a file's.
        Front::Empty | Front::File(_) => Poll::Ready(Ok(0)),
    }
}

/// Counted as open until it is dropped.
struct Open<'c>(&'c Counters);

impl<'c> Open<'c> {
    fn count(counters: &'c Counters) -> Open<'c> {
        counters.tunnelled.add(1);
        counters.tunnels.add(1);
        Open(counters)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.tunnels.sub(1);
    }
}
