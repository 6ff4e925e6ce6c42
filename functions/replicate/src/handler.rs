//! The function, without Lambda around it: an event, a writer and a deadline in; a response out, or an error where
//! nothing is known about the batch.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lambda_events::streams::DynamoDbEventResponse;
use driftless::batch::{Batch, Rejected};
use driftless::change::Reading;
use driftless::dead_letter::Sender;
use driftless::function::clock::{now, time_left};
use driftless::function::settings::DEFAULT_ANSWER_MARGIN;
use driftless::function::{Context, FunctionError};
use driftless::outcome::Outcome;
use driftless::queue::Queue;
use driftless::target::Target;
use driftless::writer::{Limits, Report, Writer};
use lambda_runtime::LambdaEvent;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::letters;
use crate::metrics::{Metrics, Outbox};
use crate::response::partial_batch_response;

/// A DynamoDB Streams event, its records still unread, so that a malformed one spoils no other.
#[derive(Debug)]
pub struct StreamEvent {
    /// The batch.
    pub records: Vec<Box<RawValue>>,
}

impl<'de> Deserialize<'de> for StreamEvent {
    /// Words its own error: the runtime logs it, and that of `serde` would quote what stands in the place of the records.
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

/// Handles one invocation: the function as Lambda calls it. Logs, and leaves metrics in the outbox, whatever the end.
///
/// # Errors
/// Where nothing is known about the batch; Lambda retries it.
pub async fn invoke(
    context: &Context,
    outbox: &Outbox,
    event: LambdaEvent<StreamEvent>,
) -> Result<DynamoDbEventResponse, FunctionError> {
    let mut metrics = Metrics::new(event.payload.records.len());
    let margin = context.settings().map_or(DEFAULT_ANSWER_MARGIN, |settings| settings.answer_margin);
    let deadline = Instant::now() + time_left(event.context.deadline).saturating_sub(margin);
    let records = &event.payload.records;
    let mut held = Hold::default();
    let result = loop {
        let result = invoke_once(context, records, deadline, &mut metrics).await;
        let Err(error) = &result else { break result };
        tracing::error!(class = error.kind(), records = records.len(), "{error}");
        // Failing at once would use up Lambda's few retries in seconds, and drain the stream into the dead-letter queue.
        if error.is_configuration() {
            context.forget_writer().await;
            if error.is_worth_a_retry() && held.wait_before(deadline).await {
                continue;
            }
            tokio::time::sleep_until(deadline).await;
        }
        metrics.fail_all();
        break result;
    };
    let index = context.settings().map_or("unknown", |settings| settings.engine.index.public());
    outbox.put(metrics, index);
    result
}

/// The waits of an invocation that a person has to mend.
#[derive(Default)]
struct Hold(u32);

impl Hold {
    /// Waits a second, then longer and longer; not where the deadline leaves no time for one more try.
    async fn wait_before(&mut self, deadline: Instant) -> bool {
        let pause = Duration::from_secs(1 << self.0.min(5));
        self.0 += 1;
        if Instant::now() + pause >= deadline {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }
}

async fn invoke_once(
    context: &Context,
    records: &[Box<RawValue>],
    deadline: Instant,
    metrics: &mut Metrics,
) -> Result<DynamoDbEventResponse, FunctionError> {
    let settings = context.settings()?;
    let writer = context.writer(deadline).await?;
    let function = Function {
        reading: &settings.reading,
        writer: &writer,
        queue: context.queue(),
        index: settings.engine.index.public(),
        version: &settings.function_version,
    };
    // The writer keeps its deadline, and dead letters a quarter of the margin more; half of it later something is wrong.
    let times = Deadlines { apply: deadline, letters: deadline + settings.answer_margin / 4 };
    let last_call = deadline + settings.answer_margin / 2;
    let handled = function.handle(records, times, metrics);
    tokio::time::timeout_at(last_call, handled).await.unwrap_or(Err(FunctionError::OutOfTime))
}

/// The function's parts.
#[derive(Debug, Clone, Copy)]
pub struct Function<'f, T, Q> {
    /// How records are read.
    pub reading: &'f Reading,
    /// What writes.
    pub writer: &'f Writer<T>,
    /// Where rejected records go; without it they fail.
    pub queue: Option<&'f Q>,
    /// The index's public name.
    pub index: &'f str,
    /// Version of the code, for letters.
    pub version: &'f str,
}

/// When parts of an invocation must be done.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Writing.
    pub apply: Instant,
    /// Sending dead letters, after it.
    pub letters: Instant,
}

impl<T: Target, Q: Queue> Function<'_, T, Q> {
    /// Reads the records, applies their changes, sends dead letters, and says which records failed.
    ///
    /// # Errors
    /// Where the deployment is wrong, or a failed record cannot be named.
    pub async fn handle(
        &self,
        raw: &[Box<RawValue>],
        deadlines: Deadlines,
        metrics: &mut Metrics,
    ) -> Result<DynamoDbEventResponse, FunctionError> {
        let batch = Batch::read(raw, self.reading)?;
        let limits = Limits { deadline: deadlines.apply, written_at: now() };
        let report = self.writer.apply(batch.changes(), limits).await?;
        let mut failed = conclude(&batch, &report, metrics);
        let rejected = batch.rejected(&report.outcomes);
        for Rejected { origin, change, why, .. } in &rejected {
            let event_id = origin.event_id.as_deref();
            let (class, status) = (why.class.as_str(), why.status);
            // The engine's words stay out of the log: they may quote the item. What is wrong with a record does not.
            let reason = change.is_none().then_some(why.reason.as_str());
            tracing::error!(event_id, class, status, reason, "rejected");
            metrics.problem(class);
        }
        let from = Sender { index: self.index, function_version: self.version, now: now() };
        let sent = letters::send(&rejected, &mut failed, self.queue, (&from, deadlines.letters)).await;
        metrics.settle(sent, failed.len() as u64);
        partial_batch_response(batch.origins(), failed).map_err(|_| FunctionError::NothingToName)
    }
}

/// Counts and logs how the changes ended; gives the places of those that failed.
fn conclude(batch: &Batch<'_>, report: &Report, metrics: &mut Metrics) -> BTreeSet<usize> {
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
mod tests;
