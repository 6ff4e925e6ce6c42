//! Hostile data on the real engine: every kind has one defined end, between two neighbours that are not touched.
//!
//! Each reason that a test expects, word for word, stands in `docs/hostile-data.md`, which says what to do about it.

mod fields;
mod records;
mod sizes;
mod text;
mod types;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use driftless::change::{Change, Reading, Record, RecordError};
use driftless::environment::Environment;
use driftless::opensearch::{Engine, EngineConfig, IndexDefinition, OpenSearchTarget};
use driftless::outcome::{Outcome, Problem};
use driftless::time::Timestamp;
use driftless::writer::{Limits, Writer};
use serde_json::Value;
use tokio::time::Instant;

use crate::support::{Function, Index, insert, with_image};

const DOCUMENTED: &str = include_str!("../../../docs/hostile-data.md");
/// The key of every hostile item: the engine's reasons quote it.
const POISON: &str = "poison";

/// An index, the function that writes to it, and a writer that tells the engine's reasons.
struct Hostile {
    index: Index,
    function: Function,
    writer: Writer<OpenSearchTarget>,
    sequence: AtomicU64,
    /// Removed with the index.
    _definition: Option<tempfile::NamedTempFile>,
}

impl Hostile {
    async fn new(name: &str) -> Self {
        Self::create(name, None).await
    }

    /// With an index definition of the user's own.
    async fn defined(name: &str, definition: Value) -> Self {
        Self::create(name, Some(definition.to_string())).await
    }

    async fn create(name: &str, definition: Option<String>) -> Self {
        let index = Index::new(name);
        let mut settings = index.settings();
        let file = definition.as_ref().map(|text| {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), text).expect("written");
            settings.push(("INDEX_DEFINITION".to_owned(), file.path().to_string_lossy().into_owned()));
            file
        });
        let lookup = |name: &str| settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let config = EngineConfig::from_env(&mut Environment::new(&lookup)).expect("settings");
        let engine = Engine::connect(&config).await.expect("a client");
        let definition =
            definition.map_or_else(IndexDefinition::default, |text| IndexDefinition::from_json(&text).expect("valid"));
        engine.ensure_index(&definition, in_half_a_minute()).await.expect("an index");
        Self {
            function: Function::new(settings),
            writer: Writer::new(OpenSearchTarget::new(Arc::new(engine))),
            index,
            sequence: AtomicU64::new(0),
            _definition: file,
        }
    }

    fn next(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Hands the function a record between two right ones, which must be applied; gives the numbers that it reports.
    async fn between_neighbours(&self, poison: impl FnOnce(u64) -> String) -> (u64, Vec<String>) {
        let (before, number, after) = (self.next(), self.next(), self.next());
        let neighbours = [before, after].map(|sequence| (format!("good-{sequence}"), sequence));
        let [first, last] = neighbours.each_ref().map(|(key, sequence)| insert(key, *sequence));
        let failed = self.function.invoke(&[first, poison(number), last]).await.expect("handled");
        let visible = self.index.visible().await;
        for (key, sequence) in neighbours {
            assert_eq!(visible.get(&key).map(String::as_str), Some(&*format!(r#"{{"n":{sequence}}}"#)), "{key}");
        }
        (number, failed)
    }

    /// The item's end is a document with exactly this text.
    async fn indexed(&self, image: &str, document: &str) {
        let (_, failed) = self.between_neighbours(|number| with_image(POISON, number, image)).await;
        assert_eq!(failed, [""; 0], "{}", self.reason_for(image).await);
        assert_eq!(self.index.visible().await[POISON], document);
    }

    /// The item's end is a rejection by the engine for this reason, every word of which is documented.
    async fn rejected(&self, image: &str, reason: &str) {
        let (number, failed) = self.between_neighbours(|number| with_image(POISON, number, image)).await;
        assert_eq!(failed, [reported(number)], "{image:.200}");
        assert_eq!(self.reason_for(image).await, reason);
        documented(reason);
    }

    /// What the engine says to this item.
    async fn reason_for(&self, image: &str) -> String {
        let record = with_image(POISON, self.next(), image);
        let change = Record::read(&record, &Reading::default()).change;
        let change: Change = match change {
            Ok(change) => change,
            Err(error) => return error.to_string(),
        };
        let limits = Limits { deadline: in_half_a_minute(), written_at: Timestamp::from_millis(1) };
        let report = self.writer.apply(&[change], limits).await.expect("an outcome");
        match &report.outcomes[..] {
            [Outcome::Rejected(Problem::Item(refusal))] => refusal.reason.to_string(),
            other => format!("{other:?}"),
        }
    }

    /// The record's end is that it is malformed, with this path and problem, and is reported by `number`.
    async fn malformed(&self, poison: impl Fn(u64) -> String, words: &str) {
        let (number, failed) = self.between_neighbours(&poison).await;
        let record = Record::read(&poison(number), &Reading::default());
        let Err(RecordError::Malformed { field, problem }) = &record.change else { panic!("{words}: {record:?}") };
        assert_eq!(format!("{field}: {problem}"), words);
        // A record whose own number cannot be read is reported by the one before it.
        let own = record.origin.sequence_number.is_some();
        assert_eq!(failed, [reported(if own { number } else { number - 1 })], "{words}");
        documented(words);
    }
}

/// How the function reports the record with this number.
fn reported(sequence: u64) -> String {
    format!("{sequence}00000000000000000000")
}

fn in_half_a_minute() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

#[track_caller]
fn documented(words: &str) {
    // In a table `|` is escaped.
    assert!(DOCUMENTED.replace("\\|", "|").contains(words), "docs/hostile-data.md does not say: {words}");
}
