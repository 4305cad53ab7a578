//! The little of DER (X.690) that reading a certificate takes.

/// A value and its tag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'d> {
    pub(crate) tag: u8,
    /// The content.
    pub(crate) body: &'d [u8],
    /// Tag, length and content.
    pub(crate) whole: &'d [u8],
}

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// Reads items one behind the other. Every method gives `None` for what is no DER or not what was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'d>(pub(crate) &'d [u8]);

impl<'d> Reader<'d> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn any(&mut self) -> Option<Item<'d>> {
        let (&tag, rest) = self.0.split_first()?;
        // Tags above 30 take several bytes; X.509 uses none.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |len, &d| len << 8 | usize::from(d)), rest)
            }
            _ => return None,
        };
        let (body, rest) = rest.split_at_checked(len)?;
        let whole = &self.0[..self.0.len() - rest.len()];
        self.0 = rest;
        Some(Item { tag, body, whole })
    }

    pub(crate) fn expect(&mut self, tag: u8) -> Option<Item<'d>> {
        self.any().filter(|item| item.tag == tag)
    }

    pub(crate) fn inside(&mut self, tag: u8) -> Option<Reader<'d>> {
        self.expect(tag).map(|item| Reader(item.body))
    }

    /// The next item when it has this tag; otherwise nothing is read.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Item<'d>> {
        if self.0.first() == Some(&tag) { self.any() } else { None }
    }

    /// The content of the next item when it has this tag; otherwise nothing is read.
    pub(crate) fn inside_optional(&mut self, tag: u8) -> Option<Reader<'d>> {
        self.optional(tag).map(|item| Reader(item.body))
    }
}

/// Seconds since 1970 of a UTCTime or GeneralizedTime as RFC 5280 §4.1.2.5 has them; times before count as 0.
pub(crate) fn time(item: Item<'_>) -> Option<u64> {
    let two = |at: usize| -> Option<i64> {
        let digits = item.body.get(at..at + 2)?;
        digits.iter().try_fold(0, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
    };
    let (year, at) = match item.tag {
        UTC_TIME => (two(0).map(|y| if y < 50 { 2000 + y } else { 1900 + y })?, 2),
        GENERALIZED_TIME => (two(0)? * 100 + two(2)?, 4),
        _ => return None,
    };
    let (month, day) = (two(at)?, two(at + 2)?);
    let (hour, minute, second) = (two(at + 4)?, two(at + 6)?, two(at + 8)?);
    if item.body.get(at + 10..) != Some(b"Z") || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(u64::try_from(seconds).unwrap_or(0))
}

/// Days since 1970-01-01 in the Gregorian calendar; years are counted from March so that the leap day is the last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse: year, month, day.
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_go_there_and_back() {
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2000, 2, 29), 11_016);
        for days in (-200_000..200_000).step_by(37) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
    }

    #[test]
    fn times_are_read_in_both_forms() {
        let utc = Item { tag: UTC_TIME, body: b"250102030405Z", whole: b"" };
        assert_eq!(time(utc), Some(1_735_787_045));
        let general = Item { tag: GENERALIZED_TIME, body: b"20250102030405Z", whole: b"" };
        assert_eq!(time(general), Some(1_735_787_045));
        let old = Item { tag: UTC_TIME, body: b"500102030405Z", whole: b"" };
        assert_eq!(time(old), Some(0));
        for bad in [&b"250102030405"[..], b"25010203040Z", b"251302030405Z", b""] {
            assert_eq!(time(Item { tag: UTC_TIME, body: bad, whole: b"" }), None);
        }
    }

    #[test]
    fn broken_lengths_are_refused() {
        for bad in
            [&[0x30][..], &[0x30, 5, 1], &[0x30, 0x80], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x1f, 1, 1], &[0x30, 0x82, 1]]
        {
            assert!(Reader(bad).any().is_none(), "{bad:?}");
        }
        let mut reader = Reader(&[0x04, 0x81, 1, 7, 0x05, 0]);
        assert_eq!(reader.expect(0x04).unwrap().body, [7]);
        assert!(reader.optional(0x04).is_none());
        assert_eq!(reader.any().unwrap().whole, [5, 0]);
        assert!(reader.is_empty());
    }
}
