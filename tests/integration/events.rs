//! Every sample event is read, applied to the real engine, and leaves in the index what its README says.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::value::RawValue;

use crate::support::{HELD, Index, insert};

/// The records of a sample event.
pub(crate) fn records(file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let event: BTreeMap<&str, Vec<&RawValue>> = serde_json::from_str(&text).expect("an event");
    event["Records"].iter().map(|raw| raw.get().to_owned()).collect()
}

/// Applies events to an empty index. Returns the failed records, and the documents that readers then see.
async fn after(files: &[&str]) -> (Vec<String>, BTreeMap<String, String>) {
    let index = Index::new("event");
    let function = index.function();
    let mut failed = Vec::new();
    for file in files {
        failed.extend(function.invoke(&records(file)).await.unwrap_or_else(|error| panic!("{file}: {error}")));
    }
    (failed, index.visible().await)
}

#[track_caller]
fn only(visible: BTreeMap<String, String>) -> String {
    assert_eq!(visible.len(), 1, "{visible:?}");
    visible.into_values().next().expect("one")
}

#[tokio::test]
async fn every_sample_event_has_a_test() {
    let tested = [
        "binary-keys",
        "composite-keys",
        "duplicate",
        "every-attribute-type",
        "hostile-names",
        "insert",
        "keys-only",
        "kinesis-binary",
        "kinesis-duplicate",
        "kinesis-insert",
        "kinesis-malformed",
        "kinesis-milliseconds",
        "kinesis-modify",
        "kinesis-no-partition-key",
        "kinesis-out-of-order",
        "kinesis-precision-switch",
        "kinesis-remove",
        "kinesis-same-microsecond",
        "kinesis-ttl-expiry",
        "long-key",
        "malformed-record",
        "modify",
        "modify-drops-attribute",
        "number-keys",
        "numbers-38-digits",
        "out-of-order",
        "recreated-stream",
        "remove",
        "remove-then-insert",
        "ttl-expiry",
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    files.sort();
    assert_eq!(files, tested);
}

#[tokio::test]
async fn one_item_through_its_life() {
    let (failed, visible) = after(&["insert.json"]).await;
    assert_eq!((failed.len(), visible.len()), (0, 1));
    let inserted = only(visible);
    let modified = only(after(&["insert.json", "modify.json"]).await.1);
    assert_ne!(inserted, modified);
    assert_eq!(modified, only(after(&["modify.json"]).await.1), "also when the insert never arrived");
    let dropped = only(after(&["insert.json", "modify.json", "modify-drops-attribute.json"]).await.1);
    assert!(modified.contains("\"tags\"") && !dropped.contains("\"tags\""), "{dropped}");
    for end in ["remove.json", "ttl-expiry.json"] {
        assert!(after(&["insert.json", end]).await.1.len() <= 1, "{end}");
        assert!(after(&[end]).await.1.is_empty(), "{end}");
    }
    let life = ["insert.json", "modify.json", "remove.json", "modify.json", "insert.json"];
    assert!(after(&life).await.1.is_empty(), "a removed item stays removed");
    let recreated = only(after(&["insert.json", "remove.json", "recreated-stream.json", "modify.json"]).await.1);
    assert_eq!(recreated, only(after(&["recreated-stream.json"]).await.1));
}

#[tokio::test]
async fn duplicates_and_disorder_change_nothing() {
    assert_eq!(after(&["duplicate.json"]).await.1.len(), 1);
    assert!(only(after(&["out-of-order.json"]).await.1).contains("\"note\":\"Confirmed.\""));
    assert_eq!(after(&["remove-then-insert.json"]).await.1.len(), 1);
}

#[tokio::test]
async fn every_type_and_every_digit_arrive() {
    let all = only(after(&["every-attribute-type.json"]).await.1);
    assert!(all.contains(":null") && all.contains(":true") && all.contains(":[]") && all.contains(":{}"), "{all}");
    let numbers = after(&["numbers-38-digits.json"]).await.1.into_values().collect::<String>();
    for exact in ["12345678901234567890.123456789", "9007199254740993"] {
        assert!(numbers.contains(exact), "{exact}: {numbers}");
    }
    assert_eq!(after(&["hostile-names.json"]).await, (vec![], after(&["hostile-names.json"]).await.1));
}

#[tokio::test]
async fn every_kind_of_key_gives_documents_of_its_own() {
    for (file, count) in
        [("composite-keys.json", 4), ("binary-keys.json", 3), ("number-keys.json", 7), ("long-key.json", 2)]
    {
        let (failed, visible) = after(&[file]).await;
        assert_eq!((failed.len(), visible.len()), (0, count), "{file}: {visible:?}");
    }
}

#[tokio::test]
async fn a_malformed_record_fails_alone() {
    let (failed, visible) = after(&["malformed-record.json"]).await;
    assert_eq!((failed.len(), visible.len()), (1, 2));
}

#[tokio::test]
async fn a_keys_only_stream_is_a_clear_error() {
    let index = Index::new("keys-only");
    index.function().succeed(&[insert("a", 1)]).await;
    let error =
        index.function().timeout(HELD).invoke(&records("keys-only.json")).await.expect_err("refused").to_string();
    assert!(error.contains("KEYS_ONLY") && error.contains("NEW_AND_OLD_IMAGES"), "{error}");
}
