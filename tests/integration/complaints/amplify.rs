//! Complaints about Amplify's `@searchable` and its function.

use crate::stage::Stage;
use crate::support::{documents, insert, modify, remove, with_image};

#[tokio::test]
async fn an_expiry_right_after_the_last_change_removes_the_document() {
    let mut stage = Stage::new("expiry").await;
    let image = r#"{"n":{"N":"2"},"_version":{"N":"2"},"ttl":{"N":"1768469467"}}"#;
    let expiry = remove("a", 3).replacen(
        '{',
        r#"{"userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},"#,
        1,
    );
    stage.succeed(&[insert("a", 1), with_image("a", 2, image)]).await;
    stage.succeed(std::slice::from_ref(&expiry)).await;
    stage.restart().await;
    stage.succeed(&[with_image("a", 2, image), expiry]).await;
    assert_eq!(stage.index.visible().await, documents(&[]));
}

#[tokio::test]
async fn numbers_of_every_length_in_one_batch_are_all_indexed() {
    let stage = Stage::new("lengths").await;
    let mut numbers = Vec::new();
    for length in 1_usize..=38 {
        let digits: String = (0..length).map(|at| char::from(b'1' + (at % 9) as u8)).collect();
        let (whole, fraction) = digits.split_at(length.div_ceil(2));
        let fraction = if fraction.is_empty() { String::new() } else { format!(".{fraction}") };
        let magnitude = if length == 1 { digits.clone() } else { format!("{}.{}", &digits[..1], &digits[1..]) };
        // As sent, and as the document is to hold it.
        numbers.extend([
            (digits.clone(), digits.clone()),
            (format!("-{whole}{fraction}"), format!("-{whole}{fraction}")),
            (format!("{digits}E60"), format!("{magnitude}E{}", 60 + length - 1)),
            // Trailing zeros make more than 38 characters of few digits.
            (format!("{whole}.{}", "0".repeat(45)), whole.to_owned()),
        ]);
    }
    let record = |(at, (sent, _)): (usize, &(String, String))| {
        with_image(&format!("k{at}"), at as u64 + 1, &format!(r#"{{"v":{{"N":"{sent}"}}}}"#))
    };
    let batch: Vec<String> = numbers.iter().enumerate().map(record).collect();
    let metrics = stage.succeed(&batch).await;
    assert_eq!(metrics["Applied"].as_u64(), Some(4 * 38), "{metrics}");
    let visible = stage.index.visible().await;
    for (at, (sent, expect)) in numbers.iter().enumerate() {
        assert_eq!(visible[&format!("k{at}")], format!(r#"{{"v":{expect}}}"#), "{sent}");
    }
}

#[tokio::test]
async fn a_whole_number_first_does_not_keep_fractions_out() {
    let stage = Stage::new("whole-first").await;
    stage.succeed(&[insert("a", 1)]).await;
    let (batch, later) = ([with_image("b", 2, r#"{"n":{"N":"1.5"}}"#), modify("a", 3)], [modify("b", 4)]);
    stage.succeed(&batch).await;
    // Searched as a fraction, too: a `long` would take it and cut it.
    assert_eq!(stage.index.search(serde_json::json!({"range": {"n": {"gt": 1.2, "lt": 1.7}}})).await, ["b"]);
    stage.succeed(&later).await;
    assert_eq!(stage.index.visible().await, documents(&[("a", r#"{"n":3}"#), ("b", r#"{"n":4}"#)]));
}
