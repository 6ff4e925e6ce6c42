//! Repair: writes what the table holds now over documents, without a pause of the stream.
//!
//! It reads the position of a document first, and the item after it, consistently. Then it writes on the condition of
//! that position. So whatever is written in between wins, and the item is never older than what it replaces. The
//! version stays the stored one: a newer one would hide a change that is still to come. Only changes that are known to
//! be part of the item raise it, as `decide` does.

use std::time::Duration;

use tokio::time::Instant;

use super::Writer;
use crate::attribute::Item;
use crate::backoff::Backoff;
use crate::change::Content;
use crate::document_id::DocumentId;
use crate::outcome::{ConfigurationError, Outcome, Problem, Treatment};
use crate::replication::Replication;
use crate::table::{Consistency, FoundItems, Key, Table, TableError};
use crate::target::{Call, ConditionalWrite, StoredState, Target, WriteCondition, Written};
use crate::time::Timestamp;
use crate::version::Version;

/// Consecutive conflicts after which a document is left to a later run.
const MAX_CONFLICTS: u32 = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(40);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Options for one call of [`Writer::repair`].
#[derive(Clone, Copy)]
pub struct RepairOptions<'o> {
    /// Deadline for all outcomes.
    pub deadline: Instant,
    /// Clock for the age of a change.
    pub now: &'o (dyn Fn() -> Timestamp + Sync),
    /// Rules that make documents.
    pub replication: &'o Replication,
}

/// Reason why nothing is known about a repair.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepairError {
    /// A deployment that an operator has to correct.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// A table that cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Outcomes of a repair, and its cost.
#[derive(Debug, Default)]
pub struct RepairReport {
    /// One outcome per document, in their order: applied, rejected or failed. [`Outcome::Duplicate`] where there is no
    /// document, and no item can have it; and for a document that stays after its item expired.
    pub outcomes: Vec<Outcome>,
    /// Consumed read capacity units.
    pub capacity: f64,
}

/// A document to be made equal to its item.
#[derive(Debug, Clone, Copy)]
pub(super) struct RepairRequest<'r> {
    pub(super) id: &'r DocumentId,
    /// Key of the item; without one, no item can have the document.
    pub(super) key: Option<&'r Key>,
    /// Changes that the item is known to include.
    pub(super) included: Option<&'r IncludedChanges>,
}

/// Changes of one document that happened before its item is read.
#[derive(Debug)]
pub(super) struct IncludedChanges {
    /// Joined version of the changes.
    pub(super) version: Version,
    /// Time of the last of them.
    pub(super) event_time: Option<Timestamp>,
    /// Content that a removal among them leaves.
    pub(super) removed: Content,
}

/// A document in work.
struct Open<'k> {
    place: usize,
    request: RepairRequest<'k>,
    /// Problem of the last try, or the number of conflicts in a row.
    problem: Option<Problem>,
    conflicts: u32,
}

/// Next step for a document whose state and item were read.
enum RepairStep {
    Write(Replacement),
    End(Outcome),
}

/// A state with the content that replaces it.
struct Replacement {
    condition: WriteCondition,
    version: Version,
    event_time: Option<Timestamp>,
    content: Content,
}

impl<T: Target> Writer<T> {
    /// Repairs documents of this writer's own index only.
    pub(super) async fn repair_alone<B: Table>(
        &self,
        table: &B,
        documents: &[RepairRequest<'_>],
        options: RepairOptions<'_>,
    ) -> Result<RepairReport, RepairError> {
        let mut report = RepairReport { outcomes: Vec::new(), capacity: 0.0 };
        let mut outcomes: Vec<Option<Outcome>> = vec![None; documents.len()];
        let open = documents.iter().enumerate();
        let open = open.map(|(place, &request)| Open { place, request, problem: None, conflicts: 0 });
        let mut open: Vec<Open<'_>> = open.collect();
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            self.repair_round(table, &mut open, &mut outcomes, &mut report.capacity, options).await?;
            if open.is_empty() {
                break;
            }
            if !backoff.wait_before(options.deadline).await {
                for Open { place, problem, conflicts, .. } in open {
                    outcomes[place] = Some(Outcome::Failed(problem.unwrap_or(Problem::Contended(conflicts))));
                }
                break;
            }
        }
        report.outcomes = outcomes.into_iter().map(|outcome| outcome.expect("every document has ended")).collect();
        Ok(report)
    }

    /// Tries every open document once, and keeps those that are to be tried again.
    async fn repair_round<B: Table>(
        &self,
        table: &B,
        open: &mut Vec<Open<'_>>,
        outcomes: &mut [Option<Outcome>],
        capacity: &mut f64,
        options: RepairOptions<'_>,
    ) -> Result<(), RepairError> {
        let ids: Vec<&DocumentId> = open.iter().map(|one| one.request.id).collect();
        let states = self.target.read(&ids, Call::until(options.deadline)).await;
        assert_eq!(states.len(), ids.len(), "a target answers every read");
        // The position comes first: an item that is read before it may be older than the document.
        let read_at = (options.now)();
        let keys: Vec<Key> = open.iter().filter_map(|one| one.request.key.cloned()).collect();
        let found = match keys.is_empty() {
            true => FoundItems::default(),
            false => table.get(&keys, Consistency::Strong, options.deadline).await?,
        };
        *capacity += found.capacity;
        let mut items = found.items.into_iter();
        let mut due: Vec<(usize, Replacement)> = Vec::with_capacity(open.len());
        for (at, state) in states.into_iter().enumerate() {
            let request = open[at].request;
            let item = request.key.and_then(|_| items.next().flatten());
            match state {
                Err(problem) => open[at].problem = Some(problem.unless_configuration()?),
                Ok(state) => {
                    self.check(state.as_ref())?;
                    match self.next_step(state, item.as_ref(), request, options.replication) {
                        RepairStep::Write(replacement) => due.push((at, replacement)),
                        RepairStep::End(outcome) => outcomes[open[at].place] = Some(outcome),
                    }
                }
            }
        }
        let writes: Vec<ConditionalWrite<'_>> = due
            .iter()
            .map(|(at, replacement)| ConditionalWrite {
                id: open[*at].request.id,
                condition: replacement.condition,
                content: &replacement.content,
                version: &replacement.version,
                event_time: replacement.event_time,
                written_at: (options.now)(),
                read_at: Some(read_at),
            })
            .collect();
        let answers = match writes.is_empty() {
            true => Vec::new(),
            false => self.target.write(&writes, Call { with_probe: true, ..Call::until(options.deadline) }).await,
        };
        assert_eq!(answers.len(), writes.len(), "a target answers every write");
        drop(writes);
        for ((at, _), answer) in due.into_iter().zip(answers) {
            let one = &mut open[at];
            // What this process remembers of the document does not say which changes its content includes.
            self.states.forget(one.request.id);
            match answer {
                Ok(Written::Done(_)) => outcomes[one.place] = Some(Outcome::Applied),
                Ok(Written::Conflict) => {
                    one.conflicts += 1;
                    if one.conflicts >= MAX_CONFLICTS {
                        outcomes[one.place] = Some(Outcome::Failed(Problem::Contended(one.conflicts)));
                    }
                }
                Err(problem) => match problem.treatment() {
                    Treatment::Configuration => return Err(ConfigurationError::from_problem(&problem).into()),
                    Treatment::Reject => outcomes[one.place] = Some(Outcome::Rejected(problem)),
                    Treatment::Retry => one.problem = Some(problem),
                },
            }
        }
        open.retain(|one| outcomes[one.place].is_none());
        Ok(())
    }

    /// Decides what replaces a state, or that nothing does.
    fn next_step(
        &self,
        state: Option<StoredState>,
        item: Option<&Item<'_>>,
        request: RepairRequest<'_>,
        replication: &Replication,
    ) -> RepairStep {
        let included = request.included;
        if let (Some(StoredState { version: Some(stored), .. }), Some(included)) = (&state, included)
            && stored.is_after(&included.version)
        {
            return RepairStep::End(Outcome::Stale);
        }
        // The document of an expired item stays without an item.
        let expired = state.as_ref().is_some_and(|state| state.expired_at.is_some());
        let content = match item {
            Some(item) => replication.content(item),
            None if expired && replication.keeps_expired() => return RepairStep::End(Outcome::Duplicate),
            None => Ok(included.map_or(Content::Tombstone, |included| included.removed.clone())),
        };
        match content {
            // A tombstone all the same: an older change that waits in the queue would bring the item back.
            Ok(Content::Tombstone) if state.is_none() && request.key.is_none() => RepairStep::End(Outcome::Duplicate),
            Ok(content) => RepairStep::Write(self.replacement(state, included, content)),
            Err(error) => RepairStep::End(Outcome::Rejected(Problem::Shape(error.into()))),
        }
    }

    /// Returns what replaces a state.
    fn replacement(
        &self,
        state: Option<StoredState>,
        included: Option<&IncludedChanges>,
        content: Content,
    ) -> Replacement {
        let (condition, stored, stored_time) = match state {
            None => (WriteCondition::IfAbsent, None, None),
            Some(state) => (WriteCondition::IfUnchanged(state.position), state.version, state.event_time),
        };
        let (version, event_time) = match (stored, included) {
            (Some(stored), Some(included)) => (stored.joined(&included.version), included.event_time.max(stored_time)),
            (None, Some(included)) => (included.version.clone(), included.event_time),
            (Some(stored), None) => (stored, stored_time),
            (None, None) => (Version::lowest(self.generation), stored_time),
        };
        Replacement { condition, version, event_time, content }
    }
}

#[cfg(test)]
mod tests;
