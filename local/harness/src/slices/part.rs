//! The loop of one part: its process is invoked with the last answer's cursor until the part is done.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;

use super::state::PartState;
use super::work::LongWork;
use crate::function::{FunctionProcess, InvocationOutcome, Invoke as _};

/// Work of the first invocation. The next ones work longer: first answers come soon, and a long run pauses rarely.
const FIRST_SLICE: Duration = Duration::from_secs(5);
/// Longest work between two answers, which show the progress.
const USUAL_SLICE: Duration = Duration::from_secs(10);
/// The same where each invocation has its pauses, and after failures.
const LONGEST_SLICE: Duration = Duration::from_secs(40);
const GROWTH: u32 = 4;
/// Failures in a row without progress that end the run.
const MOST_FAILURES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Errors of functions that the same request gets again.
const FINAL_ERRORS: [&str; 2] = ["Configuration", "Request"];

/// Does a part to its end, and sends its state after each answer.
///
/// # Errors
/// As [`LongWork::run`].
pub(super) async fn run(work: &LongWork, mut part: PartState, answers: UnboundedSender<PartState>) -> Result<()> {
    let mut process = FunctionProcess::new(work.function.clone());
    let (mut slice, mut failures, mut fault) = (FIRST_SLICE, 0, work.first_fault);
    while !part.done {
        process.set_timeout(work.timeout(slice));
        let (begun, read) = (Instant::now(), part.counts.number("rcu"));
        let invocation = process.invoke(work.payload(&part), fault.take()).await?;
        let failure = match invocation.outcome {
            InvocationOutcome::Response(body) if part.take(&body)? => {
                failures = 0;
                slice = (slice * GROWTH).min(if work.pauses.is_zero() { USUAL_SLICE } else { LONGEST_SLICE });
                // Nobody listens any more: the run was dropped.
                let _ = answers.send(part.clone());
                sleep(owed(work, part.counts.number("rcu") - read, begun)).await;
                continue;
            }
            InvocationOutcome::Response(_) => "it answers without progress".to_owned(),
            InvocationOutcome::FunctionError { kind, message } if FINAL_ERRORS.contains(&kind.as_str()) => {
                bail!("the function {} failed: {message}", work.function.name)
            }
            outcome => outcome.to_string(),
        };
        failures += 1;
        // The engine may need more time than there was.
        slice = (slice * GROWTH).min(LONGEST_SLICE);
        ensure!(
            failures < MOST_FAILURES,
            "the function {} failed {failures} times in a row without progress: {failure}",
            work.function.name
        );
        tracing::info!("segment {} failed and is tried again: {failure}", part.segment);
        sleep(FIRST_PAUSE.saturating_mul(1 << failures).min(LONGEST_PAUSE)).await;
    }
    process.end().await;
    Ok(())
}

/// Time until the read capacity of the last invocation is earned. Each invocation begins without a debt.
fn owed(work: &LongWork, spent: f64, begun: Instant) -> Duration {
    let Some(per_second) = work.rcu_per_second else { return Duration::ZERO };
    let earned = Duration::try_from_secs_f64(spent / per_second).unwrap_or_default();
    earned.saturating_sub(begun.elapsed())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::function::FunctionConfig;

    #[test]
    fn a_read_budget_holds_from_one_invocation_to_the_next() {
        let mut work = LongWork::new(FunctionConfig::new("f", "/f"), json!({}));
        let begun = Instant::now();
        assert_eq!(owed(&work, 100.0, begun), Duration::ZERO);
        work.rcu_per_second = Some(10.0);
        let pause = owed(&work, 100.0, begun).as_secs_f64();
        assert!((9.0..=10.0).contains(&pause), "{pause}");
    }
}
