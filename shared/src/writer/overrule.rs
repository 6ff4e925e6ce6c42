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
use crate::target::{Call, ConditionalWrite, Position, StoredState, Target, WriteCondition, Written};
use crate::version::Version;

/// Consecutive conflicts after which the change is left to a later run.
const MAX_CONFLICTS: u32 = 16;

impl<T: Target> Writer<T> {
    /// Overwrites a document to which the change is an order anomaly. If the document has changed and it is none, the
    /// change is applied like any other. A problem is not retried.
    ///
    /// # Errors
    /// Fails if the deployment is wrong.
    pub async fn overrule(&self, change: &Change, options: ApplyOptions) -> Result<Outcome, ConfigurationError> {
        for _ in 0..MAX_CONFLICTS {
            let stored = match self.target.read(&[&change.id], Call::until(options.deadline)).await.pop() {
                Some(Ok(stored)) => stored,
                Some(Err(problem)) => return failed(problem),
                None => return failed(Problem::Protocol("no answer to a read".into())),
            };
            let Some((version, position)) = stored.and_then(|stored| overruled(change, stored)) else {
                let report = self.apply(std::slice::from_ref(change), options).await?;
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
    let version = stored.version.filter(|version| *version > change.version)?;
    is_anomaly(change.event_time, stored.event_time).then_some((version, stored.position))
}

fn failed(problem: Problem) -> Result<Outcome, ConfigurationError> {
    problem.unless_configuration().map(Outcome::Failed)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::document_id::DocumentId;
    use crate::fixtures::{change, version};
    use crate::memory::MemoryTarget;
    use crate::time::Timestamp;
    use crate::version::Generation;

    /// A target with a faster writer: each write is preceded by one of these changes.
    #[derive(Default)]
    struct Busy {
        target: MemoryTarget,
        others: Mutex<VecDeque<Change>>,
    }

    impl Target for Busy {
        async fn read(&self, ids: &[&DocumentId], call: Call) -> Vec<Result<Option<StoredState>, Problem>> {
            self.target.read(ids, call).await
        }

        async fn write(&self, writes: &[ConditionalWrite<'_>], call: Call) -> Vec<Result<Written, Problem>> {
            let other = self.others.lock().expect("no panic").pop_front();
            if let Some(other) = other {
                Writer::new(self.target.clone(), Generation::default())
                    .apply(&[other], options())
                    .await
                    .expect("configured");
            }
            self.target.write(writes, call).await
        }

        async fn probe_beside(&self, beside: &DocumentId, deadline: Instant) -> Result<(), Problem> {
            self.target.probe_beside(beside, deadline).await
        }
    }

    fn options() -> ApplyOptions {
        ApplyOptions { deadline: Instant::now() + Duration::from_secs(10), written_at: Timestamp::from_millis(1) }
    }

    fn at(sequence: u64, second: u64) -> Change {
        Change { event_time: Some(Timestamp::from_millis(second * 1_000)), ..change("a", sequence) }
    }

    /// Overrules version 9 of second 0 by version 4 of second 60, while others write. Returns the outcome, and the
    /// stored content and version.
    async fn overrule(others: impl IntoIterator<Item = Change>) -> (Outcome, String, Version) {
        let writer = Writer::new(Busy::default(), Generation::default());
        writer.apply(&[at(9, 0)], options()).await.expect("configured");
        writer.target().others.lock().expect("no panic").extend(others);
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
}
