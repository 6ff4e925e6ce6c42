//! Folds a batch: groups changes by document and sorts them by version, so that only the newest is written. The older
//! changes stay at hand: if the newest is rejected, the writer tries the one before it.

use std::collections::HashMap;

use crate::change::Change;
use crate::document_id::DocumentId;

/// Changes of one item's document in a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Folded<'c> {
    /// Document of the changes.
    pub(crate) id: &'c DocumentId,
    /// Places in the batch, oldest version first. Equal versions keep the batch's order.
    pub(crate) places: Vec<usize>,
}

/// Groups a batch by document. Items that would have one document are kept apart by the digests in their ids. Documents
/// are in the order of their first changes.
pub(crate) fn fold(changes: &[Change]) -> Vec<Folded<'_>> {
    let mut group_of: HashMap<&DocumentId, usize> = HashMap::with_capacity(changes.len());
    let mut groups: Vec<Folded<'_>> = Vec::with_capacity(changes.len());
    for (place, change) in changes.iter().enumerate() {
        let at = *group_of.entry(&change.id).or_insert_with(|| {
            groups.push(Folded { id: &change.id, places: Vec::with_capacity(1) });
            groups.len() - 1
        });
        groups[at].places.push(place);
    }
    for group in &mut groups {
        // A batch keeps the order per key only while nothing fails. The version decides, not the place.
        group.places.sort_by(|&a, &b| changes[a].version.cmp(&changes[b].version));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::change;

    #[test]
    fn changes_are_grouped_by_document_and_sorted_by_version() {
        let batch = [change("a", 3), change("b", 1), change("a", 1), change("a", 2), change("b", 1)];
        let groups: Vec<_> = fold(&batch).into_iter().map(|group| (group.id.as_str(), group.places)).collect();
        assert_eq!(groups, [("a", vec![2, 3, 0]), ("b", vec![1, 4])]);
    }
}
