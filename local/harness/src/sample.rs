//! Samples for a configuration: stream records and items, as they are without rules and with them.

use anyhow::{Context, Result};
use aws_sdk_dynamodb::Client;
use driftless::attribute::Item;
use driftless::change::{Content, ReadOptions, Record};
use serde::Serialize;
use serde_json::value::RawValue;

/// A record or an item, with what becomes of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Name of the sample: an event's file and record, or an item's number.
    pub name: String,
    /// Result without any rules.
    pub before: SampleResult,
    /// Result with the rules of the configuration.
    pub after: SampleResult,
}

/// Document that a sample gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SampleResult {
    /// A document with its id.
    Document {
        /// Id of the document.
        id: String,
        /// The document's JSON, byte for byte.
        document: ExactJson,
    },
    /// No document: the item is removed, or the rules leave it out.
    NoDocument {
        /// Id of the document that is not there.
        id: String,
    },
    /// A dead letter, for this reason.
    Rejected {
        /// Name of the attribute and the expected shape.
        reason: String,
    },
}

/// JSON text that is compared byte for byte.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct ExactJson(pub Box<RawValue>);

impl PartialEq for ExactJson {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    records: Vec<Box<RawValue>>,
}

/// Reads the records of an event.
///
/// # Errors
/// Fails if it is not an event of DynamoDB Streams.
pub fn of_event(name: &str, event: &str, rules: &ReadOptions) -> Result<Vec<Sample>> {
    let event: Event = serde_json::from_str(event).with_context(|| format!("read {name}: expected Records"))?;
    let plain = ReadOptions { replication: std::sync::Arc::default(), ..rules.clone() };
    let sample = |(at, record): (usize, &str)| Sample {
        name: format!("{name}, record {}", at + 1),
        before: of_record(record, &plain),
        after: of_record(record, rules),
    };
    Ok(event.records.iter().map(|record| record.get()).enumerate().map(sample).collect())
}

fn of_record(json: &str, options: &ReadOptions) -> SampleResult {
    match Record::read(json, options).change {
        Ok(change) => result(change.id.to_string(), change.content),
        Err(error) => SampleResult::Rejected { reason: error.to_string() },
    }
}

/// Reads the first items of a table, at most `most`.
///
/// # Errors
/// Fails if the table cannot be described or read.
pub async fn of_table(tables: &Client, table: &str, most: u32, rules: &ReadOptions) -> Result<Vec<Sample>> {
    let described = tables.describe_table().table_name(table).send().await.context("describe the table")?;
    let described = described.table.context("describe the table")?;
    let keys: Vec<&str> = described.key_schema().iter().map(|key| key.attribute_name()).collect();
    let limit = i32::try_from(most).unwrap_or(i32::MAX);
    let plain = ReadOptions { replication: std::sync::Arc::default(), ..rules.clone() };
    let mut samples = Vec::new();
    let mut start = None;
    loop {
        let page = tables.scan().table_name(table).limit(limit).set_exclusive_start_key(start).send().await;
        let page = page.context("scan the table")?;
        for item in page.items.unwrap_or_default() {
            let item = Item::from_sdk(item).context("convert an item")?;
            samples.push(Sample {
                name: format!("item {}", samples.len() + 1),
                before: of_item(&item, &keys, &plain),
                after: of_item(&item, &keys, rules),
            });
        }
        start = page.last_evaluated_key;
        if start.is_none() || samples.len() >= most as usize {
            samples.truncate(most as usize);
            return Ok(samples);
        }
    }
}

fn of_item(item: &Item<'_>, keys: &[&str], options: &ReadOptions) -> SampleResult {
    let key = item.0.iter().filter(|(name, _)| keys.contains(&name.as_ref()));
    let key = Item(key.map(|(name, value)| (name.clone(), value.clone())).collect());
    let id = options.document_id(&key).map_err(|error| error.to_string());
    match (id, options.replication.content(item)) {
        (Err(reason), _) => SampleResult::Rejected { reason },
        (_, Err(error)) => SampleResult::Rejected { reason: error.to_string() },
        (Ok(id), Ok(content)) => result(id.to_string(), content),
    }
}

fn result(id: String, content: Content) -> SampleResult {
    match content {
        Content::Tombstone => SampleResult::NoDocument { id },
        Content::Document(document) | Content::Expired { document, .. } => {
            let json = String::from_utf8_lossy(document.as_bytes()).into_owned();
            let json = RawValue::from_string(json).expect("a document is JSON");
            SampleResult::Document { id, document: ExactJson(json) }
        }
    }
}
