//! Tests of the changes that records give, and of the errors of malformed records.

use super::*;
use crate::testing::{KinesisRecordBuilder, STREAM_ARN, record_json};

fn record(name: &str, dynamodb: &str) -> String {
    record_json("e1", name, STREAM_ARN, dynamodb)
}

fn read(json: &str) -> Record {
    Record::read(json, &ReadOptions::default())
}

#[track_caller]
fn check_malformed(json: &str, field: &str, problem: &str) {
    match read(json).change {
        Err(RecordError::Malformed { field: at, problem: what }) => {
            assert_eq!((at.as_str(), what.as_str()), (field, problem))
        }
        other => panic!("{other:?}"),
    }
}

const INSERT: &str = r#"{"ApproximateCreationDateTime":1768469467,"Keys":{"pk":{"S":"a"}},"NewImage":{"pk":{"S":"a"},"n":{"N":"1"}},"SequenceNumber":"4421584500000000017450439091","StreamViewType":"NEW_AND_OLD_IMAGES"}"#;

#[test]
fn an_insert_is_read() {
    let record = read(&record("INSERT", INSERT));
    assert_eq!(record.origin.event_id.as_deref(), Some("e1"));
    assert_eq!(record.origin.sequence_number.as_deref(), Some("4421584500000000017450439091"));
    let change = record.change.expect("a change");
    assert_eq!(change.id.as_str(), "a");
    assert_eq!(change.kind, ChangeKind::Insert);
    assert_eq!(change.event_time, Some(Timestamp::from_millis(1_768_469_467_000)));
    let Content::Document(document) = change.content else { panic!("a document") };
    assert_eq!(document.as_bytes(), br#"{"n":1,"pk":"a"}"#);
}

#[test]
fn a_remove_needs_no_image() {
    let json = record("REMOVE", r#"{"Keys":{"pk":{"S":"a"}},"OldImage":{"pk":{"S":"a"}},"SequenceNumber":"111"}"#);
    let change = read(&json).change.expect("a change");
    assert_eq!((change.kind, change.content, change.event_time), (ChangeKind::Remove, Content::Tombstone, None));
}

#[test]
fn a_missing_image_is_not_an_empty_one() {
    let with = |image: &str| {
        record(
            "MODIFY",
            &format!(r#"{{"Keys":{{"pk":{{"S":"a"}}}},{image}"SequenceNumber":"1","StreamViewType":"NEW_IMAGE"}}"#),
        )
    };
    let Content::Document(empty) = read(&with(r#""NewImage":{},"#)).change.expect("a change").content else {
        panic!("a document")
    };
    assert_eq!(empty.as_bytes(), b"{}");
    check_malformed(&with(""), "dynamodb.NewImage", "missing");
    check_malformed(&with(r#""NewImage":null,"#), "dynamodb.NewImage", "missing");
}

#[test]
fn a_stream_without_new_images_is_a_configuration_error() {
    for view in ["KEYS_ONLY", "OLD_IMAGE"] {
        let json = record(
            "REMOVE",
            &format!(r#"{{"Keys":{{"pk":{{"S":"a"}}}},"SequenceNumber":"1","StreamViewType":"{view}"}}"#),
        );
        let error = read(&json).change.expect_err("a configuration error");
        assert_eq!(error, RecordError::Configuration(ConfigurationError::NoNewImage { view: view.to_owned() }));
        assert!(error.to_string().contains("NEW_AND_OLD_IMAGES"), "{error}");
    }
}

#[test]
fn another_event_source_is_a_configuration_error() {
    for json in [
        record("INSERT", INSERT).replace("aws:dynamodb\"", "aws:kinesis\""),
        KinesisRecordBuilder::insert("a", 1).json(),
    ] {
        assert!(matches!(read(&json).change, Err(RecordError::Configuration(ConfigurationError::EventSource { .. }))));
    }
}

#[test]
fn a_wrong_partition_key_is_a_configuration_error() {
    let read_options = ReadOptions { partition_key: Some("id".to_owned()), ..ReadOptions::default() };
    let error = Record::read(&record("INSERT", INSERT), &read_options).change.expect_err("a configuration error");
    assert!(error.to_string().contains("PARTITION_KEY"), "{error}");
}

#[test]
fn malformed_records_keep_their_sequence_number_and_say_what_is_wrong() {
    let bad = INSERT.replace(r#"{"N":"1"}"#, r#"{"N":1}"#);
    assert!(read(&record("INSERT", &bad)).origin.sequence_number.is_some());
    check_malformed(&record("INSERT", &bad), "dynamodb.NewImage.n", "expected a number as a string, found a number");
    check_malformed(&record("UPSERT", INSERT), "eventName", "expected INSERT, MODIFY or REMOVE");
    check_malformed(
        &record("INSERT", INSERT).replace("INSERT", r"\ud800"),
        "eventName",
        "holds half of a surrogate pair, which is no Unicode text",
    );
    check_malformed("17", "record", "expected one stream record as an object, found a number");
    check_malformed(&record("INSERT", "[]"), "dynamodb", "expected the change as an object, found an array");
    check_malformed(r#"{"eventSource":"aws:dynamodb"}"#, "dynamodb", "missing");
    check_malformed(
        &record("INSERT", &INSERT.replace("44215", "x")),
        "dynamodb.SequenceNumber",
        "expected 1 to 40 decimal digits",
    );
    check_malformed(
        &record("INSERT", &INSERT.replace(r#""Keys":{"pk":{"S":"a"}}"#, r#""Keys":{}"#)),
        "dynamodb.Keys",
        "expected one or two key attributes, found 0",
    );
    check_malformed(
        &record("INSERT", INSERT).replace("/stream/", "/"),
        "eventSourceARN",
        "expected arn:…:table/NAME/stream/CREATION-TIME",
    );
}

#[test]
fn an_unusable_sequence_number_is_never_reported_to_lambda() {
    for bad in [r#""""#, r#""x""#, "7", "null"] {
        let json = record("INSERT", &INSERT.replace(r#""4421584500000000017450439091""#, bad));
        assert_eq!(read(&json).origin.sequence_number, None, "{bad}");
    }
}

#[test]
fn a_member_that_stands_twice_is_named_and_the_record_is_still_reported_by_its_number() {
    let twice = |json: &str, member: &str| json.replacen(member, &format!("{member}{member}"), 1);
    let json = twice(&record("INSERT", INSERT), r#""eventName":"INSERT","#);
    check_malformed(&json, "eventName", "stands twice in one object");
    let others = json.replacen('{', r#"{"":1,"":2,"another":3,"another":4,"#, 1);
    check_malformed(&others, "eventName", "stands twice in one object");
    assert_eq!(read(&json).origin.sequence_number.as_deref(), Some("4421584500000000017450439091"));
    assert_eq!(read(&json).origin.event_id.as_deref(), Some("e1"));
    let json = record("INSERT", &twice(INSERT, r#""Keys":{"pk":{"S":"a"}},"#));
    check_malformed(&json, "dynamodb.Keys", "stands twice in one object");
    assert!(read(&json).origin.sequence_number.is_some());
    let json = record("INSERT", &twice(INSERT, r#""SequenceNumber":"4421584500000000017450439091","#));
    check_malformed(&json, "dynamodb.SequenceNumber", "stands twice in one object");
    assert_eq!(read(&json).origin.sequence_number, None, "of two numbers nobody knows which was meant");
    let json = record("INSERT", INSERT).replacen("{", r#"{"\ud800":1,"#, 1);
    check_malformed(&json, "record", "has a member whose name is no Unicode text (half of a surrogate pair)");
    assert!(read(&json).origin.sequence_number.is_some());
}

#[test]
fn what_an_error_says_has_a_length_that_a_log_takes() {
    let name = "ü".repeat(30_000);
    let json = record("INSERT", &INSERT.replace(r#""n":{"N":"1"}"#, &format!(r#""{name}":{{"N":1}}"#)));
    let Err(RecordError::Malformed { field, .. }) = read(&json).change else { panic!("malformed") };
    assert!(field.starts_with("dynamodb.NewImage.ü") && field.ends_with("ü…") && field.len() < 520, "{}", field.len());
}

#[test]
fn nesting_cannot_exhaust_the_stack() {
    for levels in [100_usize, 100_000] {
        let deep = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for json in [deep.clone(), record("INSERT", &deep), record("INSERT", &format!(r#"{{"Keys":{deep}}}"#))] {
            assert!(matches!(read(&json).change, Err(RecordError::Malformed { .. })));
        }
        let ignored = record("INSERT", &INSERT.replacen("{", &format!(r#"{{"Extra":{deep},"#), 1));
        assert!(read(&ignored).change.is_ok());
    }
}
