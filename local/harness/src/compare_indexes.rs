//! Compares two indexes with each other, document by document: those of two Regions, or of two clusters.
//!
//! Both are listed, and each listed document is read in both, refreshed or not. Versions are not compared: the stream
//! of each Region has numbers of its own. What differs is looked at again after a settling time, because a change may
//! have arrived in one index only; what keeps changing is in motion. Nothing is written.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use driftless::document_id::DocumentId;
use driftless::function::FunctionError;
use driftless::function::retry::{read_documents, retry};
use driftless::target::{Documents, Listed, Position, StoredBody, StoredDocument};
use serde::Serialize;
use tokio::time::{Instant, sleep};
use verify::compare::paths_between;

/// Documents that are read together, each of which may have 400 KB.
const READ_TOGETHER: usize = 100;
/// Time for one request with its repetitions.
const LIMIT: Duration = Duration::from_secs(60);
/// Documents that wait for their next look, before a listing goes on.
const MOST_SUSPECTS: usize = 20_000;
/// Looks after which a document that keeps changing is in motion.
const MOST_LOOKS: u32 = 5;
/// Differences that are described.
const MOST_EXAMPLES: usize = 20;
/// Path of a difference that is none of a field: one of the two documents is of an expired item.
const EXPIRED: &str = "_driftless.expired_at";

/// Result of comparing two indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IndexComparison {
    /// Documents that the listings of the first and of the second index showed, without tombstones.
    pub documents: [u64; 2],
    /// Documents that only the first index has.
    pub only_in_first: u64,
    /// Documents that only the second index has.
    pub only_in_second: u64,
    /// Documents whose contents differ.
    pub different: u64,
    /// Documents that kept changing, and were never found equal: undecided.
    pub in_motion: u64,
    /// The first differences that were found.
    pub examples: Vec<IndexDifference>,
}

/// Difference between two indexes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IndexDifference {
    /// Id of the document.
    pub document_id: String,
    /// Kind of the difference.
    pub kind: IndexDifferenceKind,
    /// Fields whose values differ, if the document is in both. Never the values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

/// Kind of a difference between two indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexDifferenceKind {
    /// Only the first index has the document.
    OnlyInFirst,
    /// Only the second index has the document.
    OnlyInSecond,
    /// Both have it, with different contents.
    Different,
}

/// Two indexes that are compared.
#[derive(Clone, Copy, Debug)]
pub struct IndexesToCompare<'a, D> {
    /// Documents of the first index.
    pub first: &'a D,
    /// Documents of the second index.
    pub second: &'a D,
    /// Time between two looks at what differs.
    pub settle: Duration,
}

/// A document that differed, at its positions in both indexes.
#[derive(Clone, Debug)]
struct DifferingLook {
    difference: IndexDifference,
    positions: [Option<Position>; 2],
}

impl IndexComparison {
    /// Number of documents that differ.
    #[must_use]
    pub fn differences(&self) -> u64 {
        self.only_in_first + self.only_in_second + self.different
    }

    /// True if every document was found equal.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.differences() == 0 && self.in_motion == 0
    }

    fn count(&mut self, difference: IndexDifference) {
        match difference.kind {
            IndexDifferenceKind::OnlyInFirst => self.only_in_first += 1,
            IndexDifferenceKind::OnlyInSecond => self.only_in_second += 1,
            IndexDifferenceKind::Different => self.different += 1,
        }
        if self.examples.len() < MOST_EXAMPLES {
            self.examples.push(difference);
        }
    }
}

impl<D: Documents> IndexesToCompare<'_, D> {
    /// Compares all documents. `progress` is called with the number of documents that were compared.
    ///
    /// # Errors
    /// Fails if one of the indexes cannot be read.
    pub async fn compare(&self, mut progress: impl FnMut(u64)) -> Result<IndexComparison, FunctionError> {
        let mut comparison = IndexComparison::default();
        let mut suspects = BTreeMap::new();
        let mut decided = HashSet::new();
        // What is only in the second index is on its listing alone; all else is on the first one's.
        for (side, index) in [self.first, self.second].into_iter().enumerate() {
            let is_of_listing = |kind| (kind == IndexDifferenceKind::OnlyInSecond) == (side == 1);
            let mut next = Some(0);
            while let Some(from) = next {
                let deadline = Instant::now() + LIMIT;
                let page = retry(deadline, async || index.list(Listed::Live, from, deadline).await).await?;
                next = page.next;
                let ids: Vec<DocumentId> = page.found.into_iter().map(|found| found.id).collect();
                for ids in ids.chunks(READ_TOGETHER) {
                    let found = self.look(ids).await?;
                    let found = found.into_iter().filter(|(_, look)| is_of_listing(look.difference.kind));
                    suspects.extend(found.filter(|(id, _)| !decided.contains(id)));
                    comparison.documents[side] += ids.len() as u64;
                    progress(comparison.documents.iter().sum());
                }
                if suspects.len() >= MOST_SUSPECTS {
                    self.settle(&mut suspects, &mut decided, &mut comparison).await?;
                }
            }
        }
        self.settle(&mut suspects, &mut decided, &mut comparison).await?;
        Ok(comparison)
    }

    /// Looks again at what differed, until each is equal, stays different, or has changed too often.
    async fn settle(
        &self,
        suspects: &mut BTreeMap<DocumentId, DifferingLook>,
        decided: &mut HashSet<DocumentId>,
        comparison: &mut IndexComparison,
    ) -> Result<(), FunctionError> {
        for looks in 2..=MOST_LOOKS {
            if suspects.is_empty() {
                return Ok(());
            }
            sleep(self.settle).await;
            let before = std::mem::take(suspects);
            let ids: Vec<DocumentId> = before.keys().cloned().collect();
            for ids in ids.chunks(READ_TOGETHER) {
                for (id, look) in self.look(ids).await? {
                    if before[&id].positions == look.positions {
                        decided.insert(id);
                        comparison.count(look.difference);
                    } else if looks == MOST_LOOKS {
                        decided.insert(id);
                        comparison.in_motion += 1;
                    } else {
                        suspects.insert(id, look);
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads documents in both indexes. Returns those that differ.
    async fn look(&self, ids: &[DocumentId]) -> Result<Vec<(DocumentId, DifferingLook)>, FunctionError> {
        let (due, deadline): (Vec<&DocumentId>, _) = (ids.iter().collect(), Instant::now() + LIMIT);
        let read = |index| read_documents(index, &due, deadline);
        let (first, second) = futures::future::try_join(read(self.first), read(self.second)).await?;
        let looks = ids.iter().zip(first.iter().zip(&second));
        Ok(looks.filter_map(|(id, (first, second))| Some((id.clone(), differing(id, first, second)?))).collect())
    }
}

/// Compares a document of both indexes; `None` if both are equal. A tombstone equals a missing document.
fn differing(
    id: &DocumentId,
    first: &Option<StoredDocument>,
    second: &Option<StoredDocument>,
) -> Option<DifferingLook> {
    let difference = |kind, paths| IndexDifference { document_id: id.to_string(), kind, paths };
    let difference = match (first.as_ref().and_then(live), second.as_ref().and_then(live)) {
        (None, None) => return None,
        (Some(_), None) => difference(IndexDifferenceKind::OnlyInFirst, Vec::new()),
        (None, Some(_)) => difference(IndexDifferenceKind::OnlyInSecond, Vec::new()),
        (Some(first), Some(second)) => {
            let mut paths = Vec::new();
            if first.json != second.json {
                paths = paths_between(first.json, second.json);
            }
            if first.is_expired != second.is_expired {
                paths.push(EXPIRED.to_owned());
            }
            // A foreign document with the same fields reads the same; two of our own do in the same bytes only.
            let is_foreign = first.is_foreign || second.is_foreign;
            if paths.is_empty() && (is_foreign || first.json == second.json) {
                return None;
            }
            difference(IndexDifferenceKind::Different, paths)
        }
    };
    let position = |document: &Option<StoredDocument>| document.as_ref().map(|document| document.state.position);
    Some(DifferingLook { difference, positions: [position(first), position(second)] })
}

/// A document as its readers see it.
struct VisibleDocument<'a> {
    json: &'a [u8],
    is_foreign: bool,
    /// True if its item has expired.
    is_expired: bool,
}

/// Returns what readers see; `None` for a tombstone.
fn live(document: &StoredDocument) -> Option<VisibleDocument<'_>> {
    let (json, is_foreign) = match &document.body {
        StoredBody::Document(bytes) => (bytes, false),
        StoredBody::Foreign(bytes) => (bytes, true),
        StoredBody::Tombstone => return None,
    };
    Some(VisibleDocument { json, is_foreign, is_expired: document.state.expired_at.is_some() })
}

#[cfg(test)]
mod tests {
    use driftless::target::StoredState;
    use driftless::time::Timestamp;

    use super::*;

    fn stored(body: StoredBody) -> Option<StoredDocument> {
        let position = Position { seq_no: 1, primary_term: 1 };
        let state = StoredState {
            version: None,
            event_time: None,
            written_at: None,
            read_at: None,
            expired_at: None,
            key: None,
            deleted: body == StoredBody::Tombstone,
            position,
        };
        Some(StoredDocument { state, body })
    }

    fn document(json: &str) -> Option<StoredDocument> {
        stored(StoredBody::Document(json.as_bytes().to_vec()))
    }

    #[track_caller]
    fn check(first: Option<StoredDocument>, second: Option<StoredDocument>, expected: Option<IndexDifferenceKind>) {
        let look = differing(&DocumentId::from_stored("a".to_owned()), &first, &second);
        assert_eq!(look.map(|look| look.difference.kind), expected);
    }

    #[test]
    fn contents_are_compared_and_versions_are_not() {
        let foreign = |json: &str| stored(StoredBody::Foreign(json.as_bytes().to_vec()));
        check(document(r#"{"a":1}"#), document(r#"{"a":1}"#), None);
        check(document(r#"{"a":1}"#), document(r#"{"a":1.0}"#), Some(IndexDifferenceKind::Different));
        check(document("{}"), None, Some(IndexDifferenceKind::OnlyInFirst));
        check(stored(StoredBody::Tombstone), document("{}"), Some(IndexDifferenceKind::OnlyInSecond));
        check(stored(StoredBody::Tombstone), None, None);
        check(foreign(r#"{"_driftless":{"version":"x"},"a":1}"#), document(r#"{"a":1}"#), None);
        let mut expired = document(r#"{"a":1}"#);
        expired.as_mut().expect("a document").state.expired_at = Some(Timestamp::from_millis(1));
        check(expired, document(r#"{"a":1}"#), Some(IndexDifferenceKind::Different));
    }

    #[test]
    fn differences_name_fields_and_no_values() {
        let id = DocumentId::from_stored("a".to_owned());
        let look = differing(&id, &document(r#"{"a":"secret","b":1}"#), &document(r#"{"a":"other","c":1}"#));
        assert_eq!(look.expect("a difference").difference.paths, ["a", "b", "c"]);
    }
}
