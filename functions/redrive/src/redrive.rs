//! The loop over the dead-letter queue: receives, parses, writes conditionally, deletes what is done, and releases the
//! rest. The loop over the on-failure bucket follows it.
//!
//! A message is deleted only after each of its changes was applied, was found to be superseded, or has a dead letter of
//! its own; or because the request discards it. However the run ends, all other messages reappear.

use std::ops::ControlFlow;
use std::time::Duration;

use driftless::bucket::Bucket;
use driftless::change::{Change, ReadOptions};
use driftless::dead_letter::{DeadLetterMessage, Sender, StreamRange};
use driftless::function::FunctionError;
use driftless::function::clock::now;
use driftless::outcome::{ConfigurationError, Outcome, Problem};
use driftless::queue::{Queue, Received};
use driftless::stream::range::RangeReader;
use driftless::table::{Key, Table};
use driftless::target::Target;
use driftless::writer::repair::{RepairError, RepairOptions};
use driftless::writer::{ApplyOptions, Writer};
use futures::{StreamExt as _, future, stream};
use tokio::time::Instant;

use crate::report::RedriveReport;
use crate::request::{Facts, FilterMatch, RedriveRequest};
use crate::run::{End, RedriveRun, Then};

const CONCURRENT_RELEASES: usize = 16;

/// Parts of the function.
#[derive(Debug, Clone, Copy)]
pub struct Redrive<'f, T, Q, R, B, O> {
    /// Settings for reading records.
    pub read_options: &'f ReadOptions,
    /// Writer on the index.
    pub writer: &'f Writer<T>,
    /// Queue whose dead letters are redriven.
    pub queue: &'f Q,
    /// Bucket with batches that Lambda gave up; `None` where it sends messages only.
    pub bucket: Option<&'f O>,
    /// Reader for ranges of the stream.
    pub ranges: &'f R,
    /// Table that decides on dead letters whose order is in doubt. Without it, they stay.
    pub items: Option<&'f B>,
    /// Sender of new dead letters. Those of other indexes stay.
    pub sender: Sender<'f>,
    /// ARN of the index's table, without the stream. With `None`, dead letters of every table are taken.
    pub table: Option<&'f str>,
    /// Time to try one dead letter, or one page of a range. See [`patience`].
    pub patience: Duration,
}

/// Returns the time to try one dead letter, given the engine's time-out per request. It suffices for a document that
/// takes several times as long as others.
#[must_use]
pub fn patience(request_timeout: Duration) -> Duration {
    const LEAST: Duration = Duration::from_secs(15);
    const TIMEOUTS: u32 = 4;
    request_timeout.saturating_mul(TIMEOUTS).max(LEAST)
}

impl<T: Target, Q: Queue, R: RangeReader, B: Table, O: Bucket> Redrive<'_, T, Q, R, B, O> {
    /// Handles dead letters until queue and bucket are empty, `max` are done, or the time is up.
    ///
    /// # Errors
    /// Fails if the deployment is wrong, or the queue or the bucket cannot be read.
    pub async fn run(&self, request: &RedriveRequest, end: Instant) -> Result<RedriveReport, FunctionError> {
        let mut run = RedriveRun::new(request, end);
        let result = self.redrive_all(&mut run).await;
        let released = stream::iter(run.held.values()).map(|message| self.queue.release(message, end));
        let refused = released
            .buffer_unordered(CONCURRENT_RELEASES)
            .filter(|released| future::ready(released.is_err()))
            .count()
            .await;
        if refused > 0 {
            tracing::warn!(refused, "dead letters could not be released: they reappear after the visibility timeout");
        }
        let objects = result?;
        let waiting = self.queue.waiting(end).await.unwrap_or_default();
        Ok(RedriveReport { left: waiting.max(run.held.len() as u64) + objects, ..run.report })
    }

    /// Handles messages, then objects. Returns the number of objects left.
    async fn redrive_all(&self, run: &mut RedriveRun<'_>) -> Result<u64, FunctionError> {
        let goes_on = match run.request.filter.takes_messages() {
            true => self.receive_loop(run).await?.is_continue(),
            false => true,
        };
        self.redrive_objects(!goes_on, run).await
    }

    /// Handles messages. Breaks if the engine is at fault, so that nothing else is worth trying.
    async fn receive_loop(&self, run: &mut RedriveRun<'_>) -> Result<ControlFlow<()>, FunctionError> {
        while run.may_continue() {
            let received = self.queue.receive(run.stop()).await?;
            let mut messages = run.without_held(received).into_iter();
            if messages.len() == 0 {
                return Ok(ControlFlow::Continue(()));
            }
            while let Some(message) = messages.next() {
                let then = if run.may_continue() {
                    self.redrive_message(&message, run).await
                } else {
                    // One receive gave more than the request's maximum.
                    Ok(Then::HoldAndStop)
                };
                match then {
                    Ok(Then::Next) => {}
                    Ok(Then::Hold) => run.hold(message),
                    Ok(Then::HoldAndStop) | Err(_) => {
                        run.hold(message);
                        messages.for_each(|message| run.hold(message));
                        then?;
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Handles one message of the queue.
    async fn redrive_message(&self, message: &Received, run: &mut RedriveRun<'_>) -> Result<Then, ConfigurationError> {
        let dead_letter = DeadLetterMessage::read(&message.body);
        let matches = run.request.filter.compare(&message.id, &Facts::of_message(&dead_letter));
        if matches == FilterMatch::No {
            return Ok(run.note_skipped());
        }
        run.report.letters.received += 1;
        let end = match dead_letter {
            Ok(DeadLetterMessage::Range(range)) if matches == FilterMatch::Undecided => end_of_unnamed_table(&range),
            _ if run.request.discard => End::Done,
            Err(error) => End::keep("unreadable", error.to_string()),
            Ok(DeadLetterMessage::Record(dead_letter)) => self.redrive_record(&dead_letter, run).await?,
            Ok(DeadLetterMessage::Range(range)) => self.redrive_range(message, &range, run).await?,
        };
        let stop = run.stop();
        let delete =
            async { self.queue.delete(message, stop).await.map_err(|error| End::keep("queue", error.to_string())) };
        Ok(run.conclude(&message.id, end, delete).await)
    }

    /// Writes changes conditionally, and lets items decide between those that have no order. `key` returns the key of
    /// the change at a place. A dry run returns their expected outcomes.
    pub(crate) async fn apply(
        &self,
        changes: &[Change],
        key: impl Fn(usize) -> Option<Key>,
        run: &RedriveRun<'_>,
    ) -> Result<Vec<Outcome>, ConfigurationError> {
        let options = self.apply_options(run);
        if run.request.dry_run {
            let mut outcomes = self.writer.preview(changes, options).await?;
            let unordered = outcomes.iter_mut().filter(|outcome| **outcome == Outcome::Unordered);
            unordered.for_each(|outcome| *outcome = Outcome::Applied);
            return Ok(outcomes);
        }
        let mut outcomes = self.writer.apply(changes, options).await?.outcomes;
        let options = self.repair_options(run);
        match self.writer.decide(self.items, changes, key, &mut outcomes, options).await {
            Ok(()) => {}
            Err(RepairError::Configuration(error)) => return Err(error),
            Err(RepairError::Table(error)) => {
                let problem = Problem::Unordered(error.to_string().into());
                let unordered = outcomes.iter_mut().filter(|outcome| **outcome == Outcome::Unordered);
                unordered.for_each(|outcome| *outcome = Outcome::Failed(problem.clone()));
            }
        }
        Ok(outcomes)
    }

    /// Returns the options for repairing now.
    pub(crate) fn repair_options(&self, run: &RedriveRun<'_>) -> RepairOptions<'_> {
        let deadline = self.apply_options(run).deadline;
        RepairOptions { deadline, now: &now, replication: &self.read_options.replication }
    }

    /// Returns the end of a dead letter of Kinesis while the index has no table yet.
    pub(crate) fn end_without_table() -> End {
        End::keep("configuration", "records of Kinesis name no ARN, and the index has no table yet")
    }

    /// Returns the options for writing now.
    pub(crate) fn apply_options(&self, run: &RedriveRun<'_>) -> ApplyOptions {
        ApplyOptions::new(run.stop().min(Instant::now() + self.patience), now())
    }

    /// Returns the end of a dead letter that another table sent; `None` if nothing shows that.
    pub(crate) fn end_of_other_table(&self, stream_arn: Option<&str>) -> Option<End> {
        let (table, _) = stream_arn?.split_once("/stream/")?;
        let expected = self.table.filter(|expected| *expected != table)?;
        Some(End::keep("other_table", format!("the letter is of the table `{table}`, the index of `{expected}`")))
    }
}

/// Returns the end of a range or a batch that a filter by table cannot decide on. Without a reason, it would be passed
/// over in silence.
pub(crate) fn end_of_unnamed_table(range: &StreamRange) -> End {
    let stream = &range.batch.stream_arn;
    End::keep(
        "unnamed_table",
        format!(
            "the message is of the stream {stream} and names no table: select it by filter.stream_arn instead of \
             filter.table, or add filter.shape \"record\" to leave such messages and batches out"
        ),
    )
}
