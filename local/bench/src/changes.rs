//! Changes of the benchmark: items of half a kilobyte, generated from their key and revision.
//! For the same change, an unguarded writer's bulk operation.

use anyhow::{Context, Result, anyhow, bail};
use driftless::change::{Change, Content, ReadOptions, Record};
use driftless::document_id::DocumentId;
use driftless_harness::mapping::record::StreamRecord;
use driftless_harness::mapping::stream::{ChangeStream, READ_LIMIT, ShardPosition};
use driftless_harness::mapping::{JsonItem, MemoryChange, MemoryStream};
use serde_json::{Map, json};

/// Table of the changes.
pub(crate) const TABLE: &str = "benchmark";
/// ARN of the table.
pub(crate) const TABLE_ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/benchmark";
/// The table's only key: a lone string key is its own document id.
pub(crate) const KEY: &str = "id";
/// Attribute with the time at which the change was due, in microseconds since the epoch.
pub(crate) const DUE: &str = "due_us";

const KINDS: [&str; 6] = ["call", "mail", "meeting", "note", "order", "visit"];
const COMPANIES: [&str; 5] = ["Aurora Mills", "Birch & Sons", "Cobalt Energy", "Delta Foods", "Fjord Bank"];
const NOTE: &str = "Met the buyer, went through the open offers line by line, agreed to send the revised prices by the \
end of the week, and to ask the warehouse whether the second pallet can leave together with the first one.";

/// Key of a hot item.
pub(crate) const HOT: u64 = u64::MAX;

/// Document id of a key.
pub(crate) fn id(key: u64) -> String {
    if key == HOT {
        return "hot".to_owned();
    }
    format!("member-{:03}-activity-{key:09}", key % 997)
}

/// Change that gives `key` this revision, due at `due_us`. It has the new image alone, as the records of a table have
/// that the template creates.
pub(crate) fn put(key: u64, revision: u64, due_us: u64) -> MemoryChange {
    MemoryChange {
        event_name: if revision == 0 { "INSERT" } else { "MODIFY" },
        keys: keys(key),
        new_image: Some(image(key, revision, due_us)),
        old_image: None,
        expired: false,
    }
}

/// The same change with both images.
pub(crate) fn put_with_old_image(key: u64, revision: u64, due_us: u64) -> MemoryChange {
    let old_image = revision.checked_sub(1).map(|before| image(key, before, due_us));
    MemoryChange { old_image, ..put(key, revision, due_us) }
}

/// Change that removes `key`.
pub(crate) fn remove(key: u64) -> MemoryChange {
    MemoryChange { event_name: "REMOVE", keys: keys(key), ..MemoryChange::default() }
}

fn keys(key: u64) -> JsonItem {
    Map::from_iter([(KEY.to_owned(), json!({"S": id(key)}))])
}

fn image(key: u64, revision: u64, due_us: u64) -> JsonItem {
    let mut image = keys(key);
    let mut put = |name: &str, value| image.insert(name.to_owned(), value);
    put("tenant", json!({"S": "acme"}));
    put("member", json!({"S": format!("member-{:03}", key % 997)}));
    put("company", json!({"S": pick(&COMPANIES, key)}));
    put("kind", json!({"S": pick(&KINDS, key / 5)}));
    put("at", json!({"S": format!("2026-{:02}-{:02}T{:02}:30:00Z", 1 + key % 12, 1 + key % 28, key % 24)}));
    put("note", json!({"S": NOTE}));
    put("revision", json!({"N": revision.to_string()}));
    put("amount", json!({"N": format!("{}.{:02}", key % 90_000, revision % 100)}));
    put("tags", json!({"SS": ["q4", format!("priority-{}", key % 3)]}));
    put("place", json!({"M": {"floor": {"N": (key % 40).to_string()}, "open": {"BOOL": true}}}));
    put(DUE, json!({"N": due_us.to_string()}));
    image
}

fn pick(choices: &[&'static str], at: u64) -> &'static str {
    choices[usize::try_from(at % choices.len() as u64).unwrap_or_default()]
}

/// Puts changes into `stream`, and returns their records as they are delivered.
pub(crate) async fn push(
    stream: &MemoryStream,
    changes: impl IntoIterator<Item = MemoryChange>,
) -> Result<Vec<StreamRecord>> {
    let mut first = None;
    for change in changes {
        let number = stream.push(&change)?;
        first.get_or_insert(number);
    }
    let shard = stream.open_shards().into_iter().next().context("find the stream's shard")?;
    let Some(first) = first else { return Ok(Vec::new()) };
    let mut iterator = Some(stream.iterator(&shard, &ShardPosition::At(first)).await?);
    let mut records = Vec::new();
    while let Some(next) = iterator {
        let page = stream.records(&next, READ_LIMIT).await?;
        if page.records.is_empty() {
            break;
        }
        records.extend(page.records);
        iterator = page.next;
    }
    Ok(records)
}

/// Bulk operations of an unguarded writer for these records.
pub(crate) fn baseline_operations(records: &[StreamRecord]) -> Result<Vec<u8>> {
    let mut operations = Vec::with_capacity(1_024 * records.len());
    for record in records {
        baseline_operation(text(record)?, &mut operations)?;
    }
    Ok(operations)
}

/// Document ids of these records.
pub(crate) fn document_ids(records: &[StreamRecord]) -> Result<Vec<DocumentId>> {
    records.iter().map(|record| Ok(read(text(record)?)?.id)).collect()
}

fn text(record: &StreamRecord) -> Result<&str> {
    std::str::from_utf8(record.json()).context("read a record")
}

fn read(record: &str) -> Result<Change> {
    Record::read(record, &ReadOptions::default()).change.map_err(|error| anyhow!("read a record: {error}"))
}

/// Bulk operations of a writer that keeps no metadata: the items of these records as they are.
pub(crate) fn item_operations(records: &[StreamRecord]) -> Result<Vec<u8>> {
    let mut operations = Vec::with_capacity(1_024 * records.len());
    for record in records {
        let change = read(text(record)?)?;
        let Content::Document(document) = &change.content else { bail!("a removed item cannot be written") };
        let id = serde_json::to_string(change.id.as_str()).context("write an id")?;
        operations.extend_from_slice(format!("{{\"index\":{{\"_id\":{id}}}}}\n").as_bytes());
        operations.extend_from_slice(document.as_bytes());
        operations.push(b'\n');
    }
    Ok(operations)
}

/// Appends one unguarded bulk operation with the document that the function writes, `_driftless` included.
pub(crate) fn baseline_operation(record: &str, out: &mut Vec<u8>) -> Result<()> {
    let change = read(record)?;
    let id = serde_json::to_string(change.id.as_str()).context("write an id")?;
    let version = serde_json::to_string(change.version.as_str()).context("write a version")?;
    let time = change.event_time.map(|time| time.as_millis()).unwrap_or_default();
    let (document, deleted) = match change.content.document() {
        Some(document) => (document.as_bytes(), String::new()),
        None => (&b"{}"[..], format!(r#","deleted":true,"deleted_at":{time}"#)),
    };
    let Some((b'}', members)) = document.split_last() else { bail!("a document is not an object") };
    let comma = if members.len() > 1 { "," } else { "" };
    out.extend_from_slice(format!("{{\"index\":{{\"_id\":{id}}}}}\n").as_bytes());
    out.extend_from_slice(members);
    let metadata = format!(r#"{{"version":{version},"event_time":{time},"written_at":{time}{deleted}}}"#);
    out.extend_from_slice(format!("{comma}\"_driftless\":{metadata}}}\n").as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[tokio::test]
    async fn the_baseline_operation_is_of_the_same_document() {
        let stream = MemoryStream::new("t", KEY);
        let records = push(&stream, [put(7, 1, 99), remove(7)]).await.unwrap();
        let body = baseline_operations(&records).unwrap();
        let lines: Vec<Value> =
            body.split(|byte| *byte == b'\n').filter_map(|l| serde_json::from_slice(l).ok()).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0]["index"]["_id"], id(7));
        assert_eq!((&lines[1]["revision"], &lines[1]["due_us"]), (&json!(1), &json!(99)));
        assert!(lines[1]["_driftless"]["deleted"].is_null());
        assert_eq!(lines[3]["_driftless"]["deleted"], true);
        assert_eq!(lines[3].as_object().map(Map::len), Some(1), "a tombstone is metadata alone");
        assert_eq!(document_ids(&records).unwrap()[0].as_str(), id(7));
    }

    #[test]
    fn the_item_operation_is_of_the_item_alone() {
        let stream = MemoryStream::new("t", KEY);
        let records = futures::executor::block_on(push(&stream, [put(7, 0, 7)])).unwrap();
        let body = item_operations(&records).unwrap();
        let document: Value = serde_json::from_slice(body.split(|byte| *byte == b'\n').nth(1).unwrap()).unwrap();
        assert_eq!((&document["id"], document.get("_driftless")), (&json!(id(7)), None));
        assert!(item_operations(&futures::executor::block_on(push(&stream, [remove(7)])).unwrap()).is_err());
    }

    #[test]
    fn a_document_has_about_half_a_kilobyte() {
        let stream = MemoryStream::new("t", KEY);
        let records = futures::executor::block_on(push(&stream, [put(123, 0, 1_700_000_000_000_000)])).unwrap();
        let body = baseline_operations(&records).unwrap();
        assert!((500..900).contains(&body.len()), "{}", body.len());
    }
}
