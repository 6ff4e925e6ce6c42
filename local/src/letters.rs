//! `cargo local letters`: what waits in the dead-letter queue, as a list that a person can act on.
//!
//! Every message is received, and given back when all are read: a redrive at the same moment would miss them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use clap::Args;
use driftless::dead_letter::{Letter, Unreadable};
use driftless::queue::sqs::SqsQueue;
use driftless::queue::{Queue, Received};
use driftless::time::Timestamp;
use tokio::time::Instant;

use crate::console;
use crate::services::{SQS_ENDPOINT, sqs_client};

/// The whole reading; well within the time for which SQS hides a message (30 s unless the queue says more).
const LIMIT: Duration = Duration::from_secs(20);

/// List what waits in the dead-letter queue.
#[derive(Args, Clone, Debug)]
pub struct LettersArgs {
    /// The queue's URL.
    #[arg(long, env = "DEAD_LETTER_QUEUE_URL", value_name = "URL")]
    pub queue: String,
    /// The most letters to list.
    #[arg(long, default_value_t = 100)]
    pub max: usize,
    /// Print the letters as they are, one per line.
    #[arg(long)]
    pub json: bool,
}

/// A message of the queue, read.
#[derive(Debug)]
pub struct Entry {
    /// The message.
    pub message: Received,
    /// What it is.
    pub letter: Result<Letter, Unreadable>,
}

/// Lists the letters.
///
/// # Errors
/// Where the queue cannot be read.
pub async fn run(args: LettersArgs) -> Result<()> {
    let queue = queue(&args.queue)?;
    let entries = peek(&queue, args.max).await?;
    for entry in &entries {
        if args.json {
            console::result(&entry.message.body);
        } else {
            entry.lines().into_iter().for_each(console::result);
        }
    }
    console::note(format!("{} letters; redrive them with `cargo local redrive`", entries.len()));
    Ok(())
}

/// The queue at a URL: on this machine, or AWS's with the variables of the SDK.
///
/// # Errors
/// Where neither is named.
pub fn queue(url: &str) -> Result<SqsQueue> {
    ensure!(url.starts_with("http"), "--queue is `{url}`, it must be a queue's URL");
    Ok(match std::env::var(SQS_ENDPOINT) {
        Ok(endpoint) => SqsQueue::with_client(sqs_client(&endpoint), url),
        Err(_) => SqsQueue::new(url),
    })
}

/// Reads up to `max` letters and gives them back.
///
/// # Errors
/// Where the queue cannot be read.
pub async fn peek(queue: &SqsQueue, max: usize) -> Result<Vec<Entry>> {
    let deadline = Instant::now() + LIMIT;
    let mut entries: Vec<Entry> = Vec::new();
    while entries.len() < max {
        let messages = queue.receive(deadline).await.context("read the queue")?;
        if messages.is_empty() {
            break;
        }
        entries.extend(messages.into_iter().map(|message| Entry { letter: Letter::read(&message.body), message }));
    }
    for entry in &entries {
        queue.release(&entry.message, deadline).await.context("give a letter back")?;
    }
    entries.truncate(max);
    Ok(entries)
}

impl Entry {
    /// What a person needs to know of it.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        match &self.letter {
            Ok(Letter::Record(letter)) => {
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
            Ok(Letter::Range(range)) => {
                let batch = &range.batch;
                vec![
                    format!(
                        "{}  {} records of {}  {} after {} invocations",
                        self.message.sent_at.map_or_else(|| "-".to_owned(), time),
                        batch.batch_size,
                        batch.table().unwrap_or("-"),
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
