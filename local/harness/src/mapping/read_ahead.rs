//! The bytes by which a shard's reader may be ahead of its lanes: the reader takes them, the lanes give them back.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::record::StreamRecord;
use crate::function::PAYLOAD_LIMIT_BYTES;

/// Budget of one shard; clones share it.
#[derive(Clone)]
pub(super) struct ReadAhead(Arc<Semaphore>);

impl ReadAhead {
    /// Room for a full payload in every lane, and for one more read: no lane can wait for records that the reader
    /// has no room to read.
    pub(super) fn new(lanes: usize) -> Self {
        Self(Arc::new(Semaphore::new(PAYLOAD_LIMIT_BYTES * (lanes + 2))))
    }

    /// Number of records, from the first on, that one payload's room is enough for.
    pub(super) fn fitting(records: &[StreamRecord]) -> usize {
        let mut sum = 0;
        let fitting = records.iter().take_while(|record| {
            sum += cost(record);
            sum <= PAYLOAD_LIMIT_BYTES
        });
        fitting.count()
    }

    /// Waits until there is room for these records, and takes it.
    pub(super) async fn take(&self, records: &[StreamRecord]) {
        let sum: usize = records.iter().map(cost).sum();
        let permits = self.0.acquire_many(u32::try_from(sum).unwrap_or(u32::MAX)).await;
        // Given back record by record.
        permits.expect("invariant: nobody closes the budget").forget();
    }

    /// Gives back the room of records that are finished.
    pub(super) fn give_back(&self, records: &[StreamRecord]) {
        self.0.add_permits(records.iter().map(cost).sum());
    }
}

/// Room that a record takes.
fn cost(record: &StreamRecord) -> usize {
    record.json().len().min(PAYLOAD_LIMIT_BYTES)
}
