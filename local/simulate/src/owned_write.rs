//! Writes that outlive their sender's call: they are carried out when nobody waits for their answer any more.

use driftless::change::Content;
use driftless::document_id::DocumentId;
use driftless::target::{ConditionalWrite, WriteCondition};
use driftless::time::Timestamp;
use driftless::version::Version;

/// A write that outlives its sender's call.
pub(crate) struct OwnedWrite {
    id: DocumentId,
    condition: WriteCondition,
    content: Content,
    version: Version,
    event_time: Option<Timestamp>,
    written_at: Timestamp,
    read_at: Option<Timestamp>,
}

impl From<&ConditionalWrite<'_>> for OwnedWrite {
    fn from(write: &ConditionalWrite<'_>) -> Self {
        Self {
            id: write.id.clone(),
            condition: write.condition,
            content: write.content.clone(),
            version: write.version.clone(),
            event_time: write.event_time,
            written_at: write.written_at,
            read_at: write.read_at,
        }
    }
}

impl OwnedWrite {
    /// Returns the write as a target takes it.
    pub(crate) fn borrow(&self) -> ConditionalWrite<'_> {
        ConditionalWrite {
            id: &self.id,
            condition: self.condition,
            content: &self.content,
            version: &self.version,
            event_time: self.event_time,
            written_at: self.written_at,
            read_at: self.read_at,
        }
    }
}
