//! Answer of `purge`: tombstones, counted by their end.

use serde::{Deserialize, Serialize};

/// Result of one invocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeReport {
    /// Tombstones of the age that were found.
    pub found: u64,
    /// Tombstones that were deleted for good.
    pub purged: u64,
    /// No longer at their positions: written again since, or purged by another process.
    pub moved: u64,
    /// Not deleted, and left to the next invocation.
    pub failed: u64,
    /// True if no tombstone of the age is left.
    pub done: bool,
}
