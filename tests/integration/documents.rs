//! Documents as the engine returns them: every digit, every name, every key.

use serde_json::json;

use crate::support::{Index, ReplicateFunction, documents, insert, modify, with_image, with_keys};

#[tokio::test]
async fn numbers_come_back_digit_for_digit_and_match_as_doubles() {
    let index = Index::new("numbers");
    let function = index.function();
    let neighbours = [("a", "1234567890123456789"), ("b", "1234567890123456790"), ("c", "1234567890123457000")];
    let records = (1..)
        .zip(neighbours)
        .map(|(sequence, (key, number))| with_image(key, sequence, &format!(r#"{{"n":{{"N":"{number}"}}}}"#)));
    function.succeed(&records.collect::<Vec<_>>()).await;
    let visible = index.visible().await;
    assert!(neighbours.iter().all(|(key, number)| visible[*key] == format!(r#"{{"n":{number}}}"#)), "{visible:?}");
    assert_eq!(index.search(json!({"term": {"n": neighbours[0].1}})).await, ["a", "b"]);
}

#[tokio::test]
async fn numbers_of_38_digits_match_exactly_under_the_definition_for_that() {
    let index = Index::new("exact-numbers");
    let mut settings = index.settings();
    let definition = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/exact-numbers.json");
    settings.push(("INDEX_DEFINITION".to_owned(), definition.to_owned()));
    let exact = [
        "12345678901234567890.123456789",
        "9007199254740993",
        "99999999999999999999999999999999999999",
        "-0.00000000000000000000000000000000000001",
    ];
    let records: Vec<String> = (1..)
        .zip(exact)
        .map(|(sequence, number)| {
            with_image(&format!("k{sequence}"), sequence, &format!(r#"{{"n":{{"N":"{number}"}}}}"#))
        })
        .collect();
    ReplicateFunction::new(settings).succeed(&records).await;
    for (key, number) in ["k1", "k2", "k3", "k4"].into_iter().zip(exact) {
        assert_eq!(index.visible().await[key], format!(r#"{{"n":{number}}}"#));
        assert_eq!(index.search(json!({"term": {"n.exact": number}})).await, [key]);
    }
}

#[tokio::test]
async fn an_integer_then_a_fraction_are_both_indexed() {
    let index = Index::new("mixed");
    let image = |number: &str| format!(r#"{{"n":{{"N":"{number}"}}}}"#);
    let function = index.function();
    function.succeed(&[with_image("a", 1, &image("1"))]).await;
    function.succeed(&[with_image("b", 2, &image("1.5")), with_image("c", 3, &image("12345678901234567890"))]).await;
    assert_eq!(index.search(json!({"range": {"n": {"gt": 1}}})).await.len(), 2);
}

#[tokio::test]
async fn a_string_that_looks_like_a_date_poisons_nothing() {
    let index = Index::new("dates");
    let image = |text: &str| format!(r#"{{"at":{{"S":"{text}"}}}}"#);
    let function = index.function();
    function.succeed(&[with_image("a", 1, &image("2026-01-15"))]).await;
    function.succeed(&[with_image("b", 2, &image("soon")), with_image("c", 3, &image(""))]).await;
    assert_eq!(index.search(json!({"term": {"at.keyword": "soon"}})).await, ["b"]);
}

#[tokio::test]
async fn an_attribute_removed_from_the_item_is_gone() {
    let index = Index::new("replaced");
    let function = index.function();
    function.succeed(&[with_image("a", 1, r#"{"n":{"N":"1"},"gone":{"S":"x"}}"#)]).await;
    function.succeed(&[modify("a", 2)]).await;
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":2}"#)]));
}

#[tokio::test]
async fn keys_with_separators_are_two_documents() {
    let index = Index::new("keys");
    let keys = |pk: &str, sk: &str| format!(r#"{{"pk":{{"S":"{pk}"}},"sk":{{"S":"{sk}"}}}}"#);
    index.function().succeed(&[with_keys(&keys("a|b", "c"), 1), with_keys(&keys("a", "b|c"), 2)]).await;
    assert_eq!(index.visible().await, documents(&[("a%7Cb|c", r#"{"n":1}"#), ("a|b%7Cc", r#"{"n":2}"#)]));
}

#[tokio::test]
async fn the_order_of_keys_in_a_record_does_not_matter() {
    let index = Index::new("order");
    let function = index.function();
    function.succeed(&[with_keys(r#"{"pk":{"S":"a"},"sk":{"N":"1"}}"#, 1)]).await;
    function.succeed(&[with_keys(r#"{"sk":{"N":"1.0"},"pk":{"S":"a"}}"#, 2)]).await;
    assert_eq!(index.visible().await, documents(&[("a|1", r#"{"n":2}"#)]));
}

#[tokio::test]
async fn keys_of_2048_bytes_work() {
    let index = Index::new("long");
    let (a, b) = (format!("{}a", "x".repeat(2_047)), format!("{}b", "x".repeat(2_047)));
    let function = index.function();
    function.succeed(&[insert(&a, 1), insert(&b, 2), insert("short", 3)]).await;
    function.succeed(&[modify(&a, 4)]).await;
    let visible = index.visible().await;
    let mut values: Vec<&str> = visible.values().map(String::as_str).collect();
    values.sort_unstable();
    assert_eq!(values, [r#"{"n":2}"#, r#"{"n":3}"#, r#"{"n":4}"#]);
    assert!(visible.keys().all(|id| id.len() <= 512));
}

#[tokio::test]
async fn names_that_the_engine_refuses_are_rewritten() {
    let index = Index::new("names");
    let metadata = [
        "_id",
        "_index",
        "_source",
        "_type",
        "_routing",
        "_field_names",
        "_ignored",
        "_seq_no",
        "_version",
        "_primary_term",
        "_nested_path",
        "_doc_count",
        "_data_stream_timestamp",
        "_feature",
        "_driftless",
    ];
    let hostile = ["", ".", ".a", "a.", "a..b", "a", "a.b", " ", "\t", "%", "%2E", "*", "ü"];
    let attribute = |name: &&str| format!(r#"{}:{{"S":"v"}}"#, serde_json::to_string(name).expect("JSON"));
    let all = metadata.iter().chain(&hostile).map(attribute).collect::<Vec<_>>().join(",");
    let image = format!(r#"{{{all},"nested":{{"M":{{{all}}}}}}}"#);
    index.function().succeed(&[with_image("k", 1, &image)]).await;
    let document: serde_json::Value = serde_json::from_str(&index.visible().await["k"]).expect("JSON");
    let fields = document.as_object().expect("an object");
    assert_eq!(fields.len(), metadata.len() + hostile.len() + 1);
    assert_eq!(fields["nested"].as_object().expect("an object").len(), metadata.len() + hostile.len());
    assert_eq!(index.search(json!({"term": {"a%2Eb.keyword": "v"}})).await, ["k"]);
}

#[tokio::test]
async fn dynamodbs_deepest_nesting_is_indexed() {
    let index = Index::new("deep");
    let deep = format!("{}{{\"S\":\"x\"}}{}", "{\"M\":{\"a\":".repeat(31), "}}".repeat(31));
    index.function().succeed(&[with_image("k", 1, &format!("{{\"a\":{deep}}}"))]).await;
    assert_eq!(index.visible().await.len(), 1);
}

#[tokio::test]
async fn a_value_that_the_mapping_refuses_fails_alone() {
    let index = Index::new("refused");
    let function = index.function();
    function.succeed(&[with_image("a", 1, r#"{"v":{"N":"1"}}"#)]).await;
    let batch = [insert("b", 2), with_image("c", 3, r#"{"v":{"M":{"x":{"N":"1"}}}}"#), insert("d", 4)];
    let failed = function.invoke(&batch).await.expect("handled");
    assert_eq!(failed, ["300000000000000000000"]);
    assert_eq!(index.visible().await.keys().collect::<Vec<_>>(), ["a", "b", "d"]);
}
