//! Answer of `heartbeat`: the lag of one beat until a search found it.

use serde::{Deserialize, Serialize};

/// Result of one beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatReport {
    /// True if a search found the beat before the invocation's time was over.
    pub found: bool,
    /// Time from DynamoDB's acknowledgement until the beat was found, or until nobody looked for it any more.
    pub lag_ms: u64,
    /// Number of searches for it.
    pub searches: u64,
}
