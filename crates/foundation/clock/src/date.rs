//! The Date field's value, made once a second.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An IMF-fixdate (RFC 9110 §5.6.7), formatted once per second at most.
#[derive(Clone, Copy, Debug)]
pub struct HttpDate {
    text: [u8; 29],
    unix: u64,
}

impl HttpDate {
    /// The date at `unix` seconds since 1970.
    pub fn at(unix: u64) -> HttpDate {
        let mut date = HttpDate { text: [b' '; 29], unix };
        date.format();
        date
    }

    /// Moves to `unix` seconds since 1970; formats only when that is another second.
    pub fn refresh(&mut self, unix: u64) {
        if unix != self.unix {
            self.unix = unix;
            self.format();
        }
    }

    /// The 29 bytes, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn as_bytes(&self) -> &[u8; 29] {
        &self.text
    }

    /// Seconds since 1970.
    pub fn unix(&self) -> u64 {
        self.unix
    }

    /// As a log writes it: `1994-11-06T08:49:37Z` (RFC 3339).
    pub fn timestamp(&self) -> impl fmt::Display {
        // An IMF-fixdate has its parts at fixed places: `Sun, 06 Nov 1994 08:49:37 GMT`.
        let part = |range: std::ops::Range<usize>| std::str::from_utf8(&self.text[range]).unwrap_or_default();
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = months.iter().position(|m| *m == part(8..11)).unwrap_or(0) + 1;
        fmt::from_fn(move |f| write!(f, "{}-{month:02}-{}T{}Z", part(12..16), part(5..7), part(17..25)))
    }

    /// As a time.
    pub fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.unix)
    }

    fn format(&mut self) {
        use std::io::Write;
        // httpdate panics past the year 9999; a clock that wrong shows its last valid second.
        let time = UNIX_EPOCH + Duration::from_secs(self.unix.min(253_402_300_799));
        let _ = write!(&mut self.text[..], "{}", httpdate::HttpDate::from(time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_like_the_rfc() {
        let mut d = HttpDate::at(784_111_777);
        assert_eq!(d.as_bytes(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(d.timestamp().to_string(), "1994-11-06T08:49:37Z");
        d.refresh(784_111_778);
        assert_eq!(d.as_bytes(), b"Sun, 06 Nov 1994 08:49:38 GMT");
        d.refresh(u64::MAX);
        assert_eq!(d.as_bytes(), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
