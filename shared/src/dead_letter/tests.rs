//! Dead letters survive the queue, whatever their records hold.

use proptest::prelude::*;

use super::message::{MAX_MESSAGE_BYTES, Message};
use super::*;
use crate::outcome::Refusal;

fn dead_letter(record: &str) -> DeadLetter {
    DeadLetter {
        rejected: Rejection {
            class: "mapper_parsing_exception".into(),
            status: Some(400),
            reason: "failed to parse".into(),
        },
        event_id: Some("e1".into()),
        event_name: Some("INSERT".into()),
        document_id: Some("a".into()),
        version: Some("0000000001/2026-01-15T09:30:00.000000000/1".into()),
        table: Some("T".into()),
        index: "activity".into(),
        rejected_at: Timestamp::from_millis(1_768_469_467_000),
        function_version: "0.1.0 ($LATEST)".into(),
        record: RawValue::from_string(record.to_owned()).expect("JSON"),
    }
}

#[test]
fn the_reason_of_a_document_that_failed_alone_ends_with_the_engines_own_words() {
    let refusal = Refusal { status: 500, kind: "index_out_of_bounds_exception".into(), reason: "No group 1".into() };
    let rejected = Rejection::from_problem(&Problem::Suspect { failures: 8, last: Box::new(Problem::Item(refusal)) });
    assert_eq!(
        rejected.reason,
        "the document failed 8 times alone, while OpenSearch took others: OpenSearch refused the document with 500: No group 1"
    );
    let timed_out = Problem::TimedOut(std::time::Duration::from_secs(4));
    let rejected = Rejection::from_problem(&Problem::Suspect { failures: 3, last: Box::new(timed_out) });
    assert!(rejected.reason.ends_with("OpenSearch did not answer within 4000 ms"), "{}", rejected.reason);
}

fn read(message: &Message) -> DeadLetter {
    match DeadLetterMessage::read(&message.body).expect("a letter") {
        DeadLetterMessage::Record(dead_letter) => *dead_letter,
        DeadLetterMessage::Range(range) => panic!("{range:?}"),
    }
}

/// Generates text that gzip cannot shrink below three quarters.
fn noise(bytes: usize) -> String {
    let step = |n: &u64| Some(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    let noise: Vec<u8> = std::iter::successors(Some(1), step).flat_map(|n: u64| n.to_be_bytes()).take(bytes).collect();
    STANDARD.encode(noise)
}

#[test]
fn the_format_is_fixed() {
    let message = dead_letter(r#"{"eventID":"e1", "dynamodb":{}}"#).message().expect("fits");
    assert_eq!(
        message.body,
        r#"{"format":"driftless/dead-letter/1","rejected":{"class":"mapper_parsing_exception","status":400,"reason":"failed to parse"},"event_id":"e1","event_name":"INSERT","document_id":"a","version":"0000000001/2026-01-15T09:30:00.000000000/1","table":"T","index":"activity","rejected_at":1768469467000,"function_version":"0.1.0 ($LATEST)","record":{"eventID":"e1", "dynamodb":{}}}"#
    );
    let names: Vec<_> = message.attributes.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["class", "status", "event_name", "table", "index", "document_id"]);
}

#[test]
fn a_large_record_is_compressed_and_comes_back_byte_for_byte() {
    let record = format!(r#"{{"text" : "{}"}}"#, "activity ".repeat(100_000));
    let message = dead_letter(&record).message().expect("fits");
    assert!(message.body.len() < 64 * 1024, "{}", message.body.len());
    assert!(message.body.contains("mapper_parsing_exception"));
    assert_eq!(read(&message).record.get(), record);
}

#[test]
fn what_no_queue_takes_is_said_with_its_size() {
    let record = |bytes| format!(r#"{{"b":"{}"}}"#, noise(bytes));
    let message = dead_letter(&record(700_000)).message().expect("fits");
    assert!(message.body.len() < MAX_MESSAGE_BYTES);
    assert!(dead_letter(&record(900_000)).message().expect_err("too large").bytes > MAX_MESSAGE_BYTES);
}

#[test]
fn what_the_queue_refuses_is_left_out_of_the_attributes() {
    for (id, kept) in [("a\u{1}", false), ("a\u{fffe}", false), ("", false), (&*"x".repeat(257), false), ("ä", true)] {
        let message = DeadLetter { document_id: Some(id.to_owned()), ..dead_letter("{}") }.message().expect("fits");
        assert_eq!(message.attributes.iter().any(|(name, _)| *name == "document_id"), kept, "{id:?}");
    }
}

#[test]
fn lambdas_on_failure_message_is_told_from_ours() {
    let body = r#"{"requestContext":{"requestId":"r","functionArn":"f","condition":"RetryAttemptsExhausted","approximateInvokeCount":4},
        "responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"version":"1.0","timestamp":"2019-11-14T00:13:49.717Z",
        "DDBStreamBatchInfo":{"shardId":"s1","startSequenceNumber":"7","endSequenceNumber":"9","approximateArrivalOfFirstRecord":"2019-11-14T00:13:19Z",
        "approximateArrivalOfLastRecord":"2019-11-14T00:13:19Z","batchSize":2,"streamArn":"arn:aws:dynamodb:us-east-2:1:table/T/stream/2019-11-14T00:04:06.388"}}"#;
    let DeadLetterMessage::Range(range) = DeadLetterMessage::read(body).expect("a letter") else { panic!("{body}") };
    assert_eq!(
        (range.request.condition.as_str(), range.request.approximate_invoke_count),
        ("RetryAttemptsExhausted", 4)
    );
    assert_eq!((range.batch.table(), range.batch.shard_id.as_str(), range.batch.batch_size), (Some("T"), "s1", 2));
    assert!(!range.batch.is_of_kinesis());
    let body = body.replace("DDBStreamBatchInfo", "KinesisBatchInfo").replace(
        "arn:aws:dynamodb:us-east-2:1:table/T/stream/2019-11-14T00:04:06.388",
        "arn:aws:kinesis:us-east-2:1:stream/S",
    );
    let DeadLetterMessage::Range(range) = DeadLetterMessage::read(&body).expect("a letter") else { panic!("{body}") };
    assert_eq!((range.batch.table(), range.batch.shard_id.as_str(), range.batch.is_of_kinesis()), (None, "s1", true));
}

#[test]
fn a_message_that_is_no_dead_letter_says_what_was_expected_and_not_what_it_holds() {
    for (body, named) in [
        ("secret", "JSON object"),
        ("{}", FORMAT),
        (r#"{"format":"driftless/dead-letter/2","record":"secret"}"#, FORMAT),
        (r#"{"format":"driftless/dead-letter/1","record":"secret"}"#, "column"),
        (r#"{"DDBStreamBatchInfo":{"shardId":"secret"}}"#, "column"),
    ] {
        let error = DeadLetterMessage::read(body).expect_err("no letter").to_string();
        assert!(error.contains(named) && !error.contains("secret"), "{error}");
    }
    let envelope = |record_gzip: &str| {
        let body = dead_letter("{}").message().expect("fits").body;
        body.replace(r#""record":{}"#, &format!(r#""record_gzip":"{record_gzip}""#))
    };
    for broken in ["?", "AAAA"] {
        assert!(DeadLetterMessage::read(&envelope(broken)).expect_err("broken").to_string().contains("record_gzip"));
    }
}

proptest! {
    #[test]
    fn any_text_survives_and_holds_only_what_sqs_takes(text in any::<String>(), large in any::<bool>()) {
        let text = format!("{text}\u{ffff}\u{fffe}\u{1}{}", if large { "x".repeat(300_000) } else { String::new() });
        let record = serde_json::to_string(&text).expect("JSON");
        let message = dead_letter(&record).message().expect("fits");
        let taken = |char| matches!(char, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        prop_assert!(message.body.chars().all(taken));
        let back: String = serde_json::from_str(read(&message).record.get()).expect("a string");
        prop_assert_eq!(back, text);
    }
}
