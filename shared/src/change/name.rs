//! The identification of a change, as dead letters and logs name it.

use crate::document_id::DocumentId;
use crate::version::Version;

/// Kind of a change, from `eventName`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// A new item: its document is probably unseen.
    Insert,
    /// The item was replaced or updated.
    Modify,
    /// The item was deleted, by a client or by its time to live.
    Remove,
}

/// Identification of a change: its document, its version and its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeName {
    /// Document of the item.
    pub id: DocumentId,
    /// Position of the change among its document's changes.
    pub version: Version,
    /// Effect of the change on the item.
    pub kind: ChangeKind,
}
