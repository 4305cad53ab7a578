//! What the clocks on the wall show.

use std::mem::MaybeUninit;

/// How many seconds the local time is ahead of UTC at `unix` seconds since 1970, by TZ or the system's setting; 0 where that
/// cannot be told. Reads files the first time.
pub fn utc_offset(unix: u64) -> i32 {
    let Ok(time) = libc::time_t::try_from(unix) else { return 0 };
    let mut broken_down = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both point to memory of ours that outlives the call; it keeps neither.
    let filled = unsafe { libc::localtime_r(&time, broken_down.as_mut_ptr()) };
    if filled.is_null() {
        return 0;
    }
    // SAFETY: the call succeeded, and fills all of it then.
    let broken_down = unsafe { broken_down.assume_init() };
    i32::try_from(broken_down.tm_gmtoff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_less_than_a_day() {
        for unix in [0, 784_111_777, 1_700_000_000, u64::MAX] {
            assert!(utc_offset(unix).abs() <= 86_400);
        }
    }
}
