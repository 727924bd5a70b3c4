//! Which UDP client was silent longest: of all, and of each mapping.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

/// Numbers of clients by the time they were last heard of.
#[derive(Debug, Default)]
pub(super) struct Ages {
    all: BTreeSet<(Instant, u64)>,
    of: HashMap<u64, BTreeSet<(Instant, u64)>>,
}

impl Ages {
    pub(super) fn insert(&mut self, mapping: u64, id: u64, heard: Instant) {
        self.all.insert((heard, id));
        self.of.entry(mapping).or_default().insert((heard, id));
    }

    pub(super) fn remove(&mut self, mapping: u64, id: u64, heard: Instant) {
        self.all.remove(&(heard, id));
        if let Some(ages) = self.of.get_mut(&mapping) {
            ages.remove(&(heard, id));
            if ages.is_empty() {
                self.of.remove(&mapping);
            }
        }
    }

    /// How many clients a mapping has.
    pub(super) fn count(&self, mapping: u64) -> usize {
        self.of.get(&mapping).map_or(0, BTreeSet::len)
    }

    /// The numbers of a mapping's clients.
    pub(super) fn of(&self, mapping: u64) -> Vec<u64> {
        self.of.get(&mapping).into_iter().flatten().map(|(_, id)| *id).collect()
    }

    /// The one of all that was silent longest.
    pub(super) fn oldest(&self) -> Option<(Instant, u64)> {
        self.all.first().copied()
    }

    /// The one of a mapping that was silent longest.
    pub(super) fn oldest_of(&self, mapping: u64) -> Option<u64> {
        self.of.get(&mapping).and_then(BTreeSet::first).map(|(_, id)| *id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_is_known_for_each_mapping_and_for_all() {
        let (start, mut ages) = (Instant::now(), Ages::default());
        let after = |seconds| start + Duration::from_secs(seconds);
        ages.insert(1, 10, after(0));
        ages.insert(1, 11, after(1));
        ages.insert(2, 20, after(2));
        assert_eq!((ages.oldest(), ages.oldest_of(2)), (Some((after(0), 10)), Some(20)));
        ages.remove(1, 10, after(0));
        ages.insert(1, 10, after(3)); // heard again
        assert_eq!((ages.oldest(), ages.oldest_of(1)), (Some((after(1), 11)), Some(11)));
        assert_eq!((ages.count(1), ages.count(3), ages.of(2)), (2, 0, vec![20]));
        ages.remove(2, 20, after(2));
        assert_eq!((ages.count(2), ages.oldest_of(2)), (0, None));
    }
}
