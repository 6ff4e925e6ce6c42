//! Freshness of the index while changes come: the lag of those that are done, and the age of those that wait.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::lag::Lag;
use crate::mapping::Observe;
use crate::mapping::record::{StreamRecord, StreamSequence};

/// Observer of the event source mapping.
#[derive(Debug, Default)]
pub struct Freshness {
    /// Lag of the changes that are done.
    pub lag: Arc<Lag>,
    /// Records that were read and are not done, by arrival in milliseconds since 1970.
    waiting: Mutex<BTreeSet<(i64, StreamSequence)>>,
}

/// Changes that were read and are not done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitingChanges {
    /// Number of these changes.
    pub changes: usize,
    /// Age of the oldest one, to the second as DynamoDB's records have it.
    pub oldest: Duration,
}

impl Freshness {
    /// Freshness by this lag, which is empty.
    #[must_use]
    pub fn with(lag: Lag) -> Self {
        Self { lag: Arc::new(lag), waiting: Mutex::default() }
    }

    /// Forgets the changes that wait: the mapping that read them is gone.
    pub fn forget_waiting(&self) {
        self.records().clear();
    }

    /// Returns the changes that wait now.
    #[must_use]
    pub fn waiting(&self) -> WaitingChanges {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let records = self.records();
        let age =
            |(arrival, _): &(i64, StreamSequence)| u64::try_from(now.saturating_sub(*arrival)).unwrap_or_default();
        WaitingChanges { changes: records.len(), oldest: Duration::from_millis(records.first().map_or(0, age)) }
    }

    fn records(&self) -> MutexGuard<'_, BTreeSet<(i64, StreamSequence)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(record: &StreamRecord) -> (i64, StreamSequence) {
    (record.arrival_ms(), record.sequence_number().clone())
}

impl Observe for Freshness {
    fn delivered(&self, records: &[StreamRecord]) {
        self.lag.delivered(records);
    }

    fn read(&self, records: &[StreamRecord]) {
        self.records().extend(records.iter().map(place));
    }

    fn finished(&self, records: &[StreamRecord]) {
        let mut waiting = self.records();
        for record in records {
            waiting.remove(&place(record));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_change_that_waits_is_shown_until_it_is_done() {
        let record = |number: u32, arrival: u64| {
            let json = format!(
                r#"{{"dynamodb":{{"ApproximateCreationDateTime":{arrival},"Keys":{{"pk":{{"S":"a"}}}},"SequenceNumber":"{number}"}}}}"#
            );
            StreamRecord::from_json(json.into(), "pk").expect("a record")
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let freshness = Freshness::default();
        freshness.read(&[record(1, now - 30), record(2, now - 10)]);
        let waiting = freshness.waiting();
        assert_eq!((waiting.changes, waiting.oldest.as_secs() / 10), (2, 3));
        freshness.finished(&[record(1, now - 30)]);
        assert_eq!(freshness.waiting().oldest.as_secs() / 10, 1);
        freshness.finished(&[record(2, now - 10)]);
        assert_eq!(freshness.waiting(), WaitingChanges::default());
    }
}
