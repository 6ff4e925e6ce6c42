//! A batch of records, read: what its changes are, how they ended, and which records can never be applied.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::thread;

use driftless::change::{Change, Origin, Reading, Record, RecordError};
use driftless::dead_letter::Rejection;
use driftless::function::clock::now;
use driftless::outcome::{ConfigurationError, Outcome};
use driftless::writer::Report;
use serde_json::value::RawValue;

use crate::letters::Rejected;
use crate::metrics::Metrics;

/// So many records are worth a thread of their own: reading them takes over a millisecond, starting it a tenth of that.
const RECORDS_PER_THREAD: usize = 250;

/// Processors that this process may use; a function with little memory gets a share of two.
static PROCESSORS: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, Into::into));

/// A batch, read: its changes with their records' places, and the records without one.
#[derive(Default)]
pub(crate) struct Batch {
    /// Of every record, in its place.
    pub(crate) origins: Vec<Origin>,
    pub(crate) changes: Vec<Change>,
    /// The places of the changes' records.
    places: Vec<usize>,
    malformed: Vec<(usize, Rejection)>,
}

impl Batch {
    /// Reads all records.
    ///
    /// # Errors
    /// Where one of them shows that the deployment is wrong.
    pub(crate) fn read(raw: &[Box<RawValue>], reading: &Reading) -> Result<Self, ConfigurationError> {
        let mut batch = Self::default();
        for (place, Record { origin, change }) in read_all(raw, reading).into_iter().enumerate() {
            batch.origins.push(origin);
            match change {
                Ok(change) => {
                    batch.changes.push(change);
                    batch.places.push(place);
                }
                Err(RecordError::Configuration(error)) => return Err(error),
                Err(error) => batch.malformed.push((place, Rejection::from_record_error(&error))),
            }
        }
        Ok(batch)
    }

    /// Counts and logs how the changes ended; gives the places of those that failed.
    pub(crate) fn conclude(&self, report: &Report, metrics: &mut Metrics) -> BTreeSet<usize> {
        let written = now();
        metrics.engine(report.engine_time, report.round_trips);
        let mut failed = BTreeSet::new();
        for ((&place, change), outcome) in self.places.iter().zip(&self.changes).zip(&report.outcomes) {
            metrics.count(change, outcome, written);
            let event_id = self.origins[place].event_id.as_deref();
            match outcome {
                Outcome::Failed(problem) => {
                    tracing::warn!(
                        event_id,
                        class = problem.class(),
                        status = problem.status(),
                        "failed, will be retried"
                    );
                    metrics.problem(problem.class());
                    failed.insert(place);
                }
                Outcome::Stale { order_anomaly: true } => {
                    tracing::warn!(event_id, "order anomaly: stale by version, newer by event time");
                }
                _ => {}
            }
        }
        failed
    }

    /// The records that can never be applied, in their order.
    pub(crate) fn rejected<'b>(&'b self, raw: &'b [Box<RawValue>], report: &Report) -> Vec<Rejected<'b>> {
        let record = |place: usize| (&*raw[place], &self.origins[place]);
        let malformed = self.malformed.iter().map(|(place, why)| Rejected {
            place: *place,
            record: record(*place),
            change: None,
            why: why.clone(),
        });
        let changes = self.places.iter().zip(&self.changes).zip(&report.outcomes);
        let refused = changes.filter_map(|((&place, change), outcome)| match outcome {
            Outcome::Rejected(problem) => {
                let why = Rejection::from_problem(problem);
                Some(Rejected { place, record: record(place), change: Some(change), why })
            }
            _ => None,
        });
        let mut all: Vec<_> = malformed.chain(refused).collect();
        all.sort_by_key(|rejected| rejected.place);
        all
    }
}

/// Reads the records in their order; many of them on all processors, for the engine has nothing to do until they are read.
fn read_all(raw: &[Box<RawValue>], reading: &Reading) -> Vec<Record> {
    let read = |raw: &[Box<RawValue>]| raw.iter().map(|raw| Record::read(raw.get(), reading)).collect::<Vec<_>>();
    if raw.len() < 2 * RECORDS_PER_THREAD {
        return read(raw);
    }
    let threads = PROCESSORS.min(raw.len() / RECORDS_PER_THREAD);
    let (own, others) = raw.split_at(raw.len().div_ceil(threads));
    thread::scope(|scope| {
        let others: Vec<_> = others.chunks(own.len()).map(|raw| scope.spawn(move || read(raw))).collect();
        let mut records = read(own);
        for other in others {
            records.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        records
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stay_in_their_order_on_however_many_threads_they_are_read() {
        for count in [0, 1, 499, 500, 501, 1_000, 1_001] {
            let records: Vec<_> =
                (0..count).map(|n| RawValue::from_string(format!(r#"{{"eventID":"{n}"}}"#)).expect("JSON")).collect();
            let read = read_all(&records, &Reading::default());
            let ids: Vec<_> = read.into_iter().map(|record| record.origin.event_id.expect("an id")).collect();
            assert_eq!(ids, (0..count).map(|n| n.to_string()).collect::<Vec<_>>());
        }
    }
}
