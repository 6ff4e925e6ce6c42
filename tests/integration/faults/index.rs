//! An index that is blocked, gone, or not as it should be.

use std::time::Duration;

use opensearch::http::Method;
use serde_json::json;

use super::{eventually, function, proxy};
use crate::support::{CREATED, HELD, Index, documents, insert, modify, remove};

impl Index {
    async fn block(&self, block: &str, on: bool) {
        let value = if on { json!(true) } else { json!(null) };
        let body = json!({"index.blocks": {block: value}});
        let (status, text) = self.send(Method::Put, &format!("/{}-000001/_settings", self.name), Some(body)).await;
        assert_eq!(status, 200, "{text}");
    }

    /// The status that the engine gives a single write of a bulk.
    pub(super) async fn status_of_a_write(&self) -> u64 {
        let bulk = "{\"create\":{\"_id\":\"probe\"}}\n{}\n".to_owned();
        let headers = [("content-type", "application/json")].into_iter();
        let headers = headers.map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        let path = format!("/{}-000001/_bulk", self.name);
        let sent = self.client().send(Method::Post, &path, headers.collect(), None::<&()>, Some(bulk), None).await;
        let answer: serde_json::Value = sent.expect("an answer").json().await.expect("JSON");
        answer["items"][0]["create"]["status"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    }
}

/// A block is set before a batch and lifted while the function tries.
async fn a_block_is_waited_out(block: &str, status: u64) {
    let (index, proxy) = (Index::new("blocked"), proxy().await);
    let function = function(&index, &proxy, 3_000);
    function.succeed(&[insert("a", 1), insert("b", 2)]).await;
    index.block(block, true).await;
    assert_eq!(index.status_of_a_write().await, status, "what the engine says of an index with {block}");
    let tries = proxy.requests("/_bulk") + 4;
    let lift = async {
        eventually("it was tried again", async || proxy.requests("/_bulk") >= tries).await;
        index.block(block, false).await;
    };
    let records = [modify("a", 3), remove("b", 4), insert("c", 5)];
    tokio::join!(function.succeed(&records), lift);
    assert_eq!(index.all().await, documents(&[("a", r#"{"n":3}"#), ("b", ""), ("c", r#"{"n":5}"#)]));
}

#[tokio::test]
async fn a_write_block_is_waited_out_and_nothing_is_rejected() {
    a_block_is_waited_out("write", 403).await;
}

#[tokio::test]
async fn a_read_only_index_is_waited_out_and_nothing_is_rejected() {
    a_block_is_waited_out("read_only", 403).await;
}

#[tokio::test]
async fn the_block_that_a_full_disk_sets_is_waited_out_and_nothing_is_rejected() {
    a_block_is_waited_out("read_only_allow_delete", 429).await;
}

#[tokio::test]
async fn a_block_that_stays_fails_the_records_in_time() {
    let index = Index::new("blocked");
    index.function().succeed(&[insert("a", 1)]).await;
    let function = index.function().timeout(Duration::from_secs(2));
    function.succeed(&[insert("warm", 1)]).await;
    index.block("write", true).await;
    let failed = function.invoke(&[modify("a", 2), insert("b", 3)]).await.expect("handled");
    assert_eq!(failed, ["200000000000000000000", "300000000000000000000"]);
    let cold = index.function().timeout(Duration::from_secs(2));
    let error = cold.invoke(&[modify("a", 2)]).await.expect_err("its probe is blocked, too");
    assert_eq!(error.kind(), "Unavailable", "{error}");
    index.block("write", false).await;
    index.function().succeed(&[modify("a", 2), insert("b", 3)]).await;
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":2}"#), ("b", r#"{"n":3}"#), ("warm", r#"{"n":1}"#)]));
}

#[tokio::test]
async fn an_index_deleted_in_the_middle_is_said_aloud_and_no_write_creates_another() {
    let index = Index::new("deleted");
    let function = || index.function().timeout(CREATED);
    let (one, other) = (function(), function());
    one.succeed(&[insert("a", 1), insert("b", 2)]).await;
    other.succeed(&[modify("a", 3)]).await;
    let (status, text) = index.send(Method::Delete, &format!("/{}-000001", index.name), None).await;
    assert_eq!(status, 200, "{text}");
    let (one, other) = (one.timeout(HELD), other.timeout(HELD));
    // Both have seen the index: one finds out when it writes, the other when it reads.
    for (function, record) in [(&one, insert("c", 4)), (&other, modify("b", 5))] {
        let error = function.invoke(&[record]).await.expect_err("there is no index");
        assert_eq!(error.kind(), "Configuration");
        assert!(error.to_string().contains("does not exist, and is not created"), "{error}");
        for name in ["", "-000001"] {
            let (status, _) = index.send(Method::Get, &format!("/{}{name}", index.name), None).await;
            assert_eq!(status, 404, "a write must not create an index without mapping and aliases");
        }
    }
    // However often they are invoked: only a process that has not seen it makes an empty one, which wants a backfill.
    one.invoke(&[insert("c", 4)]).await.expect_err("there still is no index");
    let (one, other) = (one.timeout(CREATED), other.timeout(CREATED));
    function().succeed(&[insert("c", 4)]).await;
    one.succeed(&[insert("c", 4)]).await;
    other.succeed(&[modify("b", 5)]).await;
    assert_eq!(index.visible().await, documents(&[("b", r#"{"n":5}"#), ("c", r#"{"n":4}"#)]));
    let (status, mapping) = index.send(Method::Get, &format!("/{}-000001/_mapping", index.name), None).await;
    assert!(status == 200 && mapping.contains(r#""_meta":{"driftless":"#), "{mapping}");
}

#[tokio::test]
async fn an_index_made_anew_under_a_function_that_idled_takes_no_old_change() {
    let index = Index::new("anew");
    let function = || index.function().timeout(CREATED);
    let (idle, busy) = (function(), function());
    idle.succeed(&[insert("a", 1)]).await;
    assert_eq!(index.send(Method::Delete, &format!("/{}-000001", index.name), None).await.0, 200);
    busy.succeed(&[modify("a", 5)]).await;
    // The first document of either index: the position that the idle function remembers is that of the newer document.
    // Its write alias is gone; it finds the new one within the invocation.
    idle.succeed(&[modify("a", 3)]).await;
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":5}"#)]));
}

#[tokio::test]
async fn a_missing_write_alias_is_said_aloud_until_it_is_back() {
    let index = Index::new("unaliased");
    let function = index.function().timeout(CREATED);
    function.succeed(&[insert("a", 1)]).await;
    let aliases = async |action: &str, alias: &str| {
        let names =
            json!({"index": format!("{}-000001", index.name), "alias": format!("{}-write-{alias}", index.name)});
        let body = json!({"actions": [{action: names}]});
        assert_eq!(index.send(Method::Post, "/_aliases", Some(body)).await.0, 200);
    };
    aliases("remove", "*").await;
    let function = function.timeout(HELD);
    // As a warm process, then as one that starts.
    for _ in 0..2 {
        let error = function.invoke(&[modify("a", 2)]).await.expect_err("there is no alias");
        assert_eq!(error.kind(), "Configuration");
        assert!(error.to_string().contains("INDEX"), "{error}");
    }
    aliases("add", "00000000000000ff").await;
    let function = function.timeout(CREATED);
    function.succeed(&[modify("a", 2)]).await;
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":2}"#)]));
}
