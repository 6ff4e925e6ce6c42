//! Documents that differed once, and are looked at again after a while: a change may be on its way.

use std::collections::{HashSet, VecDeque};

use driftless::document::Document;
use driftless::document_id::DocumentId;
use driftless::table::Key;
use driftless::target::StoredDocument;
use driftless::version::Version;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::compare::{DifferenceKind, difference};

/// Maximum number of suspects: each has some 500 bytes.
pub(crate) const MOST: usize = 20_000;
/// Number of looks after which a document that keeps changing counts as in motion.
pub(crate) const MOST_LOOKS: u32 = 5;

/// One look at an item and its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) kind: DifferenceKind,
    /// Version of the document.
    version: Option<Version>,
    /// Hash of what the item gives.
    item: Option<[u8; 32]>,
}

/// A document that differed from its item.
#[derive(Debug, Clone)]
pub(crate) struct Suspect {
    pub(crate) id: DocumentId,
    /// Key of the item; absent if no item can have this document.
    pub(crate) key: Option<Key>,
    pub(crate) look: Look,
    pub(crate) looks: u32,
    /// Time of the next look.
    pub(crate) due: Instant,
}

/// Suspects in the order of their next looks, each document once.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    queue: VecDeque<Suspect>,
    /// Ids of the documents in the queue. A listing of the index shows a document again after each of its changes, and
    /// the table refuses a read that names an item twice.
    ids: HashSet<DocumentId>,
}

impl Look {
    /// Compares what an item gives with its document; `None` if both are equal.
    pub(crate) fn at(expected: Option<&Document>, stored: Option<&StoredDocument>) -> Option<Self> {
        Some(Self::of(difference(expected, stored)?, expected, stored))
    }

    /// Makes the look that shows a difference of this kind.
    pub(crate) fn of(kind: DifferenceKind, expected: Option<&Document>, stored: Option<&StoredDocument>) -> Self {
        Self {
            kind,
            version: stored.and_then(|stored| stored.state.version.clone()),
            item: expected.map(|document| Sha256::digest(document.as_bytes()).into()),
        }
    }
}

impl Suspects {
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Adds a suspect, unless its document is one already. The time between two looks is always the same, so the last
    /// one is due last.
    pub(crate) fn push(&mut self, suspect: Suspect) {
        if self.ids.insert(suspect.id.clone()) {
            self.queue.push_back(suspect);
        }
    }

    /// Takes up to `most` suspects that are due.
    pub(crate) fn take_due(&mut self, most: usize) -> Vec<Suspect> {
        let now = Instant::now();
        let due = self.queue.iter().take(most).take_while(|suspect| suspect.due <= now).count();
        let due: Vec<Suspect> = self.queue.drain(..due).collect();
        for suspect in &due {
            self.ids.remove(&suspect.id);
        }
        due
    }

    /// Returns the time at which the first suspect is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.queue.front().map(|suspect| suspect.due)
    }
}
