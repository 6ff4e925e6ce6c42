//! Indexes and dead letters of released formats: today's functions guard them, redrive them, prove them equal to
//! their tables, and finish their re-index.
//!
//! Each folder of `tests/formats` was written by the code that its format was released with, and is never changed.
//! `recording` writes a new one, and writes over none; the sums in [`RELEASED`] hold the others.

mod recording;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use driftless::attribute::Item;
use driftless::dead_letter::{DeadLetter, DeadLetterMessage};
use driftless::document_id::DocumentId;
use driftless_harness::activity::{PARTITION_KEY, create_table};
use driftless_harness::services::{DYNAMODB_ENDPOINT, dynamodb_client, sqs_client};
use driftless_harness::stable_hash::StableHash;
use opensearch::http::Method;
use serde_json::{Value, json};

use super::{RulesScene, answer};
use crate::commands::services;
use crate::kinesis::KINESIS_BINARY;
use crate::loading::Scene;
use crate::reindex::{fill, step};
use crate::support::Index;

/// Folders of `tests/formats`, each with the sum of its files. A new format adds one, and none is ever changed.
const RELEASED: &[(&str, &str)] = &[("2", "a216b4c36b282e9f")];
/// Files of a folder: the table's items, the delivered records of both sources, and what was made of them.
const FILES: [&str; 6] =
    ["items.ndjson", "records.ndjson", "kinesis.ndjson", "index.json", "documents.ndjson", "letters.ndjson"];
/// Name of the table and of the index in all of them.
const NAME: &str = "released";
/// The table, as the DynamoDB of these tests names it: letters, documents and the index's identity hold the name.
const TABLE_ARN: &str = "arn:aws:dynamodb:dynoxide:000000000000:table/released";
/// Partition key of the item that stays removed.
const GONE: &str = "gone";
/// Attribute that differs between the states of an item.
const STATE: &str = "state";

fn folder(format: &str) -> PathBuf {
    super::repository().join("tests/formats").join(format)
}

/// Files of a released format.
struct Release {
    folder: PathBuf,
}

impl Release {
    fn of(format: &str) -> Self {
        Self { folder: folder(format) }
    }

    fn text(&self, file: &str) -> String {
        let path = self.folder.join(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn lines(&self, file: &str) -> Vec<Value> {
        self.text(file).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn sum(&self) -> String {
        let mut hash = StableHash::default();
        for file in FILES {
            hash.write(self.text(file).as_bytes());
        }
        format!("{:016x}", hash.finish())
    }

    fn letters(&self) -> Vec<DeadLetter> {
        let letter = |line: &str| match DeadLetterMessage::read(line).expect("a letter of the released format") {
            DeadLetterMessage::Record(letter) => *letter,
            DeadLetterMessage::Range(range) => panic!("{range:?}"),
        };
        self.text("letters.ndjson").lines().map(letter).collect()
    }

    /// Items of refused records, which stand in their dead letters alone.
    fn refused_items(&self) -> Vec<Value> {
        let refused = self.letters().into_iter().filter(|letter| letter.rejected.class != "order_anomaly");
        refused.map(|letter| image(&serde_json::from_str(letter.record.get()).expect("JSON"))).collect()
    }

    /// A table, an index and a queue as the released functions left them.
    async fn restored(&self) -> RulesScene {
        let released = empty_scene().await;
        for item in self.lines("items.ndjson").into_iter().chain(self.refused_items()) {
            released.put(&item).await;
        }
        let indexes: BTreeMap<String, Value> = serde_json::from_str(&self.text("index.json")).expect("indexes");
        for (index, body) in indexes {
            released.engine(Method::Put, &format!("/{index}"), Some(body.to_string())).await;
        }
        let answer = released.engine(Method::Post, "/_bulk?refresh=true", Some(self.text("documents.ndjson"))).await;
        assert_eq!(answer["errors"], false, "{answer}");
        let queue = sqs_client(services().sqs_endpoint().expect("queues are wanted"));
        for body in self.text("letters.ndjson").lines() {
            queue.send_message().queue_url(&released.queue).message_body(body).send().await.expect("sent");
        }
        released
    }
}

/// The table and its index, both empty, whatever an earlier run left in services that outlive it.
async fn empty_scene() -> RulesScene {
    let tables = dynamodb_client(services().dynamodb_endpoint());
    let _absent = tables.delete_table().table_name(NAME).send().await;
    create_table(&tables, NAME).await.expect("a table");
    let index = Index::named(NAME);
    for number in 1..=2 {
        index.send(Method::Delete, &format!("/{NAME}-00000{number}"), None).await;
    }
    let scene = RulesScene::on(Scene { tables, table: NAME.to_owned(), index }, "").await;
    assert_eq!(scene.table_arn, TABLE_ARN, "released files hold this name: run without {DYNAMODB_ENDPOINT}");
    scene
}

/// New image of a stream's record.
fn image(record: &Value) -> Value {
    record["dynamodb"]["NewImage"].clone()
}

/// The change of the same item before this one, or after it, which would show in the document.
fn neighbour(record: &Value, sequence: i128, seconds: i64) -> Value {
    let mut record = record.clone();
    let mut image = record["dynamodb"]["Keys"].clone();
    image[STATE] = json!({"S": "neighbour"});
    let number: i128 = record["dynamodb"]["SequenceNumber"].as_str().expect("a number").parse().expect("a number");
    let time = record["dynamodb"]["ApproximateCreationDateTime"].as_i64().expect("seconds");
    record["eventName"] = "MODIFY".into();
    record["dynamodb"]["SequenceNumber"] = (number + sequence).to_string().into();
    record["dynamodb"]["ApproximateCreationDateTime"] = (time + seconds).into();
    record["dynamodb"]["NewImage"] = image;
    record
}

fn id_of(record: &Value) -> String {
    let keys = record["dynamodb"]["Keys"].to_string();
    let keys = Item::from_json(&keys).expect("keys");
    DocumentId::from_keys(&keys, Some(PARTITION_KEY)).expect("an id").to_string()
}

impl RulesScene {
    /// Sends a request to the engine, which must take it.
    async fn engine(&self, method: Method, path: &str, body: Option<String>) -> Value {
        let headers = [("content-type", "application/json")].into_iter();
        let headers = headers.map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        let client = self.scene.index.client();
        let sent = client.send(method, path, headers.collect(), None::<&()>, body, None).await.expect("an answer");
        let (status, text) = (sent.status_code().as_u16(), sent.text().await.expect("a body"));
        assert!((200..300).contains(&status), "{path}: {status} {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Delivers records, none of which may fail.
    async fn deliver(&self, records: &[Value]) {
        let answer = answer(self.replicate(), json!({"Records": records})).await;
        assert_eq!(answer["batchItemFailures"], json!([]), "{answer}");
    }

    async fn deliver_from_kinesis(&self, records: &[Value]) {
        let function = self.function("replicate-kinesis", &KINESIS_BINARY);
        let answer = answer(function, json!({"Records": records})).await;
        assert_eq!(answer["batchItemFailures"], json!([]), "{answer}");
    }
}

#[test]
fn the_files_of_released_formats_are_never_changed() {
    let folders = fs::read_dir(folder("")).expect("tests/formats").map(|entry| entry.expect("an entry").file_name());
    let found: BTreeSet<String> = folders.map(|name| name.to_string_lossy().into_owned()).collect();
    let named: BTreeSet<String> = RELEASED.iter().map(|(format, _)| (*format).to_owned()).collect();
    assert_eq!(found, named, "each folder has its sum in RELEASED");
    for &(format, sum) in RELEASED {
        assert_eq!(Release::of(format).sum(), sum, "tests/formats/{format}: restore it, for indexes out there have it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_released_format_wrote_is_guarded_redriven_proved_and_reindexed() {
    for &(format, _) in RELEASED {
        let release = Release::of(format);
        let scene = release.restored().await;
        nothing_old_changes_it(&scene, &release).await;
        newer_changes_come_through(&scene, &release).await;
        its_dead_letters_are_redriven(&scene, &release).await;
        its_reindex_is_finished(&scene).await;
        its_tombstones_are_purged(&scene).await;
    }
}

/// Delivers all that was delivered once more, and what came before it.
async fn nothing_old_changes_it(scene: &RulesScene, release: &Release) {
    let index = &scene.scene.index;
    let before = index.all().await;
    assert!(before.len() >= 10, "{before:?}");
    let records = release.lines("records.ndjson");
    scene.deliver(&records).await;
    scene.deliver_from_kinesis(&release.lines("kinesis.ndjson")).await;
    let older: Vec<Value> = records.iter().map(|record| neighbour(record, -1, 0)).collect();
    scene.deliver(&older).await;
    // An item that a backfill read after this change. Its document has the lowest version of all.
    let loaded = release.lines("items.ndjson").into_iter().find(|item| item["pk"]["S"] == "loaded").expect("an item");
    let writes = index.writes("loaded%7C1").await;
    let mut change = records[0].clone();
    change["dynamodb"]["Keys"] = json!({"pk": loaded["pk"], "sk": loaded["sk"]});
    change["dynamodb"]["NewImage"] = loaded;
    scene.deliver(&[change]).await;
    assert_eq!((index.writes("loaded%7C1").await, index.all().await), (writes, before));
}

/// Delivers the next change of each item but one, and writes it to the table.
async fn newer_changes_come_through(scene: &RulesScene, release: &Release) {
    let records = release.lines("records.ndjson");
    let last: BTreeMap<String, &Value> = records.iter().map(|record| (id_of(record), record)).collect();
    let newer: BTreeMap<&String, Value> = last
        .iter()
        .filter(|(_, record)| record["dynamodb"]["Keys"]["pk"]["S"] != GONE)
        .map(|(id, record)| (id, neighbour(record, 1, 5)))
        .collect();
    assert!(newer.len() >= 5, "{newer:?}");
    let changes: Vec<Value> = newer.values().cloned().collect();
    scene.deliver(&changes).await;
    for change in &changes {
        scene.put(&image(change)).await;
    }
    let visible = scene.scene.index.visible().await;
    for id in newer.keys() {
        assert!(visible[*id].contains(r#""state":"neighbour""#), "{id}: {}", visible[*id]);
    }
}

async fn its_dead_letters_are_redriven(scene: &RulesScene, release: &Release) {
    // The remedy: a date that is none is ignored.
    let remedy = json!({"properties": {"due": {"type": "date", "ignore_malformed": true}}}).to_string();
    scene.engine(Method::Put, &format!("/{NAME}-000001/_mapping"), Some(remedy)).await;
    let letters = release.letters();
    assert!(letters.iter().any(|letter| letter.rejected.class == "order_anomaly"), "{letters:?}");
    let compressed = release.text("letters.ndjson").matches("\"record_gzip\"").count();
    assert!(compressed > 0, "one is compressed");
    let report = scene.redrive().await;
    assert_eq!((&report["letters"]["redriven"], &report["left"]), (&json!(letters.len()), &json!(0)), "{report}");
    let visible = scene.scene.index.visible().await;
    for item in release.refused_items() {
        let id = format!("{}|1", item["pk"]["S"].as_str().expect("a text"));
        assert!(visible.contains_key(&id), "{id}");
    }
    for answer in [scene.compare(false).await, scene.list(false).await] {
        assert_eq!(answer["equal"], true, "{answer}");
    }
}

/// Fills, proves and switches to the second index, which was begun by the released functions.
async fn its_reindex_is_finished(scene: &RulesScene) {
    let status = step(&scene.scene, json!({"step": "status"}), None).await;
    assert_eq!(
        (&status["state"], &status["other"]["name"]),
        (&json!("filling"), &json!("released-000002")),
        "{status}"
    );
    assert_eq!(status["other"]["tombstones_copied"], true, "{status}");
    fill(&scene.scene, None).await;
    let switched = step(&scene.scene, json!({"step": "switch", "force": true}), None).await;
    assert_eq!((&switched["state"], &switched["public"]["name"]), (&json!("switched"), &json!("released-000002")));
    let dropped = step(&scene.scene, json!({"step": "drop", "index": "released-000001"}), None).await;
    assert_eq!(dropped["state"], "none", "{dropped}");
    for answer in [scene.compare(false).await, scene.list(false).await] {
        assert_eq!(answer["equal"], true, "{answer}");
    }
}

async fn its_tombstones_are_purged(scene: &RulesScene) {
    let report = scene.purge().await;
    assert_eq!((&report["purged"], &report["done"]), (&json!(1), &json!(true)), "{report}");
}
