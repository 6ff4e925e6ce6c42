//! Hostile data on the real engine: every kind has one defined end, between two neighbours that are not touched.
//!
//! Each reason that a test expects, word for word, stands in `docs/hostile-data.md`, which says what to do about it.

mod fields;
mod records;
mod sizes;
mod text;
mod types;

use std::sync::atomic::{AtomicU64, Ordering};

use driftless::dead_letter::DeadLetter;
use driftless::opensearch::IndexDefinition;
use serde_json::Value;

use crate::stage::Stage;
use crate::support::{Index, insert, with_image};

const DOCUMENTED: &str = include_str!("../../../docs/hostile-data.md");
/// The key of every hostile item: the engine's reasons quote it.
const POISON: &str = "poison";

/// A stage, and the number of its next record.
struct Hostile {
    stage: Stage,
    sequence: AtomicU64,
}

impl Hostile {
    async fn new(name: &str) -> Self {
        Self { stage: Stage::new(name).await, sequence: AtomicU64::new(0) }
    }

    /// With an index definition of the user's own.
    async fn defined(name: &str, definition: Value) -> Self {
        let definition = IndexDefinition::from_json(&definition.to_string()).expect("valid");
        Self { stage: Stage::defined(name, &definition).await, sequence: AtomicU64::new(0) }
    }

    fn index(&self) -> &Index {
        &self.stage.index
    }

    fn next(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Hands the function a record between two right ones, which must be applied.
    ///
    /// Returns the record's dead letter, if it has one.
    async fn between_neighbours(&self, poison: impl FnOnce(u64) -> String) -> Option<DeadLetter> {
        let (before, number, after) = (self.next(), self.next(), self.next());
        let neighbours = [before, after].map(|sequence| (format!("good-{sequence}"), sequence));
        let [first, last] = neighbours.each_ref().map(|(key, sequence)| insert(key, *sequence));
        let batch = [first, poison(number), last];
        let (mut letters, _) = self.stage.handle(&batch).await;
        let visible = self.index().visible().await;
        for (key, sequence) in neighbours {
            assert_eq!(visible.get(&key).map(String::as_str), Some(&*format!(r#"{{"n":{sequence}}}"#)), "{key}");
        }
        let letter = letters.pop();
        assert_eq!(letters.len(), 0, "one letter at most");
        assert!(letter.as_ref().is_none_or(|letter| letter.record.get() == batch[1]), "the letter holds the record");
        letter
    }

    /// The record's end is that it is applied.
    async fn applied(&self, poison: impl FnOnce(u64) -> String) {
        let letter = self.between_neighbours(poison).await;
        assert!(letter.is_none(), "{:?}", letter.map(|letter| letter.rejected));
    }

    /// The item's end is a document with exactly this text.
    async fn indexed(&self, image: &str, document: &str) {
        self.applied(|number| with_image(POISON, number, image)).await;
        assert_eq!(self.index().visible().await[POISON], document);
    }

    /// Checks that the item becomes a dead letter with the engine's reason, every word of which is documented. Other
    /// engines have other words.
    ///
    /// Its document stays as it was.
    async fn rejected(&self, image: &str, reason: &str) {
        let before = self.index().visible().await.remove(POISON);
        let letter = self.between_neighbours(|number| with_image(POISON, number, image)).await;
        let letter = letter.unwrap_or_else(|| panic!("indexed, and not rejected for: {reason}"));
        assert_eq!((letter.rejected.status, letter.document_id.as_deref()), (Some(400), Some(POISON)));
        if self.index().is_quoted_engine().await {
            assert_eq!(letter.rejected.reason, reason);
            documented(reason);
        }
        assert!(!letter.rejected.reason.is_empty(), "the engine says why");
        assert_eq!(self.index().visible().await.remove(POISON), before);
    }

    /// The record's end is a dead letter that says what is malformed.
    async fn malformed(&self, poison: impl FnOnce(u64) -> String, words: &str) {
        let letter = self.between_neighbours(poison).await;
        let rejected = letter.unwrap_or_else(|| panic!("applied, and not malformed: {words}")).rejected;
        assert_eq!((rejected.class.as_str(), rejected.status), ("malformed_record", None));
        assert_eq!(rejected.reason, words);
        documented(words);
    }
}

/// The record's sequence number, in DynamoDB's form.
fn reported(sequence: u64) -> String {
    format!("{sequence}00000000000000000000")
}

#[track_caller]
fn documented(words: &str) {
    // In a table `|` is escaped.
    assert!(DOCUMENTED.replace("\\|", "|").contains(words), "docs/hostile-data.md does not say: {words}");
}
