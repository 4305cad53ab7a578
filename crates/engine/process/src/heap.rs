//! What the allocator holds and nobody uses.

/// Gives pages of the heap that hold nothing back to the system, those between what is in use too. False where the allocator has
/// no such call, or had nothing to give.
///
/// Whoever allocates meanwhile waits, for some milliseconds with a heap of 25 MB: for quiet times.
pub fn give_back_free_pages() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call has no conditions; it locks each of the allocator's arenas for itself.
    return unsafe { libc::malloc_trim(0) } == 1;
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every second of many blocks is freed: whole pages lie between what is still in use.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn holes_go_back_and_what_is_in_use_stays() {
        let mut blocks: Vec<Vec<u8>> = (0..2000).map(|n| vec![n as u8; 16 << 10]).collect();
        blocks.iter_mut().step_by(2).for_each(|block| *block = Vec::new());
        let before = crate::memory_of(std::process::id()).expect("it is there").resident;
        assert!(give_back_free_pages());
        let after = crate::memory_of(std::process::id()).expect("it is there").resident;
        assert!(before - after > 8 << 20, "{before} {after}");
        assert!((0..2000).all(|n| blocks[n].iter().all(|byte| *byte == n as u8)));
    }
}
