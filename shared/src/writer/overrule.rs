//! Writes a change whose order is in doubt, because a person decided that it is right.
//!
//! The change is older by version than the stored one, and newer by event time. Its content replaces the stored content
//! at the stored version. A newer version would hide changes that are still to come. An older one would let superseded
//! changes back in.

use tokio::time::Instant;

use super::pending::is_anomaly;
use super::{ApplyOptions, Writer};
use crate::change::Change;
use crate::outcome::{ConfigurationError, Outcome, Problem, Treatment};
use crate::target::{Call, ConditionalWrite, Holder, Position, StoredState, Target, WriteCondition, Written};
use crate::version::Version;

/// Consecutive conflicts after which the change is left to a later run.
const MAX_CONFLICTS: u32 = 16;

impl<T: Target> Writer<T> {
    /// Overrules in this writer's own index only.
    pub(super) async fn overrule_alone(
        &self,
        change: &Change,
        options: ApplyOptions,
    ) -> Result<Outcome, ConfigurationError> {
        for _ in 0..MAX_CONFLICTS {
            let stored = match self.target.read(&[&change.id], Call::until(options.deadline)).await.pop() {
                Some(Ok(stored)) => stored,
                Some(Err(problem)) => return failed(problem),
                None => return failed(Problem::Protocol("no answer to a read".into())),
            };
            let Some((version, position)) = stored.and_then(|stored| overruled(change, stored)) else {
                let report = self.apply_alone(std::slice::from_ref(change), options).await?;
                return Ok(report.outcomes.into_iter().next().expect("one outcome per change"));
            };
            let write = ConditionalWrite {
                id: &change.id,
                condition: WriteCondition::IfUnchanged(position),
                content: &change.content,
                version: &version,
                event_time: change.event_time,
                written_at: options.written_at,
                read_at: None,
            };
            self.states.forget(&change.id);
            match self.target.write(&[write], Call { with_probe: true, ..Call::until(options.deadline) }).await.pop() {
                Some(Ok(Written::Done(_))) => return Ok(Outcome::Applied),
                Some(Ok(Written::Conflict)) if Instant::now() < options.deadline => {}
                Some(Ok(Written::Conflict)) => break,
                Some(Err(problem)) if problem.treatment() == Treatment::Reject => {
                    return Ok(Outcome::Rejected(problem));
                }
                Some(Err(problem)) => return failed(problem),
                None => return failed(Problem::Protocol("no answer to a write".into())),
            }
        }
        Ok(Outcome::Failed(Problem::Contended(MAX_CONFLICTS)))
    }
}

/// Returns version and position of a document to which the change is an order anomaly.
fn overruled(change: &Change, stored: StoredState) -> Option<(Version, Position)> {
    if stored.holder(&change.id) != Holder::Same {
        return None;
    }
    let version = stored.version.filter(|version| *version > change.version)?;
    is_anomaly(change.event_time, stored.event_time).then_some((version, stored.position))
}

fn failed(problem: Problem) -> Result<Outcome, ConfigurationError> {
    problem.unless_configuration().map(Outcome::Failed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fixtures::{change, version};
    use crate::memory::Fault;
    use crate::time::Timestamp;
    use crate::version::Generation;
    use crate::writer::tests::busy::Busy;

    fn options() -> ApplyOptions {
        ApplyOptions::new(Instant::now() + Duration::from_secs(10), Timestamp::from_millis(1))
    }

    fn at(sequence: u64, second: u64) -> Change {
        Change { event_time: Some(Timestamp::from_millis(second * 1_000)), ..change("a", sequence) }
    }

    /// Writer on an index with version 9 of second 0.
    async fn doubted() -> Writer<Busy> {
        let writer = Writer::new(Busy::default(), Generation::default());
        writer.apply(&[at(9, 0)], options()).await.expect("configured");
        writer
    }

    /// Overrules version 9 of second 0 by version 4 of second 60, while others write. Returns the outcome, and the
    /// stored content and version.
    async fn overrule(others: impl IntoIterator<Item = Change>) -> (Outcome, String, Version) {
        let writer = doubted().await;
        writer.target().precede(others);
        let outcome = writer.overrule(&at(4, 60), options()).await.expect("configured");
        let target = &writer.target().target;
        let document = target.documents().into_values().next().expect("a document");
        (outcome, target.visible()["a"].clone(), document.version.expect("a version"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_document_that_moved_is_looked_at_again() {
        let stands = |n: u64, sequence| (format!(r#"{{"n":{n}}}"#), version(sequence));
        for (others, outcome, (content, version)) in [
            (vec![], Outcome::Applied, stands(4, 9)),
            // Still in doubt: written at the version that is stored by then.
            (vec![at(10, 1), at(11, 2)], Outcome::Applied, stands(4, 11)),
            // No longer in doubt: the other change is newer by both orders.
            (vec![at(10, 61)], Outcome::Stale, stands(10, 10)),
        ] {
            assert_eq!(overrule(others).await, (outcome, content, version));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_document_that_never_rests_is_left_to_a_later_run() {
        let others = (0..1_000).map(|n| at(10 + n, 1));
        assert_eq!(overrule(others).await.0, Outcome::Failed(Problem::Contended(MAX_CONFLICTS)));
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_deadline_a_document_that_moved_is_left_to_a_later_run() {
        let writer = doubted().await;
        writer.target().precede([at(10, 1)]);
        let now = ApplyOptions { deadline: Instant::now(), ..options() };
        let outcome = writer.overrule(&at(4, 60), now).await.expect("configured");
        assert_eq!(outcome, Outcome::Failed(Problem::Contended(MAX_CONFLICTS)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_stored_change_itself_is_a_duplicate_and_no_anomaly() {
        let outcome = doubted().await.overrule(&at(9, 60), options()).await.expect("configured");
        assert_eq!(outcome, Outcome::Duplicate);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_the_changes_fault_only_if_the_index_takes_writes() {
        let writer = doubted().await;
        let target = &writer.target().target;
        target.fail_writes([Fault::Unreachable]);
        let outcome = writer.overrule(&at(4, 60), options()).await.expect("configured");
        assert!(matches!(outcome, Outcome::Failed(Problem::Unreachable(_))), "{outcome:?}");
        target.refuse(br#"{"n":4}"#, 400);
        let outcome = writer.overrule(&at(4, 60), options()).await.expect("configured");
        assert!(matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
        target.fail_probes([Problem::Probe("index_closed_exception".into())]);
        let error = writer.overrule(&at(4, 60), options()).await.expect_err("a configuration error");
        assert!(error.to_string().contains("index_closed_exception"), "{error}");
    }
}
