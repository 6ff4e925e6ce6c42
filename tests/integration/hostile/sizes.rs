//! Items as large as DynamoDB allows: 400 KB, names included.

use serde_json::json;

use super::{Hostile, POISON};

const LARGEST: usize = 400 * 1024 - 100;

#[tokio::test]
async fn items_of_400_kb_are_indexed_whole() {
    let hostile = Hostile::new("large").await;
    for text in [
        "x".repeat(LARGEST),
        "€".repeat(LARGEST / 3),
        "x y ".repeat(LARGEST / 4),
        "\u{1F600}".repeat(LARGEST / 4),
        "\u{1}".repeat(LARGEST),
    ] {
        let text = serde_json::Value::from(text).to_string();
        hostile.indexed(&format!(r#"{{"s":{{"S":{text}}}}}"#), &format!(r#"{{"s":{text}}}"#)).await;
    }
    let binary = format!("{}AA==", "AAEC".repeat(LARGEST / 3));
    hostile.indexed(&format!(r#"{{"b":{{"B":"{binary}"}}}}"#), &format!(r#"{{"b":"{binary}"}}"#)).await;
    // In a field that is mapped: the first list of a new one takes the engine 0.3 ms per element.
    for count in [1, 100_000] {
        let list = |number: &str| vec![number; count].join(",");
        let image = format!(r#"{{"l":{{"L":[{}]}}}}"#, list(r#"{"N":"1"}"#));
        hostile.indexed(&image, &format!(r#"{{"l":[{}]}}"#, list("1"))).await;
    }
}

#[tokio::test]
async fn a_text_too_long_for_its_keyword_is_found_by_its_words_only() {
    let hostile = Hostile::new("long-text").await;
    let image = |length: usize| {
        (
            format!(r#"{{"s":{{"S":"word {0}"}}}}"#, "x".repeat(length)),
            format!(r#"{{"s":"word {0}"}}"#, "x".repeat(length)),
        )
    };
    let (fits, document) = image(8_000);
    hostile.indexed(&fits, &document).await;
    assert_eq!(hostile.index().search(json!({"prefix": {"s.keyword": "word x"}})).await, [POISON]);
    let (longer, document) = image(40_000);
    hostile.indexed(&longer, &document).await;
    assert_eq!(hostile.index().search(json!({"prefix": {"s.keyword": "word x"}})).await, [""; 0]);
    assert_eq!(hostile.index().search(json!({"match": {"s": "word"}})).await, [POISON]);
    // Nothing tells which documents: OpenSearch lists in `_ignored` what is malformed, and not what is too long.
    assert_eq!(hostile.index().search(json!({"exists": {"field": "_ignored"}})).await, [""; 0]);
}

#[tokio::test]
async fn a_text_too_long_for_a_users_keyword_is_rejected_alone() {
    let own = json!({"mappings": {"properties": {"k": {"type": "keyword"}}}});
    let hostile = Hostile::defined("immense", own).await;
    let image = format!(r#"{{"k":{{"S":"{}"}}}}"#, "x".repeat(40_000));
    let reason = "Document contains at least one immense term in field=\"k\" (whose UTF8 encoding is longer than the max length 32766), all of which were skipped.  Please correct the analyzer to not produce such terms.  The prefix of the first immense term is: '[120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120]...', original message: bytes can be at most 32766 in length; got 40000";
    hostile.rejected(&image, reason).await;
}
