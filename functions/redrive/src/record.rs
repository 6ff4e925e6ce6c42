//! Replays our own dead letters: parses the record, and writes it in the generation that its version names.

use driftless::bucket::Bucket;
use driftless::change::{Change, ReadOptions, RecordError};
use driftless::dead_letter::{DeadLetter, Rejection};
use driftless::outcome::{ConfigurationError, OTHER_ITEM_CLASS, Outcome, Problem};
use driftless::queue::Queue;
use driftless::source::RecordSource;
use driftless::stream::range::RangeReader;
use driftless::table::{Key, Table};
use driftless::target::Target;
use driftless::version::Version;
use driftless::writer::repair::RepairError;
use serde::Deserialize;

use crate::redrive::Redrive;
use crate::run::{End, RedriveRun};

impl<T: Target, Q: Queue, R: RangeReader, B: Table, O: Bucket> Redrive<'_, T, Q, R, B, O> {
    /// Writes the change of one dead letter.
    ///
    /// # Errors
    /// Fails if the deployment is wrong.
    pub(crate) async fn redrive_record(
        &self,
        dead_letter: &DeadLetter,
        run: &mut RedriveRun<'_>,
    ) -> Result<End, ConfigurationError> {
        let is_of_entity = self.read_options.replication.entity_indexes().contains(dead_letter.index.as_str());
        if dead_letter.index != self.sender.index && !is_of_entity {
            return Ok(End::keep("other_index", format!("the letter is of the index `{}`", dead_letter.index)));
        }
        if let Some(end) = self.end_of_other_table(stream_arn(dead_letter.record.get()).as_deref()) {
            return Ok(end);
        }
        // A raise of the generation since then must not make an old change newer.
        let said = dead_letter.version.clone().map(Version::from_stored).and_then(|version| version.generation());
        let generation = said.unwrap_or_else(|| self.assumed_generation(run));
        let read_options = ReadOptions { generation, ..self.read_options.clone() };
        let record = dead_letter.record.get();
        let Some(source) = RecordSource::of(record, self.table) else { return Ok(Self::end_without_table()) };
        let key = source.key(record);
        let change = match source.read(record, &read_options).change {
            Ok(change) => change,
            // Concerns this dead letter only: the others may be of another stream.
            Err(RecordError::Configuration(error)) => return Ok(End::keep("configuration", error.to_string())),
            Err(error) => {
                run.report.changes.rejected += 1;
                return Ok(End::Keep(Rejection::from_record_error(&error)));
            }
        };
        if said.is_none() {
            match self.undecided_documents(std::slice::from_ref(&change), run).await? {
                Ok(undecided) if undecided.is_empty() => {}
                Ok(_) => return Ok(self.undecided_end()),
                Err(problem) => return Ok(End::Failed(problem)),
            }
        }
        let outcome = match self.apply_or_decide(&change, key.as_ref(), dead_letter, run).await? {
            Ok(outcome) => outcome,
            Err(end) => return Ok(end),
        };
        run.report.changes.count(&outcome);
        Ok(match outcome {
            Outcome::Rejected(problem) => End::Keep(Rejection::from_problem(&problem)),
            Outcome::OrderAnomaly => End::Keep(Rejection::order_anomaly()),
            Outcome::Failed(problem) => End::Failed(problem),
            Outcome::Unordered => End::Failed(Problem::Unordered("it is decided later".into())),
            Outcome::Applied | Outcome::Duplicate | Outcome::Stale | Outcome::Superseded => End::Done,
        })
    }

    /// Applies the change. Where its order is in doubt, or two items have had one document, the item decides: its
    /// document is repaired. If the request says
    /// so, the change overwrites the document instead.
    async fn apply_or_decide(
        &self,
        change: &Change,
        key: Option<&Key>,
        dead_letter: &DeadLetter,
        run: &RedriveRun<'_>,
    ) -> Result<Result<Outcome, End>, ConfigurationError> {
        // Under one id, versions of two items say nothing about each other: what lives decides.
        if dead_letter.rejected.class == OTHER_ITEM_CLASS
            && !run.request.dry_run
            && let Some(items) = self.items
        {
            return self.repair(change, key, (items, dead_letter.rejected.clone()), run).await;
        }
        let outcome = self.apply(std::slice::from_ref(change), |_| key.cloned(), run).await?.remove(0);
        let decides = run.request.apply_order_anomalies || self.items.is_some();
        if outcome != Outcome::OrderAnomaly || !decides {
            return Ok(Ok(outcome));
        }
        if run.request.dry_run {
            return Ok(Ok(Outcome::Applied));
        }
        match self.items {
            Some(items) if !run.request.apply_order_anomalies => {
                self.repair(change, key, (items, Rejection::order_anomaly()), run).await
            }
            _ => self.writer.overrule(change, self.apply_options(run)).await.map(Ok),
        }
    }

    /// Makes the change's document equal to its item. While that cannot be read, the doubt stays.
    async fn repair(
        &self,
        change: &Change,
        key: Option<&Key>,
        (items, doubt): (&B, Rejection),
        run: &RedriveRun<'_>,
    ) -> Result<Result<Outcome, End>, ConfigurationError> {
        let Some(key) = key else { return Ok(Err(End::Keep(doubt))) };
        let documents = [(change.id.clone(), Some(key.clone()))];
        match self.writer.repair(items, &documents, self.repair_options(run)).await {
            Ok(mut report) => Ok(Ok(report.outcomes.remove(0))),
            Err(RepairError::Configuration(error)) => Err(error),
            Err(RepairError::Table(error)) => {
                let reason = format!("{}; the item that decides could not be read: {error}", doubt.reason);
                Ok(Err(End::Keep(Rejection { reason, ..doubt })))
            }
        }
    }
}

/// Returns the record's `eventSourceARN`, if it can be read.
fn stream_arn(record: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Source {
        #[serde(rename = "eventSourceARN")]
        arn: String,
    }
    serde_json::from_str::<Source>(record).ok().map(|source| source.arn)
}
