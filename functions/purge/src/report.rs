//! Answer of `purge`: tombstones and documents of expired items, counted by their end.

use serde::{Deserialize, Serialize};

/// Result of one invocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeReport {
    /// Tombstones of the age that were found, and documents whose retention is over.
    pub found: u64,
    /// Tombstones that were deleted for good.
    pub purged: u64,
    /// Documents of expired items that became tombstones. A later purge deletes these.
    #[serde(default)]
    pub expired: u64,
    /// No longer at their positions: written again since, or purged by another process.
    pub moved: u64,
    /// Not deleted, and left to the next invocation.
    pub failed: u64,
    /// True if no tombstone of the age is left, and no document whose retention is over.
    pub done: bool,
}
