//! Routing by partition key: the items of a partition stand in one shard, and every function finds them there.

use std::collections::BTreeSet;

use driftless::testing::rules::keyed_hash;
use driftless_harness::slices::verify::OrphanSearch;
use opensearch::http::Method;
use serde_json::{Value, json};

use super::RulesScene;
use crate::loading::{count, fails};
use crate::support::{documents, unique};

const RULES: &str = "[id]\nrouting = true\n";
const SHARDS: u32 = 4;

fn item(partition: &str, number: u32) -> Value {
    json!({"pk": {"S": partition}, "sk": {"S": format!("s{number}")}, "n": {"N": number.to_string()}})
}

async fn scene(name: &str, rules: &str) -> RulesScene {
    let mut scene = RulesScene::new(name, rules).await;
    scene.define(&json!({"settings": {"number_of_shards": SHARDS}}));
    scene
}

/// Ids that a search of one partition's shard finds, without naming the partition.
async fn in_shard_of(scene: &RulesScene, routing: &str) -> BTreeSet<String> {
    scene.refresh().await;
    let path = format!("/{}/_search?routing={routing}", scene.scene.index.name);
    let (status, text) = scene.scene.index.send(Method::Post, &path, Some(json!({"size": 100}))).await;
    assert_eq!(status, 200, "{text}");
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(answer["_shards"]["total"], 1, "one shard is asked: {answer}");
    let hits = answer["hits"]["hits"].as_array().expect("hits").iter();
    hits.map(|hit| hit["_id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_routes_by_the_partition_key_and_finds_documents_there() {
    let scene = scene("routed", RULES).await;
    for partition in ["acme", "globex", "a|b"] {
        for number in 0..8 {
            scene.put(&item(partition, number)).await;
        }
    }
    let mut backfilled = scene.beside("routed", RULES).await;
    let mut redriven = scene.beside("routed", RULES).await;
    for other in [&mut backfilled, &mut redriven] {
        other.define(&json!({"settings": {"number_of_shards": SHARDS}}));
    }
    scene.stream().await;
    assert_eq!(count(&backfilled.backfill().await, "written"), 24);
    redriven.stream_with(&format!("where = 'error(\"refused\")'\n{RULES}")).await;
    let report = redriven.redrive().await;
    assert_eq!((&report["letters"]["redriven"], &report["left"]), (&json!(24), &json!(0)), "{report}");
    for (path, scene) in [("stream", &scene), ("backfill", &backfilled), ("redrive", &redriven)] {
        assert_eq!(scene.scene.index.visible().await.len(), 24, "{path}");
        for (partition, routing, id) in
            [("acme", "acme", "acme"), ("globex", "globex", "globex"), ("a|b", "a%7Cb", "a%7Cb")]
        {
            let found = in_shard_of(scene, routing).await;
            let own: BTreeSet<String> = (0..8).map(|number| format!("{id}|s{number}")).collect();
            assert!(own.is_subset(&found), "{path}: all of {partition} stand in its shard: {found:?}");
        }
        let verdict = scene.verify(false, OrphanSearch::Listing).await;
        assert_eq!((verdict.equal, verdict.items, verdict.documents_in_index), (Some(true), 24, Some(24)), "{path}");
    }

    // Changes and removals meet their documents, however they come.
    scene.put(&item("acme", 0)).await;
    scene.delete(&json!({"pk": {"S": "acme"}, "sk": {"S": "s1"}})).await;
    scene.stream().await;
    scene.put(&json!({"pk": {"S": "globex"}, "sk": {"S": "s2"}, "n": {"N": "99"}})).await;
    scene.delete(&json!({"pk": {"S": "a|b"}, "sk": {"S": "s3"}})).await;
    let (items, listing) = (scene.compare(true).await, scene.list(true).await);
    assert_eq!((count(&items, "stale"), count(&items, "repaired")), (1, 1), "{items}");
    assert_eq!((count(&listing, "orphaned"), count(&listing, "repaired")), (1, 1), "{listing}");
    assert_eq!(scene.scene.index.visible().await.len(), 22);
    assert_eq!(scene.scene.index.all().await.len(), 24, "two tombstones, each in the place of its document");
    assert_eq!(scene.purge().await["purged"], json!(2));
    assert_eq!(scene.scene.index.all().await.len(), 22);
    assert_eq!((&scene.compare(false).await["equal"], &scene.list(false).await["equal"]), (&json!(true), &json!(true)));
}

/// An engine looks for an id in the shard that the id or the routing names, and in no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_by_id_names_the_partition_or_uses_an_ids_query() {
    let scene = scene("routed-reads", RULES).await;
    for number in 0..16 {
        scene.put(&item("acme", number)).await;
    }
    scene.stream().await;
    let index = &scene.scene.index;
    let mut missed = 0;
    for number in 0..16 {
        let path = format!("/{}/_doc/acme%7Cs{number}", index.name);
        missed += u32::from(index.send(Method::Get, &path, None).await.0 == 404);
        assert_eq!(index.send(Method::Get, &format!("{path}?routing=acme"), None).await.0, 200);
        let ids = json!({"ids": {"values": [format!("acme|s{number}")]}});
        assert_eq!(index.search(ids).await, [format!("acme|s{number}")]);
    }
    assert!(missed > 0, "without a routing, most are not found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_routing_that_cannot_be_is_refused_with_its_remedy() {
    let mut scene = scene("unrouted", RULES).await;
    scene.put(&item("acme", 1)).await;
    let backfill = |scene: &RulesScene| scene.function("backfill", &crate::loading::BACKFILL);
    let (kind, message) = fails(backfill(&scene).env("PARTITION_KEY", ""), json!({})).await;
    assert!(kind == "Configuration" && message.contains("PARTITION_KEY must name"), "{kind}: {message}");
    scene.backfill().await;
    // Each document would get a second one, in another shard.
    scene.with("");
    let (kind, message) = fails(backfill(&scene), json!({})).await;
    assert!(kind == "Configuration" && message.contains("other rules for document ids"), "{kind}: {message}");
    // A table without a sort key: the record says so.
    let index = crate::support::Index::new(&unique("no-sort-key"));
    let mut settings = index.settings();
    settings.extend([("REPLICATION", RULES), ("PARTITION_KEY", "pk")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    let function = crate::support::ReplicateFunction::new(settings).timeout(crate::support::HELD);
    let error = function.invoke(&[crate::support::insert("a", 1)]).await.expect_err("refused").to_string();
    assert!(error.contains("the table has no sort key") && error.contains("remove `routing`"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashed_ids_are_routed_by_the_hash_of_the_partition_key() {
    let scene = scene("routed-hashes", "exclude = [\"pk\", \"sk\"]\n[id]\nhash = true\nrouting = true\n").await;
    scene.put(&item("acme", 1)).await;
    scene.stream().await;
    let id = keyed_hash("acme|s1");
    assert_eq!(scene.scene.index.visible().await, documents(&[(&id, r#"{"n":1}"#)]));
    assert!(in_shard_of(&scene, &keyed_hash("acme")).await.contains(&id));
    assert!(!scene.raw().await.contains("acme"), "the routing does not show the key");
    scene.delete(&json!({"pk": {"S": "acme"}, "sk": {"S": "s1"}})).await;
    let request = json!({"keys": [{"pk": {"S": "acme"}, "sk": {"S": "s1"}}], "settle_ms": 200, "repair": true});
    let mended = super::answer(scene.verify_function(), request).await;
    assert_eq!(mended["counts"]["repaired"], json!(1), "{mended}");
    assert_eq!(scene.purge().await["purged"], json!(1));
    assert_eq!(scene.scene.index.all().await.len(), 0);
}
