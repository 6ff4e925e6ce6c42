//! Lambda's letters: a range of the stream, read again and written like any batch.

use driftless::batch::{Batch, Rejected};
use driftless::dead_letter::{Rejection, Sender, StreamRange};
use driftless::function::clock::now;
use driftless::outcome::{ConfigurationError, Outcome};
use driftless::queue::{Queue, Received};
use driftless::stream::range::{RangeError, Ranges};
use driftless::target::Target;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::redrive::{End, Redrive, kept};
use crate::report::{Report, Trimmed};

const NEXT: &str = "the stream no longer holds these records: backfill the table, or verify and repair, then discard \
                    this letter by its message_id";

impl<T: Target, Q: Queue, R: Ranges> Redrive<'_, T, Q, R> {
    /// Reads the range again, page by page, and writes it through the guard.
    ///
    /// # Errors
    /// Where the deployment is wrong.
    pub(crate) async fn range(
        &self,
        message: &Received,
        range: &StreamRange,
        dry_run: bool,
        stop: Instant,
        report: &mut Report,
    ) -> Result<End, ConfigurationError> {
        let mut cursor = match self.ranges.open(&range.batch, stop).await {
            Ok(cursor) => cursor,
            Err(error) => return Ok(End::Keep(unread(&error))),
        };
        loop {
            let page = match self.ranges.next(&mut cursor, stop).await {
                Ok(page) => page,
                Err(error) => return Ok(End::Keep(unread(&error))),
            };
            if let Some(why) = self.page(&page.records, dry_run, stop, report).await? {
                return Ok(End::Stop(why));
            }
            if page.last {
                break;
            }
        }
        if !self.ranges.is_trimmed(&cursor) {
            return Ok(End::Done);
        }
        let batch = &range.batch;
        report.trimmed(Trimmed {
            message_id: message.id.clone(),
            stream_arn: batch.stream_arn.clone(),
            shard_id: batch.shard_id.clone(),
            from: batch.start_sequence_number.clone(),
            to: batch.end_sequence_number.clone(),
            next: NEXT.to_owned(),
        });
        Ok(End::Keep(kept("trimmed", NEXT.to_owned())))
    }

    /// Applies a part of a range; gives why the range must stay, if it must.
    async fn page(
        &self,
        raw: &[Box<RawValue>],
        dry_run: bool,
        stop: Instant,
        report: &mut Report,
    ) -> Result<Option<Rejection>, ConfigurationError> {
        let batch = match Batch::read(raw, self.reading) {
            Ok(batch) => batch,
            // Of this letter only: the others may be of another stream.
            Err(error) => return Ok(Some(kept("configuration", error.to_string()))),
        };
        let outcomes = self.apply(batch.changes(), dry_run, stop).await?;
        outcomes.iter().for_each(|outcome| report.changes.count(outcome));
        let rejected = batch.rejected(&outcomes);
        report.changes.rejected += rejected.iter().filter(|rejected| rejected.change.is_none()).count() as u64;
        let failed = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Failed(problem) => Some(Rejection::from_problem(problem)),
            _ => None,
        });
        if failed.is_some() || dry_run {
            return Ok(failed);
        }
        Ok(self.send(&rejected, stop).await.err())
    }

    /// What a range holds and the engine refuses becomes a letter of its own, before the range is deleted.
    async fn send(&self, rejected: &[Rejected<'_>], stop: Instant) -> Result<(), Rejection> {
        let from = Sender { index: self.index, function_version: self.version, now: now() };
        for rejected in rejected {
            let message = rejected.letter(&from).message().map_err(|error| kept("queue", error.to_string()))?;
            self.queue.send(&message, stop).await.map_err(|error| kept("queue", error.to_string()))?;
        }
        Ok(())
    }
}

fn unread(error: &RangeError) -> Rejection {
    let class = match error {
        RangeError::Malformed(_) => "unreadable",
        RangeError::Unavailable(_) => "unavailable",
    };
    kept(class, error.to_string())
}
