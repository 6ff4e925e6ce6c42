//! Decision between changes that have no order: the item itself tells what its document holds.
//!
//! The item is read after its changes were delivered, and consistently. So it includes each of them, whichever was the
//! last. The document then carries the changes' joined version. None of them, delivered again, overwrites it: it is
//! unordered against that version, and the item is read once more.

use std::collections::HashMap;

use super::Writer;
use super::repair::{IncludedChanges, RepairError, RepairOptions, RepairRequest};
use crate::change::{Change, ChangeKind, Content};
use crate::document_id::DocumentId;
use crate::outcome::{Outcome, Problem};
use crate::table::{Key, Table, TableError};
use crate::target::Target;

/// Changes of one document that only the item decides between.
struct UnorderedChanges<'c> {
    id: &'c DocumentId,
    key: Option<Key>,
    included: IncludedChanges,
    /// Places of the changes, in the order of their versions.
    places: Vec<usize>,
}

impl<T: Target> Writer<T> {
    /// Gives each [`Outcome::Unordered`] the outcome of its item's document. `key` returns the key of the change at a
    /// place. Without a table, these changes fail, as they do while it cannot be read.
    ///
    /// # Errors
    /// Fails if the deployment is wrong, or the table refuses the read.
    pub async fn decide<B: Table>(
        &self,
        table: Option<&B>,
        changes: &[Change],
        key: impl Fn(usize) -> Option<Key>,
        outcomes: &mut [Outcome],
        options: RepairOptions<'_>,
    ) -> Result<(), RepairError> {
        let documents = unordered(changes, outcomes, key);
        if documents.is_empty() {
            return Ok(());
        }
        tracing::info!(documents = documents.len(), "changes of one time: their items decide");
        let ended = match table {
            Some(table) => self.decide_documents(table, &documents, options).await?,
            None => vec![failed("no table is set"); documents.len()],
        };
        for (document, ended) in documents.iter().zip(ended) {
            document.conclude(changes, &ended, outcomes);
        }
        Ok(())
    }

    async fn decide_documents<B: Table>(
        &self,
        table: &B,
        documents: &[UnorderedChanges<'_>],
        options: RepairOptions<'_>,
    ) -> Result<Vec<Outcome>, RepairError> {
        let keyed = documents.iter().filter_map(|document| document.key.as_ref().map(|key| (document, key)));
        let requests: Vec<_> = keyed
            .map(|(document, key)| RepairRequest {
                id: document.id,
                key: Some(key),
                included: Some(&document.included),
            })
            .collect();
        let mut ended = match self.repair_both(table, &requests, options).await {
            Ok(report) => report.outcomes.into_iter(),
            Err(RepairError::Table(error @ (TableError::Unavailable(_) | TableError::Protocol(_)))) => {
                vec![failed(&error.to_string()); requests.len()].into_iter()
            }
            Err(error) => return Err(error),
        };
        // Without its key, an item cannot be told from a removed one.
        let of_document = |document: &UnorderedChanges<'_>| match document.key {
            Some(_) => ended.next().expect("one outcome per document"),
            None => failed("its key cannot be read"),
        };
        Ok(documents.iter().map(of_document).collect())
    }
}

impl UnorderedChanges<'_> {
    fn add(&mut self, change: &Change, place: usize) {
        self.included.version = self.included.version.joined(&change.version);
        self.included.event_time = self.included.event_time.max(change.event_time);
        if let Some(removed) = removed(change) {
            self.included.removed = removed;
        }
        self.places.push(place);
    }

    /// Ends the changes as the repair of their document ended.
    fn conclude(&self, changes: &[Change], ended: &Outcome, outcomes: &mut [Outcome]) {
        let Some((&newest, older)) = self.places.split_last() else { return };
        outcomes[newest] = ended.clone();
        for &place in older {
            let is_same = changes[place].version == changes[newest].version;
            outcomes[place] = match ended {
                Outcome::Applied if is_same => Outcome::Duplicate,
                Outcome::Applied => Outcome::Superseded,
                ended => ended.clone(),
            };
        }
    }
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed(Problem::Unordered(reason.into()))
}

/// Groups the unordered changes by document.
fn unordered<'c>(
    changes: &'c [Change],
    outcomes: &[Outcome],
    key: impl Fn(usize) -> Option<Key>,
) -> Vec<UnorderedChanges<'c>> {
    let mut group_of: HashMap<&DocumentId, usize> = HashMap::new();
    let mut groups: Vec<UnorderedChanges<'c>> = Vec::new();
    let places = (0..changes.len()).filter(|&place| matches!(outcomes[place], Outcome::Unordered));
    for place in places {
        let change = &changes[place];
        match group_of.get(&change.id) {
            Some(&at) => groups[at].add(change, place),
            None => {
                group_of.insert(&change.id, groups.len());
                groups.push(UnorderedChanges {
                    id: &change.id,
                    key: key(place),
                    included: IncludedChanges {
                        version: change.version.clone(),
                        event_time: change.event_time,
                        removed: removed(change).unwrap_or(Content::Tombstone),
                    },
                    places: vec![place],
                });
            }
        }
    }
    for group in &mut groups {
        group.places.sort_by(|&a, &b| changes[a].version.cmp(&changes[b].version));
    }
    groups
}

/// Returns the content that a removal leaves.
fn removed(change: &Change) -> Option<Content> {
    (change.kind == ChangeKind::Remove).then(|| change.content.clone())
}

#[cfg(test)]
mod tests;
