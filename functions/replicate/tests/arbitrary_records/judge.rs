//! Invariants of every batch, whatever it holds: an answer, and one outcome per record. Every record that cannot be
//! applied has one dead letter with a reason, and no other has any. The target holds exactly the newest of the readable
//! changes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use driftless::change::{Change, Content, ReadOptions, Record, RecordError};
use driftless::dead_letter::ORDER_ANOMALY;
use driftless::dead_letter::{DeadLetter, DeadLetterMessage, Sender};
use driftless::document::Document;
use driftless::document_id::DocumentId;
use driftless::function::Deadlines;
use driftless::function::FunctionError;
use driftless::function::replicate::{Function, Metrics};
use driftless::memory::MemoryTarget;
use driftless::queue::memory::MemoryQueue;
use driftless::source::RecordSource;
use driftless::version::Generation;
use driftless::version::Version;
use driftless::writer::Writer;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::records::{REFUSED_IMAGE, SECRET};

/// Limit for a path or message in a log.
const MAX_WORDS: usize = 520;

/// Number of records by outcome.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) changes: u64,
    pub(crate) malformed: u64,
    pub(crate) configuration: u64,
}

/// A record, and the result of parsing it.
struct Read {
    raw: Box<RawValue>,
    record: Record,
}

/// Answer, dead letters and metrics of an invocation.
type Invoked = (Result<Vec<String>, FunctionError>, Vec<DeadLetter>, serde_json::Value);

/// An index with its history.
pub(crate) struct Judge {
    target: MemoryTarget,
    writer: Writer<MemoryTarget>,
    /// Newest version per document that the target accepts, with every content that came under it.
    expected: BTreeMap<DocumentId, (Version, Vec<Content>)>,
    refused: Content,
    pub(crate) ends: Ends,
}

impl Judge {
    pub(crate) fn new() -> Self {
        let target = MemoryTarget::default();
        let item = driftless::attribute::Item::from_json(REFUSED_IMAGE).expect("an item");
        let refused = Document::from_item(&item);
        target.refuse(refused.as_bytes(), 400);
        Self {
            writer: Writer::new(target.clone(), Generation::default()),
            target,
            expected: BTreeMap::new(),
            refused: Content::Document(refused),
            ends: Ends::default(),
        }
    }

    /// Hands a batch to the function. `torn` are records in which text may have become a name.
    pub(crate) async fn batch(&mut self, batch: Vec<(String, bool)>) {
        let mut reads = Vec::with_capacity(batch.len());
        let mut unusable = Vec::new();
        for (json, torn) in batch {
            let raw = RawValue::from_string(json).expect("JSON");
            let record = Record::read(raw.get(), &ReadOptions::default());
            let is_configuration = matches!(record.change, Err(RecordError::Configuration(_)));
            self.count(&record, torn);
            if is_configuration { unusable.push(raw) } else { reads.push(Read { raw, record }) }
        }
        // As for a wrong deployment: the invocation fails loudly, and no record is taken for bad data.
        for raw in unusable {
            let error = self.invoke(&[raw]).await.0.expect_err("a configuration error");
            assert_eq!(error.kind(), "Configuration");
        }
        self.readable(reads).await;
    }

    fn count(&mut self, record: &Record, torn: bool) {
        match &record.change {
            Ok(_) => self.ends.changes += 1,
            Err(RecordError::Configuration(_)) => self.ends.configuration += 1,
            Err(RecordError::Shape(error) | RecordError::Unshaped { error, .. }) => {
                unreachable!("without rules every item has a document: {error}")
            }
            Err(RecordError::Malformed { field, problem }) => {
                self.ends.malformed += 1;
                assert!(!field.is_empty() && field.len() <= MAX_WORDS, "{field}");
                assert!(!problem.is_empty() && problem.len() <= MAX_WORDS, "{problem}");
                let says_nothing = |(expected, found): (&str, &str)| expected.ends_with(found);
                assert!(!problem.split_once(", found ").is_some_and(says_nothing), "{field}: {problem}");
                assert!(torn || !problem.contains(SECRET) && !field.contains(SECRET), "{field}: {problem}");
            }
        }
    }

    async fn readable(&mut self, reads: Vec<Read>) {
        let records: Vec<Box<RawValue>> = reads.iter().map(|read| read.raw.clone()).collect();
        let (answer, dead_letters, metrics) = self.invoke(&records).await;
        assert_eq!(answer.expect("an answer"), [""; 0], "what cannot be applied leaves the stream");
        let of = |name: &str| metrics[name].as_u64().expect("a metric");
        let outcomes = ["Applied", "Duplicate", "Stale", "Superseded", "Rejected", "Failed"];
        assert_eq!(outcomes.map(of).iter().sum::<u64>(), records.len() as u64, "one outcome per record: {metrics}");
        assert_eq!((of("Failed"), of("Rejected")), (0, dead_letters.len() as u64), "{metrics}");
        let (malformed, refused): (Vec<_>, Vec<_>) =
            dead_letters.iter().partition(|dead_letter| dead_letter.rejected.class == "malformed_record");
        let unread = reads.iter().filter(|read| read.record.change.is_err()).map(|read| spelled(read.raw.get()));
        assert_eq!(sorted(malformed.iter().map(|dead_letter| dead_letter.record.get().to_owned())), sorted(unread));
        for dead_letter in refused {
            let change = Record::read(dead_letter.record.get(), &ReadOptions::default()).change.expect("a change");
            // A damaged time can make an old change look new. Its version is right, and decides.
            if dead_letter.rejected.class != ORDER_ANOMALY {
                assert_eq!(change.content, self.refused);
            }
            assert_eq!(dead_letter.version.as_deref(), Some(change.version.as_str()));
        }
        for change in reads.into_iter().filter_map(|read| read.record.change.ok()) {
            self.expect(change);
        }
    }

    async fn invoke(&self, records: &[Box<RawValue>]) -> Invoked {
        let mut metrics = Metrics::new(records.len());
        let (read_options, queue) = (ReadOptions::default(), MemoryQueue::default());
        let function = Function {
            source: RecordSource::DynamoDbStreams,
            items: None::<&Infallible>,
            read_options: &read_options,
            writer: Some(&self.writer),
            queue: Some(&queue),
            sender: Sender { index: "i", function_version: "test" },
        };
        let deadlines = Deadlines::before(Instant::now() + Duration::from_secs(60), Duration::ZERO);
        let failed = function.handle(records, deadlines, &mut metrics).await;
        let dead_letter = |body: String| match DeadLetterMessage::read(&body).expect("a letter") {
            DeadLetterMessage::Record(dead_letter) => *dead_letter,
            DeadLetterMessage::Range(range) => panic!("{range:?}"),
        };
        let dead_letters = queue.bodies().into_iter().map(dead_letter).collect();
        (failed, dead_letters, serde_json::from_slice(&metrics.line("i")).expect("a line of JSON"))
    }

    fn expect(&mut self, change: Change) {
        if change.content == self.refused {
            return;
        }
        let (version, contents) = self.expected.entry(change.id).or_insert((change.version.clone(), Vec::new()));
        if change.version > *version {
            *version = change.version;
            *contents = vec![change.content];
        } else if change.version == *version {
            contents.push(change.content);
        }
    }

    /// Asserts that the target holds the newest of the readable changes, and nothing else.
    pub(crate) fn verdict(&self) {
        let documents = self.target.documents();
        assert_eq!(documents.len(), self.expected.len(), "as many documents as items");
        for (id, (version, contents)) in &self.expected {
            let document = documents.get(id).unwrap_or_else(|| panic!("{id} is missing"));
            assert_eq!(document.version.as_ref(), Some(version), "{id}");
            assert!(contents.contains(&document.content), "{id} holds what nobody wrote under {version}");
        }
    }
}

/// Returns a record as its dead letter spells it, with two characters escaped that no queue takes.
fn spelled(json: &str) -> String {
    json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
}

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<String> = texts.collect();
    texts.sort_unstable();
    texts
}
