//! What differed once, and is looked at again after a while: a change may be on its way.

use std::collections::VecDeque;

use driftless::document::Document;
use driftless::document_id::DocumentId;
use driftless::table::Key;
use driftless::target::StoredDocument;
use driftless::version::Version;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::compare::{Kind, difference};

/// Suspects that are kept at most: each has some 500 bytes.
pub(crate) const MOST: usize = 20_000;
/// Looks after which a document that keeps changing counts as in motion.
pub(crate) const MOST_LOOKS: u32 = 5;

/// One look at an item and its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) kind: Kind,
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

/// Suspects in the order of their next looks.
#[derive(Debug, Default)]
pub(crate) struct Suspects(VecDeque<Suspect>);

impl Look {
    /// Compares what an item gives with its document; `None` if both are equal.
    pub(crate) fn at(expected: Option<&Document>, stored: Option<&StoredDocument>) -> Option<Self> {
        let kind = difference(expected, stored.map(|stored| &stored.body))?;
        Some(Self {
            kind,
            version: stored.and_then(|stored| stored.state.version.clone()),
            item: expected.map(|document| Sha256::digest(document.as_bytes()).into()),
        })
    }
}

impl Suspects {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds a suspect. The time between two looks is always the same, so the last one is due last.
    pub(crate) fn push(&mut self, suspect: Suspect) {
        self.0.push_back(suspect);
    }

    /// Takes up to `most` suspects that are due.
    pub(crate) fn take_due(&mut self, most: usize) -> Vec<Suspect> {
        let now = Instant::now();
        let due = self.0.iter().take(most).take_while(|suspect| suspect.due <= now).count();
        self.0.drain(..due).collect()
    }

    /// Returns the time at which the first suspect is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.0.front().map(|suspect| suspect.due)
    }
}
