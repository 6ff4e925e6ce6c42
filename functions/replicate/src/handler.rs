//! The function, without Lambda around it: an event, a writer and a deadline in; a response out, or an error where
//! nothing is known about the batch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lambda_events::streams::DynamoDbEventResponse;
use driftless::change::{Change, Reading, Record, RecordError};
use driftless::outcome::Outcome;
use driftless::target::Target;
use driftless::time::Timestamp;
use driftless::writer::{Limits, Writer};
use lambda_runtime::LambdaEvent;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::context::Context;
use crate::error::HandlerError;
use crate::metrics::Metrics;
use crate::response::partial_batch_response;

/// A DynamoDB Streams event, its records still unread, so that a malformed one spoils no other.
#[derive(Debug, Deserialize)]
pub struct StreamEvent {
    /// The batch.
    #[serde(rename = "Records")]
    pub records: Vec<Box<RawValue>>,
}

/// Handles one invocation: the function as Lambda calls it. Logs and measures, whatever the end.
///
/// # Errors
/// Where nothing is known about the batch; Lambda retries it.
pub async fn invoke(context: &Context, event: LambdaEvent<StreamEvent>) -> Result<DynamoDbEventResponse, HandlerError> {
    let mut metrics = Metrics::new(event.payload.records.len());
    let result = invoke_measured(context, event, &mut metrics).await;
    if let Err(error) = &result {
        metrics.fail_all();
        tracing::error!(class = error.kind(), records = metrics.records(), "{error}");
        if matches!(error, HandlerError::Configuration(_)) {
            context.forget_writer().await;
        }
    }
    let index = context.config().map_or("unknown", |config| config.engine.index.public());
    metrics.emit(index);
    result
}

async fn invoke_measured(
    context: &Context,
    event: LambdaEvent<StreamEvent>,
    metrics: &mut Metrics,
) -> Result<DynamoDbEventResponse, HandlerError> {
    let config = context.config()?;
    let deadline = Instant::now() + time_left(event.context.deadline).saturating_sub(config.answer_margin);
    let writer = context.writer(deadline).await?;
    // The writer keeps its deadline; half of the margin later something is wrong with it.
    let last_call = deadline + config.answer_margin / 2;
    let handled = handle(&event.payload.records, &config.reading, &writer, deadline, metrics);
    tokio::time::timeout_at(last_call, handled).await.unwrap_or(Err(HandlerError::OutOfTime))
}

/// Reads the records, applies their changes, and says which records failed.
///
/// # Errors
/// Where the deployment is wrong, or a failed record cannot be named.
pub async fn handle<T: Target>(
    records: &[Box<RawValue>],
    reading: &Reading,
    writer: &Writer<T>,
    deadline: Instant,
    metrics: &mut Metrics,
) -> Result<DynamoDbEventResponse, HandlerError> {
    let records: Vec<Record> = records.iter().map(|raw| Record::read(raw.get(), reading)).collect();
    let mut batch = Batch::default();
    for (place, record) in records.iter().enumerate() {
        match &record.change {
            Ok(change) => batch.push(place, change.clone()),
            Err(RecordError::Configuration(error)) => return Err(error.clone().into()),
            Err(RecordError::Malformed { field, problem }) => {
                tracing::error!(event_id = record.event_id, field, problem, "malformed record");
                metrics.reject();
                batch.failed.push(place);
            }
        }
    }
    let report = writer.apply(&batch.changes, Limits { deadline, written_at: now() }).await?;
    let written = now();
    metrics.engine(report.engine_time, report.round_trips);
    for ((&place, change), outcome) in batch.places.iter().zip(&batch.changes).zip(&report.outcomes) {
        metrics.count(change, outcome, written);
        log(&records[place], outcome);
        if matches!(outcome, Outcome::Rejected(_) | Outcome::Failed(_)) {
            batch.failed.push(place);
        }
    }
    let numbers: Vec<_> = records.into_iter().map(|record| record.sequence_number).collect();
    partial_batch_response(&numbers, &batch.failed).map_err(|_| HandlerError::NothingToName)
}

/// The changes of a batch with their records' places, and the places that failed.
#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    places: Vec<usize>,
    failed: Vec<usize>,
}

impl Batch {
    fn push(&mut self, place: usize, change: Change) {
        self.changes.push(change);
        self.places.push(place);
    }
}

/// The engine's words stay out of the log: they may quote the item.
fn log(record: &Record, outcome: &Outcome) {
    let event_id = record.event_id.as_deref();
    match outcome {
        Outcome::Rejected(problem) => {
            tracing::error!(event_id, class = problem.class(), status = problem.status(), "rejected");
        }
        Outcome::Failed(problem) => {
            tracing::warn!(event_id, class = problem.class(), status = problem.status(), "failed, will be retried");
        }
        Outcome::Stale { order_anomaly: true } => {
            tracing::warn!(event_id, "order anomaly: stale by version, newer by event time");
        }
        Outcome::Applied | Outcome::Duplicate | Outcome::Stale { .. } | Outcome::Superseded => {}
    }
}

/// Time until Lambda ends the invocation, from its deadline in milliseconds since the epoch. `cargo lambda watch` sends
/// the milliseconds that are left instead: a deadline within the first day of 1970 is taken so.
fn time_left(deadline_ms: u64) -> Duration {
    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
    if deadline_ms < DAY_MS {
        return Duration::from_millis(deadline_ms);
    }
    Duration::from_millis(Timestamp::from_millis(deadline_ms).millis_since(now()))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
