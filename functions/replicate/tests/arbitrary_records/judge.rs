//! What every batch must keep, whatever stands in it: an answer, one outcome per record, a reason for every record that
//! has no change, and in the target exactly the newest of the changes that could be read.

use std::collections::BTreeMap;
use std::time::Duration;

use driftless::change::{Change, Content, Reading, Record, RecordError};
use driftless::document::Document;
use driftless::document_id::DocumentId;
use driftless::memory::MemoryTarget;
use driftless::version::{SequenceNumber, Version};
use driftless::writer::Writer;
use replicate::error::HandlerError;
use replicate::handler::handle;
use replicate::metrics::Metrics;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::records::{REFUSED_IMAGE, SECRET};

/// Longest path or problem: one that a log takes.
const MAX_WORDS: usize = 520;

/// How many records ended how.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) changes: u64,
    pub(crate) malformed: u64,
    pub(crate) configuration: u64,
}

/// A record, whether its text may hold item content where a name should be, and how it was read.
struct Read {
    raw: Box<RawValue>,
    record: Record,
}

/// An index with its history.
pub(crate) struct Judge {
    target: MemoryTarget,
    writer: Writer<MemoryTarget>,
    /// Per document the newest version that the target takes, with every content that came under it.
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
            writer: Writer::new(target.clone()),
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
            let record = Record::read(raw.get(), &Reading::default());
            let is_configuration = matches!(record.change, Err(RecordError::Configuration(_)));
            self.count(&record, torn);
            if is_configuration { unusable.push(raw) } else { reads.push(Read { raw, record }) }
        }
        // As if the deployment were wrong: the invocation fails loudly, and nothing is taken for bad data.
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
            Err(RecordError::Malformed { field, problem }) => {
                self.ends.malformed += 1;
                assert!(!field.is_empty() && field.len() <= MAX_WORDS, "{field}");
                assert!(!problem.is_empty() && problem.len() <= MAX_WORDS, "{problem}");
                assert!(torn || !problem.contains(SECRET) && !field.contains(SECRET), "{field}: {problem}");
            }
        }
    }

    async fn readable(&mut self, reads: Vec<Read>) {
        let records: Vec<Box<RawValue>> = reads.iter().map(|read| read.raw.clone()).collect();
        let (answer, metrics) = self.invoke(&records).await;
        let number = |read: &Read| read.record.sequence_number.clone();
        let is_malformed = |read: &&Read| read.record.change.is_err();
        match answer {
            Ok(failed) => {
                for number in &failed {
                    assert!(SequenceNumber::parse(number).is_ok(), "{number}");
                    assert!(reads.iter().any(|read| read.record.sequence_number.as_ref() == Some(number)), "{number}");
                }
                let reported = |read: &Read| number(read).is_none_or(|number| failed.contains(&number));
                assert!(reads.iter().filter(is_malformed).all(reported), "a malformed record is not reported");
            }
            Err(HandlerError::NothingToName) => {
                let nameless = reads.iter().take_while(|read| number(read).is_none()).any(|read| is_malformed(&read));
                assert!(nameless, "every malformed record can be named");
            }
            Err(error) => panic!("{error}"),
        }
        let of = |name: &str| metrics[name].as_u64().expect("a metric");
        let outcomes = ["Applied", "Duplicate", "Stale", "Superseded", "Rejected", "Failed"];
        assert_eq!(outcomes.map(of).iter().sum::<u64>(), records.len() as u64, "one outcome per record: {metrics}");
        assert_eq!(of("Failed"), 0, "{metrics}");
        assert!(of("Rejected") >= reads.iter().filter(is_malformed).count() as u64, "{metrics}");
        for change in reads.into_iter().filter_map(|read| read.record.change.ok()) {
            self.expect(change);
        }
    }

    async fn invoke(&self, records: &[Box<RawValue>]) -> (Result<Vec<String>, HandlerError>, serde_json::Value) {
        let mut metrics = Metrics::new(records.len());
        let deadline = Instant::now() + Duration::from_secs(60);
        let answer = handle(records, &Reading::default(), &self.writer, deadline, &mut metrics).await;
        let failed = answer.map(|response| {
            response.batch_item_failures.into_iter().map(|failure| failure.item_identifier.expect("a number")).collect()
        });
        (failed, serde_json::from_slice(&metrics.line("i")).expect("a line of JSON"))
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

    /// The target holds the newest of what could be read, and nothing else.
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
