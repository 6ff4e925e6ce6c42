//! A bucket in memory with scripted faults: the double for tests.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::time::Instant;

use super::{Bucket, BucketError, ObjectPage, StoredObject};
use crate::time::Timestamp;

/// Number of objects on one page of a listing.
const PAGE: usize = 2;

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, (Bytes, Timestamp)>,
    is_down: bool,
    refused_deletions: u64,
}

/// A bucket in memory. Clones share one bucket.
#[derive(Debug, Clone, Default)]
pub struct MemoryBucket(Arc<Mutex<State>>);

impl MemoryBucket {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores an object at this second of the bucket's own time.
    pub fn put(&self, key: &str, second: u64, body: impl Into<Bytes>) {
        let stored_at = Timestamp::from_millis(second * 1_000);
        self.state().objects.insert(key.to_owned(), (body.into(), stored_at));
    }

    /// Returns the keys of all objects.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    /// From now on, nothing answers.
    pub fn take_down(&self) {
        self.state().is_down = true;
    }

    /// Refuses the next deletions.
    pub fn refuse_deletions(&self, count: u64) {
        self.state().refused_deletions = count;
    }

    fn reached(&self) -> Result<MutexGuard<'_, State>, BucketError> {
        let state = self.state();
        if state.is_down { Err(BucketError::Unreachable("did not answer".to_owned())) } else { Ok(state) }
    }
}

impl Bucket for MemoryBucket {
    async fn list(&self, after: Option<&str>, _: Instant) -> Result<ObjectPage, BucketError> {
        let state = self.reached()?;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut found = state.objects.range::<str, _>((start, Bound::Unbounded));
        let objects = found.by_ref().take(PAGE).map(|(key, (body, stored_at))| StoredObject {
            key: key.clone(),
            bytes: body.len() as u64,
            stored_at: *stored_at,
        });
        Ok(ObjectPage { objects: objects.collect(), has_more: found.next().is_some() })
    }

    async fn read(&self, key: &str, _: Instant) -> Result<Option<Bytes>, BucketError> {
        Ok(self.reached()?.objects.get(key).map(|(body, _)| body.clone()))
    }

    async fn delete(&self, key: &str, _: Instant) -> Result<(), BucketError> {
        let mut state = self.reached()?;
        if state.refused_deletions > 0 {
            state.refused_deletions -= 1;
            return Err(BucketError::Refused("Scripted".to_owned()));
        }
        state.objects.remove(key);
        Ok(())
    }
}
