//! Messages of the dead-letter queue, as a list that a person can act on.
//!
//! Every message is received, and given back when all are read: a redrive at the same moment would miss them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use driftless::dead_letter::cause::Cause;
use driftless::dead_letter::{DeadLetterMessage, Unreadable};
use driftless::queue::sqs::SqsQueue;
use driftless::queue::{Queue, QueueError, Received};
use driftless::time::Timestamp;
use futures::{StreamExt as _, stream};
use tokio::time::Instant;

use crate::services::{SQS_ENDPOINT, sqs_client};

/// The whole reading; well within the time for which SQS hides a message (30 s unless the queue says more).
const LIMIT: Duration = Duration::from_secs(20);
/// Messages that are given back concurrently.
const AT_ONCE: usize = 16;

/// A message of the queue, read.
#[derive(Debug)]
pub struct ListedMessage {
    /// Message as it was received.
    pub message: Received,
    /// Dead letter that the message holds.
    pub letter: Result<DeadLetterMessage, Unreadable>,
}

/// The queue at a URL: on this machine, or AWS's with the variables of the SDK.
///
/// # Errors
/// Where neither is named.
pub fn queue(url: &str) -> Result<SqsQueue> {
    ensure!(url.starts_with("http"), "--queue is `{url}`, it must be a queue's URL");
    Ok(queue_at(std::env::var(SQS_ENDPOINT).ok().as_deref(), url))
}

/// The queue at a URL, of the service at `endpoint` or of AWS.
#[must_use]
pub fn queue_at(endpoint: Option<&str>, url: &str) -> SqsQueue {
    match endpoint {
        Some(endpoint) => SqsQueue::with_client(sqs_client(endpoint), url),
        None => SqsQueue::new(url),
    }
}

/// Reads up to `max` letters and gives them back.
///
/// # Errors
/// Where the queue cannot be read.
pub async fn peek(queue: &SqsQueue, max: usize) -> Result<Vec<ListedMessage>> {
    let deadline = Instant::now() + LIMIT;
    let mut entries: Vec<ListedMessage> = Vec::new();
    let read = receive(queue, max, deadline, &mut entries).await;
    // Also after an error: what was received would stay hidden.
    let closing = deadline + LIMIT;
    let released = stream::iter(&entries).map(|entry| queue.release(&entry.message, closing));
    let released: Vec<_> = released.buffer_unordered(AT_ONCE).collect().await;
    read.context("read the queue")?;
    released.into_iter().collect::<Result<(), _>>().context("give a letter back")?;
    entries.truncate(max);
    Ok(entries)
}

async fn receive(
    queue: &SqsQueue,
    max: usize,
    deadline: Instant,
    entries: &mut Vec<ListedMessage>,
) -> Result<(), QueueError> {
    while entries.len() < max {
        let messages = queue.receive(deadline).await?;
        if messages.is_empty() {
            break;
        }
        entries.extend(
            messages
                .into_iter()
                .map(|message| ListedMessage { letter: DeadLetterMessage::read(&message.body), message }),
        );
    }
    Ok(())
}

/// Counts entries by class, status, field and cause; the most frequent first.
#[must_use]
pub fn summary(entries: &[ListedMessage]) -> Vec<String> {
    let line = |(cause, count): (Cause, usize)| format!("{count:>6}  {}: {}", cause_in_words(&cause), cause.shape);
    counts(entries.iter().map(ListedMessage::cause)).into_iter().map(line).collect()
}

/// Counts entries by class, status and field alone.
#[must_use]
pub fn causes(entries: &[ListedMessage]) -> Vec<String> {
    let causes = entries.iter().map(|entry| Cause { shape: String::new(), ..entry.cause() });
    counts(causes).into_iter().map(|(cause, count)| format!("{count:>6}  {}", cause_in_words(&cause))).collect()
}

fn counts(causes: impl Iterator<Item = Cause>) -> Vec<(Cause, usize)> {
    let mut counts: BTreeMap<Cause, usize> = BTreeMap::new();
    for cause in causes {
        *counts.entry(cause).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

/// Words class, status and field of a cause.
pub(crate) fn cause_in_words(cause: &Cause) -> String {
    let status = cause.status.map_or_else(String::new, |status| format!(" {status}"));
    let field = cause.field.as_ref().map_or_else(String::new, |field| format!(", field {field}"));
    format!("{}{status}{field}", cause.class)
}

impl ListedMessage {
    fn cause(&self) -> Cause {
        match &self.letter {
            Ok(DeadLetterMessage::Record(letter)) => Cause::of(&letter.rejected),
            Ok(DeadLetterMessage::Range(range)) => Cause {
                class: range.request.condition.clone(),
                shape: "records that Lambda gave up".to_owned(),
                ..Cause::default()
            },
            Err(error) => Cause { class: "unreadable".to_owned(), shape: error.to_string(), ..Cause::default() },
        }
    }

    /// Describes the message for a person.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        match &self.letter {
            Ok(DeadLetterMessage::Record(letter)) => {
                let status = letter.rejected.status.map_or_else(String::new, |status| format!(" {status}"));
                vec![
                    format!(
                        "{}  {:6} {} of {} → {}  {}{status}",
                        time(letter.rejected_at),
                        text(&letter.event_name),
                        text(&letter.document_id),
                        text(&letter.table),
                        letter.index,
                        letter.rejected.class,
                    ),
                    format!("    {}", letter.rejected.reason),
                    format!("    message {}, record of {} bytes", self.message.id, letter.record.get().len()),
                ]
            }
            Ok(DeadLetterMessage::Range(range)) => {
                let batch = &range.batch;
                vec![
                    format!(
                        "{}  {} records of {}  {} after {} invocations",
                        self.message.sent_at.map_or_else(|| "-".to_owned(), time),
                        batch.batch_size,
                        batch.table().unwrap_or(&batch.stream_arn),
                        range.request.condition,
                        range.request.approximate_invoke_count,
                    ),
                    format!("    {} to {}", batch.start_sequence_number, batch.end_sequence_number),
                    format!("    message {}, shard {}", self.message.id, batch.shard_id),
                ]
            }
            Err(error) => vec![format!("message {}: {error}", self.message.id)],
        }
    }
}

/// ISO 8601 in UTC, to the second.
fn time(at: Timestamp) -> String {
    let seconds = i64::try_from(at.as_millis() / 1_000).unwrap_or_default();
    DateTime::from_secs(seconds).fmt(DateTimeFormat::DateTime).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(field: &str, value: &str) -> ListedMessage {
        let reason = format!("failed to parse field [{field}] of type [double]. Preview of field's value: '{value}'");
        let body = serde_json::json!({
            "format": driftless::dead_letter::FORMAT,
            "rejected": {"class": "mapper_parsing_exception", "status": 400, "reason": reason},
            "index": "i", "rejected_at": 0, "function_version": "1", "record": {},
        })
        .to_string();
        let (id, receipt, sent_at) = ("m".to_owned(), "r".to_owned(), None);
        ListedMessage { letter: DeadLetterMessage::read(&body), message: Received { id, receipt, body, sent_at } }
    }

    #[test]
    fn a_summary_counts_by_field_and_cause() {
        let entries = [entry("address", "x"), entry("discount", "10%"), entry("discount", "free")];
        let cause = "failed to parse field […] of type […]. Preview of field's value: '…'";
        assert_eq!(
            summary(&entries),
            [
                format!("     2  mapper_parsing_exception 400, field discount: {cause}"),
                format!("     1  mapper_parsing_exception 400, field address: {cause}"),
            ]
        );
    }
}
