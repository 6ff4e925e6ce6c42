//! The parts of long work, concurrently, with one state for the caller.

use std::time::Instant;

use anyhow::Result;
use futures::future::try_join_all;
use tokio::sync::mpsc::unbounded_channel;

use super::state::WorkState;
use super::{LongWork, part};

impl LongWork {
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
}
