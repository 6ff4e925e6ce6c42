//! The index comes to be once, is checked, and nothing else is ever created.

use futures::future::join_all;
use opensearch::http::Method;
use serde_json::{Value, json};

use crate::support::{CREATED, HELD, Index, documents, insert, remove};

#[tokio::test]
async fn concurrent_cold_starts_make_one_index() {
    let index = Index::new("cold");
    let functions: Vec<_> = (0..10).map(|_| index.function()).collect();
    let batches: Vec<_> = (1..=10).map(|sequence| [insert(&format!("k{sequence}"), sequence)]).collect();
    join_all(functions.iter().zip(&batches).map(|(function, batch)| function.succeed(batch))).await;
    assert_eq!(index.visible().await.len(), 10);
    let (_, aliases) = index.send(Method::Get, &format!("/{}/_alias", index.name), None).await;
    let mut aliases: Value = serde_json::from_str(&aliases).expect("JSON");
    let aliases = aliases[format!("{}-000001", index.name)]["aliases"].take();
    let filter = json!({"filter": {"bool": {"must_not": [{"term": {"_driftless.deleted": true}}]}}});
    assert_eq!(aliases[&index.name], filter);
    let write =
        aliases.as_object().expect("aliases").iter().find(|(name, _)| **name != index.name).expect("a write alias");
    assert_eq!(write.1, &json!({"is_write_index": true}));
    let number = write.0.strip_prefix(&format!("{}-write-", index.name)).expect("its name");
    assert!(number.len() == 16 && u64::from_str_radix(number, 16).is_ok(), "{number}");
    assert_eq!(aliases.as_object().map(serde_json::Map::len), Some(2));
}

#[track_caller]
fn assert_names(error: &str, words: &[&str]) {
    for word in words {
        assert!(error.contains(word), "`{word}` is missing: {error}");
    }
}

#[tokio::test]
async fn a_foreign_index_is_refused_and_untouched() {
    let index = Index::new("foreign");
    for taken in [index.name.clone(), format!("{}-000001", index.name)] {
        index.send(Method::Put, &format!("/{taken}"), None).await;
        let error = index.function().timeout(HELD).invoke(&[insert("a", 1)]).await.expect_err("refused").to_string();
        assert_names(&error, &["INDEX", &index.name, &taken]);
        let (_, count) = index.send(Method::Get, &format!("/{taken}/_count"), None).await;
        assert!(count.contains("\"count\":0"), "{count}");
        index.send(Method::Delete, &format!("/{taken}"), None).await;
    }
    index.function().succeed(&[insert("a", 1)]).await;
}

#[tokio::test]
async fn an_index_without_the_filter_is_refused() {
    let index = Index::new("unfiltered");
    index.function().succeed(&[insert("a", 1)]).await;
    let physical = format!("{}-000001", index.name);
    let bare = json!({"actions": [{"add": {"index": physical, "alias": index.name, "filter": {"match_all": {}}}}]});
    index.send(Method::Post, "/_aliases", Some(bare)).await;
    let error = index.function().timeout(HELD).invoke(&[insert("a", 1)]).await.expect_err("refused").to_string();
    assert_names(&error, &["INDEX", "filter", "_driftless.deleted"]);
}

#[tokio::test]
async fn an_index_deleted_under_a_running_function_is_no_data_error_and_is_not_created_by_a_write() {
    let index = Index::new("deleted");
    let function = index.function().timeout(CREATED);
    function.succeed(&[insert("a", 1)]).await;
    index.send(Method::Delete, &format!("/{}-000001", index.name), None).await;
    let error = function.timeout(HELD).invoke(&[insert("b", 2)]).await.expect_err("loud");
    assert_eq!(error.kind(), "Configuration");
    assert_names(&error.to_string(), &["INDEX", "backfill"]);
    let (status, _) = index.send(Method::Get, &format!("/{}-000001", index.name), None).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_users_own_definition_is_used_and_the_metadata_added() {
    let index = Index::new("own");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("index.json");
    let definition =
        json!({"settings": {"number_of_shards": 2}, "mappings": {"properties": {"n": {"type": "keyword"}}}});
    std::fs::write(&file, definition.to_string()).expect("written");
    let mut settings = index.settings();
    settings.push(("INDEX_DEFINITION".to_owned(), file.to_string_lossy().into_owned()));
    crate::support::ReplicateFunction::new(settings).succeed(&[insert("a", 1)]).await;
    assert_eq!(index.search(json!({"term": {"n": "1"}})).await, ["a"]);
    let (_, described) = index.send(Method::Get, &format!("/{}", index.name), None).await;
    let described: Value = serde_json::from_str(&described).expect("JSON");
    let physical = &described[format!("{}-000001", index.name)];
    assert_eq!(physical["settings"]["index"]["number_of_shards"], "2");
    assert_eq!(physical["mappings"]["properties"]["_driftless"]["properties"]["deleted"]["type"], "boolean");
    assert_eq!(physical["mappings"]["properties"]["_driftless"]["dynamic"], "false");
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":1}"#)]));
}

#[tokio::test]
async fn documents_of_items_carry_no_metadata_that_is_indexed() {
    let index = Index::new("metadata");
    let function = index.function();
    function.succeed(&[insert("a", 1), insert("b", 2)]).await;
    function.succeed(&[remove("b", 3)]).await;
    let path = format!("/{}-000001", index.name);
    let (_, mapped) = index.send(Method::Get, &format!("{path}/_mapping/field/_driftless.*"), None).await;
    let mapped: Value = serde_json::from_str(&mapped).expect("JSON");
    let mapped = mapped[format!("{}-000001", index.name)]["mappings"].as_object().expect("fields");
    assert_eq!(
        mapped.keys().collect::<Vec<_>>(),
        ["_driftless.deleted", "_driftless.deleted_at", "_driftless.expired_at"]
    );
    index.visible().await;
    let old = json!({"query": {"range": {"_driftless.deleted_at": {"lte": "now"}}}});
    let (_, found) = index.send(Method::Post, &format!("{path}/_search"), Some(old)).await;
    let found: Value = serde_json::from_str(&found).expect("JSON");
    let hits = found["hits"]["hits"].as_array().expect("hits");
    assert_eq!(hits.len(), 1, "{found}");
    let metadata = &hits[0]["_source"]["_driftless"];
    assert_eq!((&hits[0]["_id"], &metadata["deleted"]), (&json!("b"), &json!(true)));
    assert_eq!(metadata["deleted_at"], metadata["written_at"]);
}
