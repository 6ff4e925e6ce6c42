//! Changes for unit tests.

use crate::attribute::Item;
use crate::change::{Change, ChangeKind, Content};
use crate::document::Document;
use crate::document_id::DocumentId;
use crate::version::{Generation, SequenceNumber, StreamLabel, Version};

/// Returns the version with this sequence number.
pub(crate) fn version(sequence: u64) -> Version {
    version_of(Generation::default().0, sequence)
}

/// Returns a version of another generation.
pub(crate) fn version_of(generation: u32, sequence: u64) -> Version {
    let label = StreamLabel::from_arn("arn:aws:dynamodb:eu-central-1:1:table/T/stream/2026-01-15T09:30:00.000")
        .expect("a label");
    Version::new(Generation(generation), &label, &SequenceNumber::parse(&sequence.to_string()).expect("digits"))
}

/// A MODIFY whose document holds its sequence number as `n`.
pub(crate) fn change(id: &str, sequence: u64) -> Change {
    let item = format!(r#"{{"n":{{"N":"{sequence}"}}}}"#);
    Change {
        id: DocumentId::from_stored(id.to_owned()),
        version: version(sequence),
        event_time: None,
        read_at: None,
        kind: ChangeKind::Modify,
        content: Content::Document(Document::from_item(&Item::from_json(&item).expect("an item"))),
    }
}

/// An INSERT with the same document.
pub(crate) fn insert(id: &str, sequence: u64) -> Change {
    Change { kind: ChangeKind::Insert, ..change(id, sequence) }
}

/// A REMOVE at this version.
pub(crate) fn remove(id: &str, sequence: u64) -> Change {
    Change { kind: ChangeKind::Remove, content: Content::Tombstone, ..change(id, sequence) }
}
