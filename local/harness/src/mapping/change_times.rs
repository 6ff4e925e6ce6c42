//! Times of changes in microseconds, as Kinesis needs them, from the coarser ones of a table's stream.

use std::collections::HashMap;

/// Number of items whose last time is kept before old ones are forgotten.
const FEW: usize = 100_000;
/// Age in microseconds from which an item's last time no longer matters: streams cut times to a minute at most.
const OLD_US: u64 = 120_000_000;

/// Times that were given out. The same stream, read again from its start, gets the same ones.
#[derive(Debug, Default)]
pub(super) struct ChangeTimes {
    last_us: HashMap<u64, u64>,
}

impl ChangeTimes {
    /// Returns the time of a change of `item` that its stream dates `created_us`: a microsecond after the item's change
    /// before, or the same with `is_same`.
    pub(super) fn next(&mut self, item: u64, created_us: u64, is_same: bool) -> u64 {
        if self.last_us.len() > FEW {
            self.last_us.retain(|_, last_us| *last_us + OLD_US > created_us);
        }
        let last_us = self.last_us.entry(item).or_insert(0);
        *last_us = created_us.max(*last_us + u64::from(!is_same));
        *last_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_one_item_have_growing_times_whatever_others_do() {
        let mut times = ChangeTimes::default();
        let given = [(1, 5), (2, 5), (1, 5), (1, 5), (2, 9)].map(|(item, created)| times.next(item, created, false));
        assert_eq!(given, [5, 5, 6, 7, 9]);
    }

    #[test]
    fn a_time_may_be_that_of_the_change_before() {
        let mut times = ChangeTimes::default();
        assert_eq!([times.next(1, 5, true), times.next(1, 5, true), times.next(1, 5, false)], [5, 5, 6]);
    }
}
