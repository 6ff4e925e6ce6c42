//! Fate of every change: applied or overtaken in the index, named by a message of the queue, or neither.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use driftless::document_id::DocumentId;
use driftless::time::Timestamp;
use driftless::version::Version;

use crate::table::WrittenChange;

/// Digits of sequence numbers that compare as texts: as many as fit into 128 bits.
const TEXT_DIGITS: usize = 38;

/// Place of a change among all changes of the table.
pub(crate) type Ordinal = usize;

struct LoggedChange {
    id: String,
    poison: bool,
    /// Time and number of its event in Kinesis.
    event: Option<(u64, u128)>,
}

/// Book of all changes.
#[derive(Default)]
pub(crate) struct Ledger {
    changes: Vec<LoggedChange>,
    /// Names of changes: the last parts of their versions, and the sequence numbers of their records.
    by_name: HashMap<String, Ordinal>,
    /// Newest change of each document that was ever in the index.
    newest: BTreeMap<String, Ordinal>,
    /// Newest change of each document that the engine acknowledged.
    acknowledged: BTreeMap<String, Ordinal>,
    /// Number of reads that showed an earlier state.
    outdated_reads: u64,
    /// Changes that ever had a dead letter in the queue.
    dead_lettered: BTreeSet<Ordinal>,
    /// Changes that an on-failure message was ever sent for.
    ranged: BTreeSet<Ordinal>,
    /// Changes whose message was discarded.
    discarded: BTreeSet<Ordinal>,
    /// Newest change of each document.
    last: BTreeMap<String, Ordinal>,
    /// Newest change that the last read of each item from the table included.
    read: BTreeMap<String, Ordinal>,
    /// Time of the last read by which a process decided between changes of an item, by its clock.
    decided_at: BTreeMap<(u64, String), Timestamp>,
    /// Documents whose item was poison when it was read to decide.
    poison_decisions: BTreeSet<String>,
}

impl Ledger {
    /// Notes a new change. Returns its place.
    pub(crate) fn log(&mut self, written: WrittenChange) -> Ordinal {
        let change = self.changes.len();
        for name in &written.names {
            // Without a guard, the functions are shown a number as a text.
            self.name(&as_text(name), change);
            self.name(name, change);
        }
        self.last.insert(written.id.clone(), change);
        self.changes.push(LoggedChange { id: written.id, poison: written.poison, event: written.event });
        change
    }

    /// Gives a change another name: the number of its next record.
    pub(crate) fn name(&mut self, name: &str, change: Ordinal) {
        self.by_name.insert(unpadded(name).to_owned(), change);
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn ordinal(&self, name: &str) -> Option<Ordinal> {
        self.by_name.get(unpadded(name)).copied()
    }

    /// Notes that a document of this version was seen in the index.
    pub(crate) fn seen(&mut self, id: &DocumentId, version: &Version) {
        // The table has no change with the version of a backfill.
        let sequence = version.as_str().rsplit('/').next().unwrap_or_default();
        if let Some(ordinal) = self.ordinal(sequence) {
            let newest = self.newest.entry(id.to_string()).or_insert(ordinal);
            *newest = ordinal.max(*newest);
        }
    }

    /// Notes that an item was read from the table.
    pub(crate) fn note_read(&mut self, id: &str) {
        if let Some(last) = self.last.get(id) {
            self.read.insert(id.to_owned(), *last);
        }
    }

    /// Notes that a process read an item at this time, to decide between changes.
    pub(crate) fn note_decision(&mut self, process: u64, id: &str, at: Timestamp, is_poison: bool) {
        if is_poison {
            self.poison_decisions.insert(id.to_owned());
        }
        self.decided_at.insert((process, id.to_owned()), at);
    }

    /// Returns the time of the last such read.
    pub(crate) fn decided_at(&self, process: u64, id: &DocumentId) -> Option<Timestamp> {
        self.decided_at.get(&(process, id.as_str().to_owned())).copied()
    }

    /// Notes that the content of the last read was written to the index, with all changes that it includes.
    pub(crate) fn note_written_read(&mut self, id: &DocumentId) {
        if let Some(&read) = self.read.get(id.as_str()) {
            let newest = self.newest.entry(id.to_string()).or_insert(read);
            *newest = read.max(*newest);
        }
    }

    /// Notes that somebody discarded the message of these changes.
    pub(crate) fn discard(&mut self, changes: &[Ordinal]) {
        self.discarded.extend(changes);
    }

    /// Notes that the engine acknowledged a write of this version.
    pub(crate) fn acknowledge(&mut self, id: &DocumentId, version: &Version) {
        let sequence = version.as_str().rsplit('/').next().unwrap_or_default();
        if let Some(ordinal) = self.ordinal(sequence) {
            let newest = self.acknowledged.entry(id.to_string()).or_insert(ordinal);
            *newest = ordinal.max(*newest);
        }
    }

    /// Forgets what was acknowledged: a new source may repeat changes under a raised generation, which knows no newer
    /// ones yet.
    pub(crate) fn forget_acknowledged(&mut self) {
        self.acknowledged.clear();
    }

    /// Notes a read that showed an earlier state.
    pub(crate) fn note_outdated_read(&mut self) {
        self.outdated_reads += 1;
    }

    pub(crate) fn outdated_reads(&self) -> u64 {
        self.outdated_reads
    }

    /// Returns `true` if a newer change of the same document was acknowledged.
    pub(crate) fn is_stale(&self, change: Ordinal) -> bool {
        self.acknowledged.get(&self.changes[change].id).is_some_and(|&newest| newest > change)
    }

    /// Notes a message for these changes: our dead letter with a record, or Lambda's own with a range.
    pub(crate) fn note_message(&mut self, changes: &[Ordinal], has_record: bool) {
        if has_record { &mut self.dead_lettered } else { &mut self.ranged }.extend(changes);
    }

    pub(crate) fn has_dead_letter(&self, change: Ordinal) -> bool {
        self.dead_lettered.contains(&change)
    }

    pub(crate) fn has_range(&self, change: Ordinal) -> bool {
        self.ranged.contains(&change)
    }

    /// Returns `true` if the change, or a newer one of its document, was in the index, or if its message was discarded.
    pub(crate) fn is_settled(&self, change: Ordinal) -> bool {
        self.discarded.contains(&change)
            || self.newest.get(&self.changes[change].id).is_some_and(|&newest| newest >= change)
    }

    /// Returns `true` if the engine refuses the change, or the item that decided about it.
    pub(crate) fn is_poison(&self, change: Ordinal) -> bool {
        self.changes[change].poison || self.has_poison_decision(change)
    }

    /// Returns `true` if an item that the engine refuses has decided between changes of the change's document.
    pub(crate) fn has_poison_decision(&self, change: Ordinal) -> bool {
        self.poison_decisions.contains(&self.changes[change].id)
    }

    /// Returns the number of the last event of the change's item at its time; `None` for a change of streams only.
    pub(crate) fn last_of_its_time(&self, name: &str) -> Option<u128> {
        let change = &self.changes[self.ordinal(name)?];
        let (time, _) = change.event?;
        let at_its_time = |other: &LoggedChange| {
            let (other_time, number) = other.event?;
            (other.id == change.id && other_time == time).then_some(number)
        };
        self.changes.iter().rev().find_map(at_its_time)
    }

    /// Returns the changes that are not settled.
    pub(crate) fn open(&self) -> impl Iterator<Item = Ordinal> {
        (0..self.changes.len()).filter(|&change| !self.is_settled(change))
    }

    /// Returns the id of the change's document.
    pub(crate) fn document(&self, change: Ordinal) -> &str {
        &self.changes[change].id
    }

    pub(crate) fn describe(&self, change: Ordinal) -> String {
        format!("change {change} of {}", self.changes[change].id)
    }
}

/// Returns a name without the zeros that versions put before numbers.
fn unpadded(name: &str) -> &str {
    name.trim_start_matches('0')
}

/// Pads a sequence number at its end. Such numbers compare as unpadded texts would.
pub(crate) fn as_text(sequence: &str) -> String {
    format!("{sequence:0<TEXT_DIGITS$}")
}
