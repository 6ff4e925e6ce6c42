//! Long work that is to be done: the function, its request, and the time and read capacity of an invocation.

use std::time::Duration;

use serde_json::Value;

use super::state::WorkState;
use crate::function::{FunctionConfig, ProcessFault};

/// Variable that keeps a part of each invocation's time for its answer, and its default in milliseconds.
const ANSWER_MARGIN: (&str, u64) = ("ANSWER_MARGIN_MS", 500);

/// Long work, not begun.
#[derive(Clone, Debug)]
pub struct LongWork {
    /// Configured function. Its timeout is the longest of one invocation.
    pub function: FunctionConfig,
    /// Request, without the members that each invocation has of its own.
    pub request: Value,
    /// Number of segments. Without it, the work is one part, whose request names no segment.
    pub segments: Option<u32>,
    /// Time of each invocation that is no work, such as the pauses between two looks.
    pub pauses: Duration,
    /// Maximum read capacity units per second of each part. The function keeps it within an invocation, the loop
    /// between them.
    pub rcu_per_second: Option<f64>,
    /// Fault of each part's first invocation, on purpose.
    pub first_fault: Option<ProcessFault>,
}

impl LongWork {
    /// Creates work of one part.
    #[must_use]
    pub fn new(function: FunctionConfig, request: Value) -> Self {
        Self { function, request, segments: None, pauses: Duration::ZERO, rcu_per_second: None, first_fault: None }
    }

    /// Returns the state of this work before its first invocation.
    #[must_use]
    pub fn begin(&self) -> WorkState {
        WorkState::new(self.segments.unwrap_or(1).max(1))
    }

    /// Timeout of an invocation that shall work for so long.
    pub(super) fn timeout(&self, work: Duration) -> Duration {
        let (name, default) = ANSWER_MARGIN;
        let margin = self.function.environment.get(name).and_then(|text| text.trim().parse().ok()).unwrap_or(default);
        (Duration::from_millis(margin) + self.pauses + work).min(self.function.timeout)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_invocation_has_time_for_its_work_beside_margin_and_pauses() {
        let mut work = LongWork::new(FunctionConfig::new("f", "/f"), json!({}));
        assert_eq!(work.timeout(Duration::from_secs(3)), Duration::from_millis(3_500));
        work.pauses = Duration::from_secs(20);
        assert_eq!(work.timeout(Duration::from_secs(60)), Duration::from_secs(30), "the function's own at most");
        work.pauses = Duration::ZERO;
        work.function = work.function.env("ANSWER_MARGIN_MS", "5000");
        assert_eq!(work.timeout(Duration::from_secs(3)), Duration::from_secs(8));
    }
}
