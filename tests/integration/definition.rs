//! Definitions of an index: where they come from.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use opensearch::http::Method;
use serde_json::{Value, json};

use crate::support::{CREATED, Function, HELD, Index, insert};

fn with_variable(index: &Index, name: &str, value: &str) -> Function {
    let mut settings = index.settings();
    settings.push((name.to_owned(), value.to_owned()));
    Function::new(settings).timeout(CREATED)
}

async fn described(index: &Index) -> Value {
    let (_, described) = index.send(Method::Get, &format!("/{}", index.name), None).await;
    let described: Value = serde_json::from_str(&described).expect("JSON");
    described[format!("{}-000001", index.name)].clone()
}

fn compressed(json: &str) -> String {
    // A gzip file of one stored block: header, block, checksum, size.
    let (length, bytes) = (u16::try_from(json.len()).expect("short"), json.as_bytes());
    let checksum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 })
    });
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1];
    gzip.extend(length.to_le_bytes());
    gzip.extend((!length).to_le_bytes());
    gzip.extend(bytes);
    gzip.extend((!checksum).to_le_bytes());
    gzip.extend(u32::from(length).to_le_bytes());
    BASE64_STANDARD.encode(gzip)
}

#[tokio::test]
async fn one_variable_carries_the_definition() {
    let json = r#"{"mappings": {"properties": {"n": {"type": "keyword"}}}}"#;
    for value in [json.to_owned(), compressed(json)] {
        let index = Index::new("carried");
        with_variable(&index, "INDEX_DEFINITION", &value).succeed(&[insert("a", 1)]).await;
        assert_eq!(described(&index).await["mappings"]["properties"]["n"]["type"], "keyword", "{value}");
        assert_eq!(index.search(json!({"term": {"n": "1"}})).await, ["a"]);
    }
}

#[tokio::test]
async fn a_new_index_has_the_refresh_interval_and_an_existing_one_keeps_its_own() {
    let index = Index::new("refreshed");
    with_variable(&index, "REFRESH_INTERVAL", "200ms").succeed(&[insert("a", 1)]).await;
    with_variable(&index, "REFRESH_INTERVAL", "7s").succeed(&[insert("b", 2)]).await;
    let described = described(&index).await;
    assert_eq!(described["settings"]["index"]["refresh_interval"], "200ms");
    assert_eq!(described["mappings"]["date_detection"], false, "the default definition stays");
}

/// The least interval that the cluster of all tests takes meanwhile: shorter than in any other test.
const MINIMUM: &str = "20ms";

#[tokio::test]
async fn an_interval_below_the_clusters_minimum_is_refused_with_its_variable() {
    let index = Index::new("below");
    let setting = |value: Value| json!({"transient": {"cluster.minimum.index.refresh_interval": value}});
    let (status, text) = index.send(Method::Put, "/_cluster/settings", Some(setting(json!(MINIMUM)))).await;
    let function = with_variable(&index, "REFRESH_INTERVAL", "10ms").timeout(HELD);
    if status == 400 {
        // Elasticsearch 7.10 has no such setting.
        return function.succeed(&[insert("a", 1)]).await;
    }
    assert_eq!(status, 200, "{text}");
    let refused = function.invoke(&[insert("a", 1)]).await;
    index.send(Method::Put, "/_cluster/settings", Some(setting(Value::Null))).await;
    let error = refused.expect_err("refused");
    assert_eq!(error.kind(), "Configuration");
    for words in ["REFRESH_INTERVAL", "is 10ms", MINIMUM, "raise or remove it"] {
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    function.succeed(&[insert("a", 1)]).await;
}
