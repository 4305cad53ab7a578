//! Memory that a task comes back to after a long wait. Where thousands of tasks wait the CPU's caches have lost it when the turn of one
//! of them comes, and each line would be waited for in its turn. Asked for beforehand they come together.

/// Some places in memory that will be read soon. A guess, and harmless when wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Footprint([usize; 3]);

/// So much is fetched from each place on.
const BYTES: usize = 128;

impl Footprint {
    /// These places.
    pub fn of(places: [*const (); 3]) -> Footprint {
        Footprint(places.map(|place| place.addr()))
    }

    /// Has the CPU load what lies there, without waiting for it.
    pub fn fetch(self) {
        self.0.iter().for_each(|place| fetch(*place, BYTES));
    }
}

/// Has the CPU load the lines of `bytes` bytes at `at`.
#[inline]
pub(crate) fn fetch(at: usize, bytes: usize) {
    for line in (at..at + bytes).step_by(64) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint to the CPU, which reads nothing and faults at no address.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(std::ptr::without_provenance(line));
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}
