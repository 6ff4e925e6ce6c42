//! Journal of a page: what was injected, what followed, and when both sides were equal again.
//!
//! Its lines are shown in a browser. They hold counts, classes and names, never the content of an item.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::clock::epoch_seconds;

/// Lines that are kept, the newest ones.
const MOST: usize = 100;

/// Kind of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalKind {
    /// A trouble was injected.
    Injected,
    /// Something happened on the way.
    Note,
    /// Both sides are equal again.
    Equal,
    /// Something failed on the way.
    Problem,
}

/// One line with its time.
#[derive(Clone, Debug, Serialize)]
pub struct JournalEntry {
    /// Time of the line, in seconds since 1970.
    pub at: f64,
    /// Kind of what the line says.
    pub kind: JournalKind,
    /// Text for a person.
    pub text: String,
}

/// Lines of a page, the oldest first. Clones share them.
#[derive(Clone)]
pub struct PageJournal {
    entries: Arc<Mutex<Vec<JournalEntry>>>,
    echo: Arc<dyn Fn(&str) + Send + Sync>,
}

impl PageJournal {
    /// Creates a journal whose lines also go to `echo`.
    #[must_use]
    pub fn new(echo: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { entries: Arc::default(), echo: Arc::new(echo) }
    }

    /// Notes something that happened on the way.
    pub fn note(&self, text: impl Into<String>) {
        self.add(JournalKind::Note, text.into());
    }

    /// Adds a line of any kind.
    pub fn add(&self, kind: JournalKind, text: String) {
        (self.echo)(&text);
        let mut entries = self.guard();
        entries.push(JournalEntry { at: epoch_seconds(), kind, text });
        let surplus = entries.len().saturating_sub(MOST);
        entries.drain(..surplus);
    }

    /// Returns all lines that are kept.
    #[must_use]
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.guard().clone()
    }

    fn guard(&self) -> MutexGuard<'_, Vec<JournalEntry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_keeps_the_newest_lines_and_echoes_each() {
        let echoed = Arc::new(Mutex::new(0));
        let count = Arc::clone(&echoed);
        let journal = PageJournal::new(move |_| *count.lock().expect("no panic") += 1);
        (0..MOST + 5).for_each(|n| journal.note(n.to_string()));
        let entries = journal.entries();
        assert_eq!((entries.len(), entries[0].text.as_str()), (MOST, "5"));
        assert_eq!(*echoed.lock().expect("no panic"), MOST + 5);
    }
}
