//! Data Prepper, and OpenSearch Ingestion, which runs it.

use crate::stage::Stage;
use crate::support::{documents, insert, modify, remove, with_image};

#[tokio::test]
async fn a_shard_that_is_replayed_as_a_whole_changes_nothing() {
    let mut stage = Stage::new("replayed").await;
    let key = |sequence: u64| format!("k{}", sequence % 40);
    let shard: Vec<String> = (1..=200)
        .map(|sequence| match sequence % 5 {
            0 => remove(&key(sequence), sequence),
            1 => insert(&key(sequence), sequence),
            _ => modify(&key(sequence), sequence),
        })
        .collect();
    for batch in shard.chunks(7) {
        stage.succeed(batch).await;
    }
    let before = (stage.index.visible().await, stage.index.all().await);
    assert_eq!((before.0.len(), before.1.len()), (32, 40));
    for batch_size in [200, 13] {
        stage.restart().await;
        for batch in shard.chunks(batch_size) {
            let metrics = stage.succeed(batch).await;
            assert_eq!(metrics["Applied"], 0, "{metrics}");
        }
        assert_eq!((stage.index.visible().await, stage.index.all().await), before);
    }
}

#[tokio::test]
async fn a_create_and_a_delete_in_one_batch_and_a_delete_of_nothing_leave_no_letter() {
    let stage = Stage::new("created-deleted").await;
    let metrics = stage.succeed(&[insert("a", 1), remove("a", 2), remove("never-there", 3)]).await;
    assert_eq!([&metrics["Rejected"], &metrics["Failed"]], [0, 0], "{metrics}");
    assert_eq!(stage.index.visible().await, documents(&[]));
}

fn poison(key: &str, sequence: u64) -> String {
    with_image(key, sequence, r#"{"n":{"M":{"x":{"S":"no number"}}}}"#)
}

#[tokio::test]
async fn letters_are_exactly_the_changes_that_were_not_applied_and_none_is_empty() {
    let stage = Stage::new("letters").await;
    stage.succeed(&[insert("first", 1)]).await;
    let malformed = |sequence| with_image(&format!("m{sequence}"), sequence, r#"{"n":{"N":1}}"#);
    let batch: Vec<String> = (2..300)
        .map(|sequence| match sequence % 10 {
            0 => poison(&format!("p{sequence}"), sequence),
            5 => malformed(sequence),
            _ => insert(&format!("k{sequence}"), sequence),
        })
        .collect();
    let (letters, metrics) = stage.handle(&batch).await;
    let is_bad = |(sequence, _): &(u64, &String)| sequence % 5 == 0;
    let mut unapplied: Vec<&str> = (2..300).zip(&batch).filter(is_bad).map(|(_, record)| record.as_str()).collect();
    let mut lettered: Vec<&str> = letters.iter().map(|letter| letter.record.get()).collect();
    lettered.sort_unstable();
    unapplied.sort_unstable();
    assert_eq!(lettered, unapplied);
    assert!(letters.iter().all(|letter| !letter.rejected.reason.is_empty() && !letter.rejected.class.is_empty()));
    assert_eq!((metrics["Rejected"].as_u64(), stage.index.visible().await.len()), (Some(59), 1 + 298 - 59));
}

#[tokio::test]
async fn one_refused_document_among_five_hundred_leaves_all_others_applied() {
    let stage = Stage::new("one-of-many").await;
    stage.succeed(&[insert("first", 1)]).await;
    let mut batch: Vec<String> = (2..=500).map(|sequence| insert(&format!("k{sequence}"), sequence)).collect();
    batch.insert(250, poison("poison", 501));
    let (letters, metrics) = stage.handle(&batch).await;
    // The refused one is read, and sent once more with a probe.
    assert_eq!((letters.len(), metrics["Applied"].as_u64(), metrics["RoundTrips"].as_u64()), (1, Some(499), Some(3)));
    assert_eq!(stage.index.visible().await.len(), 500);
}

#[tokio::test]
async fn a_letter_names_reason_field_key_and_index() {
    let stage = Stage::new("reason").await;
    stage.succeed(&[insert("first", 1)]).await;
    let (letters, _) = stage.handle(&[poison("the-key", 2)]).await;
    let letter = &letters[0];
    assert!(letter.rejected.reason.contains("field [n] of type [double]"), "{}", letter.rejected.reason);
    assert_eq!((letter.rejected.class.as_str(), letter.rejected.status), ("mapper_parsing_exception", Some(400)));
    assert_eq!((letter.document_id.as_deref(), letter.table.as_deref()), (Some("the-key"), Some("T")));
    assert_eq!(letter.index, stage.index.name);
}

#[tokio::test]
async fn a_duplicate_delivery_is_counted_as_a_duplicate_and_not_as_an_error() {
    let mut stage = Stage::new("duplicate").await;
    let batch = [insert("a", 1), insert("b", 2), remove("c", 3)];
    stage.succeed(&batch).await;
    stage.restart().await;
    let metrics = stage.succeed(&batch).await;
    let counts = ["Applied", "Duplicate", "Stale", "Rejected", "Failed"].map(|name| metrics[name].as_u64());
    assert_eq!(counts, [Some(0), Some(3), Some(0), Some(0), Some(0)], "{metrics}");
}

#[tokio::test]
async fn an_attribute_that_was_null_first_is_mapped_by_its_first_value() {
    let stage = Stage::new("null-first").await;
    stage.succeed(&[with_image("a", 1, r#"{"v":{"NULL":true},"l":{"L":[]},"m":{"M":{}}}"#)]).await;
    stage.succeed(&[with_image("b", 2, r#"{"v":{"N":"7"},"l":{"L":[{"S":"x"}]},"m":{"M":{"n":{"N":"1"}}}}"#)]).await;
    for term in [serde_json::json!({"v": 7}), serde_json::json!({"l.keyword": "x"}), serde_json::json!({"m.n": 1})] {
        assert_eq!(stage.index.search(serde_json::json!({"term": term})).await, ["b"]);
    }
}

#[tokio::test]
async fn three_changes_within_a_second_and_a_restart_between_them_end_as_the_last() {
    let mut stage = Stage::new("one-second").await;
    // All records of these tests happened in one and the same second.
    stage.succeed(&[insert("a", 1)]).await;
    stage.succeed(&[modify("a", 2)]).await;
    stage.restart().await;
    stage.succeed(&[modify("a", 3)]).await;
    stage.restart().await;
    stage.succeed(&[modify("a", 2)]).await;
    assert_eq!(stage.index.visible().await, documents(&[("a", r#"{"n":3}"#)]));
}

#[tokio::test]
async fn an_apostrophe_or_a_control_character_empties_no_document() {
    let stage = Stage::new("apostrophe").await;
    let text = serde_json::json!("it's a \"test\" \\ with \u{1}\u{7f}\u{2028} in it");
    let number = |text: &str| format!(r#"{{"s":{{"S":{}}},"n":{{"N":"{text}"}}}}"#, serde_json::json!(text));
    stage
        .succeed(&[with_image("a", 1, &format!(r#"{{"s":{{"S":{text}}}}}"#)), with_image("b", 2, &number("1.50E3"))])
        .await;
    let expect = [("a", format!(r#"{{"s":{text}}}"#)), ("b", r#"{"n":1500,"s":"1.50E3"}"#.to_owned())];
    assert_eq!(stage.index.visible().await, documents(&expect.each_ref().map(|(id, text)| (*id, text.as_str()))));
}

#[tokio::test]
async fn metrics_name_the_index_and_the_class_of_each_problem() {
    let stage = Stage::new("counted-by-class").await;
    let malformed = with_image("m", 4, r#"{"n":{"N":1}}"#);
    let ended = stage.invoke(&[insert("a", 1), poison("b", 2), poison("c", 3), malformed]).await;
    assert_eq!(ended.metrics["Index"], stage.index.name.as_str(), "{}", ended.metrics);
    let counted = |line: &serde_json::Value| {
        assert_eq!(line["Index"], stage.index.name.as_str(), "{line}");
        (line["Class"].as_str().expect("a class").to_owned(), line["Problems"].as_u64().expect("a count"))
    };
    let counted: Vec<_> = ended.problems.iter().map(counted).collect();
    assert_eq!(counted, [("malformed_record".to_owned(), 1), ("mapper_parsing_exception".to_owned(), 2)]);
}
