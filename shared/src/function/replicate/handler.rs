//! The function without Lambda around it: takes an event, a writer and a deadline, and returns the sequence numbers of
//! the failed records. Returns an error if nothing is known about the batch.

use std::collections::BTreeSet;
use std::time::Duration;

use lambda_runtime::LambdaEvent;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::dead_letters::{self, SendOptions};
use super::metrics::{Metrics, Outbox};
use super::response::failed_numbers;
use super::trigger::Trigger;
use crate::backoff::Backoff;
use crate::batch::{Batch, Rejected};
use crate::change::ReadOptions;
use crate::dead_letter::Sender;
use crate::function::clock::now;
use crate::function::settings::DEFAULT_ANSWER_MARGIN;
use crate::function::{Context, Deadlines, FunctionError};
use crate::outcome::Outcome;
use crate::queue::Queue;
use crate::source::RecordSource;
use crate::table::Table;
use crate::target::Target;
use crate::writer::repair::RepairOptions;
use crate::writer::{ApplyOptions, ApplyReport, Writer};

/// Backoff while a configuration error persists.
const FIRST_CONFIGURATION_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_CONFIGURATION_PAUSE: Duration = Duration::from_secs(4);

/// Event of a stream. Its records are still unparsed, so that a malformed one fails no other.
#[derive(Debug)]
pub struct StreamEvent {
    /// Records of the batch, unparsed.
    pub records: Vec<Box<RawValue>>,
}

impl<'de> Deserialize<'de> for StreamEvent {
    /// Uses its own message: the runtime logs the error, and serde's would quote the value in place of the records.
    fn deserialize<D: Deserializer<'de>>(event: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Fields {
            records: Vec<Box<RawValue>>,
        }
        let fields = Fields::deserialize(event).map_err(|_| D::Error::custom("the event has no list of Records"))?;
        Ok(Self { records: fields.records })
    }
}

/// Handles one invocation as Lambda calls it. Logs, and leaves metrics in the outbox, however it ends.
///
/// # Errors
/// Fails if nothing is known about the batch. Lambda retries it.
pub async fn invoke<S: Trigger>(
    context: &Context,
    outbox: &Outbox,
    trigger: &S,
    event: LambdaEvent<StreamEvent>,
) -> Result<Vec<String>, FunctionError> {
    let records = &event.payload.records;
    let mut metrics = Metrics::new(records.len());
    let margin = context.settings().map_or(DEFAULT_ANSWER_MARGIN, |settings| settings.answer_margin);
    let deadlines = Deadlines::new(event.context.deadline, margin);
    let result = try_until_mended(context, trigger, records, deadlines, &mut metrics).await;
    if result.is_err() {
        metrics.fail_all();
    }
    let index = context.settings().map_or("unknown", |settings| settings.engine.index.public());
    outbox.put(metrics, index);
    result
}

/// Handles the batch, and retries while only a person can help. An immediate failure would use up Lambda's few retries
/// in seconds, and drain the stream into the dead-letter queue.
async fn try_until_mended<S: Trigger>(
    context: &Context,
    trigger: &S,
    records: &[Box<RawValue>],
    deadlines: Deadlines,
    metrics: &mut Metrics,
) -> Result<Vec<String>, FunctionError> {
    let mut backoff = Backoff::new(FIRST_CONFIGURATION_PAUSE, LONGEST_CONFIGURATION_PAUSE);
    let mut looked_again = false;
    let mut last: Option<FunctionError> = None;
    loop {
        let result = deadlines.keep(handle_once(context, trigger, records, deadlines, metrics)).await;
        let Err(error) = result else { return result };
        // The previous error says more than the last one, if that only ran out of time.
        let error = if error.is_configuration() { error } else { last.take().unwrap_or(error) };
        // Log a repeated error once only.
        if last.as_ref().is_none_or(|last| last.to_string() != error.to_string()) {
            tracing::error!(class = error.kind(), records = records.len(), "{error}");
        }
        if !error.is_configuration() {
            return Err(error);
        }
        context.forget_writer().await;
        // After a move of the aliases, the index can be found immediately.
        let goes_on = (error.is_index_gone() && !std::mem::replace(&mut looked_again, true))
            || backoff.wait_before(deadlines.work).await;
        if !goes_on {
            tokio::time::sleep_until(deadlines.work).await;
            return Err(error);
        }
        last = Some(error);
    }
}

async fn handle_once<S: Trigger>(
    context: &Context,
    trigger: &S,
    records: &[Box<RawValue>],
    deadlines: Deadlines,
    metrics: &mut Metrics,
) -> Result<Vec<String>, FunctionError> {
    let settings = context.settings()?;
    let deadlines = deadlines.checked().map_err(FunctionError::Misconfigured)?;
    context.read_hash_key(deadlines.work).await?;
    let source = trigger.source(settings)?;
    let batch = Batch::read(records, source, &settings.read_options)?;
    let writer = match batch.table_arn()? {
        Some(table) => Some(context.writer(Some(table), deadlines.work).await?),
        None => None,
    };
    let items = trigger.items(settings);
    let function = Function {
        source,
        read_options: &settings.read_options,
        items: items.as_deref(),
        writer: writer.as_deref(),
        queue: context.queue(),
        sender: settings.sender(),
    };
    function.handle_batch(&batch, deadlines, metrics).await
}

/// Parts of the function.
#[derive(Debug, Clone, Copy)]
pub struct Function<'f, T, Q, B> {
    /// Source of the records.
    pub source: RecordSource<'f>,
    /// Settings for reading records.
    pub read_options: &'f ReadOptions,
    /// Writer on the index. Not needed if no record holds a change.
    pub writer: Option<&'f Writer<T>>,
    /// Table whose items decide between changes that have no order. Without it, such changes fail.
    pub items: Option<&'f B>,
    /// Queue for dead letters. Without it, rejected records fail.
    pub queue: Option<&'f Q>,
    /// Sender of dead letters.
    pub sender: Sender<'f>,
}

impl<T: Target, Q: Queue, B: Table> Function<'_, T, Q, B> {
    /// Parses the records, applies their changes, sends dead letters, and names the failed records.
    ///
    /// # Errors
    /// Fails if the deployment is wrong, or a failed record cannot be named.
    pub async fn handle(
        &self,
        raw: &[Box<RawValue>],
        deadlines: Deadlines,
        metrics: &mut Metrics,
    ) -> Result<Vec<String>, FunctionError> {
        self.handle_batch(&Batch::read(raw, self.source, self.read_options)?, deadlines, metrics).await
    }

    /// Handles a batch whose records are parsed.
    ///
    /// # Errors
    /// As for [`Function::handle`].
    pub async fn handle_batch(
        &self,
        batch: &Batch<'_>,
        deadlines: Deadlines,
        metrics: &mut Metrics,
    ) -> Result<Vec<String>, FunctionError> {
        let report = match self.writer {
            Some(writer) => self.apply(writer, batch, deadlines.work, metrics).await?,
            None => ApplyReport::default(),
        };
        let mut failed = conclude(batch, &report, metrics);
        let rejected = batch.rejected(&report.outcomes);
        for Rejected { origin, change, why, .. } in &rejected {
            let event_id = origin.event_id.as_deref();
            let (class, status) = (why.class.as_str(), why.status);
            // The engine's reason may quote the item, so it is not logged. The reason for a malformed record quotes
            // nothing.
            let reason = change.is_none().then_some(why.reason.as_str());
            tracing::error!(event_id, class, status, reason, "rejected");
            metrics.problem(class);
        }
        let options = SendOptions { queue: self.queue, sender: self.sender, deadline: deadlines.dead_letters };
        let sent = dead_letters::send(&rejected, &mut failed, options).await;
        metrics.settle(sent, failed.len() as u64);
        failed_numbers(batch.origins(), failed).map_err(|_| FunctionError::NothingToName)
    }
}

impl<T: Target, Q, B: Table> Function<'_, T, Q, B> {
    /// Applies the changes, and lets items decide between those that have no order.
    async fn apply(
        &self,
        writer: &Writer<T>,
        batch: &Batch<'_>,
        deadline: Instant,
        metrics: &mut Metrics,
    ) -> Result<ApplyReport, FunctionError> {
        let options = ApplyOptions::new(deadline, now());
        let mut report = writer.apply(batch.changes(), options).await?;
        if report.outcomes.contains(&Outcome::Unordered) {
            let unordered: Vec<bool> = report.outcomes.iter().map(|outcome| *outcome == Outcome::Unordered).collect();
            let options = RepairOptions { deadline, now: &now, replication: &self.read_options.replication };
            let key = |change| batch.key(change);
            // Boxed, because it is rare, and would enlarge the future of every invocation.
            Box::pin(writer.decide(self.items, batch.changes(), key, &mut report.outcomes, options)).await?;
            let decided = unordered.iter().zip(&report.outcomes);
            let decided = decided.filter(|(unordered, ended)| **unordered && !matches!(ended, Outcome::Failed(_)));
            metrics.decided_by_item(decided.count() as u64);
        }
        Ok(report)
    }
}

/// Counts and logs the outcomes. Returns the places of the failed changes.
fn conclude(batch: &Batch<'_>, report: &ApplyReport, metrics: &mut Metrics) -> BTreeSet<usize> {
    let written = now();
    metrics.engine(report.engine_time, report.round_trips);
    let mut failed = BTreeSet::new();
    for (place, change, outcome) in batch.concluded(&report.outcomes) {
        metrics.count(change, outcome, written);
        let event_id = batch.origins()[place].event_id.as_deref();
        if let Outcome::Failed(problem) = outcome {
            let (class, status) = (problem.class(), problem.status());
            tracing::warn!(event_id, class, status, "failed, will be retried");
            metrics.problem(class);
            failed.insert(place);
        }
    }
    failed
}

#[cfg(test)]
mod kinesis_tests;
#[cfg(test)]
mod tests;
