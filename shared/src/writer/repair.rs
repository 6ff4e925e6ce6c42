//! Repair: writes what the table holds now over documents, without a pause of the stream.
//!
//! It reads the position of a document first, and the item after it, consistently. Then it writes on the condition of
//! that position. So whatever is written in between wins, and the item is never older than what it replaces. The
//! version stays the stored one: a newer one would hide a change that is still to come.

use std::time::Duration;

use tokio::time::Instant;

use super::Writer;
use crate::backoff::Backoff;
use crate::change::Content;
use crate::document_id::DocumentId;
use crate::outcome::{ConfigurationError, Outcome, Problem, Treatment};
use crate::replication::Replication;
use crate::table::{Consistency, FoundItems, Key, Table, TableError};
use crate::target::{Call, ConditionalWrite, Holder, StoredState, Target, WriteCondition, Written};
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

/// A document in work.
struct Open<'k> {
    place: usize,
    id: &'k DocumentId,
    key: Option<&'k Key>,
    /// Problem of the last try, or the number of conflicts in a row.
    problem: Option<Problem>,
    conflicts: u32,
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
        documents: &[(DocumentId, Option<Key>)],
        options: RepairOptions<'_>,
    ) -> Result<RepairReport, RepairError> {
        let mut report = RepairReport { outcomes: Vec::new(), capacity: 0.0 };
        let mut outcomes: Vec<Option<Outcome>> = vec![None; documents.len()];
        let open = documents.iter().enumerate().map(|(place, (id, key))| {
            let key = key.as_ref();
            Open { place, id, key, problem: None, conflicts: 0 }
        });
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
        let ids: Vec<&DocumentId> = open.iter().map(|one| one.id).collect();
        let states = self.target.read(&ids, Call::until(options.deadline)).await;
        assert_eq!(states.len(), ids.len(), "a target answers every read");
        // The position comes first: an item that is read before it may be older than the document.
        let read_at = (options.now)();
        let keys: Vec<Key> = open.iter().filter_map(|one| one.key.cloned()).collect();
        let found = match keys.is_empty() {
            true => FoundItems::default(),
            false => table.get(&keys, Consistency::Strong, options.deadline).await?,
        };
        *capacity += found.capacity;
        let mut items = found.items.into_iter();
        let mut due: Vec<(usize, Replacement)> = Vec::with_capacity(open.len());
        for (at, state) in states.into_iter().enumerate() {
            let item = open[at].key.and_then(|_| items.next().flatten());
            match state {
                Err(problem) => open[at].problem = Some(problem.unless_configuration()?),
                Ok(state) => {
                    self.check(state.as_ref())?;
                    // The document of an expired item stays without an item.
                    let is_kept = options.replication.keeps_expired()
                        && state.as_ref().is_some_and(|state| state.expired_at.is_some());
                    if item.is_none() && is_kept {
                        outcomes[open[at].place] = Some(Outcome::Duplicate);
                        continue;
                    }
                    let content = match &item {
                        Some(item) if options.replication.owns(open[at].id) => options.replication.content(item),
                        _ => Ok(Content::Tombstone),
                    };
                    let holder = state.as_ref().map_or(Holder::Same, |state| state.holder(open[at].id));
                    match (holder, &content) {
                        // Nothing of this item is there.
                        (Holder::Other | Holder::OtherDeleted, Ok(Content::Tombstone)) => {
                            outcomes[open[at].place] = Some(Outcome::Duplicate);
                            continue;
                        }
                        // To take it over would leave the other item without a document.
                        (Holder::Other, _) => {
                            outcomes[open[at].place] = Some(Outcome::Rejected(Problem::OtherItem));
                            continue;
                        }
                        _ => {}
                    }
                    let replacement = content.map(|content| self.replacement(state, content, open[at].key.is_some()));
                    match replacement {
                        Ok(Some(replacement)) => due.push((at, replacement)),
                        Ok(None) => outcomes[open[at].place] = Some(Outcome::Duplicate),
                        Err(error) => outcomes[open[at].place] = Some(Outcome::Rejected(Problem::Shape(error.into()))),
                    }
                }
            }
        }
        let writes: Vec<ConditionalWrite<'_>> = due
            .iter()
            .map(|(at, replacement)| ConditionalWrite {
                id: open[*at].id,
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
            self.states.forget(one.id);
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

    /// Returns what replaces a state; `None` if there is nothing to write.
    fn replacement(&self, state: Option<StoredState>, content: Content, has_key: bool) -> Option<Replacement> {
        let lowest = || Version::lowest(self.generation);
        match state {
            // A tombstone all the same: an older change that waits in the queue would bring the item back.
            None if content == Content::Tombstone && !has_key => None,
            None => {
                Some(Replacement { condition: WriteCondition::IfAbsent, version: lowest(), event_time: None, content })
            }
            Some(StoredState { version, event_time, position, .. }) => Some(Replacement {
                condition: WriteCondition::IfUnchanged(position),
                version: version.unwrap_or_else(lowest),
                event_time,
                content,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
