//! Messages of the dead-letter queue: our dead letters and Lambda's on-failure messages, each visible or hidden.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::Ordinal;

/// Visibility timeout of a received message.
const HIDDEN: Duration = Duration::from_secs(3);

/// A message in the queue.
struct StoredMessage {
    body: String,
    /// Changes that it was sent for.
    changes: Vec<Ordinal>,
    /// True for our dead letter with its record; false for Lambda's message with a range of the stream.
    has_record: bool,
    visible_at: Instant,
}

/// All messages of the queue, by number.
#[derive(Default)]
pub(crate) struct Messages {
    messages: BTreeMap<u64, StoredMessage>,
    sent: u64,
    calls: u64,
}

impl Messages {
    pub(crate) fn store(&mut self, body: String, changes: Vec<Ordinal>, has_record: bool) {
        self.sent += 1;
        self.messages.insert(self.sent, StoredMessage { body, changes, has_record, visible_at: Instant::now() });
    }

    /// Counts a call of the queue, and returns its number.
    pub(crate) fn next_call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    /// Returns the numbers of the messages that are visible now.
    pub(crate) fn visible(&self) -> Vec<u64> {
        let now = Instant::now();
        let visible = self.messages.iter().filter(|(_, message)| message.visible_at <= now);
        visible.map(|(number, _)| *number).collect()
    }

    /// Body of the message of this number.
    pub(crate) fn body(&self, number: u64) -> Option<&str> {
        self.messages.get(&number).map(|message| message.body.as_str())
    }

    /// Hides a message for the visibility timeout.
    pub(crate) fn hide(&mut self, number: u64) {
        self.show_at(number, Instant::now() + HIDDEN);
    }

    /// Shows a message again immediately, as giving it back does.
    pub(crate) fn show(&mut self, number: u64) {
        self.show_at(number, Instant::now());
    }

    /// Deletes the newest message that is visible now, and returns its changes.
    pub(crate) fn discard_newest(&mut self) -> Option<Vec<Ordinal>> {
        let number = self.visible().pop()?;
        self.messages.remove(&number).map(|message| message.changes)
    }

    pub(crate) fn remove(&mut self, number: u64) {
        self.messages.remove(&number);
    }

    /// Returns the changes that a message was sent for, and `true` if it holds a record.
    pub(crate) fn changes(&self, number: u64) -> Option<(Vec<Ordinal>, bool)> {
        self.messages.get(&number).map(|message| (message.changes.clone(), message.has_record))
    }

    /// Returns whether a message is there that was sent for this change.
    pub(crate) fn names(&self, change: Ordinal) -> bool {
        self.messages.values().any(|message| message.changes.contains(&change))
    }

    /// Returns whether a message names a range.
    pub(crate) fn has_range(&self) -> bool {
        self.messages.values().any(|message| !message.has_record)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn show_at(&mut self, number: u64, at: Instant) {
        if let Some(message) = self.messages.get_mut(&number) {
            message.visible_at = at;
        }
    }
}
