//! The loop over the on-failure bucket: lists, reads, writes conditionally, and deletes what is done. The oldest first.
//!
//! An object is deleted only after each of its changes was applied, was found to be superseded, or has a dead letter in
//! the queue; or because the request discards it. Reading hides nothing, so an object that stays needs no release.

use driftless::bucket::{Bucket, BucketError, StoredObject};
use driftless::dead_letter::Unreadable;
use driftless::dead_letter::invocation_record::InvocationRecord;
use driftless::function::FunctionError;
use driftless::outcome::ConfigurationError;
use driftless::queue::Queue;
use driftless::stream::range::RangeReader;
use driftless::table::Table;
use driftless::target::Target;
use tokio::time::Instant;

use crate::redrive::{Redrive, end_of_unnamed_table};
use crate::request::{Facts, FilterMatch};
use crate::run::{End, RedriveRun, Then};

/// Limit for the listed objects. A run that finds more works on the first of them, by key.
const MOST_LISTED: usize = 100_000;

impl<T: Target, Q: Queue, R: RangeReader, B: Table, O: Bucket> Redrive<'_, T, Q, R, B, O> {
    /// Handles objects until all are handled, `max` are done, or the time is up. Returns the number of those left. With
    /// `only_count`, it handles none.
    ///
    /// # Errors
    /// Fails if the deployment is wrong, or the bucket cannot be listed.
    pub(crate) async fn redrive_objects(
        &self,
        only_count: bool,
        run: &mut RedriveRun<'_>,
    ) -> Result<u64, FunctionError> {
        let Some(bucket) = self.bucket.filter(|_| run.request.filter.takes_objects()) else { return Ok(0) };
        let objects = match oldest_first(bucket, run.stop()).await {
            Ok(objects) => objects,
            // The queue took the time, or the bucket holds more than can be listed in it.
            Err(_) if Instant::now() >= run.stop() => {
                run.report.out_of_time = true;
                return Ok(0);
            }
            Err(error) => return Err(error.into()),
        };
        let mut left = objects.len() as u64;
        for object in &objects {
            if only_count || !run.may_continue() {
                break;
            }
            match self.redrive_object(bucket, object, run).await? {
                Then::Next => left -= 1,
                Then::Hold => {}
                Then::HoldAndStop => break,
            }
        }
        Ok(left)
    }

    /// Handles one object of the bucket.
    async fn redrive_object(
        &self,
        bucket: &O,
        object: &StoredObject,
        run: &mut RedriveRun<'_>,
    ) -> Result<Then, ConfigurationError> {
        let key = &object.key;
        if !run.request.filter.takes_id(key) {
            return Ok(run.note_skipped());
        }
        let read = match Unreadable::of_size(object.bytes) {
            Some(error) => Err(error),
            None => match bucket.read(key, run.stop()).await {
                Ok(Some(body)) => InvocationRecord::read(&body),
                // Another run has taken it, or its time in the bucket is over.
                Ok(None) => return Ok(Then::Next),
                Err(error) => {
                    run.report.letters.received += 1;
                    return Ok(run.note_kept(key, kept_by_bucket(&error)));
                }
            },
        };
        let matches = run.request.filter.compare(key, &Facts::of_object(&read));
        if matches == FilterMatch::No {
            return Ok(run.note_skipped());
        }
        run.report.letters.received += 1;
        let end = match read {
            Ok(record) if matches == FilterMatch::Undecided => end_of_unnamed_table(&record.range),
            _ if run.request.discard => End::Done,
            Err(error) => End::keep("unreadable", error.to_string()),
            Ok(record) => self.redrive_batch(&record, run).await?,
        };
        let stop = run.stop();
        let delete = async { bucket.delete(key, stop).await.map_err(|error| kept_by_bucket(&error)) };
        Ok(run.conclude(key, end, delete).await)
    }
}

/// Lists all objects, and puts the oldest first.
async fn oldest_first(bucket: &impl Bucket, deadline: Instant) -> Result<Vec<StoredObject>, BucketError> {
    let mut objects: Vec<StoredObject> = Vec::new();
    loop {
        let page = bucket.list(objects.last().map(|object| object.key.as_str()), deadline).await?;
        let is_last = !page.has_more || page.objects.is_empty();
        objects.extend(page.objects);
        if is_last || objects.len() >= MOST_LISTED {
            break;
        }
    }
    // The sort is stable: objects of one second stay in the order of their keys.
    objects.sort_by_key(|object| object.stored_at);
    Ok(objects)
}

fn kept_by_bucket(error: &BucketError) -> End {
    End::keep("bucket", error.to_string())
}
