//! Calls of the engine outside the writer, repeated while their problem may pass.

use std::time::Duration;

use tokio::time::Instant;

use super::error::FunctionError;
use crate::backoff::Backoff;
use crate::document_id::DocumentId;
use crate::outcome::Problem;
use crate::target::{Call, Documents, MAX_DOUBLINGS, StoredDocument};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Returns the pauses between two attempts at a call.
#[must_use]
pub fn pauses() -> Backoff {
    Backoff::new(FIRST_PAUSE, LONGEST_PAUSE)
}

/// Pauses between the tries of a call, and the problem that tells most about their failures.
///
/// The deadline cuts the last try short. Its time-out would hide why the tries before it failed.
pub(super) struct Retries {
    pauses: Backoff,
    deadline: Instant,
    telling: Option<Problem>,
    /// Number of time-outs so far, up to the limit.
    doublings: u32,
}

impl Retries {
    pub(super) fn until(deadline: Instant) -> Self {
        Self { pauses: pauses(), deadline, telling: None, doublings: 0 }
    }

    /// Returns the parameters of the next try. Each time-out doubles the next one.
    fn call(&self) -> Call {
        Call { doublings: self.doublings, ..Call::until(self.deadline) }
    }

    /// Waits for the next try.
    ///
    /// # Errors
    /// Fails if the deadline comes first.
    pub(super) async fn wait_after(&mut self, problem: Problem) -> Result<(), FunctionError> {
        if matches!(problem, Problem::TimedOut(_)) {
            self.doublings = (self.doublings + 1).min(MAX_DOUBLINGS);
        }
        let telling = match (problem, self.telling.take()) {
            (Problem::TimedOut(_), Some(earlier)) => earlier,
            (problem, _) => problem,
        };
        if !self.pauses.wait_before(self.deadline).await {
            return Err(FunctionError::Unavailable(telling));
        }
        self.telling = Some(telling);
        Ok(())
    }
}

/// Calls the engine, and again while the problem may pass.
///
/// # Errors
/// Fails if the deployment is wrong, or the deadline comes first.
pub async fn retry<V>(deadline: Instant, call: impl AsyncFn() -> Result<V, Problem>) -> Result<V, FunctionError> {
    let mut retries = Retries::until(deadline);
    loop {
        match call().await {
            Ok(value) => return Ok(value),
            Err(problem) => retries.wait_after(problem.unless_configuration()?).await?,
        }
    }
}

/// Reads whole documents, and again those whose read failed, in the order of `ids`. After a time-out, the next request
/// has twice the time: a slow engine would never answer one of the same size.
///
/// # Errors
/// Fails if the deployment is wrong, or the deadline comes first.
pub async fn read_documents<D: Documents>(
    target: &D,
    ids: &[&DocumentId],
    deadline: Instant,
) -> Result<Vec<Option<StoredDocument>>, FunctionError> {
    let mut found: Vec<Option<StoredDocument>> = vec![None; ids.len()];
    let mut open: Vec<usize> = (0..ids.len()).collect();
    let mut retries = Retries::until(deadline);
    while !open.is_empty() {
        let due: Vec<&DocumentId> = open.iter().map(|&at| ids[at]).collect();
        let answers = target.read_documents(&due, retries.call()).await;
        let mut last = None;
        let mut left = Vec::new();
        for (at, answer) in open.into_iter().zip(answers) {
            match answer {
                Ok(document) => found[at] = document,
                Err(problem) => {
                    last = Some(problem.unless_configuration()?);
                    left.push(at);
                }
            }
        }
        open = left;
        if let Some(problem) = last {
            retries.wait_after(problem).await?;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::memory::{Fault, MemoryTarget, REQUEST_TIMEOUT};

    const MS: Duration = Duration::from_millis(1);

    async fn told(problems: [Problem; 2]) -> FunctionError {
        let tries = Cell::new(0);
        let call = async || {
            let problem = problems[tries.replace(tries.get() + 1).min(1)].clone();
            Err::<(), _>(problem)
        };
        retry(Instant::now() + 400 * MS, call).await.expect_err("no try succeeds")
    }

    #[tokio::test(start_paused = true)]
    async fn a_last_try_that_is_cut_short_does_not_hide_the_cause() {
        let untrusted = Problem::Unreachable("its certificate is not trusted".into());
        let error = told([untrusted.clone(), Problem::TimedOut(78 * MS)]).await;
        assert!(matches!(&error, FunctionError::Unavailable(problem) if *problem == untrusted), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_problem_is_told_otherwise() {
        let refused = Problem::Unreachable("Connection refused".into());
        let error = told([Problem::TimedOut(78 * MS), refused.clone()]).await;
        assert!(matches!(&error, FunctionError::Unavailable(problem) if *problem == refused), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_timed_out_has_twice_the_time_and_another_failure_does_not_count() {
        let target = MemoryTarget::default();
        target.fail_reads([Fault::TimedOut, Fault::Unreachable, Fault::TimedOut, Fault::TimedOut, Fault::None]);
        let (id, started) = (DocumentId::from_stored("a".to_owned()), Instant::now());
        let found = read_documents(&target, &[&id], started + 100 * REQUEST_TIMEOUT).await.expect("the fifth succeeds");
        assert_eq!(found, [None]);
        let waited = started.elapsed();
        let expected = (1 + 2 + 4) * REQUEST_TIMEOUT;
        assert!((expected..expected + REQUEST_TIMEOUT).contains(&waited), "{waited:?}");
    }
}
