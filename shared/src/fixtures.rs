//! Changes for unit tests.

use crate::change::{Change, ReadOptions, Record};
use crate::testing::{RecordBuilder, STREAM_ARN};
use crate::version::{Generation, SequenceNumber, StreamLabel, Version};

/// Returns the version with this sequence number.
pub(crate) fn version(sequence: u64) -> Version {
    version_of(Generation::default().0, sequence)
}

/// Returns a version of another generation.
pub(crate) fn version_of(generation: u32, sequence: u64) -> Version {
    let label = StreamLabel::from_arn(STREAM_ARN).expect("a label");
    Version::new(Generation(generation), &label, &SequenceNumber::parse(&sequence.to_string()).expect("digits"))
}

/// A MODIFY whose document holds its sequence number as `n`.
pub(crate) fn change(id: &str, sequence: u64) -> Change {
    read(RecordBuilder::modify(id, sequence))
}

/// An INSERT with the same document.
pub(crate) fn insert(id: &str, sequence: u64) -> Change {
    read(RecordBuilder::insert(id, sequence))
}

/// A REMOVE at this version.
pub(crate) fn remove(id: &str, sequence: u64) -> Change {
    read(RecordBuilder::remove(id, sequence))
}

fn read(record: RecordBuilder) -> Change {
    Record::read(&record.event_second(None).json(), &ReadOptions::default()).change.expect("a change")
}
