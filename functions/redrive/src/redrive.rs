//! The loop over the queue's letters: receive, read, write through the guard, delete what is done, give back the rest.
//!
//! A letter is deleted only after each of its changes was applied, found to be superseded, or, where it is a range of
//! the stream, put into a letter of its own; or where discarding was asked for. Whatever ends the run, the others come back.

use std::time::Duration;

use driftless::change::{Change, Reading, Record, RecordError};
use driftless::dead_letter::{DeadLetter, Letter, Rejection};
use driftless::function::FunctionError;
use driftless::function::clock::now;
use driftless::outcome::{ConfigurationError, Outcome};
use driftless::queue::{Queue, Received};
use driftless::stream::range::Ranges;
use driftless::target::Target;
use driftless::version::{Generation, Version};
use driftless::writer::{Limits, Writer};
use futures::{StreamExt as _, future, stream};
use tokio::time::Instant;

use crate::report::Report;
use crate::request::Request;

/// Time kept for giving letters back and answering: a fifth of the invocation's, but no more than this.
const CLOSING_TIME: Duration = Duration::from_secs(5);
/// Letters that are given back at once.
const AT_ONCE: usize = 16;
/// How long one letter, or one page of a range, is tried. What does not pass in this time stops the run: the next letters
/// would fare no better.
const PATIENCE: Duration = Duration::from_secs(15);

/// The function's parts.
#[derive(Debug, Clone, Copy)]
pub struct Redrive<'f, T, Q, R> {
    /// How records are read.
    pub reading: &'f Reading,
    /// What writes.
    pub writer: &'f Writer<T>,
    /// Where the letters are.
    pub queue: &'f Q,
    /// What reads a range of the stream again.
    pub ranges: &'f R,
    /// The index's public name.
    pub index: &'f str,
    /// Version of the code, for letters.
    pub version: &'f str,
}

/// What is to happen with a message.
pub(crate) enum End {
    /// Everything in it is done.
    Done,
    /// It stays, for this reason.
    Keep(Rejection),
    /// It stays, and so would the next ones.
    Stop(Rejection),
}

/// What is to happen after a message.
#[derive(PartialEq, Eq)]
enum Then {
    /// It is off the queue.
    Next,
    /// It is given back at the end.
    Hold,
    /// The same, and the end is now.
    HoldAndStop,
}

impl<T: Target, Q: Queue, R: Ranges> Redrive<'_, T, Q, R> {
    /// Works on letters until there are none, `max` are done, or the time is up.
    ///
    /// # Errors
    /// Where the deployment is wrong or the queue cannot be read.
    pub async fn run(&self, request: &Request, end: Instant) -> Result<Report, FunctionError> {
        let mut report = Report { dry_run: request.dry_run, ..Report::default() };
        let generation = request.generation.map_or(self.reading.generation, Generation);
        let reading = Reading { generation, ..self.reading.clone() };
        let mut held = Vec::new();
        let result = Redrive { reading: &reading, ..*self }.work(request, end, &mut report, &mut held).await;
        let released = stream::iter(&held).map(|message| self.queue.release(message, end));
        let refused =
            released.buffer_unordered(AT_ONCE).filter(|released| future::ready(released.is_err())).count().await;
        if refused > 0 {
            tracing::warn!(
                refused,
                "letters could not be given back: they come back when their time of being hidden is over"
            );
        }
        result?;
        let waiting = self.queue.waiting(end).await.unwrap_or_default();
        report.left = waiting.max(held.len() as u64);
        Ok(report)
    }

    async fn work(
        &self,
        request: &Request,
        end: Instant,
        report: &mut Report,
        held: &mut Vec<Received>,
    ) -> Result<(), FunctionError> {
        let closing = CLOSING_TIME.min(end.saturating_duration_since(Instant::now()) / 5);
        let stop = end.checked_sub(closing).unwrap_or(end);
        while report.letters.received < request.max {
            if Instant::now() >= stop {
                report.out_of_time = true;
                return Ok(());
            }
            let messages = self.queue.receive(stop).await?;
            if messages.is_empty() {
                return Ok(());
            }
            let mut messages = messages.into_iter();
            while let Some(message) = messages.next() {
                // More than asked for came in one go.
                if report.letters.received == request.max {
                    held.extend(std::iter::once(message).chain(messages));
                    return Ok(());
                }
                report.letters.received += 1;
                let then = self.one(&message, request, stop, report).await;
                if !matches!(then, Ok(Then::Next)) {
                    // Its text may have a megabyte, and is not needed to give it back.
                    held.push(Received { body: String::new(), ..message });
                }
                if !matches!(then, Ok(Then::Next | Then::Hold)) {
                    held.extend(messages);
                    return then.map(drop).map_err(Into::into);
                }
            }
        }
        Ok(())
    }

    /// Works on one message.
    async fn one(
        &self,
        message: &Received,
        request: &Request,
        stop: Instant,
        report: &mut Report,
    ) -> Result<Then, ConfigurationError> {
        let letter = Letter::read(&message.body);
        if !request.filter.matches(&message.id, &letter) {
            report.letters.skipped += 1;
            return Ok(Then::Hold);
        }
        let end = match letter {
            _ if request.discard => End::Done,
            Err(error) => End::Keep(kept("unreadable", error.to_string())),
            Ok(Letter::Record(letter)) => self.record(&letter, request.dry_run, stop, report).await?,
            Ok(Letter::Range(range)) => self.range(message, &range, request.dry_run, stop, report).await?,
        };
        match end {
            End::Done => {}
            End::Keep(why) => {
                report.keep(&message.id, why);
                return Ok(Then::Hold);
            }
            End::Stop(why) => {
                report.keep(&message.id, why);
                return Ok(Then::HoldAndStop);
            }
        }
        if !request.dry_run
            && let Err(error) = self.queue.delete(message, stop).await
        {
            // What it holds is applied; the next redrive finds that out, and deletes it.
            report.keep(&message.id, kept("queue", error.to_string()));
            return Ok(Then::Hold);
        }
        let done = if request.discard { &mut report.letters.discarded } else { &mut report.letters.redriven };
        *done += 1;
        Ok(if request.dry_run { Then::Hold } else { Then::Next })
    }

    async fn record(
        &self,
        letter: &DeadLetter,
        dry_run: bool,
        stop: Instant,
        report: &mut Report,
    ) -> Result<End, ConfigurationError> {
        if letter.index != self.index {
            return Ok(End::Keep(kept("other_index", format!("the letter is of the index `{}`", letter.index))));
        }
        // The generation may have been raised since: an old change must not become newer by that.
        let version = letter.version.clone().map(Version::from_stored);
        let generation = version.and_then(|version| version.generation()).unwrap_or(self.reading.generation);
        let reading = Reading { generation, ..self.reading.clone() };
        let change = match Record::read(letter.record.get(), &reading).change {
            Ok(change) => change,
            // Of this letter only: the others may be of another stream.
            Err(RecordError::Configuration(error)) => return Ok(End::Keep(kept("configuration", error.to_string()))),
            Err(error) => {
                report.changes.rejected += 1;
                return Ok(End::Keep(Rejection::from_record_error(&error)));
            }
        };
        let outcomes = self.apply(std::slice::from_ref(&change), dry_run, stop).await?;
        report.changes.count(&outcomes[0]);
        Ok(match &outcomes[0] {
            Outcome::Rejected(problem) => End::Keep(Rejection::from_problem(problem)),
            Outcome::OrderAnomaly => End::Keep(Rejection::order_anomaly()),
            Outcome::Failed(problem) => End::Stop(Rejection::from_problem(problem)),
            _ => End::Done,
        })
    }

    pub(crate) async fn apply(
        &self,
        changes: &[Change],
        dry_run: bool,
        stop: Instant,
    ) -> Result<Vec<Outcome>, ConfigurationError> {
        let limits = Limits { deadline: stop.min(Instant::now() + PATIENCE), written_at: now() };
        if dry_run {
            return self.writer.preview(changes, limits).await;
        }
        Ok(self.writer.apply(changes, limits).await?.outcomes)
    }
}

/// A reason to keep a letter that is no refusal of the engine's.
pub(crate) fn kept(class: &str, reason: String) -> Rejection {
    Rejection { class: class.to_owned(), status: None, reason }
}
