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
//! - [`LongWork`]: what there is to do; `part`: the loop of one part.
//! - [`backfill`], [`verify`], [`purge`]: these functions' own requests and sums; [`reindex`]: its steps.
//!
//! Deliberately absent: lines for people. Commands, tests and benchmarks say what they have to say.

mod about;
pub mod backfill;
mod part;
pub mod purge;
pub mod reindex;
pub mod state;
mod state_file;
pub mod verify;
mod work;

use std::time::Instant;

use anyhow::Result;
use futures::future::try_join_all;
use tokio::sync::mpsc::unbounded_channel;

pub use about::about;
use state::WorkState;
pub use state_file::StateFile;
pub use work::LongWork;

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
