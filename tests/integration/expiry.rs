//! Documents of expired items on the real engine: kept or marked, found, verified, copied, purged.

use std::time::{SystemTime, UNIX_EPOCH};

use driftless::testing::RecordBuilder;
use driftless_harness::function::{FunctionConfig, FunctionProcess, InvocationOutcome, Invoke as _};
use opensearch::http::Method;
use serde_json::{Value, json};

use crate::loading::{Scene, count, id, key, run};
use crate::purge::PURGE;
use crate::reindex::REINDEX;
use crate::support::{Index, ReplicateFunction};

const DAY_S: u64 = 24 * 60 * 60;
const MARK: &str = "[expiry]\nattribute = \"expires_at\"\nthen = \"mark\"\nfield = \"expired\"\nretain_days = 30";

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn configured(config: FunctionConfig) -> FunctionConfig {
    config.env("REPLICATION", MARK)
}

fn keys_of(number: u64) -> String {
    let item = key(number);
    let text = |name: &str| item[name].as_s().expect("a string").clone();
    json!({"pk": {"S": text("pk")}, "sk": {"S": text("sk")}}).to_string()
}

/// Image of the item `number`, which expired so many days ago.
fn image(number: u64, days: u64) -> String {
    let mut image: Value = serde_json::from_str(&keys_of(number)).expect("JSON");
    image["state"] = json!({"N": "7"});
    image["expires_at"] = json!({"N": (now_s() - days * DAY_S).to_string()});
    image.to_string()
}

/// A table, its index, and the stream's function on them.
struct Expiring {
    scene: Scene,
    table_arn: String,
    replicate: ReplicateFunction,
}

impl Expiring {
    /// A table of ten items with their documents. The index is as one that was made before `expiry`.
    async fn new(name: &str) -> Self {
        let scene = Scene::new(name).await;
        scene.fill(0..10).await;
        scene.backfilled().await;
        forget_mapping(&scene.index).await;
        scene.backfilled().await;
        let described = scene.tables.describe_table().table_name(&scene.table).send().await.expect("a table");
        let table_arn = described.table.and_then(|table| table.table_arn).expect("an ARN");
        let mut settings = scene.index.settings();
        settings.push(("PARTITION_KEY".to_owned(), "pk".to_owned()));
        settings.push(("REPLICATION".to_owned(), MARK.to_owned()));
        Self { scene, table_arn, replicate: ReplicateFunction::new(settings) }
    }

    /// Delivers a change of item `number`, made so many seconds ago.
    async fn deliver(&self, number: u64, record: RecordBuilder, seconds_ago: u64) {
        let arn = format!("{}/stream/2026-01-15T09:30:00.000", self.table_arn);
        let record = record.keys(keys_of(number)).stream_arn(arn).event_second(now_s() - seconds_ago);
        self.replicate.succeed(&[record.json()]).await;
    }

    /// Deletes an item as time to live does.
    async fn expire(&self, number: u64, sequence: u64, days: u64) {
        self.scene.delete(number).await;
        self.deliver(number, RecordBuilder::expiry("", sequence, image(number, days)), 0).await;
    }

    async fn verified(&self, repair: bool) -> (Value, Value) {
        self.scene.index.refresh().await;
        let request = json!({"settle_ms": 1_000, "repair": repair, "orphans": "count"});
        let table = run(configured(self.scene.verify()), request, None).await;
        let request = json!({"settle_ms": 1_000, "repair": repair, "orphans": "full"});
        (table, run(configured(self.scene.verify()), request, None).await)
    }

    async fn assert_equal(&self, items: u64, expired: u64) {
        let (table, index) = self.verified(true).await;
        assert_eq!((&table["equal"], &index["equal"]), (&json!(true), &json!(true)), "{table} {index}");
        assert_eq!((count(&table, "items"), count(&index, "orphaned")), (items, 0), "{table} {index}");
        assert_eq!((&table["documents_in_index"], &table["expired_in_index"]), (&json!(items), &json!(expired)));
    }

    async fn invoke(&self, name: &str, binary: &std::path::PathBuf, request: Value) -> Value {
        self.scene.index.refresh().await;
        let mut process = FunctionProcess::new(configured(self.scene.configured(name, binary)));
        let outcome = process.invoke(request.to_string().into(), None).await.expect("invoked").outcome;
        process.kill().await;
        let InvocationOutcome::Response(body) = outcome else { panic!("{outcome}") };
        serde_json::from_slice(&body).expect("JSON")
    }

    async fn expired_fields(&self) -> Vec<String> {
        let mut ids = self.scene.index.search(json!({"term": {"expired": true}})).await;
        ids.sort();
        ids
    }
}

async fn mapping(index: &Index, physical: &str) -> Value {
    let (status, body) = index.send(Method::Get, &format!("/{physical}"), None).await;
    assert_eq!(status, 200, "{body}");
    let mut body: Value = serde_json::from_str(&body).expect("JSON");
    body[physical].take()
}

/// Makes the index anew, empty and without the mapping of `expired_at`.
async fn forget_mapping(index: &Index) {
    let physical = format!("{}-000001", index.name);
    let mut body = mapping(index, &physical).await;
    body["mappings"]["properties"]["_driftless"]["properties"].as_object_mut().expect("fields").remove("expired_at");
    let body = json!({"aliases": body["aliases"], "mappings": body["mappings"]});
    let (status, answer) = index.send(Method::Delete, &format!("/{physical}"), None).await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = index.send(Method::Put, &format!("/{physical}"), Some(body)).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_marked_document_stays_until_its_retention_is_over() {
    let expiring = Expiring::new("expiring").await;
    let index = &expiring.scene.index;
    let physical = format!("{}-000001", index.name);
    let fields = |mapping: &Value| mapping["mappings"]["properties"]["_driftless"]["properties"].clone();
    assert!(fields(&mapping(index, &physical).await)["expired_at"].is_null());

    expiring.expire(1, 100, 31).await;
    expiring.expire(2, 101, 29).await;
    expiring.scene.delete(3).await;
    expiring.deliver(3, RecordBuilder::remove("", 102), 0).await;
    let mapped = fields(&mapping(index, &physical).await);
    assert_eq!(mapped["expired_at"], json!({"type": "date", "format": "epoch_millis"}), "added to an older index");
    assert_eq!(mapped["deleted"]["type"], "boolean", "and the others are still there");
    assert_eq!(expiring.expired_fields().await, [id(1), id(2)]);
    assert_eq!(index.visible().await.len(), 9, "an ordinary removal leaves nothing");
    expiring.assert_equal(7, 2).await;
    assert_eq!(expiring.expired_fields().await.len(), 2, "a repair leaves them");

    // An older change that comes late, and an item that is put again and expires no more.
    expiring.deliver(1, RecordBuilder::modify("", 50), 60).await;
    assert_eq!(expiring.expired_fields().await, [id(1), id(2)]);

    let report = expiring.invoke("purge", &PURGE, json!({})).await;
    assert_eq!((&report["expired"], &report["purged"], &report["done"]), (&json!(1), &json!(0), &json!(true)));
    assert_eq!(expiring.expired_fields().await, [id(2)]);
    expiring.assert_equal(7, 1).await;
    expiring.deliver(1, RecordBuilder::modify("", 51), 60).await;
    assert_eq!(index.visible().await.len(), 8, "the tombstone keeps an older change out");

    expiring.scene.put(2, 9).await;
    let again = json!({"pk": {"S": "p0"}, "sk": {"S": "s000002"}});
    expiring.deliver(2, RecordBuilder::insert("", 103).new_image(again.to_string()), 0).await;
    assert!(expiring.expired_fields().await.is_empty(), "an item that is put again wins");
    let (table, _) = expiring.verified(true).await;
    assert_eq!((count(&table, "stale"), count(&table, "repaired")), (1, 1), "the image here is not the whole item");
    expiring.assert_equal(8, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reindex_takes_documents_of_expired_items_along() {
    let expiring = Expiring::new("expired-reindexed").await;
    expiring.expire(1, 100, 5).await;
    let step = async |request: Value| expiring.invoke("reindex", &REINDEX, request).await;
    step(json!({"step": "create"})).await;
    let copied = step(json!({"step": "tombstones"})).await;
    assert_eq!((&copied["done"], &copied["counts"]["copied"]), (&json!(true), &json!(1)), "{copied}");
    run(configured(expiring.scene.backfill()), json!({"index": "other"}), None).await;
    expiring.scene.index.refresh().await;
    let request = json!({"index": "other", "settle_ms": 1_000, "orphans": "full"});
    let verified = run(configured(expiring.scene.verify()), request, None).await;
    assert_eq!((&verified["equal"], count(&verified, "items")), (&json!(true), 9), "{verified}");
    let physical = format!("{}-000002", expiring.scene.index.name);
    let (_, found) = expiring.scene.index.send(Method::Get, &format!("/{physical}/_doc/{}", id(1)), None).await;
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!((&found["_source"]["expired"], &found["_source"]["state"]), (&json!(true), &json!(7)), "{found}");
}
