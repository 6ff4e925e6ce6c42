//! Long work of a function: a loop of short invocations with a cursor, over the function's real binary.
//!
//! The work has one part, or as many as the table has segments. Each part has its own process, as concurrent
//! invocations on AWS have. A process that dies or times out is started again, and gets the same cursor. What it did
//! behind that cursor is done again, and changes nothing. The caller holds the state: dropping the run, as Ctrl-C does,
//! loses nothing but what no answer told yet.
//!
//! # Layout
//! - [`state`]: cursors and counts; [`StateFile`]: the same, for the next process; [`about()`]: the table and the index
//!   that they are about.
//! - `part`: the loop of one part.
//! - [`backfill`], [`verify`], [`purge`]: these functions' own requests and sums.
//!
//! Deliberately absent: lines for people. Commands, tests and benchmarks say what they have to say.

mod about;
pub mod backfill;
mod part;
pub mod purge;
pub mod state;
mod state_file;
pub mod verify;

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;
use serde_json::Value;
use tokio::sync::mpsc::unbounded_channel;

use crate::function::{FunctionConfig, ProcessFault};
pub use about::about;
use state::WorkState;
pub use state_file::StateFile;

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

    /// Does what `state` shows as open, and updates it after each answer.
    ///
    /// # Errors
    /// Fails if a part fails several times in a row, or with an error that no repetition mends. `state` then has the
    /// cursors to go on with.
    pub async fn run(&self, state: &mut WorkState, mut on_answer: impl FnMut(&WorkState)) -> Result<()> {
        let (answers, mut answered) = unbounded_channel();
        let (before, start) = (state.seconds, Instant::now());
        let open: Vec<_> = state.parts.iter().filter(|part| !part.done).cloned().collect();
        let work = try_join_all(open.into_iter().map(|part| part::run(self, part, answers.clone())));
        tokio::pin!(work);
        loop {
            let result = tokio::select! {
                biased;
                Some(part) = answered.recv() => {
                    state.replace(part);
                    None
                }
                result = &mut work => Some(result),
            };
            while let Ok(part) = answered.try_recv() {
                state.replace(part);
            }
            state.seconds = before + start.elapsed().as_secs_f64();
            on_answer(state);
            if let Some(result) = result {
                return result.map(drop);
            }
        }
    }

    /// Timeout of an invocation that shall work for so long.
    fn timeout(&self, work: Duration) -> Duration {
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
