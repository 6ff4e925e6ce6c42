//! Messages of the dead-letter queue: each visible, or hidden for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::Ordinal;

/// How long a received message is hidden.
const HIDDEN: Duration = Duration::from_secs(3);

/// A message of the queue.
struct Letter {
    body: String,
    /// The changes that it was sent for.
    changes: Vec<Ordinal>,
    /// Whether it holds a record, or names a range of the stream.
    own: bool,
    visible_at: Instant,
}

/// All messages, by number.
#[derive(Default)]
pub(crate) struct Letters {
    letters: BTreeMap<u64, Letter>,
    sent: u64,
    calls: u64,
}

impl Letters {
    pub(crate) fn store(&mut self, body: String, changes: Vec<Ordinal>, own: bool) {
        self.sent += 1;
        self.letters.insert(self.sent, Letter { body, changes, own, visible_at: Instant::now() });
    }

    /// Number of the next call of the queue.
    pub(crate) fn next_call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    /// Numbers of the messages that can be received now.
    pub(crate) fn visible(&self) -> Vec<u64> {
        let now = Instant::now();
        let visible = self.letters.iter().filter(|(_, letter)| letter.visible_at <= now);
        visible.map(|(number, _)| *number).collect()
    }

    /// Body of a message.
    pub(crate) fn body(&self, number: u64) -> Option<&str> {
        self.letters.get(&number).map(|letter| letter.body.as_str())
    }

    /// Hides a message, as receiving it does.
    pub(crate) fn hide(&mut self, number: u64) {
        self.show_at(number, Instant::now() + HIDDEN);
    }

    /// Shows a message again.
    pub(crate) fn show(&mut self, number: u64) {
        self.show_at(number, Instant::now());
    }

    /// Takes the newest message that can be received now off the queue, and gives its changes.
    pub(crate) fn discard_newest(&mut self) -> Option<Vec<Ordinal>> {
        let number = self.visible().pop()?;
        self.letters.remove(&number).map(|letter| letter.changes)
    }

    pub(crate) fn remove(&mut self, number: u64) {
        self.letters.remove(&number);
    }

    /// The changes that a message was sent for, and whether it holds a record.
    pub(crate) fn changes(&self, number: u64) -> Option<(Vec<Ordinal>, bool)> {
        self.letters.get(&number).map(|letter| (letter.changes.clone(), letter.own))
    }

    /// Whether a letter is there that was sent for this change.
    pub(crate) fn name(&self, change: Ordinal) -> bool {
        self.letters.values().any(|letter| letter.changes.contains(&change))
    }

    /// Whether there is a letter that names a range.
    pub(crate) fn has_range(&self) -> bool {
        self.letters.values().any(|letter| !letter.own)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    fn show_at(&mut self, number: u64, at: Instant) {
        if let Some(letter) = self.letters.get_mut(&number) {
            letter.visible_at = at;
        }
    }
}
