//! Several tables in one index: each has its name in ids and documents, and every function looks at its own table only.

use driftless_harness::slices::verify::{OrphanSearch, OrphansLookedFor};
use opensearch::http::Method;
use serde_json::{Value, json};

use super::RulesScene;
use crate::loading::{Scene, count, fails};
use crate::support::documents;

fn rules(name: &str) -> String {
    format!("[source]\nname = \"{name}\"\nfield = \"kind\"\n")
}

fn item(key: &str, n: u32) -> Value {
    json!({"pk": {"S": key}, "sk": {"S": "s"}, "n": {"N": n.to_string()}})
}

fn key(key: &str) -> Value {
    json!({"pk": {"S": key}, "sk": {"S": "s"}})
}

/// Another table, and the index of the first one.
async fn sharing(first: &RulesScene, rules: &str) -> RulesScene {
    let mut scene = Scene::new("sharing").await;
    scene.index = first.scene.index.seen_at(crate::support::engine_url());
    RulesScene::on(scene, rules).await
}

fn document(table: &str, key: &str, n: u32) -> (String, String) {
    (format!("{table}:{key}|s"), format!(r#"{{"kind":"{table}","n":{n},"pk":"{key}","sk":"s"}}"#))
}

async fn proven(scene: &RulesScene, items: u64) {
    let verdict = scene.verify(false, OrphanSearch::Listing).await;
    assert_eq!((verdict.differences(), verdict.items, verdict.documents_in_index), (0, items, Some(items)));
    assert_eq!((verdict.equal, verdict.orphans), (Some(true), OrphansLookedFor::Listed), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tables_with_equal_keys_share_an_index_and_neither_touches_the_other() {
    let orders = RulesScene::new("shared", &rules("orders")).await;
    let notes = sharing(&orders, &rules("notes")).await;
    for scene in [&orders, &notes] {
        for name in ["a", "b"] {
            scene.put(&item(name, 1)).await;
        }
    }
    orders.stream().await;
    let loaded = notes.backfill().await;
    assert_eq!((count(&loaded, "written"), count(&loaded, "superseded")), (2, 0), "{loaded}");
    notes.stream().await;
    let all = [("orders", "a"), ("orders", "b"), ("notes", "a"), ("notes", "b")];
    let all = all.map(|(table, key)| document(table, key, 1));
    assert_eq!(orders.scene.index.visible().await, all.iter().cloned().collect());
    for scene in [&orders, &notes] {
        proven(scene, 2).await;
    }
    let sources = orders.raw().await;
    for named in [&orders.table_arn, &notes.table_arn] {
        assert!(sources.contains(named.as_str()), "the index lists its tables: {sources}");
    }

    // A repair, a redrive and a purge of one table leave the other alone.
    orders.delete(&key("b")).await;
    orders.stream().await;
    notes.delete(&key("b")).await;
    notes.put(&item("a", 2)).await;
    let (items, listing) = (notes.compare(true).await, notes.list(true).await);
    assert_eq!((count(&items, "stale"), count(&items, "repaired")), (1, 1), "{items}");
    assert_eq!((count(&listing, "orphaned"), count(&listing, "repaired")), (1, 1), "{listing}");
    let left = [document("orders", "a", 1), document("notes", "a", 2)];
    assert_eq!(orders.scene.index.visible().await, left.iter().cloned().collect());
    assert_eq!(notes.purge().await["purged"], json!(1));
    let tombstones: Vec<String> =
        orders.scene.index.all().await.into_iter().filter(|(_, text)| text.is_empty()).map(|(id, _)| id).collect();
    assert_eq!(tombstones, ["orders:b|s"], "the other table's tombstone stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_without_a_name_of_its_own_is_refused() {
    let orders = RulesScene::new("not-shared", &rules("orders")).await;
    orders.put(&item("a", 1)).await;
    orders.backfill().await;
    let nameless = sharing(&orders, "").await;
    let same_name = sharing(&orders, &rules("orders")).await;
    let other_name = orders.beside_in_same_index(&rules("people")).await;
    for (scene, words) in [
        (&nameless, "holds the documents of several tables (`orders`)"),
        (&same_name, "give this table another name"),
        (&other_name, "has this table under the name `orders`"),
    ] {
        scene.put(&item("x", 1)).await;
        let function = scene.function("backfill", &crate::loading::BACKFILL);
        let (kind, message) = fails(function, json!({})).await;
        assert!(kind == "Configuration" && message.contains(words), "{kind}: {message}");
    }
    // Only what writes changes may add a table.
    let people = sharing(&orders, &rules("people")).await;
    let (kind, message) = fails(people.verify_function(), json!({})).await;
    assert!(kind == "Configuration" && message.contains("has the tables `orders`, and not `people`"), "{message}");
    // An index of one table gets no second one.
    let alone = RulesScene::new("alone", "").await;
    alone.put(&item("a", 1)).await;
    alone.backfill().await;
    let second = sharing(&alone, &rules("orders")).await;
    second.put(&item("a", 1)).await;
    let (kind, message) = fails(second.function("backfill", &crate::loading::BACKFILL), json!({})).await;
    assert!(kind == "Configuration" && message.contains("whose ids have no name of a table"), "{message}");
    assert_eq!(orders.scene.index.visible().await, [document("orders", "a", 1)].into());
    assert_eq!(alone.scene.index.visible().await, documents(&[("a|s", r#"{"n":1,"pk":"a","sk":"s"}"#)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reindex_of_a_shared_index_needs_the_proof_of_every_table() {
    let orders = RulesScene::new("shared-reindex", &rules("orders")).await;
    let notes = sharing(&orders, &rules("notes")).await;
    for scene in [&orders, &notes] {
        scene.put(&item("a", 1)).await;
        scene.put(&item("gone", 1)).await;
        scene.delete(&key("gone")).await;
        scene.stream().await;
    }
    let created = orders.reindex("create").await;
    assert_eq!(created["state"], "filling", "{created}");
    for (scene, other) in [(&orders, Some("`notes`")), (&notes, None)] {
        let copied = scene.reindex("tombstones").await;
        assert_eq!((&copied["counts"]["copied"], &copied["done"]), (&json!(1), &json!(true)), "{copied}");
        let backfill = scene.function("backfill", &crate::loading::BACKFILL);
        crate::loading::run(backfill, json!({"index": "other"}), None).await;
        let request = json!({"index": "other", "settle_ms": 200});
        let verify = crate::loading::run(scene.verify_function(), request, None).await;
        let totals = json!({"items": count(&verify, "items"), "missing": count(&verify, "missing")});
        let request = json!({"step": "verified", "verify": totals});
        let verified = super::answer(scene.function("reindex", &crate::reindex::REINDEX), request).await;
        assert_eq!(verified["other"]["verified"]["differences"], 0, "{verified}");
        let next = verified["next"].as_str().expect("a text");
        match other {
            Some(name) => assert!(next.contains(name) && next.contains("tombstones"), "{next}"),
            None => assert!(next.contains("no search was compared"), "{next}"),
        }
    }
    let searches = format!("{{}}\n{}\n", json!({"query": {"match_all": {}}, "sort": ["_doc"], "size": 0}));
    let request = json!({"step": "shadow", "searches": searches});
    super::answer(orders.function("reindex", &crate::reindex::REINDEX), request).await;
    let switched = notes.reindex("switch").await;
    assert_eq!(switched["state"], "switched", "{switched}");
    let both = [document("orders", "a", 1), document("notes", "a", 1)];
    assert_eq!(orders.scene.index.visible().await, both.iter().cloned().collect());
    let path = format!("/{}-000002/_count", orders.scene.index.name);
    let (_, all) = orders.scene.index.send(Method::Get, &path, None).await;
    assert!(all.contains("\"count\":4"), "two documents and two tombstones: {all}");
    for scene in [&orders, &notes] {
        proven(scene, 1).await;
    }
}
