//! Streams without sockets: two ends in one thread, with the faults of a network on request.
//!
//! [`pair`] joins two ends; [`MemoryListener`] and [`connect`] make a small network of numbered listeners on this thread.
//! Each direction has a bounded buffer, so back-pressure is real, and a [`Weather`] that splits reads and writes
//! at seeded places, delays bytes, and can cut the connection.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use buf::{FileRange, ReadBuf};
use clock::Tick;
use event_loop::{Direction, Ready, Registration};

use crate::transport::{FileSend, Transport};

/// What happens to bytes on their way.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Seeds the places of the splits; zero: no splits, everything in one piece.
    pub split_seed: u64,
    /// How long a byte is on its way.
    pub latency: Duration,
    /// Bytes that fit in one direction before the writer must wait.
    pub capacity: usize,
}

impl Default for Weather {
    fn default() -> Weather {
        Weather { split_seed: 0, latency: Duration::ZERO, capacity: 64 << 10 }
    }
}

/// One direction.
struct Pipe {
    segments: RefCell<VecDeque<(Tick, VecDeque<u8>)>>,
    held: Cell<usize>,
    /// The writer said that no byte follows, and when that arrives.
    ended: Cell<Option<Tick>>,
}

struct Link {
    pipes: [Pipe; 2],
    /// The registrations of the two ends, as far as they live.
    ends: [RefCell<Option<Rc<Registration>>>; 2],
    broken: Cell<bool>,
    random: Cell<u64>,
    weather: Weather,
}

/// One end of an in-memory connection.
pub struct MemoryStream {
    link: Rc<Link>,
    end: usize,
    registration: Rc<Registration>,
    reset_on_close: Cell<bool>,
}

/// A switch that cuts a connection from outside, as a pulled cable with a reset would.
#[derive(Clone)]
pub struct Cutter {
    link: Rc<Link>,
}

impl Cutter {
    /// Breaks the connection in both directions; bytes on their way are lost.
    pub fn cut(&self) {
        self.link.cut();
    }
}

/// Two joined ends.
pub fn pair(weather: Weather) -> (MemoryStream, MemoryStream) {
    let pipe = || Pipe { segments: RefCell::default(), held: Cell::new(0), ended: Cell::new(None) };
    let registrations = [Rc::new(Registration::detached()), Rc::new(Registration::detached())];
    let link = Rc::new(Link {
        pipes: [pipe(), pipe()],
        ends: registrations.clone().map(|r| RefCell::new(Some(r))),
        broken: Cell::new(false),
        random: Cell::new(weather.split_seed),
        weather,
    });
    let [a, b] = registrations;
    let end = |end, registration: Rc<Registration>| {
        registration.mark(Ready::WRITE);
        MemoryStream { link: Rc::clone(&link), end, registration, reset_on_close: Cell::new(false) }
    };
    (end(0, a), end(1, b))
}

impl Link {
    fn mark(&self, end: usize, bits: Ready) {
        if let Some(registration) = &*self.ends[end].borrow() {
            registration.mark(bits);
        }
    }

    /// Marks an end now, or when the latency has passed.
    fn mark_later(self: &Rc<Link>, end: usize, bits: Ready, at: Tick) {
        if at.is_due(event_loop::now()) {
            return self.mark(end, bits);
        }
        let link = Rc::clone(self);
        event_loop::spawn(async move {
            event_loop::sleep_until(at).await;
            link.mark(end, bits);
        });
    }

    fn arrival(&self) -> Tick {
        event_loop::now().after(self.weather.latency)
    }

    /// How many of `n` bytes to move in this call: all, or a seeded share when splits are asked for.
    fn portion(&self, n: usize) -> usize {
        if self.weather.split_seed == 0 || n <= 1 {
            return n;
        }
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        match x % 4 {
            0 => 1,
            1 => n,
            _ => 1 + (x >> 8) as usize % n,
        }
    }

    fn cut(&self) {
        self.broken.set(true);
        let all = Ready::READ.and(Ready::WRITE).and(Ready::READ_CLOSED).and(Ready::ERROR);
        self.mark(0, all);
        self.mark(1, all);
    }
}

impl MemoryStream {
    /// A switch that cuts this connection.
    pub fn cutter(&self) -> Cutter {
        Cutter { link: Rc::clone(&self.link) }
    }

    fn incoming(&self) -> &Pipe {
        &self.link.pipes[1 - self.end]
    }

    fn outgoing(&self) -> &Pipe {
        &self.link.pipes[self.end]
    }

    fn broken(&self) -> io::Result<()> {
        if self.link.broken.get() { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }

    /// Takes what has arrived; `None` when a reader must wait.
    fn take(&self, into: &mut ReadBuf) -> Option<usize> {
        let now = event_loop::now();
        let pipe = self.incoming();
        let mut segments = pipe.segments.borrow_mut();
        let Some((_, bytes)) = segments.front_mut().filter(|(at, _)| at.is_due(now)) else {
            return pipe.ended.get().filter(|at| segments.is_empty() && at.is_due(now)).map(|_| 0);
        };
        let (first, _) = bytes.as_slices();
        let n = into.fill_from(&first[..self.link.portion(first.len())]);
        bytes.drain(..n);
        if bytes.is_empty() {
            segments.pop_front();
        }
        pipe.held.set(pipe.held.get() - n);
        Some(n)
    }

    /// Receives into `into`; with `peek` the bytes stay where they are.
    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>, into: &mut [u8], peek: bool) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.registration.poll_ready(cx, Direction::Read))?;
            self.broken()?;
            if let Some(n) = self.copy(into, peek) {
                return Poll::Ready(Ok(n));
            }
            self.registration.clear(Ready::READ.and(Ready::READ_CLOSED));
        }
    }

    /// Copies from the first segment that has arrived; `None` when a reader must wait.
    fn copy(&self, into: &mut [u8], peek: bool) -> Option<usize> {
        let now = event_loop::now();
        let pipe = self.incoming();
        let mut segments = pipe.segments.borrow_mut();
        let Some((_, bytes)) = segments.front_mut().filter(|(at, _)| at.is_due(now)) else {
            return pipe.ended.get().filter(|at| segments.is_empty() && at.is_due(now)).map(|_| 0);
        };
        let n = self.link.portion(bytes.len().min(into.len()));
        bytes.iter().zip(into).for_each(|(from, to)| *to = *from);
        if !peek {
            bytes.drain(..n);
            if bytes.is_empty() {
                segments.pop_front();
            }
            pipe.held.set(pipe.held.get() - n);
            self.link.mark(1 - self.end, Ready::WRITE);
        }
        Some(n)
    }

    fn give(&self, bytes: &[u8]) -> usize {
        let pipe = self.outgoing();
        let room = self.link.weather.capacity - pipe.held.get();
        let n = self.link.portion(bytes.len().min(room));
        if n > 0 {
            let at = self.link.arrival();
            pipe.held.set(pipe.held.get() + n);
            pipe.segments.borrow_mut().push_back((at, bytes[..n].to_vec().into()));
            self.link.mark_later(1 - self.end, Ready::READ, at);
        }
        n
    }
}

impl Transport for MemoryStream {
    fn registration(&self) -> &Registration {
        &self.registration
    }

    fn poll_read(&self, cx: &mut Context<'_>, into: &mut ReadBuf) -> Poll<io::Result<usize>> {
        loop {
            if let Err(e) = ready!(self.registration.poll_ready(cx, Direction::Read)) {
                return Poll::Ready(Err(e));
            }
            self.broken()?;
            if into.spare().is_empty() {
                return Poll::Ready(Ok(0));
            }
            if let Some(n) = self.take(into) {
                if n > 0 {
                    self.link.mark(1 - self.end, Ready::WRITE);
                }
                into.release();
                return Poll::Ready(Ok(n));
            }
            into.release();
            self.registration.clear(Ready::READ.and(Ready::READ_CLOSED));
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>], _more: bool) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.registration.poll_ready(cx, Direction::Write))?;
            self.broken()?;
            if self.outgoing().ended.get().is_some() || self.link.ends[1 - self.end].borrow().is_none() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let mut wrote = 0;
            for slice in slices {
                let n = self.give(slice);
                wrote += n;
                if n < slice.len() {
                    break;
                }
            }
            if wrote > 0 {
                return Poll::Ready(Ok(wrote));
            }
            self.registration.clear(Ready::WRITE);
        }
    }

    fn poll_send_file(&self, cx: &mut Context<'_>, range: &FileRange, _check: bool) -> Poll<io::Result<FileSend>> {
        let mut piece = vec![0; range.len.min(16 << 10) as usize];
        let n = range.file.read_at(&mut piece, range.offset)?;
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.poll_write(cx, &[IoSlice::new(&piece[..n])], true).map_ok(FileSend::Sent)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.broken()?;
        if self.outgoing().ended.get().is_none() {
            let at = self.link.arrival();
            self.outgoing().ended.set(Some(at));
            self.link.mark_later(1 - self.end, Ready::READ.and(Ready::READ_CLOSED), at);
        }
        Ok(())
    }

    fn reset_on_close(&self) {
        self.reset_on_close.set(true);
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        // Like a socket: closing with unread bytes resets, so does asking for it; else the peer sees the end.
        let unread = self.incoming().held.get() > 0;
        if unread || self.reset_on_close.get() {
            self.link.cut();
        } else {
            let _ = self.shutdown_write();
        }
        self.link.ends[self.end].take();
        // A peer that waits for room will never get it.
        self.link.mark(1 - self.end, Ready::WRITE);
    }
}

impl std::fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryStream({})", self.end)
    }
}

#[derive(Default)]
struct Queue {
    waiting: RefCell<VecDeque<MemoryStream>>,
    registration: RefCell<Option<Rc<Registration>>>,
    refusing: Cell<bool>,
    silent: Cell<bool>,
}

thread_local! {
    static NETWORK: RefCell<HashMap<u32, (Rc<Queue>, Weather)>> = RefCell::default();
}

/// Listens under a number on this thread.
pub struct MemoryListener {
    number: u32,
    queue: Rc<Queue>,
    registration: Rc<Registration>,
}

impl MemoryListener {
    /// Listens under `number`, in fair weather unless [`set_weather`] said otherwise.
    ///
    /// # Errors
    /// `AddrInUse` when somebody does already.
    pub fn new(number: u32) -> io::Result<MemoryListener> {
        let queue = NETWORK.with_borrow_mut(|n| Rc::clone(&n.entry(number).or_default().0));
        if queue.registration.borrow().is_some() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let registration = Rc::new(Registration::detached());
        *queue.registration.borrow_mut() = Some(Rc::clone(&registration));
        Ok(MemoryListener { number, queue, registration })
    }

    /// Takes a connection that waits already.
    pub(crate) fn take(&self) -> Option<(MemoryStream, u32)> {
        self.queue.waiting.borrow_mut().pop_front().map(|stream| (stream, self.number))
    }

    /// Takes a waiting connection.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<(MemoryStream, u32)> {
        loop {
            if let Some(stream) = self.queue.waiting.borrow_mut().pop_front() {
                return Poll::Ready((stream, self.number));
            }
            self.registration.clear(Ready::READ);
            // The registration has no deadline, so this is no error.
            let _ = ready!(self.registration.poll_ready(cx, Direction::Read));
        }
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.queue.registration.take();
        self.queue.waiting.take();
    }
}

/// Sets the weather of the connections to `number` that are made from now on.
pub fn set_weather(number: u32, weather: Weather) {
    NETWORK.with_borrow_mut(|n| n.entry(number).or_default().1 = weather);
}

/// Makes `number` refuse connections, or accept them again.
pub fn set_refusing(number: u32, refusing: bool) {
    NETWORK.with_borrow_mut(|n| n.entry(number).or_default().0.refusing.set(refusing));
}

/// Makes `number` leave connection attempts unanswered, as though their packets were lost, or answer them again. Only
/// [`crate::connect`] waits for that; [`connect`] never does.
pub fn set_silent(number: u32, silent: bool) {
    NETWORK.with_borrow_mut(|n| n.entry(number).or_default().0.silent.set(silent));
}

pub(crate) fn is_silent(number: u32) -> bool {
    NETWORK.with_borrow(|n| n.get(&number).is_some_and(|(queue, _)| queue.silent.get()))
}

/// Connects to the listener `number` of this thread.
///
/// # Errors
/// `ConnectionRefused` when nobody listens there or it refuses.
pub fn connect(number: u32) -> io::Result<MemoryStream> {
    let found = NETWORK.with_borrow(|n| n.get(&number).cloned());
    let (queue, weather) = found.ok_or(io::ErrorKind::ConnectionRefused)?;
    let registration = queue.registration.borrow().clone();
    let Some(registration) = registration.filter(|_| !queue.refusing.get()) else {
        return Err(io::ErrorKind::ConnectionRefused.into());
    };
    let (near, far) = pair(weather);
    queue.waiting.borrow_mut().push_back(far);
    registration.mark(Ready::READ);
    Ok(near)
}
