//! Faults that DynamoDB's way into Kinesis has: records come late, or again. Decided by a seed.

use std::num::NonZeroU64;

use fastrand::Rng;

/// Records that may pass one that is held back.
const LONGEST_HOLD: u32 = 40;

/// Faults between a table and its Kinesis data stream; each of them happens on AWS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KinesisFaults {
    /// Seed of everything that follows.
    pub seed: u64,
    /// Number of records in a hundred that come behind later ones.
    pub late_percent: u8,
    /// Number of records in a hundred that come once more, later, under a new sequence number.
    pub repeated_percent: u8,
    /// Number of changes in a hundred that have the time of the change before of the same item.
    pub same_time_percent: u8,
    /// After every so many records, a shard is split, or two are merged.
    pub reshard_every: Option<NonZeroU64>,
}

/// Records that are held back.
#[derive(Debug)]
pub struct Disorder<T> {
    faults: KinesisFaults,
    random: Rng,
    /// Records, each with the number of others that still pass it.
    held: Vec<(u32, T)>,
}

impl<T: Clone> Disorder<T> {
    /// Holds nothing back yet.
    #[must_use]
    pub fn new(faults: KinesisFaults) -> Self {
        Self { faults, random: Rng::with_seed(faults.seed), held: Vec::new() }
    }

    /// Returns what comes out when `records` go in.
    pub fn pass(&mut self, records: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut passed = Vec::new();
        for record in records {
            self.held.iter_mut().for_each(|(others, _)| *others = others.saturating_sub(1));
            if self.happens(self.faults.repeated_percent) {
                self.hold(record.clone());
            }
            match self.happens(self.faults.late_percent) {
                true => self.hold(record),
                false => passed.push(record),
            }
            passed.extend(self.held.extract_if(.., |(others, _)| *others == 0).map(|(_, record)| record));
        }
        passed
    }

    /// Returns what is still held back.
    pub fn rest(&mut self) -> Vec<T> {
        self.random.shuffle(&mut self.held);
        self.held.drain(..).map(|(_, record)| record).collect()
    }

    /// Decides whether something of this probability happens now.
    pub(super) fn happens(&mut self, percent: u8) -> bool {
        percent > 0 && self.random.u8(..100) < percent
    }

    /// Returns a number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.random.usize(..end.max(1))
    }

    fn hold(&mut self, record: T) {
        self.held.push((self.random.u32(1..=LONGEST_HOLD), record));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULTS: KinesisFaults =
        KinesisFaults { seed: 7, late_percent: 20, repeated_percent: 10, same_time_percent: 0, reshard_every: None };

    fn passed(faults: KinesisFaults) -> Vec<u32> {
        let mut disorder = Disorder::new(faults);
        let mut passed = disorder.pass(0..500);
        passed.extend(disorder.pass(500..1_000));
        passed.extend(disorder.rest());
        passed
    }

    #[test]
    fn nothing_is_lost_and_something_comes_late_and_again() {
        let records = passed(FAULTS);
        let mut distinct = records.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct, (0..1_000).collect::<Vec<_>>());
        assert!(records.len() > 1_050 && records.len() < 1_200, "{}", records.len());
        assert!(records.windows(2).filter(|pair| pair[1] < pair[0]).count() > 100);
    }

    #[test]
    fn the_same_seed_gives_the_same_disorder() {
        assert_eq!(passed(FAULTS), passed(FAULTS));
        assert_ne!(passed(FAULTS), passed(KinesisFaults { seed: 8, ..FAULTS }));
    }

    #[test]
    fn without_faults_records_pass_as_they_are() {
        assert_eq!(passed(KinesisFaults::default()), (0..1_000).collect::<Vec<_>>());
    }
}
