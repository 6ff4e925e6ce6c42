//! Long work that is to be done: the function, its request, and the time and read capacity of an invocation.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::state::{PartState, WorkState};
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

    /// Returns the payload of a part's next invocation: the request with its segment, and its last cursor.
    #[must_use]
    pub fn payload(&self, part: &PartState) -> Bytes {
        Bytes::from(self.request_of(part).to_string())
    }

    fn request_of(&self, part: &PartState) -> Value {
        let mut request = self.request.clone();
        if let Some(segments) = self.segments {
            request["segment"] = part.segment.into();
            request["segments"] = segments.into();
        }
        if let Some(cursor) = &part.cursor {
            request["cursor"] = cursor.clone();
        }
        request
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
    #[test]
    fn each_invocation_gets_its_segment_and_the_last_cursor() {
        let mut work = LongWork::new(FunctionConfig::new("f", "/f"), json!({"consistent": true}));
        let mut part = WorkState::new(1).parts.remove(0);
        assert_eq!(work.request_of(&part), json!({"consistent": true}));
        work.segments = Some(8);
        part.segment = 3;
        part.cursor = Some(json!({"nth": 5}));
        let expected = json!({"consistent": true, "segment": 3, "segments": 8, "cursor": {"nth": 5}});
        assert_eq!(work.request_of(&part), expected);
    }
}
