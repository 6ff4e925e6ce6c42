//! What became of every change: applied or overtaken in the index, named by a letter, or neither.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use driftless::document_id::DocumentId;
use driftless::version::Version;

use crate::shown::as_text;
use crate::table::Written;

/// The place of a change among all changes of the table.
pub(crate) type Ordinal = usize;

struct Change {
    id: String,
    poison: bool,
}

/// The book of all changes.
#[derive(Default)]
pub(crate) struct Ledger {
    changes: Vec<Change>,
    by_sequence: HashMap<u128, Ordinal>,
    /// The newest change of each document that was ever in the index.
    newest: BTreeMap<String, Ordinal>,
    /// The newest change of each document that all copies of the index were said to have.
    acknowledged: BTreeMap<String, Ordinal>,
    /// Reads that showed what had been before.
    outdated_reads: u64,
    /// Changes of which a letter with the record was in the queue at some time.
    lettered: BTreeSet<Ordinal>,
    /// Changes that a letter with a range was sent for at some time.
    ranged: BTreeSet<Ordinal>,
    /// Changes whose letter was discarded.
    discarded: BTreeSet<Ordinal>,
    /// The newest change of each document.
    last: BTreeMap<String, Ordinal>,
    /// The newest change that the last read of each item from the table included.
    read: BTreeMap<String, Ordinal>,
}

impl Ledger {
    pub(crate) fn log(&mut self, written: Written) {
        let change = self.changes.len();
        // A missing guard shows the number as a text.
        let as_text = as_text(&written.sequence.to_string()).parse().expect("digits that fit");
        self.by_sequence.extend([(written.sequence, change), (as_text, change)]);
        self.last.insert(written.id.clone(), change);
        self.changes.push(Change { id: written.id, poison: written.poison });
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn ordinal(&self, sequence: &str) -> Option<Ordinal> {
        sequence.parse().ok().and_then(|sequence: u128| self.by_sequence.get(&sequence).copied())
    }

    /// A document of this version was seen in the index.
    pub(crate) fn seen(&mut self, id: &DocumentId, version: &Version) {
        // Of a backfill there is no change.
        let sequence = version.as_str().rsplit('/').next().unwrap_or_default();
        if let Some(ordinal) = self.ordinal(sequence) {
            let newest = self.newest.entry(id.to_string()).or_insert(ordinal);
            *newest = ordinal.max(*newest);
        }
    }

    /// An item was read from the table.
    pub(crate) fn note_read(&mut self, id: &str) {
        if let Some(last) = self.last.get(id) {
            self.read.insert(id.to_owned(), *last);
        }
    }

    /// What was read of an item was written to the index, with all changes that it includes.
    pub(crate) fn seen_read(&mut self, id: &DocumentId) {
        if let Some(&read) = self.read.get(id.as_str()) {
            let newest = self.newest.entry(id.to_string()).or_insert(read);
            *newest = read.max(*newest);
        }
    }

    /// Somebody decided against these changes.
    pub(crate) fn discard(&mut self, changes: &[Ordinal]) {
        self.discarded.extend(changes);
    }

    /// The engine has acknowledged a write of this version.
    pub(crate) fn acknowledge(&mut self, id: &DocumentId, version: &Version) {
        let sequence = version.as_str().rsplit('/').next().unwrap_or_default();
        if let Some(ordinal) = self.ordinal(sequence) {
            let newest = self.acknowledged.entry(id.to_string()).or_insert(ordinal);
            *newest = ordinal.max(*newest);
        }
    }

    /// A read showed what had been before.
    pub(crate) fn note_outdated_read(&mut self) {
        self.outdated_reads += 1;
    }

    pub(crate) fn outdated_reads(&self) -> u64 {
        self.outdated_reads
    }

    /// Returns whether a newer change of the same document was acknowledged.
    pub(crate) fn is_stale(&self, change: Ordinal) -> bool {
        self.acknowledged.get(&self.changes[change].id).is_some_and(|&newest| newest > change)
    }

    /// A letter was sent for these changes, with a record or with a range.
    pub(crate) fn lettered(&mut self, changes: &[Ordinal], own: bool) {
        if own { &mut self.lettered } else { &mut self.ranged }.extend(changes);
    }

    pub(crate) fn has_letter(&self, change: Ordinal) -> bool {
        self.lettered.contains(&change)
    }

    pub(crate) fn has_range(&self, change: Ordinal) -> bool {
        self.ranged.contains(&change)
    }

    /// Whether the change, or a newer one of its document, was in the index; or its letter was discarded.
    pub(crate) fn is_settled(&self, change: Ordinal) -> bool {
        self.discarded.contains(&change)
            || self.newest.get(&self.changes[change].id).is_some_and(|&newest| newest >= change)
    }

    pub(crate) fn is_poison(&self, change: Ordinal) -> bool {
        self.changes[change].poison
    }

    /// Changes that are not settled.
    pub(crate) fn open(&self) -> impl Iterator<Item = Ordinal> {
        (0..self.changes.len()).filter(|&change| !self.is_settled(change))
    }

    /// Id of the document that the change is of.
    pub(crate) fn document(&self, change: Ordinal) -> &str {
        &self.changes[change].id
    }

    pub(crate) fn describe(&self, change: Ordinal) -> String {
        format!("change {change} of {}", self.changes[change].id)
    }
}
