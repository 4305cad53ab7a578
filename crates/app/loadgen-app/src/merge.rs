//! Joining what the parts of a crew saw of the same second.

use std::collections::BTreeMap;

use load::Second;

use crate::crew::End;

const SECOND: u64 = 1_000_000_000;

/// Gives out each second once, in order, when every part has reported it or has ended before.
///
/// [`Merger::add`] and [`Merger::end`] as reports come, both give the seconds that are complete now; the run is over when
/// [`Merger::ending`] says how.
pub(crate) struct Merger {
    /// By part: the number of seconds it has reported, and how it ended.
    parts: Vec<(u64, Option<End>)>,
    waiting: BTreeMap<u64, Second>,
}

impl Merger {
    pub(crate) fn new(parts: usize) -> Merger {
        Merger { parts: vec![(0, None); parts], waiting: BTreeMap::new() }
    }

    /// A part's view of a second.
    pub(crate) fn add(&mut self, part: usize, second: Second) -> Vec<Second> {
        let number = second.at_ns / SECOND;
        self.parts[part].0 = number + 1;
        match self.waiting.get_mut(&number) {
            Some(known) => known.merge_worker(&second),
            None => {
                self.waiting.insert(number, second);
            }
        }
        self.complete()
    }

    /// A part has ended.
    pub(crate) fn end(&mut self, part: usize, how: End) -> Vec<Second> {
        self.parts[part].1 = Some(how);
        self.complete()
    }

    fn complete(&mut self) -> Vec<Second> {
        let slowest = self.parts.iter().filter(|(_, end)| end.is_none()).map(|(reported, _)| *reported).min();
        let until = slowest.unwrap_or(u64::MAX);
        let mut complete = Vec::new();
        while let Some(entry) = self.waiting.first_entry().filter(|entry| *entry.key() < until) {
            complete.push(entry.remove());
        }
        complete
    }

    /// How the whole ended, once all parts have: the worst of it.
    pub(crate) fn ending(&self) -> Option<End> {
        let mut ends = Vec::new();
        for (_, end) in &self.parts {
            ends.push(end.clone()?);
        }
        let rank = |end: &End| match end {
            End::Done => 0,
            End::Stopped => 1,
            End::GaveUp(_) => 2,
            End::Failed(_) => 3,
        };
        ends.into_iter().max_by_key(rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(number: u64, sent: u64) -> Second {
        let mut second = Second { at_ns: number * SECOND, width_ns: SECOND, ..Second::default() };
        second.counts.sent = sent;
        second
    }

    fn sent(seconds: Vec<Second>) -> Vec<(u64, u64)> {
        seconds.iter().map(|s| (s.at_ns / SECOND, s.counts.sent)).collect()
    }

    #[test]
    fn a_second_is_given_when_all_have_reported_it() {
        let mut merger = Merger::new(2);
        assert!(merger.add(0, second(0, 1)).is_empty());
        assert!(merger.add(0, second(1, 2)).is_empty());
        assert_eq!(sent(merger.add(1, second(0, 10))), [(0, 11)]);
        assert_eq!(sent(merger.end(1, End::Done)), [(1, 2)]);
        assert_eq!(merger.ending(), None);
        assert_eq!(sent(merger.add(0, second(2, 3))), [(2, 3)]);
        assert!(merger.end(0, End::GaveUp(3)).is_empty());
        assert_eq!(merger.ending(), Some(End::GaveUp(3)));
    }

    #[test]
    fn whoever_ends_without_a_word_holds_nothing_up() {
        let mut merger = Merger::new(2);
        assert!(merger.add(0, second(0, 1)).is_empty());
        assert_eq!(sent(merger.end(1, End::Failed("x".into()))), [(0, 1)]);
        assert!(merger.end(0, End::Done).is_empty());
        assert_eq!(merger.ending(), Some(End::Failed("x".into())));
    }
}
