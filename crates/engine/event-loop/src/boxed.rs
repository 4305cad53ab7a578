//! Boxes for futures that come and go with every request, from blocks that the worker keeps.
//!
//! The active phase of a connection is boxed when a request arrives and freed when its answer is out. With many requests
//! under way at once the system's allocator serves only the first few of them from its quick list; these blocks
//! cost a pop and a push each.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use crate::footprint;

/// The size of a block. Larger futures go to the system's allocator.
const BLOCK: Layout = match Layout::from_size_align(1280, 16) {
    Ok(layout) => layout,
    Err(_) => panic!("a power of two"),
};

/// Blocks kept by a worker while nobody needs them: 640 KiB. As many requests may begin or end in one turn.
const KEPT: usize = 512;

struct Blocks {
    free: Vec<NonNull<u8>>,
}

thread_local! {
    static BLOCKS: RefCell<Blocks> = const { RefCell::new(Blocks { free: Vec::new() }) };
    /// Where the two lie that the running task took last; [`NONE`] where it gave some back. Apart, since it is asked for after each poll.
    static LATEST: Cell<[usize; 2]> = const { Cell::new([0; 2]) };
    /// What lies below the block that was allocated last, up to a border of [`BETWEEN`].
    static BASE: Cell<usize> = const { Cell::new(0) };
}

impl Drop for Blocks {
    fn drop(&mut self) {
        for block in self.free.drain(..) {
            // SAFETY: every block in the list was allocated with this layout, and nobody else has it.
            unsafe { dealloc(block.as_ptr(), BLOCK) }
        }
    }
}

/// A pinned future on the heap, like `Pin<Box<F>>`, in a recycled block when it is at most 1,280 bytes.
pub struct Boxed<F: Future + ?Sized> {
    future: NonNull<F>,
    _owns: PhantomData<F>,
}

/// One of any type: a word larger, for the functions of the type.
pub type BoxedDyn<'a, T> = Boxed<dyn Future<Output = T> + 'a>;

impl<F: Future> Boxed<F> {
    /// Moves `future` to the heap. Costs a few instructions while the worker has a block left, and the move.
    pub fn new(future: F) -> Boxed<F> {
        Boxed::with(|| future)
    }

    /// Makes a future on the heap. A call of an `async fn` in `make` writes its few arguments to their place, where
    /// [`Boxed::new`] would move all the room that the future needs later.
    #[inline(always)]
    pub fn with(make: impl FnOnce() -> F) -> Boxed<F> {
        let layout = place_for(Layout::new::<F>());
        let place = if layout == BLOCK { take_block() } else { allocate(layout) };
        let unfilled = GiveBack { place, layout };
        let future: NonNull<F> = place.cast();
        // SAFETY: the place is large enough and aligned for `F`, and belongs to nobody else.
        unsafe { future.write(make()) }
        std::mem::forget(unfilled);
        Boxed { future, _owns: PhantomData }
    }

    /// Forgets its type; it stays where it is.
    #[inline(always)]
    pub fn of_any_type<'a>(self) -> BoxedDyn<'a, F::Output>
    where
        F: 'a,
    {
        let future: NonNull<dyn Future<Output = F::Output> + 'a> = ManuallyDrop::new(self).future;
        Boxed { future, _owns: PhantomData }
    }
}

fn take_block() -> NonNull<u8> {
    let taken = BLOCKS.try_with(|blocks| {
        let blocks = &mut *blocks.borrow_mut();
        let block = blocks.free.pop().unwrap_or_else(new_block);
        LATEST.set([LATEST.get()[1], block.addr().get()]);
        block
    });
    // While the thread ends its blocks may be gone already.
    taken.unwrap_or_else(|_| allocate(BLOCK))
}

#[cold]
fn new_block() -> NonNull<u8> {
    let block = allocate(BLOCK);
    BASE.set(block.addr().get() / BETWEEN * BETWEEN);
    block
}

/// How much is in use of the two blocks of a connection's task: its active phase, and the handler that it waits for.
const USED: [usize; 2] = [1088, 704];

/// No block begins there.
const NONE: usize = 1;

/// Blocks so far apart, 64 GiB, are not told from each other by a word of 32 bits.
const BETWEEN: usize = BLOCK.align() << u32::BITS;

/// Where the two blocks of a task lie, as far as is known: the lower bits of their addresses. Those of all blocks of a worker come from one
/// heap and share the others, which each idle connection would keep twice.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pair([u32; 2]);

/// The two blocks that were taken last since this was asked before, if any; none of those after one was given back.
#[inline]
pub(crate) fn take_latest() -> Option<Pair> {
    let latest = LATEST.get();
    // One that was taken always is the second.
    if latest[1] == 0 {
        return None;
    }
    LATEST.set([0; 2]);
    let lower = |at: usize| (at / BLOCK.align()) as u32;
    // Not by `map`, which is not always inlined and costs more than the rest of a poll's end.
    Some(Pair([lower(latest[0]), lower(latest[1])]))
}

impl Pair {
    /// Has the CPU load both.
    #[inline]
    pub(crate) fn fetch(self) {
        for (at, bytes) in self.places().into_iter().zip(USED) {
            if at != 0 {
                footprint::fetch(at, bytes);
            }
        }
    }

    /// Where they lie; zero where none does. A guess: the heap may lie on both sides of a border.
    #[inline]
    fn places(self) -> [usize; 2] {
        let place = |lower| if lower == 0 { 0 } else { BASE.get() + lower as usize * BLOCK.align() };
        [place(self.0[0]), place(self.0[1])]
    }
}

/// `layout` is a block's, or larger: never of size zero.
fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: the size is not zero.
    let place = unsafe { alloc(layout) };
    NonNull::new(place).unwrap_or_else(|| handle_alloc_error(layout))
}

/// What is allocated for a future of that layout: a block when it fits in one.
fn place_for(future: Layout) -> Layout {
    if future.size() <= BLOCK.size() && future.align() <= BLOCK.align() { BLOCK } else { future }
}

impl<F: Future + ?Sized> Future for Boxed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the pointer is valid until drop, and this is the only reference while `self` is borrowed.
        let future = unsafe { self.future.as_mut() };
        // SAFETY: the future is never moved out of its place; it is dropped there.
        let future = unsafe { Pin::new_unchecked(future) };
        future.poll(cx)
    }
}

/// The future does not lie in this handle, so moving the handle moves nothing that is pinned.
impl<F: Future + ?Sized> Unpin for Boxed<F> {}

impl<F: Future + ?Sized> Drop for Boxed<F> {
    fn drop(&mut self) {
        // SAFETY: the future lives until it is dropped below.
        let layout = place_for(Layout::for_value(unsafe { self.future.as_ref() }));
        let _give_back = GiveBack { place: self.future.cast(), layout };
        // SAFETY: the future was written when this was made and is dropped only here.
        unsafe { self.future.drop_in_place() }
    }
}

/// Gives the place back also when the future's destructor panics.
struct GiveBack {
    place: NonNull<u8>,
    layout: Layout,
}

impl Drop for GiveBack {
    fn drop(&mut self) {
        let place = self.place;
        let kept = self.layout == BLOCK
            && BLOCKS.try_with(|blocks| {
                let mut blocks = blocks.borrow_mut();
                LATEST.set([NONE; 2]);
                let room = blocks.free.len() < KEPT;
                if room {
                    blocks.free.push(place);
                }
                room
            }) == Ok(true);
        if !kept {
            // SAFETY: allocated with this layout by `allocate`, and no longer used.
            unsafe { dealloc(place.as_ptr(), self.layout) }
        }
    }
}

impl<F: Future + ?Sized> fmt::Debug for Boxed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Boxed")
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::task::Waker;

    use super::*;

    fn kept() -> usize {
        BLOCKS.with_borrow(|blocks| blocks.free.len())
    }

    fn poll_once<F: Future + ?Sized>(boxed: &mut Boxed<F>) -> Poll<F::Output> {
        Pin::new(boxed).poll(&mut Context::from_waker(Waker::noop()))
    }

    struct Counted(Rc<Cell<u32>>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    /// Waits once, with `N` bytes of state held over the wait.
    async fn waits_once<const N: usize>(counted: Counted) -> u8 {
        let state = [7u8; N];
        let mut first = true;
        std::future::poll_fn(|_| if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }).await;
        drop(counted);
        state.iter().copied().max().unwrap_or(7)
    }

    #[test]
    fn futures_of_any_size_run_and_are_dropped_once() {
        fn run<const N: usize>() {
            let dropped = Rc::new(Cell::new(0));
            let mut boxed = Boxed::new(waits_once::<N>(Counted(Rc::clone(&dropped))));
            assert!(poll_once(&mut boxed).is_pending());
            assert_eq!((poll_once(&mut boxed), dropped.get()), (Poll::Ready(7), 1));
            drop(boxed);
            let mut unfinished = Boxed::new(waits_once::<N>(Counted(Rc::clone(&dropped))));
            assert!(poll_once(&mut unfinished).is_pending());
            drop(unfinished);
            drop(Boxed::new(waits_once::<N>(Counted(Rc::clone(&dropped)))));
            let mut of_any_type = Boxed::new(waits_once::<N>(Counted(Rc::clone(&dropped)))).of_any_type();
            assert!(poll_once(&mut of_any_type).is_pending());
            assert_eq!((poll_once(&mut of_any_type), dropped.get()), (Poll::Ready(7), 4));
            drop(Boxed::new(waits_once::<N>(Counted(Rc::clone(&dropped)))).of_any_type());
            assert_eq!(dropped.get(), 5);
        }
        run::<0>();
        run::<500>();
        run::<900>();
        run::<5000>();
    }

    #[test]
    fn a_future_without_state_has_a_place() {
        assert_eq!(poll_once(&mut Boxed::new(std::future::ready(()))), Poll::Ready(()));
        assert_eq!(poll_once(&mut Boxed::new(async { 3 })), Poll::Ready(3));
    }

    #[test]
    fn where_the_latest_blocks_lie_is_known_until_one_is_given_back() {
        let a = Boxed::new(std::future::pending::<()>());
        let b = Boxed::new(std::future::pending::<()>());
        assert_eq!(take_latest().map(Pair::places), Some([a.future.addr().get(), b.future.addr().get()]));
        assert!(take_latest().is_none(), "it was asked before");
        drop(a);
        assert_eq!(take_latest().map(Pair::places), Some([0, 0]));
    }

    #[test]
    fn blocks_are_used_again_and_a_burst_is_not_kept() {
        let many: Vec<_> = (0..KEPT + 50).map(|_| Boxed::new(std::future::pending::<()>())).collect();
        drop(many);
        assert_eq!(kept(), KEPT);
        let one = Boxed::new(std::future::pending::<()>());
        assert_eq!(kept(), KEPT - 1);
        drop(one);
        assert_eq!(kept(), KEPT);
    }

    #[test]
    fn a_panicking_destructor_leaks_nothing() {
        struct Bad;
        impl Drop for Bad {
            fn drop(&mut self) {
                panic!("on purpose, in a test");
            }
        }
        let boxed = Boxed::new(async {
            let _bad = Bad;
            std::future::pending::<()>().await;
        });
        let mut boxed = boxed;
        assert!(poll_once(&mut boxed).is_pending());
        let before = kept();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(boxed))).is_err());
        assert_eq!(kept(), before + 1);
    }
}
