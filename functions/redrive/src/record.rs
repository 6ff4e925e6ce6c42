//! Replays our own dead letters: parses the record, and writes it in the generation that its version names.

use driftless::change::{Change, ReadOptions, Record, RecordError};
use driftless::dead_letter::{DeadLetter, Rejection};
use driftless::outcome::{ConfigurationError, Outcome};
use driftless::queue::Queue;
use driftless::stream::range::RangeReader;
use driftless::target::Target;
use driftless::version::Version;
use serde::Deserialize;

use crate::redrive::Redrive;
use crate::run::{End, RedriveRun};

impl<T: Target, Q: Queue, R: RangeReader> Redrive<'_, T, Q, R> {
    /// Writes the change of one dead letter.
    ///
    /// # Errors
    /// Fails if the deployment is wrong.
    pub(crate) async fn redrive_record(
        &self,
        dead_letter: &DeadLetter,
        run: &mut RedriveRun<'_>,
    ) -> Result<End, ConfigurationError> {
        if dead_letter.index != self.sender.index {
            return Ok(End::keep("other_index", format!("the letter is of the index `{}`", dead_letter.index)));
        }
        if let Some(end) = self.end_of_other_table(stream_arn(dead_letter.record.get()).as_deref()) {
            return Ok(end);
        }
        // A raise of the generation since then must not make an old change newer.
        let said = dead_letter.version.clone().map(Version::from_stored).and_then(|version| version.generation());
        let generation = said.unwrap_or_else(|| self.assumed_generation(run));
        let read_options = ReadOptions { generation, ..self.read_options.clone() };
        let change = match Record::read(dead_letter.record.get(), &read_options).change {
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
        let outcome = self.apply_or_overrule(&change, run).await?;
        run.report.changes.count(&outcome);
        Ok(match outcome {
            Outcome::Rejected(problem) => End::Keep(Rejection::from_problem(&problem)),
            Outcome::OrderAnomaly => End::Keep(Rejection::order_anomaly()),
            Outcome::Failed(problem) => End::Failed(problem),
            Outcome::Applied | Outcome::Duplicate | Outcome::Stale | Outcome::Superseded => End::Done,
        })
    }

    /// Applies the change. Where its order is in doubt, overwrites the stored document if the request asks for it.
    async fn apply_or_overrule(&self, change: &Change, run: &RedriveRun<'_>) -> Result<Outcome, ConfigurationError> {
        let outcome = self.apply(std::slice::from_ref(change), run).await?.remove(0);
        match outcome {
            Outcome::OrderAnomaly if run.request.apply_order_anomalies && run.request.dry_run => Ok(Outcome::Applied),
            Outcome::OrderAnomaly if run.request.apply_order_anomalies => {
                self.writer.overrule(change, self.apply_options(run)).await
            }
            outcome => Ok(outcome),
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
