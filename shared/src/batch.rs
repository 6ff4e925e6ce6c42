//! A batch of parsed records: its changes, and the records that can never be applied.

use serde_json::value::RawValue;

use crate::change::{Change, Origin, ReadOptions, Record, RecordError};
use crate::dead_letter::{DeadLetter, Rejection, Sender};
use crate::outcome::{ConfigurationError, Outcome};
use crate::source::RecordSource;
use crate::table::Key;
use crate::time::Timestamp;

/// Parsed records of one batch. Places count from the first record.
#[derive(Debug)]
pub struct Batch<'r> {
    raw: &'r [Box<RawValue>],
    source: RecordSource<'r>,
    origins: Vec<Origin>,
    changes: Vec<Change>,
    /// Place of each change's record in the batch.
    places: Vec<usize>,
    malformed: Vec<(usize, Rejection)>,
}

/// A record that can never be applied.
#[derive(Debug)]
pub struct Rejected<'b> {
    /// Place of the record in the batch.
    pub place: usize,
    /// The record's JSON as it came.
    pub raw: &'b RawValue,
    /// The record's own identification.
    pub origin: &'b Origin,
    /// The record's change; absent if it could not be read.
    pub change: Option<&'b Change>,
    /// Reason for the rejection.
    pub why: Rejection,
}

impl<'r> Batch<'r> {
    /// Reads each record alone.
    ///
    /// # Errors
    /// Fails if a record shows that the deployment is wrong.
    pub fn read(
        raw: &'r [Box<RawValue>],
        source: RecordSource<'r>,
        read_options: &ReadOptions,
    ) -> Result<Self, ConfigurationError> {
        let mut batch = Self {
            raw,
            source,
            origins: Vec::with_capacity(raw.len()),
            changes: Vec::with_capacity(raw.len()),
            places: Vec::with_capacity(raw.len()),
            malformed: Vec::new(),
        };
        for (place, raw) in raw.iter().enumerate() {
            let Record { origin, change } = source.read(raw.get(), read_options);
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

    /// Returns the changes in the order of their records.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Returns the key of the item of a change, given its place in [`Batch::changes`].
    #[must_use]
    pub fn key(&self, change: usize) -> Option<Key> {
        self.source.key(self.raw[self.places[change]].get())
    }

    /// Returns the ARN of the changes' table; `None` if no record is a change.
    ///
    /// # Errors
    /// Fails if the changes are of two tables.
    pub fn table_arn(&self) -> Result<Option<&str>, ConfigurationError> {
        let mut tables = self.places.iter().map(|&place| self.origins[place].table_arn.as_deref());
        let Some(first) = tables.next().flatten() else { return Ok(None) };
        match tables.find(|other| *other != Some(first)) {
            None => Ok(Some(first)),
            Some(other) => Err(ConfigurationError::Tables {
                first: first.to_owned(),
                other: other.unwrap_or("another one").to_owned(),
            }),
        }
    }

    /// Keeps only the wanted changes. Malformed records stay.
    pub fn retain(&mut self, is_wanted: impl Fn(&Change) -> bool) {
        let wanted: Vec<bool> = self.changes.iter().map(is_wanted).collect();
        let mut of_change = wanted.iter();
        self.changes.retain(|_| *of_change.next().expect("one per change"));
        let mut of_place = wanted.iter();
        self.places.retain(|_| *of_place.next().expect("one per change"));
    }

    /// Returns the identification of each record, by place.
    #[must_use]
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Pairs each change with its record's place and its outcome. `outcomes` is in the order of [`Batch::changes`].
    pub fn concluded<'b, 'o>(
        &'b self,
        outcomes: &'o [Outcome],
    ) -> impl Iterator<Item = (usize, &'b Change, &'o Outcome)> {
        let changes = self.places.iter().zip(&self.changes).zip(outcomes);
        changes.map(|((&place, change), outcome)| (place, change, outcome))
    }

    /// Returns the records that can never be applied, in their order: malformed records, rejected changes and order
    /// anomalies.
    #[must_use]
    pub fn rejected(&self, outcomes: &[Outcome]) -> Vec<Rejected<'_>> {
        let rejected = |place: usize, change, why| Rejected {
            place,
            raw: &self.raw[place],
            origin: &self.origins[place],
            change,
            why,
        };
        let mut all: Vec<_> = self.malformed.iter().map(|(place, why)| rejected(*place, None, why.clone())).collect();
        for (place, change, outcome) in self.concluded(outcomes) {
            match outcome {
                Outcome::Rejected(problem) => {
                    all.push(rejected(place, Some(change), Rejection::from_problem(problem)));
                }
                Outcome::OrderAnomaly => all.push(rejected(place, Some(change), Rejection::order_anomaly())),
                _ => {}
            }
        }
        all.sort_by_key(|rejected| rejected.place);
        all
    }
}

impl Rejected<'_> {
    /// Makes the record's dead letter.
    #[must_use]
    pub fn dead_letter(&self, sender: Sender<'_>, rejected_at: Timestamp) -> DeadLetter {
        DeadLetter::new(self.raw, self.origin, self.change, self.why.clone(), sender, rejected_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_keeps_the_order_of_its_records() {
        let records: Vec<_> =
            (0..3).map(|n| RawValue::from_string(format!(r#"{{"eventID":"{n}"}}"#)).expect("JSON")).collect();
        let batch = Batch::read(&records, RecordSource::DynamoDbStreams, &ReadOptions::default())
            .expect("no error of configuration");
        let ids: Vec<_> = batch.origins().iter().map(|origin| origin.event_id.clone().expect("an id")).collect();
        assert_eq!(ids, ["0", "1", "2"]);
        let places: Vec<_> = batch.rejected(&[]).iter().map(|rejected| rejected.place).collect();
        assert_eq!(places, [0, 1, 2], "none of them is a change");
    }
}
