//! Replays batches that Lambda gave up, and writes them like any batch. The records of an on-failure message are read
//! again from the stream; an object of the bucket holds them.

use driftless::batch::{Batch, Rejected};
use driftless::bucket::Bucket;
use driftless::change::ReadOptions;
use driftless::dead_letter::StreamRange;
use driftless::dead_letter::invocation_record::InvocationRecord;
use driftless::dead_letter::range::BatchInfo;
use driftless::function::clock::now;
use driftless::outcome::{ConfigurationError, Outcome};
use driftless::queue::{Queue, Received};
use driftless::source::RecordSource;
use driftless::stream::range::{RangeError, RangeReader};
use driftless::table::Table;
use driftless::target::Target;
use serde_json::value::RawValue;

use crate::redrive::Redrive;
use crate::report::Trimmed;
use crate::run::{End, RedriveRun};

const NEXT: &str = "the stream no longer holds these records: backfill the table, or verify and repair, then discard \
                    this letter by its message_id";

/// Result of one page of a range.
enum PageResult {
    /// All changes of the page are done.
    Done,
    /// Nobody knows if some changes are newer than the stored ones. All others are done.
    Undecided,
    /// The message must stay, and reading on is of no use.
    Over(End),
}

impl<T: Target, Q: Queue, R: RangeReader, B: Table, O: Bucket> Redrive<'_, T, Q, R, B, O> {
    /// Reads the range again, page by page, and writes it conditionally.
    ///
    /// # Errors
    /// Fails if the deployment is wrong.
    pub(crate) async fn redrive_range(
        &self,
        message: &Received,
        range: &StreamRange,
        run: &mut RedriveRun<'_>,
    ) -> Result<End, ConfigurationError> {
        let source = match self.source_of_range(&range.batch) {
            Ok(source) => source,
            Err(end) => return Ok(end),
        };
        let mut cursor = match self.ranges.open(&range.batch, run.stop()).await {
            Ok(cursor) => cursor,
            Err(error) => return Ok(unread(&error)),
        };
        let mut is_undecided = false;
        loop {
            let page = match self.ranges.next(&mut cursor, run.stop()).await {
                Ok(page) => page,
                Err(error) => return Ok(unread(&error)),
            };
            match self.redrive_page(&page.records, source, run).await? {
                PageResult::Done => {}
                PageResult::Undecided => is_undecided = true,
                PageResult::Over(end) => return Ok(end),
            }
            if page.last {
                break;
            }
        }
        if is_undecided {
            return Ok(self.undecided_end());
        }
        Ok(if self.ranges.is_trimmed(&cursor) { note_trimmed(message, range, run) } else { End::Done })
    }

    /// Writes the records of an object conditionally.
    ///
    /// # Errors
    /// Fails if the deployment is wrong.
    pub(crate) async fn redrive_batch(
        &self,
        record: &InvocationRecord,
        run: &mut RedriveRun<'_>,
    ) -> Result<End, ConfigurationError> {
        let source = match self.source_of_range(&record.range.batch) {
            Ok(source) => source,
            Err(end) => return Ok(end),
        };
        Ok(match self.redrive_page(&record.records, source, run).await? {
            PageResult::Done => End::Done,
            PageResult::Undecided => self.undecided_end(),
            PageResult::Over(end) => end,
        })
    }

    /// Returns the source of a range's records, or the reason why the index takes none of them.
    fn source_of_range(&self, range: &BatchInfo) -> Result<RecordSource<'_>, End> {
        if let Some(end) = self.end_of_other_table(Some(&range.stream_arn)) {
            return Err(end);
        }
        match (range.is_of_kinesis(), self.table) {
            (false, _) => Ok(RecordSource::DynamoDbStreams),
            (true, Some(table_arn)) => Ok(RecordSource::Kinesis { table_arn }),
            (true, None) => Err(Self::end_without_table()),
        }
    }

    /// Applies one page of a range, or a batch.
    async fn redrive_page(
        &self,
        raw: &[Box<RawValue>],
        source: RecordSource<'_>,
        run: &mut RedriveRun<'_>,
    ) -> Result<PageResult, ConfigurationError> {
        let read_options = ReadOptions { generation: self.assumed_generation(run), ..self.read_options.clone() };
        let mut batch = match Batch::read(raw, source, &read_options) {
            Ok(batch) => batch,
            // Concerns this message only: the others may be of another stream.
            Err(error) => return Ok(PageResult::Over(End::keep("configuration", error.to_string()))),
        };
        let undecided = match self.undecided_documents(batch.changes(), run).await? {
            Ok(undecided) => undecided,
            Err(problem) => return Ok(PageResult::Over(End::Failed(problem))),
        };
        batch.retain(|change| !undecided.contains(&change.id));
        let outcomes = self.apply(batch.changes(), |change| batch.key(change), run).await?;
        let changes = &mut run.report.changes;
        outcomes.iter().for_each(|outcome| changes.count(outcome));
        let rejected = batch.rejected(&outcomes);
        changes.rejected += rejected.iter().filter(|rejected| rejected.change.is_none()).count() as u64;
        let failed = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Failed(problem) => Some(problem.clone()),
            _ => None,
        });
        if let Some(problem) = failed {
            return Ok(PageResult::Over(End::Failed(problem)));
        }
        // The message still holds the undecided records, so they need no dead letter.
        if !undecided.is_empty() {
            return Ok(PageResult::Undecided);
        }
        if !run.request.dry_run
            && let Err(end) = self.send_rejected(&rejected, run).await
        {
            return Ok(PageResult::Over(end));
        }
        Ok(PageResult::Done)
    }

    /// Sends dead letters for rejected records of a range, before its message is deleted.
    async fn send_rejected(&self, rejected: &[Rejected<'_>], run: &RedriveRun<'_>) -> Result<(), End> {
        for rejected in rejected {
            let message = rejected.dead_letter(self.sender, now()).message();
            let message = message.map_err(|error| End::keep("queue", error.to_string()))?;
            self.queue.send(&message, run.stop()).await.map_err(|error| End::keep("queue", error.to_string()))?;
        }
        Ok(())
    }
}

/// Reports a range that the stream no longer holds completely.
fn note_trimmed(message: &Received, range: &StreamRange, run: &mut RedriveRun<'_>) -> End {
    let batch = &range.batch;
    run.report.note_trimmed(Trimmed {
        message_id: message.id.clone(),
        stream_arn: batch.stream_arn.clone(),
        shard_id: batch.shard_id.clone(),
        from: batch.start_sequence_number.clone(),
        to: batch.end_sequence_number.clone(),
        next: NEXT.to_owned(),
    });
    End::keep("trimmed", NEXT)
}

fn unread(error: &RangeError) -> End {
    let class = match error {
        RangeError::Malformed(_) => "unreadable",
        RangeError::Unavailable(_) => "unavailable",
    };
    End::keep(class, error.to_string())
}
