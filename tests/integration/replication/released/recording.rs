//! Recording of a format that is about to be released, by the functions that are released with it.
//!
//! `CONTRIBUTING.md` says when. It writes a folder of `tests/formats` from nothing, and refuses one that is there.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driftless::change::ChangeKind;
use driftless::testing::KinesisRecordBuilder;
use driftless_harness::list_dead_letters::{peek, queue_at};
use opensearch::http::Method;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{GONE, NAME, Release, RulesScene, STATE, TABLE_ARN, empty_scene, image};
use crate::commands::services;
use crate::loading::run;

/// Settings that the engine gives every index by itself.
const OF_THE_ENGINE: [&str; 7] =
    ["uuid", "version", "creation_date", "provided_name", "number_of_shards", "number_of_replicas", "replication"];
/// Time of the changes, in seconds since 1970.
const SECONDS: i64 = 1_768_469_467;
/// More than a dead letter holds uncompressed.
const LARGE: usize = 300_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes the files of a new format: FORMAT=N cargo test --workspace records_a_format -- --ignored"]
async fn records_a_format() {
    let format = std::env::var("FORMAT").expect("FORMAT names the folder to be written");
    let release = Release::of(&format);
    assert!(!release.folder.exists(), "{} is there, and what was released is never changed", release.folder.display());
    let scene = empty_scene().await;
    let files = record(&scene).await;
    fs::create_dir_all(&release.folder).expect("a folder");
    for (file, lines) in files {
        fs::write(release.folder.join(file), lines.join("\n") + "\n").expect("written");
    }
}

/// Lets the functions write all that the format knows without rules. Returns the files, each with its lines.
async fn record(scene: &RulesScene) -> [(&'static str, Vec<String>); 6] {
    let mut items =
        vec![all_types("loaded"), item("escaped|%", "a|b%", "loaded"), item(&"k".repeat(600), "1", "loaded")];
    for item in &items {
        scene.put(item).await;
    }
    run(scene.function("backfill", &crate::loading::BACKFILL), json!({}), None).await;
    let due = json!({"properties": {"due": {"type": "date"}}}).to_string();
    scene.engine(Method::Put, &format!("/{NAME}-000001/_mapping"), Some(due)).await;

    let mut records = vec![
        stream_record("INSERT", "typed", 20, Some(all_types("typed"))),
        stream_record("INSERT", "changed", 30, Some(item("changed", "1", "inserted"))),
        stream_record("MODIFY", "changed", 40, Some(item("changed", "1", "modified"))),
        stream_record("INSERT", "removed", 50, Some(item("removed", "1", "inserted"))),
        stream_record("REMOVE", "removed", 60, None),
        stream_record("REMOVE", GONE, 70, None),
        stream_record("INSERT", "doubt", 90, Some(item("doubt", "1", "decided"))),
    ];
    scene.deliver(&records).await;
    let mut doubtful = stream_record("MODIFY", "doubt", 80, Some(item("doubt", "1", "doubtful")));
    doubtful["dynamodb"]["ApproximateCreationDateTime"] = (SECONDS + 10).into();
    let refused = |pk: &str, text: &str| {
        let mut item = item(pk, "1", "refused");
        item["due"] = json!({"S": "next Tuesday"});
        item["text"] = json!({"S": text});
        item
    };
    let (small, large) = (refused("refused", "short"), refused("large", &"many words ".repeat(LARGE / 11)));
    for record in [
        doubtful,
        stream_record("INSERT", "refused", 100, Some(small)),
        stream_record("INSERT", "large", 110, Some(large)),
    ] {
        scene.deliver(&[record]).await;
    }

    scene.reindex("create").await;
    assert_eq!(scene.reindex("tombstones").await["done"], true);
    let later = stream_record("INSERT", "later", 120, Some(item("later", "1", "inserted")));
    scene.deliver(std::slice::from_ref(&later)).await;
    records.push(later);
    let kinesis = kinesis_records();
    for pk in ["timed", "joined"] {
        items.push(item(pk, "1", pk));
        scene.put(&items[items.len() - 1]).await;
    }
    scene.deliver_from_kinesis(&kinesis).await;

    let live = records.iter().filter(|record| record["eventName"] != "REMOVE" && !removed_later(record));
    items.extend(live.map(image).fold(Vec::new(), last_of_each));
    let text = |values: Vec<Value>| values.iter().map(Value::to_string).collect::<Vec<_>>();
    [
        ("items.ndjson", text(items)),
        ("records.ndjson", text(records)),
        ("kinesis.ndjson", text(kinesis)),
        ("index.json", vec![indexes(scene).await]),
        ("documents.ndjson", documents(scene).await),
        ("letters.ndjson", letters(scene).await),
    ]
}

fn removed_later(record: &Value) -> bool {
    record["dynamodb"]["Keys"]["pk"]["S"] == "removed"
}

/// Keeps the last image of each item.
fn last_of_each(mut images: Vec<Value>, image: Value) -> Vec<Value> {
    images.retain(|other| other["pk"] != image["pk"]);
    images.push(image);
    images
}

fn item(pk: &str, sk: &str, state: &str) -> Value {
    json!({"pk": {"S": pk}, "sk": {"S": sk}, STATE: {"S": state}})
}

fn all_types(pk: &str) -> Value {
    let mut item = item(pk, "1", "all types");
    let blob = STANDARD.encode([0xDE, 0xAD, 0xBE, 0xEF]);
    item["number"] = json!({"N": "12345678901234567890.123456789"});
    item["binary"] = json!({"B": blob});
    item["yes"] = json!({"BOOL": true});
    item["nothing"] = json!({"NULL": true});
    item["texts"] = json!({"SS": ["b", "a"]});
    item["numbers"] = json!({"NS": ["10", "9", "-1"]});
    item["list"] = json!({"L": [{"N": "2"}, {"N": "1E20"}]});
    item["maps"] = json!({"L": [{"M": {"deep": {"S": ""}}}]});
    item["map"] = json!({"M": {"_id": {"S": "kept"}, "a.b": {"N": "0.50"}}});
    item["_id"] = json!({"S": "renamed"});
    item["a.b"] = json!({"S": "renamed \"ü\" \u{1F600} \u{7}"});
    item
}

/// Record of a DynamoDB stream, as Lambda delivers it.
fn stream_record(kind: &str, pk: &str, sequence: u64, new_image: Option<Value>) -> Value {
    let mut change = json!({
        "ApproximateCreationDateTime": SECONDS,
        "Keys": {"pk": {"S": pk}, "sk": {"S": "1"}},
        "SequenceNumber": format!("402100000000000487130{sequence:05}"),
        "SizeBytes": 99,
        "StreamViewType": "NEW_IMAGE",
    });
    if let Some(image) = new_image {
        change["NewImage"] = image;
    }
    json!({
        "eventID": format!("event-{sequence}"), "eventName": kind, "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": "eu-central-1", "dynamodb": change,
        "eventSourceARN": format!("{TABLE_ARN}/stream/2026-01-15T09:30:00.000"),
    })
}

/// Records of a Kinesis stream: one with an order, and two changes of one microsecond.
fn kinesis_records() -> Vec<Value> {
    let record = |pk: &str, micros: u64, event: &str, state: &str| {
        let keys = json!({"pk": {"S": pk}, "sk": {"S": "1"}}).to_string();
        let record = KinesisRecordBuilder::new(ChangeKind::Insert, pk, micros).keys(keys);
        let record = record.new_image(item(pk, "1", state).to_string()).table(NAME).event_id(event);
        serde_json::from_str(&record.json()).expect("JSON")
    };
    vec![record("timed", 100, "a", "timed"), record("joined", 200, "b", "one"), record("joined", 200, "c", "two")]
}

/// Returns the bodies that create both indexes as they are, by name.
async fn indexes(scene: &RulesScene) -> String {
    let mut found = scene.engine(Method::Get, &format!("/{NAME}-0*"), None).await;
    for index in found.as_object_mut().expect("indexes").values_mut() {
        let settings = index["settings"]["index"].as_object().expect("settings").clone();
        let own: Map<String, Value> =
            settings.into_iter().filter(|(name, _)| !OF_THE_ENGINE.contains(&name.as_str())).collect();
        index["settings"] = json!({"index": own});
    }
    found.to_string()
}

/// Returns the lines of a bulk request that writes every document again, byte for byte.
async fn documents(scene: &RulesScene) -> Vec<String> {
    scene.engine(Method::Post, &format!("/{NAME}-0*/_refresh"), None).await;
    let path = format!("/{NAME}-0*/_search");
    let (status, text) = scene.scene.index.send(Method::Post, &path, Some(json!({"size": 1_000}))).await;
    assert_eq!(status, 200, "{text}");
    let member = |text: &str, name: &str| -> String {
        let members: BTreeMap<&str, &RawValue> = serde_json::from_str(text).expect("an object");
        members[name].get().to_owned()
    };
    let hits = member(&member(&text, "hits"), "hits");
    let hits: Vec<&RawValue> = serde_json::from_str(&hits).expect("hits");
    let mut documents: Vec<[String; 2]> = hits
        .into_iter()
        .map(|hit| {
            let (index, id) = (member(hit.get(), "_index"), member(hit.get(), "_id"));
            let action = format!(r#"{{"create":{{"_index":{index},"_id":{id}}}}}"#);
            [action, member(hit.get(), "_source")]
        })
        .collect();
    documents.sort();
    documents.into_iter().flatten().collect()
}

/// Returns the bodies of the dead letters.
async fn letters(scene: &RulesScene) -> Vec<String> {
    let listed = peek(&queue_at(services().sqs_endpoint(), &scene.queue), 100).await.expect("read");
    let bodies: Vec<String> = listed.into_iter().map(|entry| entry.message.body).collect();
    assert_eq!(bodies.len(), 3, "{bodies:?}");
    bodies
}
